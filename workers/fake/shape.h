/* workers/fake/shape.h -- SPEC, the text that names a fake model, and what it
 * stands for: the shape of every tensor, without making one.
 *
 *     SPEC = NAME [":" KEY "=" VALUE ("," KEY "=" VALUE)*]
 *
 * NAME is one of the presets in shape.c, or an architecture ("llama" or
 * "LlamaForCausalLM"), which stands for its small preset. */
#ifndef QUERN_WORKERS_FAKE_SHAPE_H
#define QUERN_WORKERS_FAKE_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "workers/fake/family.h"

/* Raised when the same SPEC gives other bytes than before: a source's version for quern. */
#define FAKE_FORMAT_VERSION 1

enum fake_dtype { FAKE_BF16, FAKE_F16, FAKE_F32 };
enum fake_fill { FAKE_ZERO, FAKE_RANDOM };

struct fake_spec {
	const char *preset;
	const struct fake_family *family;
	enum fake_dtype dtype;
	enum fake_fill fill;
	int tie;
	uint64_t layers, hidden, ffn, heads, kv_heads, head_dim, vocab, ctx;
	uint64_t seed;
	uint64_t shard_bytes; /* of tensor data in one file, at most; a larger tensor is alone */
	double rope_theta;
	double rope_factor;    /* of Llama 3's scaling, 0 none */
	struct fake_more more; /* the preset's: no key changes it */
};

/* ERR_INVALID with what is wrong and what would be right. */
int fake_spec_parse(const char *text, struct fake_spec *out, struct err *e);
/* The spec with every value written out, in one order: equal models have equal texts. */
void fake_spec_write(const struct fake_spec *s, struct buf *out);

const char *fake_architecture(const struct fake_spec *s); /* "LlamaForCausalLM" */
const char *fake_model_type(const struct fake_spec *s);	  /* "llama" */
const char *fake_dtype_name(enum fake_dtype t);		  /* "BF16", as safetensors has it */
size_t fake_dtype_bytes(enum fake_dtype t);

/* The presets in order; NULL after the last. */
const struct fake_spec *fake_preset(size_t i);

struct fake_tensor {
	char name[96];
	int n_dims; /* 1 or 2 */
	uint64_t shape[2];
	uint64_t n_elements, size_bytes;
	int is_norm; /* its weights are 1 */
};

/* Tensors by number, in the order of the model: embedding, layers, norm, head. */
size_t fake_tensor_count(const struct fake_spec *s);
void fake_tensor_get(const struct fake_spec *s, size_t i, struct fake_tensor *out);

struct fake_totals {
	uint64_t params, matrix_params, vector_params, size_bytes, largest_tensor_bytes, max_row;
};
void fake_totals(const struct fake_spec *s, struct fake_totals *out);

#endif
