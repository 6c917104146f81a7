#include "workers/gguf/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/gguf/writer.h"

struct making {
	struct arena *a;
	const struct arch *arch;
	const struct hparams *h;
	const struct st_model *m;
	struct layout *out;
	unsigned char *used; /* per tensor of the checkpoint */
	size_t cap;
};

/* ---- types */

static int ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* Vectors, norms and what is no weight stay F32. */
static void keep_type(struct out_tensor *t)
{
	if (t->n_dims < 2 || !ends_with(t->name, ".weight") || ends_with(t->name, "_norm.weight"))
		t->type = type_by_id(TYPE_F32);
}

/* ---- one tensor */

static const char *shape_text(struct making *k, const uint64_t *shape, int n)
{
	return n == 0	? "[]"
	       : n == 1 ? arena_printf(k->a, "[%llu]", (unsigned long long)shape[0])
			: arena_printf(k->a, "[%llu, %llu]%s", (unsigned long long)shape[0],
				       (unsigned long long)shape[1], n > 2 ? " and more" : "");
}

static int check_shape(struct making *k, const struct st_tensor *s, const struct tensor_rule *r,
		       struct err *e)
{
	uint64_t want[2] = { dim_value(k->h, r->rows), dim_value(k->h, r->cols) };
	int n = r->rows == DIM_NONE ? 1 : 2;
	const uint64_t *w = n == 1 ? want + 1 : want;

	if (s->n_dims == n && memcmp(s->shape, w, (size_t)n * sizeof(*w)) == 0)
		return 0;
	return err_set(e, ERR_INVALID,
		       "tensor %.200s has shape %s, config.json says %s; one of the two files is "
		       "not this model's",
		       s->name, shape_text(k, s->shape, s->n_dims), shape_text(k, w, n));
}

static struct out_tensor *add(struct making *k)
{
	if (k->out->n == k->cap) {
		size_t cap = k->cap ? 2 * k->cap : 64;
		struct out_tensor *v = arena_array(k->a, cap, sizeof(*v));

		if (k->out->n)
			memcpy(v, k->out->v, k->out->n * sizeof(*v));
		k->out->v = v;
		k->cap = cap;
	}
	return &k->out->v[k->out->n++];
}

static int add_rule(struct making *k, const struct tensor_rule *r, const char *hf, const char *name,
		    int layer, struct err *e)
{
	const struct st_tensor *s = st_find(k->m, hf);
	struct out_tensor *t;

	if (r->presence == UNLESS_TIED && k->h->tied) {
		if (s)
			k->used[s - k->m->tensors] = 1; /* transformers ignores it, and so do we */
		return 0;
	}
	if (!s && r->presence == OPTIONAL)
		return 0;
	if (!s)
		return err_set(e, ERR_INVALID, "tensor %s is missing; the checkpoint is incomplete",
			       hf);
	if (!load_of(s->dtype))
		return err_set(e, ERR_INVALID, "tensor %s has dtype %s; BF16, F16 and F32 are read",
			       hf, s->dtype_name);
	if (check_shape(k, s, r, e) < 0)
		return e->code;
	k->used[s - k->m->tensors] = 1;
	t = add(k);
	t->name = name;
	t->layer = layer;
	t->source = s;
	t->n = s->n_elements;
	t->n_dims = s->n_dims;
	t->ne[0] = s->shape[s->n_dims - 1];
	t->ne[1] = s->n_dims > 1 ? s->shape[0] : 1;
	if (r->permute != PERMUTE_NO)
		t->group_rows = k->h->head_dim;
	keep_type(t);
	k->out->params += t->n;
	return 0;
}

static int add_rules(struct making *k, const struct tensor_rule *rules, int layer, struct err *e)
{
	for (const struct tensor_rule *r = rules; r->hf; r++) {
		const char *hf = layer < 0 ? r->hf
					   : arena_printf(k->a, "%s%d.%s", k->arch->layer_prefix,
							  layer, r->hf);
		const char *name =
			layer < 0 ? r->gguf : arena_printf(k->a, "blk.%d.%s", layer, r->gguf);

		if (add_rule(k, r, hf, name, layer, e) < 0)
			return e->code;
	}
	return 0;
}

/* ---- the rest of the checkpoint */

/* Buffers that old checkpoints carry and nobody needs: they are computed. */
static int harmless(const char *name)
{
	return ends_with(name, ".rotary_emb.inv_freq") || ends_with(name, ".attention.bias") ||
	       ends_with(name, ".masked_bias");
}

static int nothing_left(struct making *k, struct err *e)
{
	size_t unknown = 0;
	const char *first = NULL;

	for (size_t i = 0; i < k->m->n_tensors; i++) {
		if (k->used[i] || harmless(k->m->tensors[i].name))
			continue;
		first = first ? first : k->m->tensors[i].name;
		unknown++;
	}
	if (!unknown)
		return 0;
	return err_set(e, ERR_INVALID,
		       "tensor %.200s%s no part of %s with %u layers; nothing is left out silently",
		       first,
		       unknown > 1 ? arena_printf(k->a, " and %zu others are", unknown - 1) : " is",
		       k->arch->hf_class, k->h->layers);
}

static void add_rope_factors(struct making *k)
{
	float *factors = arena_array(k->a, k->h->head_dim / 2, sizeof(*factors));
	struct out_tensor *t = add(k);

	llama3_factors(k->h, factors);
	t->name = "rope_freqs.weight";
	t->layer = -1;
	t->data = factors;
	t->n = t->ne[0] = k->h->head_dim / 2;
	t->ne[1] = 1;
	t->n_dims = 1;
	t->type = type_by_id(TYPE_F32);
}

static int by_order(const void *x, const void *y)
{
	const struct out_tensor *a = x, *b = y;

	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	return strcmp(a->name, b->name);
}

int layout_make(struct arena *a, const struct arch *arch, const struct hparams *h,
		const struct st_model *m, struct layout *out, struct err *e)
{
	struct making k = { .a = a, .arch = arch, .h = h, .m = m, .out = out };

	memset(out, 0, sizeof(*out));
	k.used = arena_alloc(a, m->n_tensors + 1);
	if (add_rules(&k, arch->globals, -1, e) < 0)
		return e->code;
	for (uint32_t i = 0; i < h->layers; i++) {
		if (add_rules(&k, arch->layers, (int)i, e) < 0)
			return e->code;
	}
	if (nothing_left(&k, e) < 0)
		return e->code;
	if (h->rope_type && strcmp(h->rope_type, "llama3") == 0)
		add_rope_factors(&k);
	qsort(out->v, out->n, sizeof(*out->v), by_order);
	return 0;
}
