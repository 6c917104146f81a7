/* orchestrator/tokens/token_count.h -- how many tokens a text is, counted as the model's own
 * tokenizer divides it: byte-level BPE with the rules that split text, and SentencePiece's BPE. For
 * servers that do not tell. Open, count any texts, close. */
#ifndef QUERN_ORCHESTRATOR_TOKENS_TOKEN_COUNT_H
#define QUERN_ORCHESTRATOR_TOKENS_TOKEN_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define TOKEN_COUNT_TEXT_MAX ((size_t)1 << 20)

struct token_counter;

/* path: a .gguf file, or a folder with a tokenizer.json. ERR_NOTFOUND: it has no tokenizer;
 * ERR_INVALID: one that is not known here, or broken; ERR_IO. */
int token_counter_open(const char *path, struct token_counter **out, struct err *e);
void token_counter_close(struct token_counter *c); /* NULL is fine */

/* Without tokens that begin or end a text. Bytes that are no UTF-8 count as U+FFFD. Negative:
 * ERR_INVALID, it cannot be counted. */
int64_t token_count(const struct token_counter *c, const char *text, size_t len, struct err *e);

#endif
