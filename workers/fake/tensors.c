/* The tensors of a model by number, under the names and with the shapes that the transformers
 * library gives them (modeling_llama.py, modeling_qwen2.py). */
#include <inttypes.h>
#include <stdio.h>

#include "core/mem.h"
#include "workers/fake/shape.h"

/* A length, by what it is. */
enum length { NONE, HIDDEN, FFN, QUERY, KEY };

struct kind {
	const char *name;
	enum length rows, columns; /* columns NONE: a vector */
	int is_norm;
	int qwen2_only;
};

/* clang-format off */
static const struct kind layer_kinds[] = {
	{ "input_layernorm.weight",          HIDDEN, NONE,   1, 0 },
	{ "self_attn.q_proj.weight",         QUERY,  HIDDEN, 0, 0 },
	{ "self_attn.k_proj.weight",         KEY,    HIDDEN, 0, 0 },
	{ "self_attn.v_proj.weight",         KEY,    HIDDEN, 0, 0 },
	{ "self_attn.o_proj.weight",         HIDDEN, QUERY,  0, 0 },
	{ "post_attention_layernorm.weight", HIDDEN, NONE,   1, 0 },
	{ "mlp.gate_proj.weight",            FFN,    HIDDEN, 0, 0 },
	{ "mlp.up_proj.weight",              FFN,    HIDDEN, 0, 0 },
	{ "mlp.down_proj.weight",            HIDDEN, FFN,    0, 0 },
	{ "self_attn.q_proj.bias",           QUERY,  NONE,   0, 1 },
	{ "self_attn.k_proj.bias",           KEY,    NONE,   0, 1 },
	{ "self_attn.v_proj.bias",           KEY,    NONE,   0, 1 },
};
/* clang-format on */

static size_t per_layer(const struct fake_spec *s)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(layer_kinds); i++)
		n += s->family == FAKE_QWEN2 || !layer_kinds[i].qwen2_only;
	return n;
}

static uint64_t length_of(const struct fake_spec *s, enum length what)
{
	switch (what) {
	case HIDDEN:
		return s->hidden;
	case FFN:
		return s->ffn;
	case QUERY:
		return s->heads * s->head_dim;
	case KEY:
		return s->kv_heads * s->head_dim;
	case NONE:
		break;
	}
	return 1;
}

size_t fake_tensor_count(const struct fake_spec *s)
{
	return 1 + (size_t)s->layers * per_layer(s) + 1 + !s->tie;
}

static void layer_tensor(const struct fake_spec *s, size_t i, struct fake_tensor *t)
{
	const struct kind *k = &layer_kinds[i % per_layer(s)];

	snprintf(t->name, sizeof(t->name), "model.layers.%zu.%s", i / per_layer(s), k->name);
	t->n_dims = k->columns == NONE ? 1 : 2;
	t->shape[0] = length_of(s, k->rows);
	t->shape[1] = length_of(s, k->columns);
	t->is_norm = k->is_norm;
}

void fake_tensor_get(const struct fake_spec *s, size_t i, struct fake_tensor *t)
{
	size_t in_layers = (size_t)s->layers * per_layer(s);

	*t = (struct fake_tensor){ .n_dims = 2, .shape = { s->vocab, s->hidden } };
	if (i == 0) {
		snprintf(t->name, sizeof(t->name), "model.embed_tokens.weight");
	} else if (i <= in_layers) {
		layer_tensor(s, i - 1, t);
	} else if (i == in_layers + 1) {
		snprintf(t->name, sizeof(t->name), "model.norm.weight");
		t->n_dims = 1;
		t->shape[0] = s->hidden;
		t->shape[1] = 1;
		t->is_norm = 1;
	} else {
		snprintf(t->name, sizeof(t->name), "lm_head.weight");
	}
	t->n_elements = t->shape[0] * t->shape[1];
	t->size_bytes = t->n_elements * fake_dtype_bytes(s->dtype);
}

void fake_totals(const struct fake_spec *s, struct fake_totals *out)
{
	struct fake_totals sum = { 0 };

	for (size_t i = 0; i < fake_tensor_count(s); i++) {
		struct fake_tensor t;

		fake_tensor_get(s, i, &t);
		sum.params += t.n_elements;
		sum.size_bytes += t.size_bytes;
		if (t.n_dims == 2)
			sum.matrix_params += t.n_elements;
		else
			sum.vector_params += t.n_elements;
		if (t.n_dims == 2 && t.shape[1] > sum.max_row)
			sum.max_row = t.shape[1];
		if (t.size_bytes > sum.largest_tensor_bytes)
			sum.largest_tensor_bytes = t.size_bytes;
	}
	*out = sum;
}
