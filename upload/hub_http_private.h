/* upload/hub_http_private.h -- hub_http.c asks and lists, hub_http_commit.c
 * makes commits. */
#ifndef QUERN_UPLOAD_HUB_HTTP_PRIVATE_H
#define QUERN_UPLOAD_HUB_HTTP_PRIVATE_H

#include "upload/http.h"
#include "upload/hub.h"

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
};

/* ---- hub_http.c */

struct hub_http *hub_http_of(struct hub *h);
/* Begin to speak of another repository. */
void hub_http_turn_to(struct hub_http *h, const char *repo);
/* "/api/models/REPO/WHAT/BRANCH", heap. */
char *hub_http_branch_path(const struct hub_http *h, const char *repo, const char *what);
/* Remember whether a failure was a 429. */
void hub_http_note(struct hub_http *h, const struct http_response *rs);
/* The branch's commit; "" without repository or branch. */
int hub_http_head(struct hub_http *h, const char *repo, char head[HUB_BLOB_ID], bool *is_private,
		  struct err *e);

/* ---- hub_http_commit.c */

/* As in struct hub_ops. */
int hub_http_commit(struct hub *base, const char *repo, const struct hub_commit *c, struct arena *a,
		    const char **id, struct err *e);

#endif
