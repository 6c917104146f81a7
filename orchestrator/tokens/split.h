/* orchestrator/tokens/split.h -- a text, divided as a pre-tokenizer does it before anything is
 * merged: steps, each of which divides what the one before left. Characters in, places out. */
#ifndef QUERN_ORCHESTRATOR_TOKENS_SPLIT_H
#define QUERN_ORCHESTRATOR_TOKENS_SPLIT_H

#include "core/pretokenizer.h"
#include "orchestrator/tokens/pattern.h"

#define SPLIT_STEPS_MAX (PRETOKENIZER_STEPS + 1) /* GPT-2's pattern and its bytes are two */

#define SPLIT_MARK 0x2581 /* SentencePiece's sign in place of a space */
#define SPLIT_MARK_UTF8 "\xe2\x96\x81"

struct splitter {
	struct pattern *step[SPLIT_STEPS_MAX]; /* matches, and what is between; NULL: into bytes */
	size_t n;
};

/* Steps as core/pretokenizer.h writes them, and @spaces. ERR_INVALID: a pattern is none, or known
 * in part only. s is all zeros before; whatever comes of it, split_free() ends it. */
int split_init(struct splitter *s, const char *const *steps, size_t n, struct err *e);
void split_free(struct splitter *s);

typedef int (*split_fn)(void *ctx, const uint32_t *piece, size_t n, struct err *e);
/* Each piece in turn; what fn returns below 0 ends it. ERR_INVALID: it takes too long. */
int split_text(const struct splitter *s, const uint32_t *text, size_t n, split_fn fn, void *ctx,
	       struct err *e);

#endif
