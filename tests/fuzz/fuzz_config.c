/* config.json of every architecture over any bytes: no crash, and numbers within what shapes and
 * keys are computed from without overflow. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "core/source_quant.h"
#include "workers/gguf/arch.h"
#include "workers/gguf/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_quantization(struct arena *a, const struct json *config)
{
	struct source_quant q;
	struct err e = ERR_INIT;

	if (source_quant_read(a, config, &q, &e) < 0) {
		assert(e.code < 0 && e.msg[0]);
		return;
	}
	assert((q.method == QUANT_NONE) == !q.form && q.bits >= 0 && q.bits <= 32);
	assert(q.method == QUANT_NONE || source_quant_text(a, &q)[0]);
}

static void try_one(struct arena *a, const struct arch *arch, const struct json *config)
{
	struct gguf_writer w;
	struct err e = ERR_INIT;
	struct hparams h;

	if (hparams_read(a, arch, config, &h, &e) < 0) {
		assert(e.code < 0 && e.msg[0]);
		return;
	}
	assert(h.layers && h.layers <= 512 && h.heads % h.kv_heads == 0);
	for (int d = DIM_NONE; d <= DIM_O_MLA; d++)
		assert(dim_value(&h, (enum dim)d) < (uint64_t)1 << 40);
	gguf_init(&w);
	hparams_write(a, arch, &h, &w);
	gguf_release(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct json *config;

	if (json_parse(a, (const char *)data, size, &config, &e) == 0) {
		try_quantization(a, config);
		for (size_t i = 0; arch_get(i); i++)
			try_one(a, arch_get(i), config);
	}
	arena_free(a);
	return 0;
}
