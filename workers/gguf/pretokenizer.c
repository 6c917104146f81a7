/* workers/gguf/pretokenizer.c -- which of llama.cpp's pre-tokenizers splits text
 * as this tokenizer.json does: by comparing the rules themselves. Upstream hashes
 * the ids of a probe text instead, which any change of the vocabulary breaks. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "workers/gguf/tokenizer.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"

#define STEPS_MAX 8

/* A chain of steps: a Split's pattern as it is written, or "@digits", "@bytes+regex", "@bytes". */
struct chain {
	const char *step[STEPS_MAX];
	size_t n;
	int unknown;
	char why[160];
};

/* clang-format off */
static const struct {
	const char *step[STEPS_MAX];
	int ignore_merges; /* 1, 0, or -1: either */
	const char *name;
} known[] = {
	{ { "@bytes+regex" }, -1, "gpt-2" },
	{ { "@digits", "@bytes+regex" }, -1, "smollm" },
	{ { CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" TAIL, "@bytes" }, 1, "llama-bpe" },
	{ { CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" TAIL, "@bytes" }, 0, "smaug-bpe" },
	{ { CONTRACTIONS "|" WORDS "|\\p{N}" TAIL, "@bytes" }, -1, "qwen2" },
};
/* clang-format on */

static void add(struct chain *c, const char *step)
{
	if (c->n < STEPS_MAX)
		c->step[c->n++] = step;
	else
		c->unknown = 1;
}

static void unknown(struct chain *c, const char *what)
{
	if (!c->unknown)
		snprintf(c->why, sizeof(c->why), "%.150s", what);
	c->unknown = 1;
}

static void flatten(const struct json *v, struct chain *c, int depth)
{
	const char *type = json_str(v, "type", "");
	const struct json *list = json_get(v, "pretokenizers");
	const char *regex = json_str(json_get(v, "pattern"), "Regex", NULL);

	if (strcmp(type, "Sequence") == 0 && list && list->type == JSON_ARRAY && depth < 4) {
		for (size_t i = 0; i < list->count; i++)
			flatten(list->members[i].value, c, depth + 1);
	} else if (strcmp(type, "Split") == 0 && regex && !json_bool(v, "invert", 0) &&
		   strcmp(json_str(v, "behavior", ""), "Isolated") == 0) {
		add(c, regex);
	} else if (strcmp(type, "Digits") == 0 && json_bool(v, "individual_digits", 0)) {
		add(c, "@digits");
	} else if (strcmp(type, "ByteLevel") == 0) {
		if (json_bool(v, "add_prefix_space", 0))
			unknown(c, "ByteLevel with add_prefix_space");
		add(c, json_bool(v, "use_regex", 1) ? "@bytes+regex" : "@bytes");
	} else {
		unknown(c, type);
	}
}

static int same(const struct chain *c, const char *const *step)
{
	size_t n = 0;

	while (n < STEPS_MAX && step[n])
		n++;
	if (n != c->n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(c->step[i], step[i]) != 0)
			return 0;
	}
	return 1;
}

const char *pretokenizer_name(const struct json *root, struct err *e)
{
	const struct json *v = json_get(root, "pre_tokenizer");
	int merges = json_bool(json_get(root, "model"), "ignore_merges", 0);
	struct chain c = { .n = 0 };

	if (v && v->type == JSON_OBJECT)
		flatten(v, &c, 0);
	for (size_t i = 0; !c.unknown && i < ARRAY_LEN(known); i++) {
		if (same(&c, known[i].step) &&
		    (known[i].ignore_merges < 0 || known[i].ignore_merges == merges))
			return known[i].name;
	}
	(void)err_set(e, ERR_INVALID,
		      "tokenizer.json: this pre-tokenizer%s%s%s is not known, and a guess would "
		      "split text wrongly; name llama.cpp's "
		      "with `with: {pre: NAME}`",
		      c.why[0] ? " (" : "", c.why, c.why[0] ? ")" : "");
	return NULL;
}
