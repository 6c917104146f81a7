#include "workers/gguf/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"

#define JSON_MAX (256u << 20) /* tokenizer.json of the largest vocabularies has 35 MB */

/* tokenizer.ggml.token_type; source: llama.cpp include/llama.h, enum llama_token_type */
enum token_type { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_USER = 4, TOKEN_UNUSED = 5 };

struct token {
	const char *text;
	size_t len;
	enum token_type type;
};

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

int tokenizer_open(struct arena *a, const char *dir, const struct json *model_config,
		   struct tokenizer *t, struct err *e)
{
	struct json *root, *config, *generation;

	memset(t, 0, sizeof(*t));
	if (tokenizer_read_json(a, dir, "tokenizer.json", &root, e) < 0 ||
	    tokenizer_read_json(a, dir, "tokenizer_config.json", &config, e) < 0 ||
	    tokenizer_read_json(a, dir, "generation_config.json", &generation, e) < 0)
		return e->code;
	if (!root)
		return err_set(e, ERR_INVALID,
			       "there is no tokenizer.json; SentencePiece models (tokenizer.model) "
			       "are not "
			       "converted by this version");
	t->dir = dir;
	t->root = root;
	t->config = config;
	t->generation_config = generation;
	t->model_config = model_config;
	return 0;
}

/* ---- tokens */

static int check_kind(const struct json *root, struct err *e)
{
	const struct json *model = json_get(root, "model");
	const char *type = json_str(model, "type", "BPE");
	const char *decoder = json_str(json_get(root, "decoder"), "type", "none");
	const char *normalizer = json_str(json_get(root, "normalizer"), "type", "NFC");

	if (!model || model->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "tokenizer.json: \"model\" is missing");
	if (strcmp(type, "BPE") != 0 || json_bool(model, "byte_fallback", 0) ||
	    strcmp(decoder, "ByteLevel") != 0)
		return err_set(
			e, ERR_INVALID,
			"tokenizer.json is no byte-level BPE (its model is %s%s, its decoder "
			"%s); this version converts no other",
			type, json_bool(model, "byte_fallback", 0) ? " with byte fallback" : "",
			decoder);
	/* llama.cpp normalizes nothing for byte-level BPE. Text that NFC would change is rare; any
	 * other normalizer changes most texts. */
	if (strcmp(normalizer, "NFC") != 0)
		return err_set(e, ERR_INVALID,
			       "tokenizer.json: llama.cpp has no normalizer %s, and would give "
			       "other ids without it",
			       normalizer);
	return 0;
}

static int place(struct token *v, uint64_t vocab, int64_t id, const char *text, size_t len,
		 enum token_type type, struct err *e)
{
	if (id < 0 || (uint64_t)id >= vocab)
		return err_set(e, ERR_INVALID,
			       "tokenizer.json: token %lld is beyond the embedding's %llu rows; "
			       "the tokenizer is not this model's",
			       (long long)id, (unsigned long long)vocab);
	v[id] = (struct token){ text, len, type };
	return 0;
}

static int place_vocab(const struct tokenizer *t, struct token *v, uint64_t vocab, struct err *e)
{
	const struct json *words = json_get(json_get(t->root, "model"), "vocab");

	if (!words || words->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "tokenizer.json: model.vocab is missing");
	for (size_t i = 0; i < words->count; i++) {
		const struct json_member *m = &words->members[i];

		if (m->value->type != JSON_NUMBER || !m->value->is_integer)
			return err_set(e, ERR_INVALID,
				       "tokenizer.json: the id of \"%.60s\" is no whole number",
				       m->key);
		if (m->value->integer >= 0 && (uint64_t)m->value->integer < vocab &&
		    v[m->value->integer].text)
			return err_set(
				e, ERR_INVALID,
				"tokenizer.json: \"%.60s\" and \"%.60s\" have the same id, %lld",
				v[m->value->integer].text, m->key, (long long)m->value->integer);
		if (place(v, vocab, m->value->integer, m->key, strlen(m->key), TOKEN_NORMAL, e) < 0)
			return e->code;
	}
	return 0;
}

/* Marked special, or written as special tokens are. */
static int looks_special(const struct json *added, const char *s, size_t n)
{
	if (json_bool(added, "special", 0))
		return 1;
	return (n >= 4 && memcmp(s, "<|", 2) == 0 && memcmp(s + n - 2, "|>", 2) == 0) ||
	       (n >= 9 && strncmp(s, "<unused", 7) == 0) || strcmp(s, "<pad>") == 0 ||
	       strcmp(s, "<mask>") == 0;
}

static int place_added(const struct tokenizer *t, struct token *v, uint64_t vocab, struct err *e)
{
	const struct json *added = json_get(t->root, "added_tokens");

	for (size_t i = 0; added && added->type == JSON_ARRAY && i < added->count; i++) {
		const struct json *x = added->members[i].value, *text = json_get(x, "content");

		if (!text || text->type != JSON_STRING || memchr(text->str, '\0', text->len))
			return err_set(e, ERR_INVALID,
				       "tokenizer.json: an added token has no text");
		if (place(v, vocab, json_int(x, "id", -1), text->str, text->len,
			  looks_special(x, text->str, text->len) ? TOKEN_CONTROL : TOKEN_USER,
			  e) < 0)
			return e->code;
	}
	return 0;
}

static int by_text(const void *x, const void *y)
{
	const struct token *a = *(const struct token *const *)x,
			   *b = *(const struct token *const *)y;
	int c = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);

	return c ? c : a->len < b->len ? -1 : a->len > b->len;
}

/* llama.cpp aborts on two tokens of one text. */
static int check_distinct(const struct token *v, uint64_t n, struct err *e)
{
	const struct token **sorted = mem_array(n + 1, sizeof(*sorted));
	int rc = 0;

	for (uint64_t i = 0; i < n; i++)
		sorted[i] = &v[i];
	qsort(sorted, n, sizeof(*sorted), by_text);
	for (uint64_t i = 1; rc == 0 && i < n; i++) {
		if (by_text(&sorted[i - 1], &sorted[i]) == 0)
			rc = err_set(
				e, ERR_INVALID,
				"tokenizer.json: \"%.60s\" is the text of two tokens, %td and %td",
				sorted[i]->text, sorted[i - 1] - v, sorted[i] - v);
	}
	free(sorted);
	return rc;
}

static int write_tokens(struct arena *a, struct tokenizer *t, uint64_t vocab, struct gguf_writer *w,
			struct err *e)
{
	struct token *v = arena_array(a, vocab + 1, sizeof(*v));

	if (place_vocab(t, v, vocab, e) < 0 || place_added(t, v, vocab, e) < 0)
		return e->code;
	for (uint64_t i = 0; i < vocab; i++) {
		if (v[i].text) {
			t->n_tokens = i + 1;
			continue;
		}
		v[i].text = arena_printf(a, "[PAD%llu]", (unsigned long long)i);
		v[i].len = strlen(v[i].text);
		v[i].type = TOKEN_UNUSED;
	}
	if (check_distinct(v, vocab, e) < 0)
		return e->code;
	gguf_array(w, "tokenizer.ggml.tokens", GGUF_STRING, vocab);
	for (uint64_t i = 0; i < vocab; i++)
		gguf_put_str(w, v[i].text, v[i].len);
	gguf_array(w, "tokenizer.ggml.token_type", GGUF_I32, vocab);
	for (uint64_t i = 0; i < vocab; i++)
		gguf_put_i32(w, (int32_t)v[i].type);
	return 0;
}

/* ---- merges: "left right", or pairs since transformers 4.45 */

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

static int merge_text(const struct json *m, struct buf *b, struct err *e)
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

static int write_merges(const struct tokenizer *t, struct gguf_writer *w, struct err *e)
{
	const struct json *merges = json_get(json_get(t->root, "model"), "merges");
	struct buf b;
	int rc = 0;

	if (!merges || merges->type != JSON_ARRAY)
		return err_set(e, ERR_INVALID, "tokenizer.json: model.merges is missing");
	buf_init(&b, 1u << 20);
	gguf_array(w, "tokenizer.ggml.merges", GGUF_STRING, merges->count);
	for (size_t i = 0; rc == 0 && i < merges->count; i++) {
		rc = merge_text(merges->members[i].value, &b, e);
		gguf_put_str(w, buf_str(&b), b.len);
	}
	buf_release(&b);
	return rc;
}

/* ---- special tokens */

static int64_t id_of_text(const struct tokenizer *t, const char *text)
{
	const struct json *added = json_get(t->root, "added_tokens");

	for (size_t i = 0; added && added->type == JSON_ARRAY && i < added->count; i++) {
		if (strcmp(json_str(added->members[i].value, "content", ""), text) == 0)
			return json_int(added->members[i].value, "id", -1);
	}
	return json_int(json_get(json_get(t->root, "model"), "vocab"), text, -1);
}

/* tokenizer_config.json says the text (or an object with it), config.json the number. */
static int64_t special_id(const struct tokenizer *t, const char *name)
{
	char key[32];
	const struct json *v;
	const char *text;

	snprintf(key, sizeof(key), "%s_token", name);
	v = json_get(t->config, key);
	text = v && v->type == JSON_STRING ? v->str : json_str(v, "content", NULL);
	if (text && id_of_text(t, text) >= 0)
		return id_of_text(t, text);
	snprintf(key, sizeof(key), "%s_token_id", name);
	return json_int(t->model_config, key, -1);
}

static int64_t write_special(const struct tokenizer *t, const char *name, const char *key,
			     uint64_t vocab, struct gguf_writer *w)
{
	int64_t id = special_id(t, name);

	if (id >= 0 && (uint64_t)id < vocab)
		gguf_u32(w, key, (uint32_t)id);
	return id;
}

/* A chat model that ends its turn with another token than EOS lists it in generation_config.json.
 */
static void write_eot(const struct tokenizer *t, int64_t eos, uint64_t vocab, struct gguf_writer *w)
{
	const struct json *list = json_get(t->generation_config, "eos_token_id");

	for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
		const struct json *id = list->members[i].value;

		if (id->type == JSON_NUMBER && id->is_integer && id->integer >= 0 &&
		    (uint64_t)id->integer < vocab && id->integer != eos) {
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

static void write_specials(const struct tokenizer *t, uint64_t vocab, struct gguf_writer *w)
{
	int64_t eos;

	(void)write_special(t, "bos", "tokenizer.ggml.bos_token_id", vocab, w);
	eos = write_special(t, "eos", "tokenizer.ggml.eos_token_id", vocab, w);
	(void)write_special(t, "unk", "tokenizer.ggml.unknown_token_id", vocab, w);
	(void)write_special(t, "sep", "tokenizer.ggml.seperator_token_id", vocab,
			    w); /* so spelt in llama.cpp */
	(void)write_special(t, "pad", "tokenizer.ggml.padding_token_id", vocab, w);
	write_eot(t, eos, vocab, w);
	gguf_bool(w, "tokenizer.ggml.add_bos_token",
		  json_bool(t->config, "add_bos_token", template_adds(t, 0)));
	gguf_bool(w, "tokenizer.ggml.add_eos_token",
		  json_bool(t->config, "add_eos_token", template_adds(t, 1)));
}

/* ---- chat templates: tokenizer_config.json, chat_template.jinja, chat_template.json */

#define TEMPLATE_MAX (4u << 20)

static void write_named_templates(struct arena *a, const struct json *list, struct gguf_writer *w)
{
	const char **names = arena_array(a, list->count + 1, sizeof(*names));
	uint64_t n = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct json *x = list->members[i].value;
		const char *name = json_str(x, "name", NULL), *text = json_str(x, "template", NULL);

		if (!name || !text)
			continue;
		if (strcmp(name, "default") == 0) {
			gguf_str(w, "tokenizer.chat_template", text);
		} else {
			gguf_str(w, arena_printf(a, "tokenizer.chat_template.%s", name), text);
			names[n++] = name;
		}
	}
	if (!n)
		return;
	gguf_array(w, "tokenizer.chat_templates", GGUF_STRING, n);
	for (uint64_t i = 0; i < n; i++)
		gguf_put_str(w, names[i], strlen(names[i]));
}

static int write_template(struct arena *a, const struct tokenizer *t, struct gguf_writer *w,
			  struct err *e)
{
	const struct json *v = json_get(t->config, "chat_template");
	char *path = path_join(t->dir, "chat_template.jinja");
	struct json *file = NULL;
	struct buf b;
	int rc = 0;

	buf_init(&b, TEMPLATE_MAX);
	if (v && v->type == JSON_STRING) {
		gguf_str(w, "tokenizer.chat_template", v->str);
	} else if (v && v->type == JSON_ARRAY) {
		write_named_templates(a, v, w);
	} else {
		rc = path_read(path, TEMPLATE_MAX, &b, e);
		if (rc == ERR_NOTFOUND) {
			rc = tokenizer_read_json(a, t->dir, "chat_template.json", &file, e);
			gguf_str(w, "tokenizer.chat_template",
				 json_str(file, "chat_template", NULL));
		} else if (rc >= 0) {
			gguf_str(w, "tokenizer.chat_template", buf_str(&b));
		}
	}
	buf_release(&b);
	free(path);
	return rc < 0 ? rc : 0;
}

int tokenizer_write(struct arena *a, struct tokenizer *t, uint64_t vocab, const char *pre,
		    struct gguf_writer *w, struct err *e)
{
	if (check_kind(t->root, e) < 0)
		return e->code;
	t->pre = pre ? pre : pretokenizer_name(t->root, e);
	if (!t->pre)
		return e->code;
	gguf_str(w, "tokenizer.ggml.model", "gpt2");
	gguf_str(w, "tokenizer.ggml.pre", t->pre);
	if (write_tokens(a, t, vocab, w, e) < 0 || write_merges(t, w, e) < 0)
		return e->code;
	write_specials(t, vocab, w);
	return write_template(a, t, w, e);
}
