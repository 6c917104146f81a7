/* upload/hub_http.c -- the Hub's own API: huggingface.co and what is compatible
 * with it. Plain files go inside the commit, large ones as LFS objects before. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
#define PAGE_MAX ((size_t)16 << 20)

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

/* A GET or POST of JSON. rs is to be released. */
static int call(struct hub_http *h, struct http_request *rq, struct http_response *rs,
		struct err *e)
{
	int rc = http_call(h->http, rq, rs, e);

	if (rc < 0)
		hub_http_note(h, rs);
	return rc;
}

static int post(struct hub_http *h, const char *path, const struct buf *body, const char *repo,
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

	return call(h, &rq, rs, e);
}

/* "/api/models/REPO/WHAT/REV", heap; repositories are checked names, branches are quoted. */
static char *api_path(const char *repo, const char *what, const char *rev)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_addf(&b, "/api/models/%s/%s/", repo, what);
	http_quote(&b, rev, false);
	return buf_detach(&b);
}

static const char *branch_of(const struct hub_http *h, const char *repo)
{
	return h->repo && strcmp(h->repo, repo) == 0 && h->branch ? h->branch : "main";
}

char *hub_http_branch_path(const struct hub_http *h, const char *repo, const char *what)
{
	return api_path(repo, what, branch_of(h, repo));
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
	int rc = call(h, &rq, &rs, e);

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
		rc = post(h, "/api/repos/create", &body, repo, &rs, e);
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

/* ---- listing */

static int by_path(const void *x, const void *y)
{
	const struct hub_file *a = x, *b = y;

	return strcmp(a->path, b->path);
}

/* All pages from url on, which is freed. */
static int get_pages(struct hub_http *h, const char *repo, char *url, struct arena *a,
		     struct hub_api_files *files, struct err *e)
{
	int rc = 0;

	while (rc >= 0 && url) {
		struct http_request rq = {
			.url = url, .about = about(repo), .want_json = true, .body_max = PAGE_MAX
		};
		struct http_response rs;
		char *next = NULL;
		size_t before = files->n;

		rc = call(h, &rq, &rs, e);
		if (rc >= 0)
			rc = hub_api_tree(a, buf_str(&rs.body), rs.body.len, files, e);
		if (rc >= 0)
			next = http_next_page(h->http, &rs);
		if (next && (files->n == before || strcmp(next, url) == 0))
			rc = err_set(e, ERR_IO, "%s: the hub's listing does not end", repo);
		http_response_release(&rs);
		free(url);
		url = next;
	}
	free(url);
	return rc;
}

static int get_tree(struct hub_http *h, const char *repo, const char *head, struct arena *a,
		    struct hub_file **out, size_t *n, struct err *e)
{
	struct hub_api_files files = { 0 };
	char *path = api_path(repo, "tree", head);
	int rc = get_pages(h, repo, mem_printf("%s?recursive=true&expand=false", path), a, &files,
			   e);

	free(path);
	if (rc >= 0) {
		if (files.n)
			qsort(files.v, files.n, sizeof(*files.v), by_path);
		*out = arena_array(a, files.n, sizeof(**out));
		if (files.n)
			memcpy(*out, files.v, files.n * sizeof(**out));
		*n = files.n;
	}
	free(files.v);
	return rc;
}

static int http_list(struct hub *base, const char *repo, struct arena *a, struct hub_file **files,
		     size_t *n, const char **head, struct err *e)
{
	struct hub_http *h = hub_http_of(base);
	char id[HUB_BLOB_ID];
	bool is_private;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	hub_http_turn_to(h, repo);
	rc = hub_http_head(h, repo, id, &is_private, e);
	if (rc < 0)
		return rc;
	if (*id) {
		rc = get_tree(h, repo, id, a, files, n, e);
	} else {
		*files = NULL;
		*n = 0;
	}
	if (rc < 0)
		return rc;
	free(h->head);
	h->head = mem_strdup(id);
	*head = arena_strdup(a, id);
	return 0;
}

struct reading {
	struct buf b;
	size_t max;
	const char *path;
};

static int on_data(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct reading *r = ctx;

	if (offset == 0)
		buf_clear(&r->b);
	if (offset > r->b.len || n > r->max - r->b.len)
		return err_set(e, ERR_NOSPACE, "%s has more than the %zu bytes that are read here",
			       r->path, r->max);
	return buf_add(&r->b, p, n);
}

/* Fill rq with a download of path at the head that was listed; url holds its URL. */
static void ask_for_file(struct hub_http *h, const char *repo, const char *path, struct buf *url,
			 struct http_request *rq)
{
	hub_http_turn_to(h, repo);
	buf_addf(url, "/%s/resolve/", repo);
	http_quote(url, h->head && *h->head ? h->head : branch_of(h, repo), false);
	buf_addc(url, '/');
	http_quote(url, path, true);
	*rq = (struct http_request){ .url = buf_str(url),
				     .redirects = HTTP_REDIRECT_ANY,
				     .about = { .repo = repo, .file = path } };
}

static int http_read(struct hub *base, const char *repo, const char *path, size_t max,
		     struct arena *a, const char **data, size_t *len, struct err *e)
{
	struct reading r = { .max = max, .path = path };
	struct http_request rq;
	struct http_response rs;
	struct buf url;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	buf_init(&url, (size_t)64 << 10);
	buf_init(&r.b, max);
	ask_for_file(hub_http_of(base), repo, path, &url, &rq);
	rq.on_data = on_data;
	rq.ctx = &r;
	rc = call(hub_http_of(base), &rq, &rs, e);
	if (rc >= 0) {
		*data = arena_strndup(a, buf_str(&r.b), r.b.len);
		*len = r.b.len;
	}
	http_response_release(&rs);
	buf_release(&r.b);
	buf_release(&url);
	return rc;
}

struct range {
	unsigned char *data;
	uint64_t offset;
	size_t len;
};

static int on_range(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct range *r = ctx;
	uint64_t at = offset - r->offset;

	if (offset < r->offset || at > r->len || n > r->len - at)
		return err_set(e, ERR_IO, "the hub sends more than it was asked for");
	memcpy(r->data + at, p, n);
	return 0;
}

static int http_read_at(struct hub *base, const char *repo, const struct hub_file *f,
			uint64_t offset, void *data, size_t len, size_t *got, struct err *e)
{
	struct range r = { data, offset, len };
	struct http_request rq;
	struct http_response rs;
	struct buf url;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	if (offset >= f->size_bytes || len == 0) {
		*got = 0;
		return 0;
	}
	if (r.len > f->size_bytes - offset)
		r.len = (size_t)(f->size_bytes - offset);
	buf_init(&url, (size_t)64 << 10);
	ask_for_file(hub_http_of(base), repo, f->path, &url, &rq);
	rq.range_first = offset;
	rq.range_bytes = r.len;
	rq.on_data = on_range;
	rq.ctx = &r;
	rc = call(hub_http_of(base), &rq, &rs, e);
	if (rc >= 0)
		*got = r.len;
	http_response_release(&rs);
	buf_release(&url);
	return rc < 0 ? rc : 0;
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

/* ---- before anything is sent */

static int read_sample(const struct hub_file *f, struct hub_api_sample *out, struct err *e)
{
	ssize_t n;
	int fd;

	if (!f->local) {
		out->n =
			f->size_bytes < HUB_SAMPLE_BYTES ? (size_t)f->size_bytes : HUB_SAMPLE_BYTES;
		memcpy(out->bytes, f->data, out->n);
		return 0;
	}
	fd = open(f->local, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "%s", f->local); /* the hub has it */
	n = pread(fd, out->bytes, HUB_SAMPLE_BYTES, 0);
	(void)close(fd);
	if (n < 0)
		return err_errno(e, "%s", f->local);
	out->n = (size_t)n;
	return 0;
}

static int preupload(struct hub_http *h, const char *repo, struct hub_file *files, size_t n,
		     bool *ignored, struct err *e)
{
	struct hub_api_sample *samples = mem_array(n, sizeof(*samples));
	char *path = hub_http_branch_path(h, repo, "preupload");
	struct arena *a = arena_new();
	struct http_response rs = { 0 };
	struct buf body;
	int rc = 0;

	buf_init(&body, (size_t)16 << 20);
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = read_sample(&files[i], &samples[i], e);
	if (rc >= 0) {
		hub_api_preupload_write(&body, files, samples, n);
		rc = post(h, path, &body, repo, &rs, e);
	}
	if (rc >= 0)
		rc = hub_api_preupload(a, buf_str(&rs.body), rs.body.len, files, n, ignored, e);
	http_response_release(&rs);
	buf_release(&body);
	arena_free(a);
	free(path);
	free(samples);
	return rc;
}

static int http_prepare(struct hub *base, const char *repo, struct hub_file *files, size_t n,
			struct arena *a, const char **refused, struct err *e)
{
	bool ignored[HUB_PREUPLOAD_MAX];
	int rc = hub_repo_check(repo, e);

	for (size_t at = 0; rc >= 0 && at < n; at += HUB_PREUPLOAD_MAX) {
		size_t count = n - at < HUB_PREUPLOAD_MAX ? n - at : HUB_PREUPLOAD_MAX;

		rc = preupload(hub_http_of(base), repo, files + at, count, ignored, e);
		for (size_t i = 0; rc >= 0 && i < count; i++)
			if (ignored[i])
				refused[at + i] = arena_printf(
					a,
					"the .gitignore of %s keeps %s out; change it there, or "
					"leave the file out here with upload.exclude",
					repo, files[at + i].path);
	}
	return rc;
}

/* What an answer to the card says. A 400 carries the same body as a 200. */
static int judge_card(const struct http_response *rs, int rc, struct err *e)
{
	struct err said = ERR_INIT;

	if (rs->status == 404 || rs->status == 413)
		return 0; /* a hub that cannot say it in advance says it at the commit */
	if (rc < 0 && rs->status != 400)
		return rc;
	if (hub_api_card(buf_str(&rs->body), rs->body.len, &said) != ERR_INVALID)
		return rc;
	*e = said;
	return ERR_INVALID;
}

static int http_check_card(struct hub *base, const char *text, size_t len, struct err *e)
{
	struct http_response rs;
	struct buf body;
	int rc;

	buf_init(&body, (size_t)32 << 20);
	hub_api_card_write(&body, text, len);
	rc = post(hub_http_of(base), "/api/validate-yaml", &body, NULL, &rs, e);
	rc = judge_card(&rs, rc, e);
	http_response_release(&rs);
	buf_release(&body);
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
	.list = http_list,
	.have = http_have,
	.prepare = http_prepare,
	.check_card = http_check_card,
	.put = http_put,
	.read = http_read,
	.read_at = http_read_at,
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
