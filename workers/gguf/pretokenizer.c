/* workers/gguf/pretokenizer.c -- which of llama.cpp's pre-tokenizers splits text
 * as this tokenizer.json does: by comparing the rules themselves. Upstream hashes
 * the ids of a probe text instead, which any change of the vocabulary breaks. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "workers/gguf/tokenizer.h"

/* The parts that patterns share. Sources: tokenizer.json of the models named beside each row. */
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES
#define WORDS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_1 "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+"
#define CASED_2 "[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*"
#define CJK_OLD "[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+"
#define CJK "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"

#define STEPS_MAX 8

/* A chain of steps: a Split's pattern as it is written, or one of the "@" names of flatten(). A
 * known pattern that ends with U+2026 is the beginning of a longer one. */
struct chain {
	const char *step[STEPS_MAX];
	size_t n;
	int unknown;
	char why[160];
};

#define ELLIPSIS "\xe2\x80\xa6"

/* clang-format off */
static const struct {
	const char *step[STEPS_MAX];
	int ignore_merges; /* 1, 0, or -1: either */
	const char *name;
} known[] = {
	/* GPT-2, Phi-2, OLMo */
	{ { "@bytes+regex" }, -1, "gpt-2" },
	/* SmolLM, StarCoder, Granite: llama.cpp's names differ in spaces of decoded text only */
	{ { "@digits", "@bytes+regex" }, -1, "smollm" },
	/* Llama 3 */
	{ { CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" TAIL, "@bytes" }, 1, "llama-bpe" },
	/* Smaug, DBRX, OLMo 2, GLM-4 */
	{ { CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" TAIL, "@bytes" }, 0, "smaug-bpe" },
	/* Qwen2, StableLM 2 */
	{ { CONTRACTIONS "|" WORDS "|\\p{N}" TAIL, "@bytes" }, -1, "qwen2" },
	/* Qwen3.5 */
	{ { CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES,
	    "@bytes" }, -1, "qwen35" },
	/* MiniCPM5 */
	{ { "\\p{N}{1,3}", CONTRACTIONS "|" WORDS "|\\p{N}+" TAIL, "@bytes" }, -1, "minicpm5" },
	/* DeepSeek LLM: the second pattern lists the letters of many alphabets */
	{ { "[\r\n]", "\\s?[A-Za-z\xc2\xb5" ELLIPSIS, "\\s?[!-/:-~" ELLIPSIS, "\\s+$", CJK_OLD, "@digits", "@bytes" },
	  -1, "deepseek-llm" },
	/* DeepSeek Coder */
	{ { "[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_OLD, "@digits", "@bytes" }, -1, "deepseek-coder" },
	/* DeepSeek-V3 and R1 */
	{ { "\\p{N}{1,3}", CJK,
	    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
	    "| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACES, "@bytes" }, -1, "deepseek-v3" },
	/* Mistral NeMo */
	{ { CASED_1 "|" CASED_2 "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES, "@bytes" }, -1, "tekken" },
	/* GPT-4o, Llama 4 */
	{ { CASED_1 CONTRACTIONS "?|" CASED_2 CONTRACTIONS "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES,
	    "@bytes" }, -1, "gpt-4o" },
	/* Falcon */
	{ { "@punctuation", "@bytes+regex", "@numbers", "[0-9][0-9][0-9]" }, -1, "falcon" },
	/* BLOOM; Viking */
	{ { " ?[^(\\s|[.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c])]+", "@bytes" },
	  -1, "bloom" },
	{ { " ?[^(\\s|[.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c])]+", "@digits",
	    "@bytes" }, -1, "viking" },
	/* Ling */
	{ { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]"
	    "|\\s+(?!\\S)|\\s+", "@bytes" }, -1, "bailingmoe" },
	/* Seed-Coder */
	{ { CONTRACTIONS "|" WORDS "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" SPACES, "@bytes" }, -1, "seed-coder" },
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
	} else if (strcmp(type, "Digits") == 0) {
		add(c, json_bool(v, "individual_digits", 0) ? "@digits" : "@numbers");
	} else if (strcmp(type, "Punctuation") == 0 &&
		   strcmp(json_str(v, "behavior", "Isolated"), "Contiguous") == 0) {
		add(c, "@punctuation");
	} else if (strcmp(type, "ByteLevel") == 0) {
		if (json_bool(v, "add_prefix_space", 0))
			unknown(c, "ByteLevel with add_prefix_space");
		add(c, json_bool(v, "use_regex", 1) ? "@bytes+regex" : "@bytes");
	} else {
		unknown(c, type);
	}
}

static int same_step(const char *step, const char *pattern)
{
	size_t n = strlen(pattern), mark = strlen(ELLIPSIS);

	if (n > mark && strcmp(pattern + n - mark, ELLIPSIS) == 0)
		return strncmp(step, pattern, n - mark) == 0;
	return strcmp(step, pattern) == 0;
}

static int same(const struct chain *c, const char *const *step)
{
	size_t n = 0;

	while (n < STEPS_MAX && step[n])
		n++;
	if (n != c->n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (!same_step(c->step[i], step[i]))
			return 0;
	}
	return 1;
}

static int is_roberta(const struct json *root)
{
	return strcmp(json_str(json_get(root, "post_processor"), "type", ""),
		      "RobertaProcessing") == 0;
}

const char *pretokenizer_name(const struct json *root, struct err *e)
{
	const struct json *v = json_get(root, "pre_tokenizer");
	int merges = json_bool(json_get(root, "model"), "ignore_merges", 0);
	struct chain c = { .n = 0 };

	if (v && v->type == JSON_OBJECT)
		flatten(v, &c, 0);
	for (size_t i = 0; !c.unknown && i < ARRAY_LEN(known); i++) {
		if (!same(&c, known[i].step) ||
		    (known[i].ignore_merges >= 0 && known[i].ignore_merges != merges))
			continue;
		/* RoBERTa's splits as GPT-2's, and says how texts begin and end. */
		return i == 0 && is_roberta(root) ? "roberta-bpe" : known[i].name;
	}
	(void)err_set(e, ERR_INVALID,
		      "tokenizer.json: this pre-tokenizer%s%s%s is not known, and a guess would "
		      "split text wrongly; name llama.cpp's "
		      "with `with: {pre_tokenizer: NAME}`",
		      c.why[0] ? " (" : "", c.why, c.why[0] ? ")" : "");
	return NULL;
}
