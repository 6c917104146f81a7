/* Importance matrices of both formats over any bytes: no crash, and what is accepted is finite and
 * above 0. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/memory_source.h"
#include "workers/gguf/imatrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = { data, size };
	struct gguf_source src = memory_source(&m);
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
