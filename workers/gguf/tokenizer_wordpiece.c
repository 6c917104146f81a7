/* WordPiece, as BERT has it: words are cut into the longest pieces there are; llama.cpp marks the
 * beginning of a word, BERT everything else. */
#include <string.h>

#include "workers/gguf/tokenizer.h"

#define SPACE_SIGN "\xe2\x96\x81" /* U+2581 */

static int is_special(const char *s)
{
	size_t n = strlen(s);

	return n > 2 && s[0] == '[' && s[n - 1] == ']';
}

static void rename_token(struct arena *a, struct token *v)
{
	if (!v->text || is_special(v->text)) {
		v->type = v->text ? TOKEN_CONTROL : v->type;
		return;
	}
	v->text = strncmp(v->text, "##", 2) == 0 ? v->text + 2
						 : arena_printf(a, SPACE_SIGN "%s", v->text);
	v->len = strlen(v->text);
}

static int load(struct arena *a, struct tokenizer *t, struct err *e)
{
	const char *normalizer = json_str(json_get(t->root, "normalizer"), "type", "none");

	if (strcmp(normalizer, "BertNormalizer") != 0)
		return err_set(
			e, ERR_INVALID,
			"tokenizer.json: llama.cpp's WordPiece normalizes as BERT does; this "
			"one has %s",
			normalizer);
	if (tokenizer_place_vocab(t, e) < 0)
		return e->code;
	for (uint64_t i = 0; i < t->list.n; i++)
		rename_token(a, &t->list.v[i]);
	return 0;
}

static int write(struct tokenizer *t, struct gguf_writer *w, struct err *e)
{
	const struct json *normalizer = json_get(t->root, "normalizer");
	int lowercase = json_bool(normalizer, "lowercase", 1);

	(void)e;
	t->pre = "default";
	gguf_str(w, "tokenizer.ggml.pre", t->pre);
	gguf_u32(w, "tokenizer.ggml.token_type_count", 2);
	gguf_bool(w, "tokenizer.ggml.normalizer.lowercase", lowercase);
	gguf_bool(w, "tokenizer.ggml.normalizer.strip_accents",
		  json_bool(normalizer, "strip_accents", lowercase));
	return 0;
}

const struct tokenizer_kind tokenizer_wordpiece = { "bert", 0, 1, load, write };
