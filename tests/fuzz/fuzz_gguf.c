/* The GGUF reader over any bytes: no crash, and what it accepts keeps its own rules. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/memory_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = { data, size };
	struct gguf_source src = memory_source(&m);
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct gguf_file f;

	if (gguf_read(a, &src, &f, &e) == 0) {
		for (size_t i = 0; i < f.n_tensors; i++) {
			assert(f.tensors[i].offset <= size);
			assert(f.tensors[i].size_bytes <= size - f.tensors[i].offset);
			assert(f.tensors[i].offset % f.alignment == 0 ||
			       f.data_offset % f.alignment == 0);
		}
	} else {
		assert(e.code < 0 && e.msg[0]);
	}
	arena_free(a);
	return 0;
}
