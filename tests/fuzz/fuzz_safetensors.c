/* The input is a whole file: 8 bytes of length, the header, data. What the reader accepts must keep
 * every promise of safetensors.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const struct st_header *h, uint64_t file_size)
{
	uint64_t end = h->data_offset;

	for (size_t i = 0; i < h->count; i++) {
		const struct st_tensor *t = &h->tensors[i];
		uint64_t elements = 1;

		if (t->offset != end || t->size_bytes > file_size - end)
			abort();
		end += t->size_bytes;
		if (t->n_dims < 0 || t->n_dims > ST_MAX_DIMS || !t->name[0])
			abort();
		for (int d = 0; d < t->n_dims; d++)
			elements *= t->shape[d];
		if (elements != t->n_elements)
			abort();
	}
	if (end != file_size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a;
	struct err e = ERR_INIT;
	struct st_header h;
	uint64_t n = 0;

	if (size < 8)
		return 0;
	for (int i = 7; i >= 0; i--)
		n = n << 8 | data[i];
	if (n > size - 8)
		n = size - 8;
	a = arena_new();
	if (st_parse_header(a, (const char *)data + 8, (size_t)n, size, &h, &e) == 0)
		check_header(&h, size);
	else if (e.code != ERR_INVALID || !e.msg[0])
		abort();
	arena_free(a);
	return 0;
}
