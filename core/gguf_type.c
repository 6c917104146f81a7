/* Tensor types and their sizes. */
#include <stddef.h>

#include "core/gguf.h"
#include "core/mem.h"

static const struct gguf_block_type types[] = {
#define GGUF_TYPE(id, name, block, bytes) { id, #name, block, bytes },
#include "core/gguf_types.h"
};

const struct gguf_block_type *gguf_type_by_id(uint32_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (types[i].id == id)
			return &types[i];
	}
	return NULL;
}

uint64_t gguf_type_bytes(const struct gguf_block_type *t, uint64_t n)
{
	return n / t->block * t->bytes;
}
