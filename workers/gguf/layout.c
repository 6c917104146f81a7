#include "workers/gguf/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "workers/gguf/packed.h"
#include "workers/gguf/scales.h"
#include "workers/gguf/writer.h"

struct making {
	struct arena *a;
	const struct arch *arch;
	const struct hparams *h;
	const struct checkpoint *from;
	const struct st_model *m;
	const struct lora *lora; /* NULL: none */
	struct layout *out;
	unsigned char *adapted; /* per delta: it is used */
	const char *base;	/* what "*" stands for in names */
	unsigned char *used;	/* per tensor of the checkpoint */
	size_t cap;
};

/* ---- types */

static int ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

int layout_keeps(const struct out_tensor *t)
{
	static const char *const parts[] = {
		"_norm.weight",
		"ffn_gate_inp.weight",
		"altup",
		"laurel",
		"per_layer_model_proj",
		"ssm_conv1d",
		"shortconv.conv.weight",
		"time_mix_first.weight",
		"time_mix_w0.weight",
		"time_mix_w1.weight",
		"time_mix_w2.weight",
		"time_mix_v0.weight",
		"time_mix_v1.weight",
		"time_mix_v2.weight",
		"time_mix_a0.weight",
		"time_mix_a1.weight",
		"time_mix_a2.weight",
		"time_mix_g1.weight",
		"time_mix_g2.weight",
		"time_mix_decay_w1.weight",
		"time_mix_decay_w2.weight",
		"time_mix_lerp_fused.weight",
		"attn_rel_b.weight",
		".position_embd",
	};
	const char *name = t->name;
	int n_dims = t->n_dims;

	while (n_dims > 1 && t->ne[n_dims - 1] == 1)
		n_dims--;
	if (n_dims < 2 || !ends_with(name, "weight") || strcmp(name, "position_embd.weight") == 0 ||
	    strcmp(name, "token_types.weight") == 0)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (strstr(name, parts[i]))
			return 1;
	return 0;
}

int layout_copies(const struct out_tensor *t)
{
	return t->stored && t->stored == t->type && (t->type->block > 1 || !t->type->decode);
}

/* ---- names of the checkpoint */

/* "%u" in text becomes the number. */
static const char *with_number(struct making *k, const char *text, uint64_t number)
{
	const char *at = strstr(text, "%u");

	return at ? arena_printf(k->a, "%.*s%llu%s", (int)(at - text), text,
				 (unsigned long long)number, at + 2)
		  : text;
}

static const char *with_base(struct making *k, const char *base, const char *text)
{
	return text[0] == '*' ? arena_printf(k->a, "%s%s", base, text + 1) : text;
}

static const char *layer_prefix(struct making *k, int layer)
{
	return with_number(k, with_base(k, k->base, k->arch->layer), (uint64_t)layer);
}

/* The full name of a rule's tensor; "%u" of experts and heads is still in it. */
static const char *hf_name(struct making *k, const struct tensor_rule *r, int layer)
{
	const char *name = with_base(k, k->base, r->hf);

	return layer < 0 ? name : arena_printf(k->a, "%s%s", layer_prefix(k, layer), name);
}

static void find_base(struct making *k)
{
	const char *embedding = k->arch->globals[0].hf;

	k->base = k->arch->bases[0];
	for (size_t i = 0; i < ARRAY_LEN(k->arch->bases) && k->arch->bases[i]; i++) {
		if (st_find(k->m, with_base(k, k->arch->bases[i], embedding))) {
			k->base = k->arch->bases[i];
			return;
		}
	}
}

/* ---- one tensor */

static const char *shape_text(struct making *k, const uint64_t *shape, int n)
{
	const char *text = "";

	for (int i = 0; i < n; i++)
		text = arena_printf(k->a, "%s%s%llu", text, i ? ", " : "",
				    (unsigned long long)shape[i]);
	return arena_printf(k->a, "[%s]", text);
}

static int check_source(struct making *k, const struct st_tensor *s, const struct tensor_rule *r,
			struct err *e)
{
	uint64_t want[3] = { k->h->experts, dim_value(k->h, r->rows), dim_value(k->h, r->cols) };
	int n = r->rows == DIM_NONE || r->how == HEAD_NORMS ? 1 : 2;
	const uint64_t *w;

	if (r->how == FUSED_EXPERTS || r->how == FUSED_GATE || r->how == FUSED_UP)
		n = 3;
	w = want + 3 - n;
	if (!load_of(s->dtype))
		return err_set(e, ERR_INVALID,
			       "tensor %s has dtype %s; BF16, F16, F32, F8_E4M3, F8_E5M2 and, "
			       "with scales, I8 are read",
			       s->name, s->dtype_name);
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

static void use(struct making *k, const char *name)
{
	const struct st_tensor *s = st_find(k->m, name);

	if (s)
		k->used[s - k->m->tensors] = 1;
}

/* How many tensors of the checkpoint the rule's one is made of. */
static size_t count_parts(const struct making *k, const struct tensor_rule *r)
{
	return r->how == EXPERTS      ? k->h->experts
	       : r->how == HEAD_NORMS ? dim_value(k->h, r->rows)
				      : 1;
}

/* All parts, there and in shape, and of one dtype: they are read by one function. */
static int find_parts(struct making *k, const struct tensor_rule *r, const char *hf,
		      const struct st_tensor **parts, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = with_number(k, hf, i);
		const struct st_tensor *s = st_find(k->m, name);

		if (!s)
			return err_set(e, ERR_INVALID,
				       "tensor %s is missing; the checkpoint is incomplete", name);
		if (check_source(k, s, r, e) < 0)
			return e->code;
		if (i && s->dtype != parts[0]->dtype)
			return err_set(e, ERR_INVALID,
				       "tensor %.150s has dtype %s, but %.150s has %s", s->name,
				       s->dtype_name, parts[0]->name, parts[0]->dtype_name);
		k->used[s - k->m->tensors] = 1;
		parts[i] = s;
	}
	return 0;
}

/* What is done to the weights of each slice on their way. */
static int find_work(struct making *k, struct origin *o, struct err *e)
{
	for (size_t i = 0; i < o->n_slices; i++) {
		struct slice *s = &o->slices[i];

		s->packed = packed_find(k->from->packed, s->source->name);
		if (scales_find(k->a, k->m, k->from->quant, s, k->used, e) < 0)
			return e->code;
		s->delta = k->lora ? lora_find(k->lora, s->source->name) : NULL;
		if (s->delta)
			k->adapted[s->delta - k->lora->v] = 1;
		if (s->scale || s->delta)
			o->worked_on = 1;
	}
	return 0;
}

static int add_tensor(struct making *k, const struct tensor_rule *r, const char *hf, int layer,
		      struct err *e)
{
	size_t n = count_parts(k, r);
	const struct st_tensor **parts = arena_array(k->a, n + 1, sizeof(*parts));
	struct out_tensor *t;
	struct shape shape;

	if (n == 0)
		return err_set(e, ERR_INVALID, "config.json says that there are no experts");
	if (find_parts(k, r, hf, parts, n, e) < 0)
		return e->code;
	t = add(k);
	origin_make(k->a, r, k->h, parts, n, &t->origin, &shape);
	if (find_work(k, &t->origin, e) < 0)
		return e->code;
	t->name = layer < 0 ? r->gguf : arena_printf(k->a, "blk.%d.%s", layer, r->gguf);
	t->layer = layer;
	t->source = parts[0];
	memcpy(t->ne, shape.ne, sizeof(shape.ne));
	t->ne[3] = 1;
	t->n_dims = shape.n_dims;
	t->n = t->ne[0] * t->ne[1] * t->ne[2];
	if (layout_keeps(t))
		t->type = type_by_id(TYPE_F32);
	k->out->params += t->n;
	return 0;
}

/* ---- one rule */

/* Is it there, or its first part? */
static int present(struct making *k, const char *hf)
{
	return st_find(k->m, with_number(k, hf, 0)) != NULL;
}

static int layer_has_experts(const struct making *k, int layer)
{
	return layer >= 0 && (uint64_t)layer >= k->h->dense_layers;
}

/* The rule before, or the one behind, makes the same tensor. */
static int other_will_do(const struct making *k, const struct tensor_rule *r, const char *name)
{
	return (r[1].hf && r[1].gguf && strcmp(r[1].gguf, r->gguf) == 0) ||
	       (k->out->n && strcmp(k->out->v[k->out->n - 1].name, name) == 0);
}

static int add_rule(struct making *k, const struct tensor_rule *r, int layer, struct err *e)
{
	const char *hf = hf_name(k, r, layer);

	switch (r->presence) {
	case REQUIRED:
		break;
	case OPTIONAL:
		if (!present(k, hf))
			return 0;
		break;
	case ONE_OF:
		if (!present(k, hf) &&
		    other_will_do(k, r, arena_printf(k->a, "blk.%d.%s", layer, r->gguf)))
			return 0;
		break;
	case UNLESS_TIED:
		if (k->h->tied) {
			use(k, hf); /* transformers ignores it, and so do we */
			return 0;
		}
		break;
	case OR_EMBEDDING:
		if (k->h->tied) {
			use(k, hf);
			hf = with_base(k, k->base, k->arch->globals[0].hf);
		}
		break;
	case DROPPED:
		use(k, hf);
		return 0;
	case DENSE_LAYER:
		if (layer_has_experts(k, layer))
			return 0;
		break;
	case EXPERT_LAYER:
		if (!layer_has_experts(k, layer))
			return 0;
		break;
	case WITH_SHARED:
		if (!layer_has_experts(k, layer) || !k->h->shared_experts)
			return 0;
		break;
	}
	return add_tensor(k, r, hf, layer, e);
}

static int add_rules(struct making *k, const struct tensor_rule *rules, int layer, struct err *e)
{
	for (const struct tensor_rule *r = rules; r->hf; r++) {
		if (add_rule(k, r, layer, e) < 0)
			return e->code;
	}
	return 0;
}

static int add_layer(struct making *k, int layer, struct err *e)
{
	for (size_t i = 0; i < RULE_LISTS_MAX && k->arch->layers[i]; i++) {
		if (add_rules(k, k->arch->layers[i], layer, e) < 0)
			return e->code;
	}
	return 0;
}

/* ---- the rest of the checkpoint */

/* Buffers that old checkpoints carry and nobody needs: they are computed. And what scales
 * activations and caches, which llama.cpp keeps as they are. */
static int is_buffer(const char *name)
{
	static const char *const ends[] = {
		".rotary_emb.inv_freq", ".attention.bias", ".masked_bias",
		".activation_scale",	".input_scale",	   ".input_zero_point",
		".output_scale",	".k_scale",	   ".v_scale",
	};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (ends_with(name, ends[i]))
			return 1;
	return 0;
}

static int begins_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* A layer after the last: "model.layers.61." of a model with 61. */
static int is_extra_layer(struct making *k, const char *name)
{
	const char *prefix = with_base(k, k->base, k->arch->layer), *number = strstr(prefix, "%u");
	size_t n = number ? (size_t)(number - prefix) : 0;

	return k->arch->more_layers && n && strncmp(name, prefix, n) == 0 &&
	       strtoull(name + n, NULL, 10) >= k->h->layers;
}

static int is_dropped(struct making *k, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(k->arch->dropped) && k->arch->dropped[i]; i++) {
		if (begins_with(name, k->arch->dropped[i]))
			return 1;
	}
	return is_buffer(name) || is_extra_layer(k, name);
}

static int nothing_left(struct making *k, struct err *e)
{
	size_t unknown = 0;
	const char *first = NULL;

	for (size_t i = 0; i < k->m->n_tensors; i++) {
		if (k->used[i] || is_dropped(k, k->m->tensors[i].name))
			continue;
		first = first ? first : k->m->tensors[i].name;
		unknown++;
	}
	if (!unknown)
		return 0;
	return err_set(
		e, ERR_INVALID,
		"tensor %.200s%s no part of %s with %llu layers; nothing is left out silently",
		first, unknown > 1 ? arena_printf(k->a, " and %zu others are", unknown - 1) : " is",
		k->arch->hf_class, (unsigned long long)k->h->layers);
}

static int all_adapted(struct making *k, struct err *e)
{
	for (size_t i = 0; k->lora && i < k->lora->n; i++) {
		if (!k->adapted[i])
			return err_set(e, ERR_INVALID,
				       "adapter: it changes %.200s, which is not in the file",
				       k->lora->v[i].target);
	}
	return 0;
}

/* ---- factors of positions */

static void add_factors(struct making *k, const char *name, const float *factors, uint64_t n)
{
	struct out_tensor *t = add(k);

	*t = (struct out_tensor){ .name = name,
				  .ne = { n, 1, 1, 1 },
				  .n_dims = 1,
				  .n = n,
				  .layer = -1,
				  .data = factors,
				  .type = type_by_id(TYPE_F32) };
}

static void add_all_factors(struct making *k)
{
	const struct hparams *h = k->h;

	if (h->scaling == ROPE_LLAMA3) {
		float *factors = arena_array(k->a, h->head_dim / 2, sizeof(*factors));

		llama3_factors(h, factors);
		add_factors(k, "rope_freqs.weight", factors, h->head_dim / 2);
	}
	if (h->n_factors) {
		add_factors(k, "rope_factors_long.weight", h->long_factors, h->n_factors);
		add_factors(k, "rope_factors_short.weight", h->short_factors, h->n_factors);
	}
}

static int by_order(const void *x, const void *y)
{
	const struct out_tensor *a = x, *b = y;

	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	return strcmp(a->name, b->name);
}

void layout_sort(struct layout *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_order);
}

struct lora_ends layout_ends(struct arena *a, const struct arch *arch, const struct hparams *h,
			     const struct st_model *m)
{
	struct making k = { .a = a, .arch = arch, .h = h, .m = m };
	struct lora_ends ends = { .tied = h->tied };

	find_base(&k);
	ends.embedding = with_base(&k, k.base, arch->globals[0].hf);
	for (const struct tensor_rule *r = arch->globals; r->hf; r++) {
		if (r->presence == UNLESS_TIED || r->presence == OR_EMBEDDING)
			ends.output = with_base(&k, k.base, r->hf);
	}
	return ends;
}

int layout_make(struct arena *a, const struct arch *arch, const struct hparams *h,
		const struct checkpoint *from, struct layout *out, struct err *e)
{
	const struct lora *lora = from->lora;
	const struct st_model *m = from->m;
	struct making k = {
		.a = a, .arch = arch, .h = h, .from = from, .m = m, .lora = lora, .out = out
	};

	memset(out, 0, sizeof(*out));
	k.used = arena_alloc(a, m->n_tensors + 1);
	k.adapted = arena_alloc(a, lora ? lora->n + 1 : 1);
	find_base(&k);
	if (add_rules(&k, arch->globals, -1, e) < 0)
		return e->code;
	for (uint64_t i = 0; i < h->layers; i++) {
		if (add_layer(&k, (int)i, e) < 0)
			return e->code;
	}
	if (nothing_left(&k, e) < 0 || all_adapted(&k, e) < 0)
		return e->code;
	add_all_factors(&k);
	layout_sort(out);
	return 0;
}
