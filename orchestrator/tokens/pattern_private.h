/* orchestrator/tokens/pattern_private.h -- between pattern.c, which makes programs of patterns, and
 * pattern_match.c, which runs them. */
#ifndef QUERN_ORCHESTRATOR_TOKENS_PATTERN_PRIVATE_H
#define QUERN_ORCHESTRATOR_TOKENS_PATTERN_PRIVATE_H

#include <stdbool.h>

#include "orchestrator/tokens/pattern.h"

struct set_item {
	enum { ITEM_RANGE, ITEM_CLASS, ITEM_SPACE, ITEM_SET } kind;
	bool negated;
	uint32_t first, last;	    /* ITEM_RANGE; first of ITEM_CLASS: bits of unicode.h */
	const struct char_set *set; /* ITEM_SET */
};

struct char_set {
	struct set_item *items;
	size_t n, cap;
	bool negated, fold; /* fold: capital and small letters are the same */
};

bool pattern_in_set(const struct char_set *s, uint32_t cp);

enum op {
	OP_SET,	  /* one character of a set */
	OP_SPLIT, /* go on at x; when that fails, at y */
	OP_JUMP,  /* x */
	OP_LOOK,  /* what follows until OP_MATCH matches here, or not (negated); then x */
	OP_ATOM,  /* what follows until OP_MATCH, of which nothing is tried again; then x */
	OP_EOL,	  /* $ */
	OP_MATCH
};

struct instruction {
	enum op op;
	bool negated;
	int x, y; /* from this instruction on, so that a piece of program may be copied */
	const struct char_set *set;
};

struct pattern_program {
	struct instruction *code;
	size_t n;
};

#endif
