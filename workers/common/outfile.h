/* workers/common/outfile.h -- a large file of known size that several threads write,
 * every byte once, in about ascending order. What comes is gathered into chunks, and
 * each full one goes to the disk past the page cache (O_DIRECT): filling the cache with
 * what is not read again soon costs several times the processor time of converting it,
 * and takes the cache from others. A file system that has no such writes gets plain ones.
 *
 * out_open(), out_write() from any thread, out_close(). */
#ifndef QUERN_WORKERS_COMMON_OUTFILE_H
#define QUERN_WORKERS_COMMON_OUTFILE_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct out_file;

/* Makes path, or empties it, with room for all size_bytes: a full disk is found before the work.
 * many: a lot of files are open at once, and each gets smaller chunks (128 KiB for 1 MiB). A few of
 * them are in memory at a time. ERR_NOSPACE, ERR_IO; nothing is left of the file then. */
int out_open(const char *path, uint64_t size_bytes, int many, struct out_file **out, struct err *e);

/* n bytes at byte `at`, which nobody else writes. ERR_NOSPACE, ERR_IO. */
int out_write(struct out_file *f, const void *data, size_t n, uint64_t at, struct err *e);

/* rc 0: all bytes were written, and are on the disk afterwards. rc below 0, or a failure here:
 * the file is removed. Returns rc, or what failed. f is freed; NULL is fine. */
int out_close(struct out_file *f, int rc, struct err *e);

#endif
