/* upload/hub_http_commit.c -- a commit by the Hub's API: sent from a file, once,
 * and when nobody knows whether it landed, the branch is asked before it is sent
 * again. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/scratch.h"
#include "upload/commit_body.h"
#include "upload/hub_api.h"
#include "upload/hub_http_private.h"

#define COMMIT_TOTAL_S 180 /* without an answer; the Hub's gateway gives up after 60 s */
#define COMMIT_TRIES 6
#define COMMIT_SLOW_MS 3600000 /* quotas of commits are per hour */

static void wait_ms(int64_t ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	(void)nanosleep(&t, NULL);
}

enum sent { SENT_LANDED, SENT_FAILED, SENT_UNKNOWN };

static enum sent judge(const struct http_response *rs, int rc)
{
	if (rc >= 0)
		return SENT_LANDED;
	return rs->fault.class == HTTP_FAULT_RETRY || rs->fault.class == HTTP_FAULT_PROTOCOL
		       ? SENT_UNKNOWN
		       : SENT_FAILED;
}

/* One POST; a 429 is waited for, as it says that nothing was done. */
static enum sent post_commit(struct hub_http *h, const char *repo, int fd, uint64_t size_bytes,
			     bool new_pull, struct http_response *rs, struct err *e)
{
	static const struct http_header ndjson = { "Content-Type", "application/x-ndjson" };
	static const struct http_policy once = { .attempts = 1, .first_ms = 1000, .max_ms = 30000 };
	char *path = hub_http_branch_path(h, repo, "commit");
	char *url = mem_printf("%s%s", path, new_pull ? "?create_pr=1" : "");
	const struct http_request rq = { .method = HTTP_POST,
					 .url = url,
					 .headers = &ndjson,
					 .n_headers = 1,
					 .body_fd = fd,
					 .body_bytes = size_bytes,
					 .about = { .repo = repo },
					 .want_json = true,
					 .floor_s = COMMIT_TOTAL_S,
					 .policy = &once };
	int64_t until_ms = clock_mono_ms() + COMMIT_SLOW_MS;
	int rc = http_call(h->http, &rq, rs, e);

	while (rs->fault.class == HTTP_FAULT_SLOW_DOWN && clock_mono_ms() < until_ms) {
		http_response_release(rs);
		rc = http_call(h->http, &rq, rs, e);
	}
	free(url);
	free(path);
	return judge(rs, rc);
}

/* Nobody knows whether the commit landed. 0: it did not, and may be sent again; ERR_CONFLICT: the
 * branch moved, perhaps by it. */
static int look_again(struct hub_http *h, const char *repo, const char *parent, bool new_pull,
		      struct err *e)
{
	char head[HUB_BLOB_ID];
	bool is_private;
	int rc;

	if (new_pull)
		return err_wrap(e,
				"%s: perhaps a pull request was opened (see %s/%s/discussions), it "
				"is not sent twice",
				repo, http_endpoint(h->http), repo);
	rc = hub_http_head(h, repo, head, &is_private, e);
	if (rc < 0 || strcmp(head, parent) == 0)
		return rc;
	return err_set(e, ERR_CONFLICT, "%s: the branch moved while a commit was being sent", repo);
}

/* Go on in the pull request that a commit has opened: ".../discussions/N". */
static void follow_pull(struct hub_http *h, const char *url)
{
	const char *number = strrchr(url, '/');

	if (!number || !number[1] || number[1 + strspn(number + 1, "0123456789")])
		return;
	free(h->branch);
	free(h->pull_url);
	h->branch = mem_printf("refs/pr/%s", number + 1);
	h->pull_url = mem_strdup(url);
}

static int take_answer(struct hub_http *h, const struct http_response *rs, bool new_pull,
		       struct arena *a, const char **id, struct err *e)
{
	const char *pull = NULL;
	char oid[HUB_BLOB_ID];
	int rc = hub_api_commit(a, buf_str(&rs->body), rs->body.len, oid, &pull, e);

	if (rc < 0)
		return rc;
	if (new_pull && pull)
		follow_pull(h, pull);
	free(h->head);
	h->head = mem_strdup(oid);
	*id = arena_strdup(a, oid);
	return 0;
}

static int send_commit(struct hub_http *h, const char *repo, const char *parent, int fd,
		       uint64_t size_bytes, struct arena *a, const char **id, struct err *e)
{
	bool new_pull = h->pull_request && !h->pull_url;
	struct http_response rs;
	int rc = 0;

	for (int i = 0; i < COMMIT_TRIES; i++) {
		enum sent how = post_commit(h, repo, fd, size_bytes, new_pull, &rs, e);

		hub_http_note(h, &rs);
		rc = how == SENT_LANDED ? take_answer(h, &rs, new_pull, a, id, e) : e->code;
		http_response_release(&rs);
		if (how != SENT_UNKNOWN)
			return rc;
		struct err why = *e;

		rc = look_again(h, repo, parent, new_pull, e);
		if (rc < 0)
			return rc;
		*e = why;
		rc = why.code;
		if (i + 1 < COMMIT_TRIES)
			wait_ms(i == 0 ? 0 : (int64_t)500 << i);
	}
	return rc;
}

int hub_http_commit(struct hub *base, const char *repo, const struct hub_commit *c, struct arena *a,
		    const char **id, struct err *e)
{
	struct hub_http *h = hub_http_of(base);
	uint64_t size_bytes = 0;
	int fd, rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	hub_http_turn_to(h, repo);
	if (c->n + c->n_gone == 0) {
		*id = c->parent;
		return 0;
	}
	fd = scratch_open(h->work, e);
	if (fd < 0)
		return fd;
	rc = commit_body_write(fd, c, &size_bytes, e);
	if (rc >= 0)
		rc = send_commit(h, repo, c->parent, fd, size_bytes, a, id, e);
	(void)close(fd);
	return rc;
}
