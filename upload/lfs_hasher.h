/* upload/lfs_hasher.h -- a thread that hashes files in their order, ahead of
 * whoever needs the hashes, but not further than the page cache is likely to
 * keep. */
#ifndef QUERN_UPLOAD_LFS_HASHER_H
#define QUERN_UPLOAD_LFS_HASHER_H

#include <stddef.h>
#include <sys/stat.h>

#include "core/err.h"
#include "upload/hub.h"

struct lfs_hasher;

struct lfs_hash {
	int code; /* 0, or the code of err */
	struct err err;
	uint8_t sha256[SHA256_LEN];
	struct stat st; /* of the file that was read */
};

/* Start on files[n], which the caller keeps. on_hash comes from the thread, after each. ERR_ENV: no
 * more threads. */
int lfs_hasher_new(const struct hub_file *const *files, size_t n, void (*on_hash)(void *ctx),
		   void *ctx, struct lfs_hasher **out, struct err *e);
/* Stops and waits for the thread. NULL is fine. */
void lfs_hasher_free(struct lfs_hasher *h);
/* How many are hashed: the first ones, whose results stay as they are. */
size_t lfs_hasher_done(struct lfs_hasher *h);
const struct lfs_hash *lfs_hasher_result(const struct lfs_hasher *h, size_t i);
/* The i-th file is not needed any more. */
void lfs_hasher_release(struct lfs_hasher *h, size_t i);

#endif
