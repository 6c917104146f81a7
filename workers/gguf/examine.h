/* workers/gguf/examine.h -- the verbs that look at one file: inspect, verify and
 * dequantize. All return an exit code of the worker protocol. */
#ifndef QUERN_WORKERS_GGUF_EXAMINE_H
#define QUERN_WORKERS_GGUF_EXAMINE_H

#include <stddef.h>

#include "core/err.h"

int inspect_main(const char *path);
int verify_main(const char *path);
/* Raw floats of one tensor on standard output. */
int dequantize_main(const char *path, const char *tensor);

/* The n (at least 1) files of one model, in order: structure, that they belong together, every
 * block's scale; tells progress. ERR_INVALID says which tensor or file. facts (may be NULL): what
 * they say of themselves is appended, as a JSON object. */
struct buf;
int examine_gguf(const char *const *paths, size_t n, int threads, struct buf *facts, struct err *e);

#endif
