/* orchestrator/tokens/vocabulary.h -- what a model's tokenizer knows: its tokens, in which order
 * they are merged, how text is prepared and split. From a GGUF file or a tokenizer.json, both
 * foreign: every size is bounded. A vocabulary lives in its arena and does not change. */
#ifndef QUERN_ORCHESTRATOR_TOKENS_VOCABULARY_H
#define QUERN_ORCHESTRATOR_TOKENS_VOCABULARY_H

#include <stdbool.h>

#include "orchestrator/tokens/split.h"

#define VOCABULARY_TOKENS_MAX (1u << 22)
#define VOCABULARY_TEXT_MAX (1u << 16) /* of one token */
#define VOCABULARY_WHOLE_MAX 256       /* of one that is matched whole */

/* Texts to numbers, open addressing. */
struct text_map {
	struct text_slot {
		const char *text; /* NULL: free */
		uint32_t len, value;
	} * slots;
	size_t mask; /* a power of two, less 1 */
};
void text_map_init(struct arena *a, struct text_map *m, size_t n);
/* The first of a text stays. */
void text_map_put(struct text_map *m, const char *text, size_t len, uint32_t value);
/* -1: not there. */
int64_t text_map_get(const struct text_map *m, const char *text, size_t len);
/* Bytes of the longest one, of at most `most`, that text[0..n) begins with; 0: none. */
size_t text_map_longest(const struct text_map *m, const char *text, size_t n, size_t most);

struct merge { /* free: rank 0, counted from 1 */
	uint32_t left, right, rank;
};

struct vocabulary {
	struct arena *a;
	struct text_map tokens; /* to ids */
	struct text_map whole;	/* tokens that are matched in the text itself, before all else */
	size_t whole_max;	/* bytes of the longest */
	bool whole_first[256];	/* bytes that one begins with */
	/* Byte-level BPE: bytes stand as printable characters. Else SentencePiece: spaces stand as
	 * U+2581. */
	bool bytes;
	float *scores;	      /* of ids: a pair is merged by the score of what it makes; or NULL: */
	struct merge *merges; /* by these */
	size_t merge_mask;
	struct splitter split;
	bool keep_words; /* a piece that is a token is one */
	enum { SPACE_NONE, SPACE_FRONT, SPACE_UNLESS_THERE } space; /* put before a text */
	bool spells;	    /* what no token covers becomes its bytes; else it is unknown, and */
	bool joins_unknown; /* neighbours of that are one token */
};

/* -1 when the two are not merged; the lower the sooner. */
int64_t vocabulary_merge_rank(const struct vocabulary *v, uint32_t left, uint32_t right);

/* ERR_NOTFOUND: it has no tokenizer; ERR_INVALID: of a kind that is not known here, or broken. v->a
 * is the caller's, the rest is zeros before; whatever comes of it, split_free(&v->split) ends it.
 */
int vocabulary_from_gguf(struct vocabulary *v, const char *path, struct err *e);
int vocabulary_from_json(struct vocabulary *v, const char *path, struct err *e);

/* For these two. */
void vocabulary_begin(struct vocabulary *v, size_t n_tokens, size_t n_whole, size_t n_merges);
void vocabulary_add_whole(struct vocabulary *v, const char *text, size_t len);
/* Halves that are no tokens never meet. Ranks count from 0. */
void vocabulary_add_merge(struct vocabulary *v, const char *left, size_t left_len,
			  const char *right, size_t right_len, uint32_t rank);
/* "left right" in one text. */
void vocabulary_add_merge_text(struct vocabulary *v, const char *text, size_t len, uint32_t rank);

#endif
