/* Which tensors are linear layers, by their names: HF's in all their variety, and llama.cpp's. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/source.h"

static int has_any(const char *s, const char *const *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(s, parts[i]))
			return 1;
	return 0;
}

static int ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* A matrix by its shape, but looked up, added or multiplied element by element; or one that chooses
 * experts, which every engine keeps in high precision. */
static int is_no_layer(const char *name)
{
	static const char *const parts[] = {
		"embed",  "wte.",	  "wpe.",	 "norm",	 "ln_",
		"rotary", "position",	  "token_types", "conv1d",	 "gate_inp",
		"lora_",  "vision_",	  "visual.",	 "token_embd",	 "rope_f",
		".bias",  ".masked_bias", "multi_modal", "mm_projector",
	};

	return has_any(name, parts, ARRAY_LEN(parts)) || ends_with(name, "mlp.gate.weight") ||
	       ends_with(name, "moe.gate.weight") || ends_with(name, "shared_expert_gate.weight") ||
	       ends_with(name, "router.weight");
}

void matrix_list_add(struct matrix_list *l, const char *name, uint64_t out, uint64_t in,
		     uint64_t parts)
{
	if (!out || !in || !parts || is_no_layer(name))
		return;
	MEM_GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct source_matrix){ name, out, in, parts };
}

static int by_shape(const void *x, const void *y)
{
	const struct source_matrix *a = x, *b = y;

	if (a->out != b->out)
		return a->out < b->out ? -1 : 1;
	if (a->in != b->in)
		return a->in < b->in ? -1 : 1;
	return strcmp(a->name, b->name);
}

void matrix_list_finish(struct arena *a, struct matrix_list *l, struct source_facts *f)
{
	size_t kept = 0;

	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_shape);
	for (size_t i = 0; i < l->n; i++) {
		struct source_matrix *last = kept ? &l->v[kept - 1] : NULL;

		if (last && last->out == l->v[i].out && last->in == l->v[i].in)
			last->count += l->v[i].count;
		else
			l->v[kept++] = l->v[i];
	}
	if (kept) {
		struct source_matrix *v = arena_array(a, kept, sizeof(*v));

		memcpy(v, l->v, kept * sizeof(*v));
		f->matrices = v;
	}
	f->n_matrices = kept;
	free(l->v);
	*l = (struct matrix_list){ 0 };
}

/* ---- as JSON */

void source_matrices_write(struct json_out *w, const struct source_facts *f)
{
	jw_karray(w, "matrices");
	for (size_t i = 0; i < f->n_matrices; i++) {
		jw_array(w);
		jw_str(w, f->matrices[i].name);
		jw_uint(w, f->matrices[i].out);
		jw_uint(w, f->matrices[i].in);
		jw_uint(w, f->matrices[i].count);
		jw_end_array(w);
	}
	jw_end_array(w);
}

static int read_matrix(struct arena *a, const struct json *v, struct source_matrix *out)
{
	uint64_t n[3];

	if (v->type != JSON_ARRAY || v->count != 4 || v->members[0].value->type != JSON_STRING)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		const struct json *number = v->members[i + 1].value;

		if (number->type != JSON_NUMBER || !number->is_integer || number->integer < 1)
			return 0;
		n[i] = (uint64_t)number->integer;
	}
	*out = (struct source_matrix){ arena_strdup(a, v->members[0].value->str), n[0], n[1],
				       n[2] };
	return 1;
}

void source_matrices_read(struct arena *a, const struct json *facts, struct source_facts *f)
{
	const struct json *list = json_get(facts, "matrices");
	struct source_matrix *v;

	f->n_matrices = 0;
	f->matrices = NULL;
	if (!list || list->type != JSON_ARRAY)
		return;
	v = arena_array(a, list->count + 1, sizeof(*v));
	for (size_t i = 0; i < list->count; i++)
		f->n_matrices += (size_t)read_matrix(a, list->members[i].value, &v[f->n_matrices]);
	f->matrices = v;
}
