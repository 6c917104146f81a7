/* The tensors of a model by number. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "workers/fake/shape.h"

static uint64_t length_of(const struct fake_spec *s, enum fake_length what)
{
	const struct fake_more *m = &s->more;

	switch (what) {
	case LEN_NONE:
	case LEN_ONE:
		return 1;
	case LEN_VOCAB:
		return s->vocab;
	case LEN_CTX:
		return s->ctx;
	case LEN_HIDDEN:
		return s->hidden;
	case LEN_3_HIDDEN:
		return 3 * s->hidden;
	case LEN_FFN:
		return s->ffn;
	case LEN_2_FFN:
		return 2 * s->ffn;
	case LEN_QUERY:
		return s->heads * s->head_dim;
	case LEN_KEY:
		return s->kv_heads * s->head_dim;
	case LEN_2_KEY:
		return 2 * s->kv_heads * s->head_dim;
	case LEN_QKV:
		return (s->heads + 2 * s->kv_heads) * s->head_dim;
	case LEN_HEAD:
		return s->head_dim;
	case LEN_EXPERTS:
		return m->experts;
	case LEN_EXPERT_FFN:
		return m->expert_ffn;
	case LEN_SHARED_FFN:
		return m->shared_ffn;
	case LEN_Q_RANK:
		return m->q_rank;
	case LEN_KV_RANK:
		return m->kv_rank;
	case LEN_KV_A:
		return m->kv_rank + m->rope;
	case LEN_Q_LATENT:
		return s->heads * (m->nope + m->rope);
	case LEN_KV_B:
		return s->heads * (m->nope + m->value);
	case LEN_O_LATENT:
		return s->heads * m->value;
	}
	return 1;
}

/* How many tensors of this kind layer `layer` has. */
static size_t times(const struct fake_spec *s, const struct fake_kind *k, uint64_t layer)
{
	int experts = s->more.experts && layer >= s->more.dense_layers;

	switch (k->when) {
	case WHEN_ALWAYS:
		return 1;
	case WHEN_UNTIED:
		return !s->tie;
	case WHEN_DENSE:
		return !experts;
	case WHEN_EXPERTS:
		return experts;
	case WHEN_EACH:
		return experts ? (size_t)s->more.experts : 0;
	case WHEN_Q_RANK:
		return s->more.q_rank != 0;
	case WHEN_NO_Q_RANK:
		return s->more.q_rank == 0;
	}
	return 0;
}

static size_t count_list(const struct fake_spec *s, const struct fake_kind *k, uint64_t layer)
{
	size_t n = 0;

	for (; k->name; k++)
		n += times(s, k, layer);
	return n;
}

static size_t count_layer(const struct fake_spec *s, uint64_t layer)
{
	size_t n = 0;

	for (size_t i = 0; i < FAKE_LISTS_MAX && s->family->layers[i]; i++)
		n += count_list(s, s->family->layers[i], layer);
	return n;
}

/* Layers before `layer`: those without experts are alike, and so are the others. */
static size_t count_layers(const struct fake_spec *s, uint64_t layer)
{
	uint64_t dense = layer < s->more.dense_layers ? layer : s->more.dense_layers;

	return (size_t)(dense * count_layer(s, 0) +
			(layer - dense) * count_layer(s, s->more.dense_layers));
}

size_t fake_tensor_count(const struct fake_spec *s)
{
	return count_list(s, s->family->before, 0) + count_layers(s, s->layers) +
	       count_list(s, s->family->after, 0);
}

/* Text with its "%u" as a number. */
static void put_number(const char *text, uint64_t number, char *out, size_t size)
{
	const char *at = strstr(text, "%u");

	if (at)
		snprintf(out, size, "%.*s%" PRIu64 "%s", (int)(at - text), text, number, at + 2);
	else
		snprintf(out, size, "%s", text);
}

static void fill(const struct fake_spec *s, const struct fake_kind *k, const char *prefix,
		 uint64_t which, struct fake_tensor *t)
{
	char name[64];

	put_number(k->name, which, name, sizeof(name));
	snprintf(t->name, sizeof(t->name), "%s%s", prefix, name);
	t->n_dims = k->columns == LEN_NONE ? 1 : 2;
	t->shape[0] = length_of(s, k->rows);
	t->shape[1] = length_of(s, k->columns);
	t->is_norm = k->is_norm;
}

/* The i-th tensor of a list; 0 when it has fewer, which are taken off *i. */
static int in_list(const struct fake_spec *s, const struct fake_kind *k, uint64_t layer,
		   const char *prefix, size_t *i, struct fake_tensor *t)
{
	for (; k->name; k++) {
		size_t n = times(s, k, layer);

		if (*i < n) {
			fill(s, k, prefix, *i, t);
			return 1;
		}
		*i -= n;
	}
	return 0;
}

static void in_layers(const struct fake_spec *s, size_t i, struct fake_tensor *t)
{
	size_t dense = count_layers(s, s->more.dense_layers);
	uint64_t first = i < dense ? 0 : s->more.dense_layers;
	size_t at = i < dense ? i : i - dense, n = count_layer(s, first);
	uint64_t layer = first + at / n;
	char prefix[48];

	at %= n;
	put_number(s->family->layer, layer, prefix, sizeof(prefix));
	for (size_t k = 0; k < FAKE_LISTS_MAX && s->family->layers[k]; k++) {
		if (in_list(s, s->family->layers[k], layer, prefix, &at, t))
			return;
	}
}

void fake_tensor_get(const struct fake_spec *s, size_t i, struct fake_tensor *t)
{
	size_t layers = count_layers(s, s->layers);

	*t = (struct fake_tensor){ .n_dims = 1 };
	if (!in_list(s, s->family->before, 0, "", &i, t)) {
		if (i < layers) {
			in_layers(s, i, t);
		} else {
			i -= layers;
			(void)in_list(s, s->family->after, 0, "", &i, t);
		}
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
