/* Importance matrices of both formats over any bytes: no crash, and what is accepted is finite and
 * above 0. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "workers/gguf/imatrix.h"

struct memory {
	const uint8_t *p;
	size_t n;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_memory(void *ctx, void *out, size_t n, uint64_t at, struct err *e)
{
	const struct memory *m = ctx;

	if (at > m->n || n > m->n - at)
		return err_set(e, ERR_INVALID, "read beyond the end");
	memcpy(out, m->p + at, n);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = { data, size };
	struct gguf_source src = { .read = read_memory, .ctx = &m, .size_bytes = size };
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct imatrix im;

	if (imatrix_read(a, &src, &im, &e) == 0) {
		for (size_t i = 0; i < im.n; i++) {
			assert(imatrix_find(&im, im.v[i].name) == &im.v[i]);
			for (uint64_t k = 0; k < im.v[i].n; k++)
				assert(isfinite(im.v[i].v[k]) && im.v[i].v[k] > 0);
		}
	} else {
		assert(e.code < 0 && e.msg[0]);
	}
	arena_free(a);
	return 0;
}
