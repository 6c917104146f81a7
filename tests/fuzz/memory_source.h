/* tests/fuzz/memory_source.h -- bytes in memory as the file that a GGUF reader reads. */
#ifndef QUERN_TESTS_FUZZ_MEMORY_SOURCE_H
#define QUERN_TESTS_FUZZ_MEMORY_SOURCE_H

#include <string.h>

#include "core/gguf.h"

struct memory {
	const uint8_t *p;
	size_t n;
};

static inline int memory_read(void *ctx, void *out, size_t n, uint64_t at, struct err *e)
{
	const struct memory *m = ctx;

	if (at > m->n || n > m->n - at)
		return err_set(e, ERR_INVALID, "read beyond the end");
	memcpy(out, m->p + at, n);
	return 0;
}

/* m has to live as long as what is returned. */
static inline struct gguf_source memory_source(struct memory *m)
{
	return (struct gguf_source){ .read = memory_read, .ctx = m, .size_bytes = m->n };
}

#endif
