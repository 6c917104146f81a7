/* orchestrator/tokens/pattern.h -- regular expressions as tokenizers have them to split text, over
 * characters, by Oniguruma: the library that the tokenizers library itself asks, so that \p{L}, \s
 * and case mean the same. A pattern is foreign: it is bounded in size and depth, and a search in
 * how often it may go back. Compile, find any number of times, free; one thread at a time. */
#ifndef QUERN_ORCHESTRATOR_TOKENS_PATTERN_H
#define QUERN_ORCHESTRATOR_TOKENS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct pattern;

/* ERR_INVALID: it is none; says why. */
int pattern_compile(const char *text, struct pattern **out, struct err *e);
void pattern_free(struct pattern *p); /* NULL is fine */

/* The first match at or after `from` in text[0..n) of characters. 1 with [*start, *end), which may
 * be empty, 0: none, ERR_INVALID: it takes too long. */
int pattern_find(struct pattern *p, const uint32_t *text, size_t n, size_t from, size_t *start,
		 size_t *end, struct err *e);

#endif
