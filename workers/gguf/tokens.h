/* workers/gguf/tokens.h -- the list of tokens, one for each row of the embedding, in
 * the making: whatever kind of tokenizer it is, vocabulary and added tokens are
 * placed by id, and what is left free is filled up. */
#ifndef QUERN_WORKERS_GGUF_TOKENS_H
#define QUERN_WORKERS_GGUF_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "workers/gguf/writer.h"

/* tokenizer.ggml.token_type; source: llama.cpp include/llama.h, enum llama_token_type */
enum token_type {
	TOKEN_NORMAL = 1,
	TOKEN_UNKNOWN,
	TOKEN_CONTROL,
	TOKEN_USER,
	TOKEN_UNUSED,
	TOKEN_BYTE
};

struct token {
	const char *text; /* NULL: free */
	size_t len;
	enum token_type type;
	float score;
};

struct token_list {
	const char *file; /* it comes from, for messages */
	struct token *v;
	uint64_t rows; /* of the embedding */
	uint64_t n;    /* the highest id placed, and 1 */
};

void tokens_init(struct arena *a, uint64_t rows, const char *file, struct token_list *l);
/* ERR_INVALID when there is no such row. */
int tokens_place(struct token_list *l, int64_t id, const struct token *t, struct err *e);

/* A token that is matched as a whole, wherever it stands. Left out with a warning when there is no
 * row for it: the model cannot have learned it. */
int tokens_place_added(struct arena *a, struct token_list *l, int64_t id, const char *text,
		       size_t len, int special, struct err *e);
/* The three lists of such tokens. v: tokenizer.json's added_tokens, tokenizer_config.json's
 * added_tokens_decoder, added_tokens.json; NULL is fine. */
int tokens_add_list(struct arena *a, struct token_list *l, const struct json *v, struct err *e);
int tokens_add_decoder(struct arena *a, struct token_list *l, const struct json *v, struct err *e);
int tokens_add_names(struct arena *a, struct token_list *l, const struct json *v, struct err *e);

/* -1: there is none. */
int64_t tokens_id(const struct token_list *l, const char *text);

/* Tokens, types and, with_scores, scores of the first `rows` rows. ERR_INVALID when two have one
 * text. */
int tokens_write(struct arena *a, struct token_list *l, uint64_t rows, int with_scores,
		 struct gguf_writer *w, struct err *e);

#endif
