/* upload/gitrepo_remote.h -- a bare repository and its remote over smart HTTP.
 * libgit2 speaks git, http.h carries it: one set of timeouts, retries, proxies
 * and sentences, and the password never reaches libgit2. */
#ifndef QUERN_UPLOAD_GITREPO_REMOTE_H
#define QUERN_UPLOAD_GITREPO_REMOTE_H

#include "upload/gitrepo.h"
#include "upload/http.h"

#define GITREPO_BRANCH_MAX 256

struct gitrepo_remote {
	struct http *http;
	const char *path; /* of the repository, below the endpoint: "/org/name.git" */
	struct http_subject about;
	const char *scratch; /* a folder for packs on their way */
};

/* Bring the remote's default branch here as GITREPO_BRANCH, with what is missing of its history.
 * branch: its name there ("refs/heads/main"), head: its commit, "" when there is none yet.
 * ERR_NOTFOUND: no such repository. */
int gitrepo_fetch(struct gitrepo *g, const struct gitrepo_remote *r,
		  char branch[GITREPO_BRANCH_MAX], char head[GITREPO_ID], struct err *e);

/* Move the remote's branch on to commit. ERR_CONFLICT: another writer was first, or nobody knows
 * whether it arrived; ERR_INVALID: refused, with the server's words. */
int gitrepo_push(struct gitrepo *g, const struct gitrepo_remote *r, const char *commit,
		 const char *branch, struct err *e);

#endif
