#include "workers/gguf/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/path.h"
#include "workers/gguf/sentencepiece.h"

#define JSON_MAX (256u << 20) /* tokenizer.json of the largest vocabularies has 35 MB */

int tokenizer_read_json(struct arena *a, const char *dir, const char *name, struct json **out,
			struct err *e)
{
	char *path = path_join(dir, name);
	struct buf b;
	int rc;

	*out = NULL;
	buf_init(&b, JSON_MAX);
	rc = path_read(path, JSON_MAX, &b, e);
	if (rc >= 0) {
		rc = json_parse(a, b.data ? b.data : "", b.len, out, e);
		if (rc < 0)
			rc = err_wrap(e, "%s", name);
	} else if (rc == ERR_NOTFOUND) {
		rc = 0;
	}
	buf_release(&b);
	free(path);
	return rc < 0 ? rc : 0;
}

static int read_files(struct arena *a, struct tokenizer *t, struct err *e)
{
	struct json *root, *config, *added, *generation;

	if (tokenizer_read_json(a, t->dir, "tokenizer.json", &root, e) < 0 ||
	    tokenizer_read_json(a, t->dir, "tokenizer_config.json", &config, e) < 0 ||
	    tokenizer_read_json(a, t->dir, "added_tokens.json", &added, e) < 0 ||
	    tokenizer_read_json(a, t->dir, "generation_config.json", &generation, e) < 0)
		return e->code;
	t->root = root;
	t->config = config;
	t->added = added;
	t->generation_config = generation;
	return 0;
}

static int file_exists(const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	FILE *f = fopen(path, "rb");

	free(path);
	if (f)
		fclose(f);
	return f != NULL;
}

/* A SentencePiece model is the better source where there is one: its scores are what was trained,
 * and tokenizer.json only a conversion. But some byte-level models carry an unused one too. */
static int find_kind(struct arena *a, struct tokenizer *t, struct err *e)
{
	int has_model = file_exists(t->dir, "tokenizer.model");

	if (!t->root && !has_model && file_exists(t->dir, "vocab.json") &&
	    file_exists(t->dir, "merges.txt") && tokenizer_from_files(a, t, e) < 0)
		return e->code;
	if (!t->root && !has_model)
		return err_set(
			e, ERR_INVALID,
			"there is no tokenizer.json, no tokenizer.model, and not both vocab.json "
			"and merges.txt; take them from the model's repository");
	if (t->root) {
		t->kind = tokenizer_json_kind(t->root, has_model ? NULL : e);
		if (!t->kind && !has_model)
			return e->code;
	}
	if (has_model && t->kind != &tokenizer_bpe)
		t->kind = &tokenizer_spm;
	return 0;
}

int tokenizer_open(struct arena *a, const char *dir, const struct json *model_config, uint64_t rows,
		   const char *pre, struct tokenizer *t, struct err *e)
{
	*t = (struct tokenizer){ .dir = dir,
				 .model_config = model_config,
				 .chosen_pre = pre,
				 .space_in_front = -1,
				 .own_bos = -1,
				 .own_eos = -1,
				 .own_unk = -1,
				 .own_pad = -1 };
	if (read_files(a, t, e) < 0 || find_kind(a, t, e) < 0)
		return e->code;
	tokens_init(a, rows,
		    t->kind == &tokenizer_spm ? "tokenizer.model"
		    : t->from_files	      ? "vocab.json"
					      : "tokenizer.json",
		    &t->list);
	/* tokenizer.json, where there is one, is what transformers reads: it has the last word. */
	if (t->kind->load(a, t, e) < 0 || tokens_add_names(a, &t->list, t->added, e) < 0 ||
	    tokens_add_decoder(a, &t->list, json_get(t->config, "added_tokens_decoder"), e) < 0 ||
	    tokens_add_list(a, &t->list, json_get(t->root, "added_tokens"), e) < 0)
		return e->code;
	t->n_tokens = t->list.n;
	return 0;
}

int tokenizer_write(struct arena *a, struct tokenizer *t, uint64_t rows, struct gguf_writer *w,
		    struct err *e)
{
	gguf_str(w, "tokenizer.ggml.model", t->kind->model);
	if (t->kind->write(t, w, e) < 0 ||
	    tokens_write(a, &t->list, rows, t->kind->scores, w, e) < 0)
		return e->code;
	tokenizer_write_specials(t, rows, w);
	return tokenizer_write_templates(a, t, w, e);
}

/* ---- tokenizer.json */

static int has_part(const struct json *v, const char *list, const char *type)
{
	const struct json *parts = json_get(v, list);

	if (strcmp(json_str(v, "type", ""), type) == 0)
		return 1;
	for (size_t i = 0; parts && parts->type == JSON_ARRAY && i < parts->count; i++) {
		if (strcmp(json_str(parts->members[i].value, "type", ""), type) == 0)
			return 1;
	}
	return 0;
}

const struct tokenizer_kind *tokenizer_json_kind(const struct json *root, struct err *e)
{
	const struct json *model = json_get(root, "model"), *decoder = json_get(root, "decoder");
	const char *type = json_str(model, "type", "BPE");
	int fallback = json_bool(model, "byte_fallback", 0);

	if (!model || model->type != JSON_OBJECT) {
		(void)err_set(e, ERR_INVALID, "tokenizer.json: \"model\" is missing");
		return NULL;
	}
	if (strcmp(type, "WordPiece") == 0)
		return &tokenizer_wordpiece;
	if (strcmp(type, "BPE") == 0 && !fallback && has_part(decoder, "decoders", "ByteLevel"))
		return &tokenizer_bpe;
	if (strcmp(type, "BPE") == 0 && fallback && has_part(decoder, "decoders", "ByteFallback"))
		return &tokenizer_spm_json;
	(void)err_set(e, ERR_INVALID,
		      "tokenizer.json is of no kind that llama.cpp has (its model is %s%s, its "
		      "decoder %s): byte-level BPE, BPE with byte fallback and WordPiece are",
		      type, fallback ? " with byte fallback" : "",
		      json_str(decoder, "type", "none"));
	return NULL;
}

int tokenizer_place_vocab(struct tokenizer *t, struct err *e)
{
	const struct json *words = json_get(json_get(t->root, "model"), "vocab");

	if (!words || words->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "tokenizer.json: model.vocab is missing");
	for (size_t i = 0; i < words->count; i++) {
		const char *text = words->members[i].key;
		const struct json *id = words->members[i].value;
		struct token token = { text, strlen(text), TOKEN_NORMAL, 0 };

		if (id->type != JSON_NUMBER || !id->is_integer)
			return err_set(e, ERR_INVALID,
				       "tokenizer.json: the id of \"%.60s\" is no whole number",
				       text);
		if (id->integer >= 0 && (uint64_t)id->integer < t->list.n &&
		    t->list.v[id->integer].text)
			return err_set(
				e, ERR_INVALID,
				"tokenizer.json: \"%.60s\" and \"%.60s\" have the same id, %lld",
				t->list.v[id->integer].text, text, (long long)id->integer);
		if (tokens_place(&t->list, id->integer, &token, e) < 0)
			return e->code;
	}
	return 0;
}

/* A literal space inside one half would split the line in the wrong place: it is written as U+0120.
 */
static void add_half(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == ' ')
			buf_adds(b, "\xc4\xa0");
		else
			buf_addc(b, *s);
	}
}

int tokenizer_merge_text(const struct json *m, struct buf *b, struct err *e)
{
	const char *space;

	buf_clear(b);
	if (m->type == JSON_STRING) {
		buf_add(b, m->str, m->len);
	} else if (m->type == JSON_ARRAY && m->count == 2 &&
		   m->members[0].value->type == JSON_STRING &&
		   m->members[1].value->type == JSON_STRING) {
		add_half(b, m->members[0].value->str);
		buf_addc(b, ' ');
		add_half(b, m->members[1].value->str);
	} else {
		return err_set(e, ERR_INVALID,
			       "tokenizer.json: a merge is neither \"left right\" nor a pair");
	}
	space = memchr(buf_str(b), ' ', b->len);
	if (b->overflow || !space || space == b->data || space[1] == '\0' || strchr(space + 1, ' '))
		return err_set(e, ERR_INVALID,
			       "tokenizer.json: the merge \"%.60s\" has not two halves",
			       buf_str(b));
	return 0;
}
