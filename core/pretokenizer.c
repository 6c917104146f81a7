#include "core/pretokenizer.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"

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

#define ELLIPSIS PRETOKENIZER_MORE

/* clang-format off */
const struct pretokenizer pretokenizers[] = {
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

const size_t n_pretokenizers = ARRAY_LEN(pretokenizers);

/* ---- those of a tokenizer.json */

static void add(struct pretokenizer_chain *c, const char *step)
{
	if (c->n < PRETOKENIZER_STEPS)
		c->step[c->n++] = step;
	else
		c->unknown = 1;
}

static void unknown(struct pretokenizer_chain *c, const char *what)
{
	if (!c->unknown)
		snprintf(c->why, sizeof(c->why), "%.150s", what);
	c->unknown = 1;
}

static void flatten(const struct json *v, struct pretokenizer_chain *c, int depth)
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

void pretokenizer_read(const struct json *v, struct pretokenizer_chain *out)
{
	*out = (struct pretokenizer_chain){ .n = 0 };
	if (v && v->type == JSON_OBJECT)
		flatten(v, out, 0);
}

const struct pretokenizer *pretokenizer_find(const char *name)
{
	for (size_t i = 0; i < n_pretokenizers; i++)
		if (strcmp(pretokenizers[i].name, name) == 0)
			return &pretokenizers[i];
	return NULL;
}
