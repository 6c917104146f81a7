/* orchestrator/tokens/pattern.h -- regular expressions as tokenizers have them to split text: the
 * part of Oniguruma's syntax that published tokenizer.json use, over characters. A pattern is
 * foreign: it is bounded in size, and a search in steps; what is not known is refused by name.
 *
 * Known: alternatives, groups (?:) (?i:) (?>), look-ahead (?=) (?!), classes with ranges, negation,
 * classes inside, \p{L} and the like, \s \d \S \D, escapes; ? * + {n} {n,m} and the same with ? or
 * + behind; . and $. Pure. */
#ifndef QUERN_ORCHESTRATOR_TOKENS_PATTERN_H
#define QUERN_ORCHESTRATOR_TOKENS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

struct pattern_program;

/* ERR_INVALID: what of it is not known. In a. */
int pattern_compile(struct arena *a, const char *text, struct pattern_program **out, struct err *e);

/* The first match at or after `from` in text[0..n) of characters. 1 with [*start, *end), which may
 * be empty, 0: none, ERR_INVALID: it takes too long. steps: how many are left; counted down. */
int pattern_find(const struct pattern_program *p, const uint32_t *text, size_t n, size_t from,
		 size_t *start, size_t *end, int64_t *steps, struct err *e);

#endif
