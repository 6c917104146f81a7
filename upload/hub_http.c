/* upload/hub_http.c -- the Hub's own API: huggingface.co and what is compatible
 * with it. Plain files go inside the commit, large ones as LFS objects before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/hub_api.h"
#include "upload/hub_http.h"
#include "upload/hub_http_private.h"
#include "upload/lfs_send.h"

/* huggingface_hub's folder upload makes commits of up to 1000 files, and keeps what is inside one
 * below 100 MiB: 72 MiB are 96 in base64. */
#define COMMIT_FILES 1000
#define COMMIT_INLINE_BYTES ((uint64_t)72 << 20)
#define CREATE_TRIES 5

struct hub_http *hub_http_of(struct hub *h)
{
	return (struct hub_http *)h; /* base is its first member */
}

/* ---- calls */

static struct http_subject about(const char *repo)
{
	return (struct http_subject){ .repo = repo };
}

void hub_http_note(struct hub_http *h, const struct http_response *rs)
{
	h->base.slow_down = rs->fault.class == HTTP_FAULT_SLOW_DOWN;
}

int hub_http_call(struct hub_http *h, struct http_request *rq, struct http_response *rs,
		  struct err *e)
{
	int rc = http_call(h->http, rq, rs, e);

	if (rc >= 0 && rs->status >= 300)
		rc = err_set(e, ERR_IO, "%s sends to another address what only it can answer",
			     http_endpoint(h->http));
	if (rc < 0)
		hub_http_note(h, rs);
	return rc;
}

int hub_http_post(struct hub_http *h, const char *path, const struct buf *body, const char *repo,
		  struct http_response *rs, struct err *e)
{
	static const struct http_header json = { "Content-Type", "application/json" };
	struct http_request rq = { .method = HTTP_POST,
				   .url = path,
				   .headers = &json,
				   .n_headers = 1,
				   .body = buf_str(body),
				   .body_bytes = body->len,
				   .about = about(repo),
				   .want_json = true };

	return hub_http_call(h, &rq, rs, e);
}

char *hub_http_path(const char *repo, const char *what, const char *rev)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_addf(&b, "/api/models/%s/%s/", repo, what);
	http_quote(&b, rev, false);
	return buf_detach(&b);
}

const char *hub_http_branch(const struct hub_http *h, const char *repo)
{
	return h->repo && strcmp(h->repo, repo) == 0 && h->branch ? h->branch : "main";
}

char *hub_http_branch_path(const struct hub_http *h, const char *repo, const char *what)
{
	return hub_http_path(repo, what, hub_http_branch(h, repo));
}

void hub_http_turn_to(struct hub_http *h, const char *repo)
{
	if (h->repo && strcmp(h->repo, repo) == 0)
		return;
	free(h->repo);
	free(h->head);
	free(h->branch);
	free(h->pull_url);
	h->repo = mem_strdup(repo);
	h->head = h->branch = h->pull_url = NULL;
}

/* ---- repository */

int hub_http_head(struct hub_http *h, const char *repo, char head[HUB_BLOB_ID], bool *is_private,
		  struct err *e)
{
	char *path = hub_http_branch_path(h, repo, "revision");
	struct http_request rq = { .url = path, .about = about(repo), .want_json = true };
	struct http_response rs;
	int rc = hub_http_call(h, &rq, &rs, e);

	head[0] = '\0';
	*is_private = false;
	if (rc >= 0)
		rc = hub_api_head(buf_str(&rs.body), rs.body.len, head, is_private, e);
	else if (rs.fault.class == HTTP_FAULT_NOT_FOUND && http_has_token(h->http))
		rc = 0;
	http_response_release(&rs);
	free(path);
	return rc;
}

/* What a 409 says: the repository is there already, or somebody is just making it. */
static bool is_there_already(const struct http_response *rs)
{
	return rs->status == 409 && rs->body.len && strstr(buf_str(&rs->body), "\"url\"");
}

static void wait_ms(int64_t ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	(void)nanosleep(&t, NULL);
}

static int post_create(struct hub_http *h, const char *repo, bool is_private, struct err *e)
{
	struct http_response rs;
	int rc = ERR_CONFLICT;
	struct buf body;

	buf_init(&body, 4096);
	hub_api_create_write(&body, repo, is_private);
	for (int i = 0; rc == ERR_CONFLICT && i < CREATE_TRIES; i++) {
		if (i > 0)
			wait_ms(1000);
		rc = hub_http_post(h, "/api/repos/create", &body, repo, &rs, e);
		if (rc < 0 && is_there_already(&rs))
			rc = 0;
		http_response_release(&rs);
	}
	buf_release(&body);
	return rc;
}

/* A hub that does not know how to make it private would show it to everybody. */
static int check_private(struct hub_http *h, const char *repo, struct err *e)
{
	char head[HUB_BLOB_ID];
	bool is_private;
	int rc = hub_http_head(h, repo, head, &is_private, e);

	if (rc < 0 || is_private)
		return rc;
	return err_set(
		e, ERR_INVALID,
		"%s is public, and upload.private is true; make it private at %s/%s/settings, "
		"or publish to another name",
		repo, http_endpoint(h->http), repo);
}

/* Where the others are told to wait. */
static int make_wait_folder(const struct hub_http *h, struct err *e)
{
	char *folder = path_join(h->work, HUB_WAIT_FOLDER);
	int rc = path_mkdirs(folder, 0777, e);

	free(folder);
	return rc;
}

static int http_create(struct hub *base, const char *repo, int is_private, struct err *e)
{
	struct hub_http *h = hub_http_of(base);
	struct err refused = ERR_INIT;
	char head[HUB_BLOB_ID] = "";
	bool seen_private;
	int rc = hub_repo_check(repo, e);

	if (rc >= 0)
		rc = make_wait_folder(h, e);
	if (rc < 0)
		return rc;
	hub_http_turn_to(h, repo);
	if (h->head && *h->head)
		return 0; /* it was listed */
	rc = post_create(h, repo, is_private, &refused);
	if (rc == ERR_ENV && hub_http_head(h, repo, head, &seen_private, e) >= 0 && *head)
		rc = 0; /* a token may write where it may not create */
	if (rc < 0) {
		if (e)
			*e = refused;
		return rc;
	}
	return is_private ? check_private(h, repo, e) : 0;
}

/* ---- objects */

static int with_remote(struct hub_http *h, const char *repo, struct lfs_remote *r, struct err *e)
{
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	h->base.slow_down = false;
	*r = (struct lfs_remote){ .http = h->http,
				  .path = mem_printf("/%s.git/info/lfs", repo),
				  .about = about(repo),
				  .jobs = h->jobs,
				  .slow_down = &h->base.slow_down };
	return 0;
}

static int http_have(struct hub *base, const char *repo, const struct hub_file *files, size_t n,
		     bool *have, struct err *e)
{
	struct lfs_remote r;
	int rc = with_remote(hub_http_of(base), repo, &r, e);

	if (rc < 0)
		return rc;
	rc = lfs_ask(&r, LFS_UPLOAD, files, n, have, e);
	if (rc == ERR_NOTFOUND) { /* no repository, so nothing */
		memset(have, 0, n * sizeof(*have));
		rc = 0;
	}
	free((char *)r.path);
	return rc;
}

static int http_put(struct hub *base, const char *repo, const struct hub_file *files, size_t n,
		    const struct hub_put *report, struct err *e)
{
	struct lfs_remote r;
	int rc = with_remote(hub_http_of(base), repo, &r, e);

	if (rc < 0)
		return rc;
	rc = lfs_send(&r, files, n, report, e);
	free((char *)r.path);
	return rc;
}

/* ---- the hub */

static const char *http_url(struct hub *base, const char *repo, struct arena *a)
{
	const struct hub_http *h = hub_http_of(base);

	if (h->pull_url && strcmp(h->repo, repo) == 0)
		return arena_strdup(a, h->pull_url);
	return arena_printf(a, "%s/%s", http_endpoint(h->http), repo);
}

static void http_hub_close(struct hub *base)
{
	struct hub_http *h = hub_http_of(base);

	http_close(h->http);
	http_budget_free(h->budget);
	hub_range_release(&h->range);
	free(h->work);
	free(h->repo);
	free(h->head);
	free(h->branch);
	free(h->pull_url);
	free(h);
}

static const struct hub_ops http_ops = {
	.kind = "http",
	.commit_files = COMMIT_FILES,
	.commit_inline_bytes = COMMIT_INLINE_BYTES,
	.create = http_create,
	.list = hub_http_list,
	.have = http_have,
	.prepare = hub_http_prepare,
	.check_card = hub_http_check_card,
	.put = http_put,
	.read = hub_http_read,
	.read_at = hub_http_read_at,
	.commit = hub_http_commit,
	.url = http_url,
	.close = http_hub_close,
};

int hub_http_open(const char *endpoint, const char *token, bool offline,
		  const struct hub_options *o, struct hub **out, struct err *e)
{
	struct hub_http *h = mem_zalloc(sizeof(*h));
	char *wait_file = path_join(o->work, HUB_WAIT_FILE);
	struct http_options ho = { .endpoint = endpoint, .token = token, .offline = offline };
	int rc;

	h->base.ops = &http_ops;
	h->work = mem_strdup(o->work);
	hub_range_init(&h->range, h->work);
	h->jobs = o->jobs > 0 ? o->jobs : HUB_JOBS_DEFAULT;
	h->pull_request = o->pull_request;
	h->budget = http_budget_new(wait_file);
	ho.budget = h->budget;
	free(wait_file);
	rc = http_open(&ho, &h->http, e);
	if (rc < 0)
		http_hub_close(&h->base);
	else
		*out = &h->base;
	return rc;
}
