/* Which tokens begin and end a text. */
#include <stdio.h>
#include <string.h>

#include "workers/gguf/hparams.h"
#include "workers/gguf/tokenizer.h"

/* ---- special tokens */

/* tokenizer_config.json says the text (or an object with it), config.json the number. own: what the
 * tokenizer's own file says, when they do not. */
static int64_t special_id(const struct tokenizer *t, const char *name, int64_t own)
{
	char key[32];
	const struct json *v;
	const char *text;
	int64_t id;

	snprintf(key, sizeof(key), "%s_token", name);
	v = json_get(t->config, key);
	text = v && v->type == JSON_STRING ? v->str : json_str(v, "content", NULL);
	id = text ? tokens_id(&t->list, text) : -1;
	if (id >= 0)
		return id;
	snprintf(key, sizeof(key), "%s_token_id", name);
	v = config_get(t->model_config, key);
	return v && v->type == JSON_NUMBER && v->is_integer ? v->integer : own;
}

static int64_t write_special(const struct tokenizer *t, const char *name, const char *key,
			     int64_t own, uint64_t rows, struct gguf_writer *w)
{
	int64_t id = special_id(t, name, own);

	if (id >= 0 && (uint64_t)id < rows)
		gguf_u32(w, key, (uint32_t)id);
	return id;
}

/* A chat model that ends its turn with another token than EOS lists it in generation_config.json.
 */
static void write_eot(const struct tokenizer *t, int64_t eos, uint64_t rows, struct gguf_writer *w)
{
	const struct json *list = json_get(t->generation_config, "eos_token_id");

	for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
		const struct json *id = list->members[i].value;

		if (id->type == JSON_NUMBER && id->is_integer && id->integer >= 0 &&
		    (uint64_t)id->integer < rows && id->integer != eos) {
			gguf_u32(w, "tokenizer.ggml.eot_token_id", (uint32_t)id->integer);
			return;
		}
	}
}

/* The template post-processor, alone or in a sequence; NULL if there is none. */
static const struct json *template_of(const struct json *post)
{
	const struct json *list = json_get(post, "processors");

	if (strcmp(json_str(post, "type", ""), "TemplateProcessing") == 0)
		return json_get(post, "single");
	for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
		if (strcmp(json_str(list->members[i].value, "type", ""), "TemplateProcessing") == 0)
			return json_get(list->members[i].value, "single");
	}
	return NULL;
}

static int template_adds(const struct tokenizer *t, int last)
{
	const struct json *single = template_of(json_get(t->root, "post_processor"));

	if (!single || single->type != JSON_ARRAY || single->count == 0)
		return 0;
	return json_get(single->members[last ? single->count - 1 : 0].value, "SpecialToken") !=
	       NULL;
}

void tokenizer_write_specials(const struct tokenizer *t, uint64_t rows, struct gguf_writer *w)
{
	int template = t->root && template_of(json_get(t->root, "post_processor"));
	int64_t eos;

	(void)write_special(t, "bos", "tokenizer.ggml.bos_token_id", t->own_bos, rows, w);
	eos = write_special(t, "eos", "tokenizer.ggml.eos_token_id", t->own_eos, rows, w);
	(void)write_special(t, "unk", "tokenizer.ggml.unknown_token_id", t->own_unk, rows, w);
	(void)write_special(t, "sep", "tokenizer.ggml.seperator_token_id", -1, rows,
			    w); /* so spelt in llama.cpp */
	(void)write_special(t, "pad", "tokenizer.ggml.padding_token_id", t->own_pad, rows, w);
	(void)write_special(t, "mask", "tokenizer.ggml.mask_token_id", -1, rows, w);
	write_eot(t, eos, rows, w);
	gguf_bool(w, "tokenizer.ggml.add_bos_token",
		  json_bool(t->config, "add_bos_token",
			    template ? template_adds(t, 0) : t->kind->adds_bos));
	gguf_bool(w, "tokenizer.ggml.add_eos_token",
		  json_bool(t->config, "add_eos_token", template_adds(t, 1)));
}
