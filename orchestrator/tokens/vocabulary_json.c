/* orchestrator/tokens/vocabulary_json.c -- the tokenizer of a model's folder: its tokenizer.json,
 * as the tokenizers library writes it. What would change a text otherwise than is known here is
 * refused by name. NFC is not applied: what models write is composed already. */
#include <string.h>

#include "core/path.h"
#include "orchestrator/tokens/vocabulary.h"

#define FILE_MAX ((size_t)256 << 20) /* those of the largest vocabularies have 35 MB */
#define MARK "\xe2\x96\x81"	     /* U+2581 in place of a space */

static int unknown(struct err *e, const char *what, const char *type)
{
	return err_set(e, ERR_INVALID, "the %s %.60s is not known", what, type);
}

/* ---- what happens to a text before it is split */

static bool is_space_to_mark(const struct json *v)
{
	return strcmp(json_str(json_get(v, "pattern"), "String", ""), " ") == 0 &&
	       strcmp(json_str(v, "content", ""), MARK) == 0;
}

/* *marks: spaces become U+2581. */
static int take_normalizer(struct vocabulary *v, const struct json *n, bool *marks, int depth,
			   struct err *e)
{
	const char *type = json_str(n, "type", "");
	const struct json *parts = json_get(n, "normalizers");
	int rc = 0;

	if (!n || n->type == JSON_NULL || strcmp(type, "NFC") == 0)
		return 0;
	if (strcmp(type, "Prepend") == 0 && strcmp(json_str(n, "prepend", ""), MARK) == 0)
		v->space = SPACE_FRONT;
	else if (strcmp(type, "Replace") == 0 && is_space_to_mark(n))
		*marks = true;
	else if (strcmp(type, "Sequence") != 0 || !parts || parts->type != JSON_ARRAY || depth > 2)
		return unknown(e, "normalizer", type);
	for (size_t i = 0; rc == 0 && parts && i < parts->count; i++)
		rc = take_normalizer(v, parts->members[i].value, marks, depth + 1, e);
	return rc;
}

/* SentencePiece as newer files have it. Elsewhere a Split at spaces is idle: there are none left.
 */
static int take_metaspace(struct vocabulary *v, const struct json *p, bool *marks, struct err *e)
{
	static const char *const at_spaces[] = { "@spaces" };
	const char *type = json_str(p, "type", "none");

	if (strcmp(type, "Metaspace") == 0) {
		*marks = true;
		if (strcmp(json_str(p, "replacement", ""), MARK) != 0)
			return unknown(e, "replacement of spaces", json_str(p, "replacement", ""));
		if (strcmp(json_str(p, "prepend_scheme", "always"), "never") != 0)
			v->space = SPACE_UNLESS_THERE;
		return json_bool(p, "split", 1) ? split_init(&v->split, at_spaces, 1, e) : 0;
	}
	if (strcmp(type, "none") != 0 &&
	    !(strcmp(type, "Split") == 0 &&
	      strcmp(json_str(json_get(p, "pattern"), "String", ""), " ") == 0))
		return unknown(e, "pre-tokenizer", type);
	return 0;
}

static int take_rules(struct vocabulary *v, const struct json *root, struct err *e)
{
	const struct json *p = json_get(root, "pre_tokenizer"), *model = json_get(root, "model");
	struct pretokenizer_chain c;
	bool marks = false;
	int rc = take_normalizer(v, json_get(root, "normalizer"), &marks, 0, e);

	if (rc < 0)
		return rc;
	pretokenizer_read(p, &c);
	for (size_t i = 0; i < c.n; i++)
		v->bytes |= strncmp(c.step[i], "@bytes", 6) == 0;
	if (v->bytes && (c.unknown || marks || v->space != SPACE_NONE))
		return unknown(e, "pre-tokenizer", c.why);
	if (v->bytes)
		return split_init(&v->split, c.step, c.n, e);
	rc = take_metaspace(v, p, &marks, e);
	if (rc == 0 && !marks)
		return unknown(e, "pre-tokenizer", json_str(p, "type", "none"));
	v->spells = json_bool(model, "byte_fallback", 0);
	v->joins_unknown = json_bool(model, "fuse_unk", 0);
	return rc;
}

/* ---- tokens and merges */

static int add_tokens(struct vocabulary *v, const struct json *vocab, const struct json *added,
		      struct err *e)
{
	for (size_t i = 0; i < vocab->count; i++) {
		const struct json *id = vocab->members[i].value;
		const char *text = vocab->members[i].key;

		if (id->type != JSON_NUMBER || !id->is_integer || id->integer < 0 ||
		    id->integer >= VOCABULARY_TOKENS_MAX)
			return err_set(e, ERR_INVALID, "a token's number is none");
		text_map_put(&v->tokens, text, strlen(text), (uint32_t)id->integer);
	}
	for (size_t i = 0; added && added->type == JSON_ARRAY && i < added->count; i++) {
		const char *text = json_str(added->members[i].value, "content", "");

		vocabulary_add_whole(v, text, strlen(text));
	}
	return 0;
}

/* Text, or a pair since version 0.20 of the library. */
static int add_merge(struct vocabulary *v, const struct json *m, uint32_t rank, struct err *e)
{
	const struct json *left, *right;

	if (m->type == JSON_STRING) {
		vocabulary_add_merge_text(v, m->str, m->len, rank);
		return 0;
	}
	if (m->type != JSON_ARRAY || m->count != 2 || m->members[0].value->type != JSON_STRING ||
	    m->members[1].value->type != JSON_STRING)
		return err_set(e, ERR_INVALID, "a merge is no pair");
	left = m->members[0].value;
	right = m->members[1].value;
	vocabulary_add_merge(v, left->str, left->len, right->str, right->len, rank);
	return 0;
}

static int take_model(struct vocabulary *v, const struct json *root, struct err *e)
{
	const struct json *model = json_get(root, "model"), *added = json_get(root, "added_tokens");
	const struct json *vocab = json_get(model, "vocab"), *merges = json_get(model, "merges");
	const char *type = json_str(model, "type", "BPE");
	int rc;

	if (strcmp(type, "BPE") != 0)
		return unknown(e, "kind of tokenizer", type);
	if (!vocab || vocab->type != JSON_OBJECT || !merges || merges->type != JSON_ARRAY ||
	    vocab->count > VOCABULARY_TOKENS_MAX || merges->count > VOCABULARY_TOKENS_MAX ||
	    json_str(model, "continuing_subword_prefix", "")[0] ||
	    json_str(model, "end_of_word_suffix", "")[0])
		return err_set(e, ERR_INVALID, "its vocabulary is not known");
	v->keep_words = json_bool(model, "ignore_merges", 0);
	vocabulary_begin(v, vocab->count, added ? added->count : 0, merges->count);
	rc = add_tokens(v, vocab, added, e);
	for (size_t i = 0; rc == 0 && i < merges->count; i++)
		rc = add_merge(v, merges->members[i].value, (uint32_t)i, e);
	return rc;
}

int vocabulary_from_json(struct vocabulary *v, const char *path, struct err *e)
{
	struct json *root;
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX);
	rc = path_read(path, FILE_MAX, &b, e);
	if (rc >= 0)
		rc = json_parse(v->a, buf_str(&b), b.len, &root, e);
	buf_release(&b);
	if (rc >= 0)
		rc = take_rules(v, root, e);
	if (rc >= 0)
		rc = take_model(v, root, e);
	return rc < 0 ? rc : 0;
}
