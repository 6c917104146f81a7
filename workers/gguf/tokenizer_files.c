/* vocab.json and merges.txt, as GPT-2 and others came before tokenizer.json: brought into its form.
 * How text is split, and which tokens are special, stands in neither of them. */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "workers/gguf/tokenizer.h"

#define MERGES_MAX (64u << 20) /* bytes; the largest have some 5 MB */
#define SPECIALS_MAX 16

/* What the slow tokenizers of transformers split by: their sources have the expressions. */
static const struct {
	const char *hf_class, *pre;
	const char *special; /* of a class that has one without being told */
} classes[] = {
	{ "GPT2Tokenizer", "gpt-2", "<|endoftext|>" },
	{ "GPT2TokenizerFast", "gpt-2", "<|endoftext|>" },
	{ "CodeGenTokenizer", "gpt-2", "<|endoftext|>" },
	{ "CodeGenTokenizerFast", "gpt-2", "<|endoftext|>" },
	{ "Qwen2Tokenizer", "qwen2", "<|endoftext|>" },
	{ "Qwen2TokenizerFast", "qwen2", "<|endoftext|>" },
};

/* ---- JSON that is made here */

static struct json *node(struct arena *a, enum json_type type)
{
	struct json *v = arena_alloc(a, sizeof(*v));

	memset(v, 0, sizeof(*v));
	v->type = type;
	return v;
}

static struct json *text_node(struct arena *a, const char *s, size_t n)
{
	struct json *v = node(a, JSON_STRING);

	v->str = arena_strndup(a, s, n);
	v->len = n;
	return v;
}

static struct json *list_node(struct arena *a, enum json_type type, size_t room)
{
	struct json *v = node(a, type);

	v->members = arena_array(a, room + 1, sizeof(*v->members));
	return v;
}

static void put(struct json *v, const char *key, struct json *value)
{
	v->members[v->count].key = key;
	v->members[v->count++].value = value;
}

static struct json *integer_node(struct arena *a, int64_t n)
{
	struct json *v = node(a, JSON_NUMBER);

	v->is_integer = 1;
	v->integer = n;
	v->number = (double)n;
	return v;
}

/* ---- merges.txt */

/* One merge a line; the first line may be "#version: 0.2". */
static struct json *read_merges(struct arena *a, const char *text)
{
	struct json *merges;
	size_t lines = 1;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	merges = list_node(a, JSON_ARRAY, lines);
	if (strncmp(text, "#version", strlen("#version")) == 0)
		text += strcspn(text, "\n");
	while (*text) {
		size_t n = strcspn(text, "\n"), bare = n && text[n - 1] == '\r' ? n - 1 : n;

		if (bare)
			put(merges, NULL, text_node(a, text, bare));
		text += n + (text[n] == '\n');
	}
	return merges;
}

/* ---- special tokens */

static void add_special(struct arena *a, struct json *list, const struct json *vocab,
			const char *text)
{
	const struct json *id = text ? json_get(vocab, text) : NULL;
	struct json *one;

	if (!id || id->type != JSON_NUMBER || !id->is_integer || list->count == SPECIALS_MAX)
		return;
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(json_str(list->members[i].value, "content", ""), text) == 0)
			return;
	}
	one = list_node(a, JSON_OBJECT, 3);
	put(one, "id", integer_node(a, id->integer));
	put(one, "content", text_node(a, text, strlen(text)));
	put(one, "special", node(a, JSON_BOOL));
	one->members[2].value->boolean = 1;
	put(list, NULL, one);
}

static struct json *specials(struct arena *a, const struct tokenizer *t, const struct json *vocab,
			     const char *always)
{
	static const char *const names[] = { "bos_token", "eos_token", "unk_token", "sep_token",
					     "pad_token", "cls_token", "mask_token" };
	struct json *list = list_node(a, JSON_ARRAY, SPECIALS_MAX);

	add_special(a, list, vocab, always);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct json *v = json_get(t->config, names[i]);

		add_special(a, list, vocab,
			    v && v->type == JSON_STRING ? v->str : json_str(v, "content", NULL));
	}
	return list;
}

/* ---- both files */

static int find_class(struct tokenizer *t, const char **special, struct err *e)
{
	const char *name = json_str(t->config, "tokenizer_class", NULL);

	*special = NULL;
	for (size_t i = 0; name && i < ARRAY_LEN(classes); i++) {
		if (strcmp(classes[i].hf_class, name) != 0)
			continue;
		if (json_bool(t->config, "add_prefix_space", 0))
			return err_set(e, ERR_INVALID,
				       "tokenizer_config.json: add_prefix_space is not what "
				       "llama.cpp does with byte-level BPE");
		*special = classes[i].special;
		if (!t->chosen_pre)
			t->chosen_pre = classes[i].pre;
	}
	if (t->chosen_pre)
		return 0;
	return err_set(e, ERR_INVALID,
		       "there is no tokenizer.json, and tokenizer_class %.60s does not say how "
		       "vocab.json and merges.txt are used; name llama.cpp's pre-tokenizer with "
		       "`with: {pre_tokenizer: NAME}`, or let transformers write a tokenizer.json",
		       name ? name : "(none)");
}

int tokenizer_from_texts(struct arena *a, struct tokenizer *t, struct json *vocab,
			 const char *merges, size_t n, struct err *e)
{
	struct json *root, *model, *decoder;
	const char *special;

	if (find_class(t, &special, e) < 0)
		return e->code;
	if (!vocab || vocab->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "vocab.json is no object of tokens and numbers");
	if (strlen(merges) != n)
		return err_set(e, ERR_INVALID, "merges.txt has a NUL in it");
	model = list_node(a, JSON_OBJECT, 3);
	put(model, "type", text_node(a, "BPE", 3));
	put(model, "vocab", vocab);
	put(model, "merges", read_merges(a, merges));
	decoder = list_node(a, JSON_OBJECT, 1);
	put(decoder, "type", text_node(a, "ByteLevel", 9));
	root = list_node(a, JSON_OBJECT, 3);
	put(root, "model", model);
	put(root, "decoder", decoder);
	put(root, "added_tokens", specials(a, t, vocab, special));
	t->root = root;
	t->from_files = 1;
	return 0;
}

int tokenizer_from_files(struct arena *a, struct tokenizer *t, struct err *e)
{
	char *path = path_join(t->dir, "merges.txt");
	struct json *vocab;
	struct buf b;
	int rc;

	buf_init(&b, MERGES_MAX);
	rc = tokenizer_read_json(a, t->dir, "vocab.json", &vocab, e);
	if (rc == 0)
		rc = path_read(path, MERGES_MAX, &b, e);
	if (rc == 0)
		rc = tokenizer_from_texts(a, t, vocab, buf_str(&b), b.len, e);
	buf_release(&b);
	free(path);
	return rc;
}
