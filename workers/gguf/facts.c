#include "workers/gguf/facts.h"

#include <stdio.h>
#include <string.h>

#include "workers/gguf/mix.h"

static uint64_t elements_of(const struct gguf_file *f, const struct type *t)
{
	uint64_t n = 0;

	for (size_t i = 0; i < f->n_tensors; i++)
		n += f->tensors[i].type->id == (uint32_t)t->id ? f->tensors[i].n : 0;
	return n;
}

/* The file type that general.file_type names, when no other type than its base holds more weights:
 * a number in the metadata alone proves nothing. NULL: the file does not show one, as those whose
 * rows fit no block of the base do not. */
static const struct file_type *quant_of(const struct gguf_file *f)
{
	const struct gguf_kv *kv = gguf_find(f, "general.file_type");
	const struct file_type *named;
	const struct type *most = NULL;
	uint64_t best = 0;

	named = kv && kv->type == GGUF_U32 ? file_type_by_number(kv->u) : NULL;
	for (uint32_t id = 0; named && id <= TYPE_ID_MAX; id++) {
		const struct type *t = type_by_id(id);
		uint64_t n = t ? elements_of(f, t) : 0;

		if (n > best) {
			best = n;
			most = t;
		}
	}
	return named && file_type_base(named) == most ? named : NULL;
}

static void write_types(struct json_out *w, const struct gguf_file *f)
{
	jw_kobject(w, "tensor_types");
	for (uint32_t id = 0; id <= TYPE_ID_MAX; id++) {
		int64_t n = 0;

		for (size_t i = 0; i < f->n_tensors; i++)
			n += f->tensors[i].type->id == id;
		if (n)
			jw_kint(w, type_by_id(id)->name, n);
	}
	jw_end_object(w);
}

static void put_text(struct json_out *w, const char *name, const struct gguf_kv *kv)
{
	if (!kv || kv->type != GGUF_STRING || kv->len >= GGUF_TEXT_KEPT)
		return;
	jw_key(w, name);
	jw_strn(w, kv->str, (size_t)kv->len);
}

static void put_context(struct json_out *w, const struct gguf_file *f)
{
	const struct gguf_kv *architecture = gguf_find(f, "general.architecture"), *kv;
	char key[128];

	if (!architecture || architecture->type != GGUF_STRING || architecture->len > 64)
		return;
	(void)snprintf(key, sizeof(key), "%.*s.context_length", (int)architecture->len,
		       architecture->str);
	kv = gguf_find(f, key);
	if (kv && kv->type == GGUF_U32)
		jw_kint(w, "context_length", (int64_t)kv->u);
}

void gguf_facts_write(struct json_out *w, const struct gguf_file *f)
{
	const struct gguf_kv *tokens = gguf_find(f, "tokenizer.ggml.tokens");
	const struct file_type *quant = quant_of(f);
	uint64_t params = 0;

	for (size_t i = 0; i < f->n_tensors; i++)
		params += f->tensors[i].n;
	jw_object(w);
	put_text(w, "architecture", gguf_find(f, "general.architecture"));
	put_context(w, f);
	jw_kint(w, "parameters", (int64_t)params);
	put_text(w, "pre_tokenizer", gguf_find(f, "tokenizer.ggml.pre"));
	if (quant)
		jw_kstr(w, "quant", file_type_name(quant));
	write_types(w, f);
	jw_kint(w, "tensors", (int64_t)f->n_tensors);
	if (tokens && tokens->type == GGUF_ARRAY)
		jw_kint(w, "vocabulary", (int64_t)tokens->count);
	jw_end_object(w);
}
