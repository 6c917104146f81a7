/* upload/lfs.h -- the texts and names of Git LFS: which files go there, the
 * pointer that stands in git for each, .gitattributes, the place of an object
 * in a store. Pure. Sources: git-lfs docs/spec.md (pointer, object path) and
 * gitattributes(5). */
#ifndef QUERN_UPLOAD_LFS_H
#define QUERN_UPLOAD_LFS_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/hash.h"

/* Hubs refuse a plain file above 10 MiB, so from this size on every file is an LFS object. */
#define LFS_MIN_BYTES ((uint64_t)10 << 20)
/* A pointer is at most this long (git-lfs reads no more); ours are below 140 bytes. */
#define LFS_POINTER_MAX 1024

/* 1 when a file of this name and size is an LFS object: a binary type (*.gguf, *.safetensors, ...,
 * see lfs_attributes()), or not smaller than LFS_MIN_BYTES. Never an empty file: LFS has none. */
int lfs_wanted(const char *path, uint64_t size_bytes);

/* Append the pointer of an object to b. */
void lfs_pointer_write(struct buf *b, const uint8_t sha256[SHA256_LEN], uint64_t size_bytes);
/* 1 when text[0..len) is a pointer, with what it points to; 0 when it is anything else. Extension
 * lines (ext-N-name) are allowed, as the specification has them. */
int lfs_pointer_parse(const char *text, size_t len, uint8_t sha256[SHA256_LEN],
		      uint64_t *size_bytes);

/* "aa/bb/aabb...", in a: below lfs/objects of a repository. */
const char *lfs_object_path(struct arena *a, const uint8_t sha256[SHA256_LEN]);

/* .gitattributes that marks the binary types and each of paths[n] (all LFS files of the
 * repository). old (may be NULL) is kept as it is; only lines that are missing are added after it.
 */
void lfs_attributes(struct buf *b, const char *old, const char *const *paths, size_t n);

#endif
