/* workers/common/fileio.h -- whole reads at a place in a file, by pread(2). A source that another
 * process cuts short gives an error; mapped into memory it would be a SIGBUS. */
#ifndef QUERN_WORKERS_COMMON_FILEIO_H
#define QUERN_WORKERS_COMMON_FILEIO_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* n bytes at byte `at`. ERR_INVALID when the file ends before that, ERR_IO; name is for the text.
 */
int file_read_at(int fd, void *out, size_t n, uint64_t at, const char *name, struct err *e);

#endif
