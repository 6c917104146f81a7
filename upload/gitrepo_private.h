/* upload/gitrepo_private.h -- what the files that speak libgit2 share. */
#ifndef QUERN_UPLOAD_GITREPO_PRIVATE_H
#define QUERN_UPLOAD_GITREPO_PRIVATE_H

#include <git2.h>

#include "upload/gitrepo.h"

struct gitrepo {
	git_repository *repo;
	char *path;
};

/* libgit2's own words, with ours in front. */
int gitrepo_fail(struct err *e, int code, const char *what);

#endif
