/* core/pretokenizer.h -- how byte-level BPE splits text before it merges: the rules of published
 * models, by the names that llama.cpp has for them (src/llama-vocab.cpp, tokenizer.ggml.pre). */
#ifndef QUERN_CORE_PRETOKENIZER_H
#define QUERN_CORE_PRETOKENIZER_H

#include "core/json.h"

#define PRETOKENIZER_STEPS 8
#define PRETOKENIZER_MORE "\xe2\x80\xa6" /* U+2026 */

/* Steps as tokenizer.json has them, each splitting what the one before left: the pattern of a
 * Split, or
 *   @digits        digits one by one
 *   @numbers       digits together
 *   @punctuation   punctuation together
 *   @bytes         bytes become printable characters
 *   @bytes+regex   the same, split by GPT-2's pattern before
 * A pattern that ends with PRETOKENIZER_MORE is only the beginning of one. */
struct pretokenizer {
	const char *step[PRETOKENIZER_STEPS]; /* NULL behind the last */
	int ignore_merges;		      /* 1, 0, or -1: either */
	const char *name;
};

extern const struct pretokenizer pretokenizers[];
extern const size_t n_pretokenizers;
const struct pretokenizer *pretokenizer_find(const char *name); /* NULL: not known */

/* The same of a tokenizer.json. */
struct pretokenizer_chain {
	const char *step[PRETOKENIZER_STEPS];
	size_t n;
	int unknown; /* it has a step that is none of these, or too many */
	char why[160];
};
/* v: its `pre_tokenizer`, NULL is fine. */
void pretokenizer_read(const struct json *v, struct pretokenizer_chain *out);

#endif
