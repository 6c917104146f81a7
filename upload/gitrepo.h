/* upload/gitrepo.h -- a bare git repository: its head, its files, one more
 * commit. gitrepo*.c are the only includers of git2.h. Open, use from one thread, close. Every
 * object is fsynced before the branch names it, and the branch moves by
 * compare-and-swap: a crash leaves the old head or the new one. */
#ifndef QUERN_UPLOAD_GITREPO_H
#define QUERN_UPLOAD_GITREPO_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

#define GITREPO_ID 41 /* SHA-1 in hex and the NUL */
#define GITREPO_BRANCH "refs/heads/main"

struct gitrepo;

/* Make an empty bare repository with branch main at path, whose folder exists. It is made at
 * scratch (same file system; what a crash left there is removed first) and renamed: complete or
 * absent. */
int gitrepo_create(const char *path, const char *scratch, struct err *e);

/* Remove object files that a killed writer left half-written (git's own gc does not know their
 * names). Nobody else may be committing through this module. */
int gitrepo_clean(const char *path, struct err *e);

/* ERR_NOTFOUND: nothing at path. ERR_CORRUPT: no repository that git understands. */
int gitrepo_open(const char *path, struct gitrepo **out, struct err *e);
void gitrepo_close(struct gitrepo *g); /* NULL is fine */

/* Commit of the branch; "" before the first one. */
int gitrepo_head(struct gitrepo *g, char commit[GITREPO_ID], struct err *e);

struct gitrepo_file {
	const char *path;
	char blob[GITREPO_ID];
	uint64_t size_bytes; /* of the blob */
};

/* All plain files of a commit's tree (not links or submodules), sorted by path, in a. */
int gitrepo_files(struct gitrepo *g, const char *commit, struct arena *a,
		  struct gitrepo_file **files, size_t *n, struct err *e);

/* The blob's bytes, terminated, in a. ERR_NOSPACE: more than max. */
int gitrepo_read(struct gitrepo *g, const char *blob, size_t max, struct arena *a,
		 const char **data, size_t *len, struct err *e);

/* The plain file at path of a commit ("" has none), as gitrepo_read(). ERR_NOTFOUND. */
int gitrepo_read_path(struct gitrepo *g, const char *commit, const char *path, size_t max,
		      struct arena *a, const char **data, size_t *len, struct err *e);

struct gitrepo_change {
	const char *path;
	/* Content in memory; the bytes are needed until the next call of the function that gave it.
	 */
	const void *data;
	size_t len;
	int remove;
};

/* Gives the i-th change; negative stops the commit, and is returned. One blob is in memory at a
 * time. */
typedef int (*gitrepo_change_fn)(void *ctx, size_t i, struct gitrepo_change *out, struct err *e);

/* Commit n changes over parent ("" for none) to the branch. ERR_CONFLICT: the branch is not at
 * parent, or a live process holds its lock. When the tree stays the same there is no commit and
 * *commit is the parent. Author: GIT_AUTHOR_NAME and _EMAIL, else git's user.name and user.email,
 * else quern. */
int gitrepo_commit(struct gitrepo *g, const char *parent, const char *message, size_t n,
		   gitrepo_change_fn change, void *ctx, char commit[GITREPO_ID], struct err *e);

/* "1.5.1": of the libgit2 that runs. */
void gitrepo_library_version(char out[32]);

#endif
