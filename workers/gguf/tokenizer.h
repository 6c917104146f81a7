/* workers/gguf/tokenizer.h -- a Hugging Face tokenizer as GGUF metadata. This
 * version knows byte-level BPE (tokenizer.json); everything else is refused by
 * name. */
#ifndef QUERN_WORKERS_GGUF_TOKENIZER_H
#define QUERN_WORKERS_GGUF_TOKENIZER_H

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "workers/gguf/writer.h"

struct tokenizer {
	const char *dir;
	const struct json *root;   /* tokenizer.json */
	const struct json *config; /* tokenizer_config.json; NULL if absent */
	const struct json *model_config,
		*generation_config; /* config.json; generation_config.json or NULL */
	const char *pre;	    /* result: tokenizer.ggml.pre */
	uint64_t n_tokens;	    /* of tokenizer.json, before padding */
};

/* Read the files of dir. ERR_NOTFOUND without tokenizer.json; ERR_INVALID. */
int tokenizer_open(struct arena *a, const char *dir, const struct json *model_config,
		   struct tokenizer *t, struct err *e);

/* Write all tokenizer.* keys. vocab: rows of the embedding; the list is filled up to it. pre: the
 * user's choice, or NULL to find it by the pre-tokenizer's own rules. */
int tokenizer_write(struct arena *a, struct tokenizer *t, uint64_t vocab, const char *pre,
		    struct gguf_writer *w, struct err *e);

/* pretokenizer.c: the name llama.cpp has for these splitting rules (src/llama-vocab.cpp), or NULL
 * with why in e. */
const char *pretokenizer_name(const struct json *root, struct err *e);

/* Read one JSON file of dir into a; *out NULL when it is not there. */
int tokenizer_read_json(struct arena *a, const char *dir, const char *name, struct json **out,
			struct err *e);

#endif
