/* workers/gguf/check_file.h -- is every scale in a GGUF file a number? Several
 * threads read it, in the order of its tensors; what they say is the same for
 * any number of them. */
#ifndef QUERN_WORKERS_GGUF_CHECK_FILE_H
#define QUERN_WORKERS_GGUF_CHECK_FILE_H

#include "core/err.h"
#include "core/gguf.h"

/* ERR_INVALID: the first block of the file that is not good, with its tensor and place; or the file
 * got shorter. ERR_IO. stage: under which name progress is told; NULL: it is not. */
int check_file(int fd, const struct gguf_file *f, int threads, const char *stage, struct err *e);

#endif
