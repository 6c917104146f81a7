/* upload/git_changes.h -- a commit of hub.h as blobs: the pointers of LFS files
 * and the contents of plain ones, one in memory at a time. */
#ifndef QUERN_UPLOAD_GIT_CHANGES_H
#define QUERN_UPLOAD_GIT_CHANGES_H

#include "core/buf.h"
#include "upload/gitrepo.h"
#include "upload/hub.h"

struct git_changes {
	const struct hub_commit *commit;
	/* ERR_INVALID when the object of an LFS file was not put; NULL: was asked before */
	int (*check_object)(void *ctx, const struct hub_file *f, struct err *e);
	void *ctx;
	struct buf content; /* of the last change given */
};

void git_changes_init(struct git_changes *c, const struct hub_commit *commit);
void git_changes_release(struct git_changes *c);
size_t git_changes_count(const struct git_changes *c);
/* A gitrepo_change_fn; ctx is a struct git_changes. ERR_CORRUPT: content that is not what its hash
 * says; ERR_INVALID: a name that no repository takes, or too large without LFS. */
int git_changes_next(void *ctx, size_t i, struct gitrepo_change *out, struct err *e);

#endif
