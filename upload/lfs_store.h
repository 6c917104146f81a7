/* upload/lfs_store.h -- LFS objects in a folder, where git-lfs expects them:
 * OBJECTS/aa/bb/OID. An object under that name is complete: it got there by a
 * link or a rename. */
#ifndef QUERN_UPLOAD_LFS_STORE_H
#define QUERN_UPLOAD_LFS_STORE_H

#include <stdint.h>

#include "core/err.h"
#include "core/hash.h"
#include "upload/hub.h"

/* 1 when the object is there with this size, 0 when not. lfs: the "lfs" folder of a repository. */
int lfs_store_have(const char *lfs, const uint8_t sha256[SHA256_LEN], uint64_t size_bytes,
		   struct err *e);

/* Put f (f->local or f->data) there, mode 0444; an object of the wrong size is replaced. A
 * read-only file of the same file system is linked, taking no room: then the caller has checked its
 * hash. Anything else is copied (reflink where there is one) and the copy is hashed: ERR_CORRUPT if
 * it differs. Safe to repeat; complete or absent after a crash. */
int lfs_store_put(const char *lfs, const struct hub_file *f, struct err *e);

/* Up to len bytes of an object from offset; *got is less only at its end. ERR_NOTFOUND. */
int lfs_store_read_at(const char *lfs, const uint8_t sha256[SHA256_LEN], uint64_t offset,
		      void *data, size_t len, size_t *got, struct err *e);

/* Remove what a crash left half-done. Nobody may be putting. */
int lfs_store_clean(const char *lfs, struct err *e);

#endif
