/* orchestrator/tokens/split.h -- a text, divided as a pre-tokenizer does it before anything is
 * merged: steps, each of which divides what the one before left. Characters in, places out. */
#ifndef QUERN_ORCHESTRATOR_TOKENS_SPLIT_H
#define QUERN_ORCHESTRATOR_TOKENS_SPLIT_H

#include "core/pretokenizer.h"
#include "orchestrator/tokens/pattern.h"

#define SPLIT_STEPS_MAX (PRETOKENIZER_STEPS + 1) /* GPT-2's pattern and its bytes are two */

#define SPLIT_MARK 0x2581 /* SentencePiece's sign in place of a space */

enum split_kind {
	SPLIT_PATTERN,	   /* matches, and what is between them */
	SPLIT_DIGITS,	   /* digits one by one */
	SPLIT_NUMBERS,	   /* digits together */
	SPLIT_PUNCTUATION, /* punctuation together */
	SPLIT_BYTES,	   /* not divided: each byte becomes a printable character */
	SPLIT_SPACES	   /* a space begins a piece */
};

struct splitter {
	struct {
		enum split_kind kind;
		struct pattern_program *pattern;
	} step[SPLIT_STEPS_MAX];
	size_t n;
};

/* Steps as core/pretokenizer.h writes them, and @spaces. ERR_INVALID: a pattern is not known. In a.
 */
int split_init(struct arena *a, struct splitter *s, const char *const *steps, size_t n,
	       struct err *e);

typedef int (*split_fn)(void *ctx, const uint32_t *piece, size_t n, struct err *e);
/* Each piece in turn; what fn returns below 0 ends it. ERR_INVALID: it takes too long. */
int split_text(const struct splitter *s, const uint32_t *text, size_t n, split_fn fn, void *ctx,
	       struct err *e);

#endif
