/* upload/hub_http_private.h -- hub_http.c calls, makes repositories and sends
 * objects, hub_http_read.c lists and reads, hub_http_before.c asks ahead of an
 * upload, hub_http_commit.c makes commits. */
#ifndef QUERN_UPLOAD_HUB_HTTP_PRIVATE_H
#define QUERN_UPLOAD_HUB_HTTP_PRIVATE_H

#include "upload/http.h"
#include "upload/hub.h"
#include "upload/hub_range.h"

struct hub_http {
	struct hub base;
	struct http *http;
	struct http_budget *budget;
	char *work;
	int jobs;
	bool pull_request;
	/* of the repository that was listed last */
	char *repo, *head;
	char *branch;	/* "main", or the "refs/pr/N" that was opened in this life */
	char *pull_url; /* its page; NULL: none */
	struct hub_range range;
};

/* ---- hub_http.c */

struct hub_http *hub_http_of(struct hub *h);
/* One request, tried as the client's policy says; rs is to be released. */
int hub_http_call(struct hub_http *h, struct http_request *rq, struct http_response *rs,
		  struct err *e);
/* A POST of JSON that is answered with JSON. repo may be NULL. */
int hub_http_post(struct hub_http *h, const char *path, const struct buf *body, const char *repo,
		  struct http_response *rs, struct err *e);
/* Begin to speak of another repository. */
void hub_http_turn_to(struct hub_http *h, const char *repo);
/* "main", or the branch of the pull request. */
const char *hub_http_branch(const struct hub_http *h, const char *repo);
/* "/api/models/REPO/WHAT/REV", heap; repositories are checked names, revisions are quoted. */
char *hub_http_path(const char *repo, const char *what, const char *rev);
/* The same of the branch. */
char *hub_http_branch_path(const struct hub_http *h, const char *repo, const char *what);
/* Remember whether a failure was a 429. */
void hub_http_note(struct hub_http *h, const struct http_response *rs);
/* The branch's commit; "" without repository or branch. */
int hub_http_head(struct hub_http *h, const char *repo, char head[HUB_BLOB_ID], bool *is_private,
		  struct err *e);

/* ---- the others: as in struct hub_ops */

int hub_http_list(struct hub *base, const char *repo, struct arena *a, struct hub_file **files,
		  size_t *n, const char **head, struct err *e);
int hub_http_read(struct hub *base, const char *repo, const char *path, size_t max, struct arena *a,
		  const char **data, size_t *len, struct err *e);
int hub_http_read_at(struct hub *base, const char *repo, const struct hub_file *f, uint64_t offset,
		     void *data, size_t len, size_t *got, struct err *e);
int hub_http_prepare(struct hub *base, const char *repo, struct hub_file *files, size_t n,
		     struct arena *a, const char **refused, struct err *e);
int hub_http_check_card(struct hub *base, const char *text, size_t len, struct err *e);
int hub_http_commit(struct hub *base, const char *repo, const struct hub_commit *c, struct arena *a,
		    const char **id, struct err *e);

#endif
