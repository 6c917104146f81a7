/* core/scratch.h -- files without a name: gone with their descriptor, whatever
 * ends the process. For what is too large for memory. */
#ifndef QUERN_CORE_SCRATCH_H
#define QUERN_CORE_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* A new one on the file system of folder, which exists. Returns the descriptor. */
int scratch_open(const char *folder, struct err *e);
/* All n bytes at this offset. */
int scratch_write(int fd, const void *p, size_t n, uint64_t offset, struct err *e);

#endif
