/* core/path.h -- files that outlive a crash, and names that cannot escape.
 * Existence under the final name means complete: everything is written under a
 * temporary name in the same folder, fsynced, renamed, and the folder fsynced. */
#ifndef QUERN_CORE_PATH_H
#define QUERN_CORE_PATH_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/err.h"

/* "a/b" on the heap; one slash between. b absolute gives a copy of b. */
char *path_join(const char *a, const char *b);
/* Folder part ("." if none) on the heap; last component inside path. */
char *path_dirname(const char *path);
const char *path_basename(const char *path);
/* realpath() with an error sentence; heap. */
char *path_real(const char *path, struct err *e);

/* True for one plain component: not empty, ".", "..", no '/', no NUL or control
 * character, valid UTF-8, at most 255 bytes. */
int path_component_ok(const char *name);
/* True for a relative path of such components: what a foreign file name must be. */
int path_relative_ok(const char *path);

/* Read a whole regular file of at most max bytes into b (appended). ERR_NOTFOUND,
 * ERR_INVALID (not a regular file, larger than max), ERR_IO. */
int path_read(const char *path, size_t max, struct buf *b, struct err *e);
/* Replace path by these bytes, durably. mode as in open(2). */
int path_write(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/* rename(2), then fsync of the target's folder. The content must have been fsynced. */
int path_rename(const char *from, const char *to, struct err *e);
/* fsync one file or folder. */
int path_sync(const char *path, struct err *e);
/* fsync every regular file and folder below and including dir; links are an error (ERR_INVALID). */
int path_sync_tree(const char *dir, struct err *e);
/* mkdir -p; an existing folder is fine. */
int path_mkdirs(const char *path, mode_t mode, struct err *e);
/* rm -rf by descriptors, never following a link; a missing path is fine. */
int path_remove_tree(const char *path, struct err *e);
/* Copy a regular file: reflink, else copy_file_range, else read and write; fsynced under a
 * temporary name, then renamed to dst. mode of dst. */
int path_copy(const char *src, const char *dst, mode_t mode, struct err *e);

/* Free bytes for an ordinary user on the file system that holds path. */
int path_free_space(const char *path, uint64_t *bytes, struct err *e);

/* Folder of the running program (from /proc/self/exe), heap; NULL if unknown. */
char *path_program_dir(void);

#endif
