/* workers/gguf/tokenizer.h -- a Hugging Face tokenizer as GGUF metadata. Open reads
 * the files of a model's folder, finds out of which kind they are, and places every
 * token at its id; write puts down all tokenizer.* keys. What llama.cpp would split
 * otherwise than the model's own tokenizer is refused by name. */
#ifndef QUERN_WORKERS_GGUF_TOKENIZER_H
#define QUERN_WORKERS_GGUF_TOKENIZER_H

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "workers/gguf/tokens.h"
#include "workers/gguf/writer.h"

struct tokenizer;

/* One kind of tokenizer. */
struct tokenizer_kind {
	const char *model; /* tokenizer.ggml.model */
	int scores;	   /* tokens have some */
	int adds_bos;	   /* when no file says whether a text begins with BOS */
	/* Place the vocabulary in t->list; added tokens come after it. */
	int (*load)(struct arena *a, struct tokenizer *t, struct err *e);
	/* What only this kind has; t->pre is set here. */
	int (*write)(struct tokenizer *t, struct gguf_writer *w, struct err *e);
};

struct tokenizer {
	const char *dir;
	const struct json *root;	      /* tokenizer.json, NULL if absent */
	int from_files;			      /* root was made of vocab.json and merges.txt */
	const struct json *config;	      /* tokenizer_config.json, NULL if absent */
	const struct json *added;	      /* added_tokens.json, NULL if absent */
	const struct json *model_config;      /* config.json */
	const struct json *generation_config; /* generation_config.json, NULL if absent */
	const struct tokenizer_kind *kind;
	struct token_list list;
	const char *chosen_pre; /* the user's choice, or NULL */
	const char *pre;	/* result: tokenizer.ggml.pre */
	uint64_t n_tokens;	/* result: before padding */
	int space_in_front;	/* SentencePiece: a text gets one; -1 unknown */
	/* Ids that the model itself names, before any file beside it; -1: none. */
	int64_t own_bos, own_eos, own_unk, own_pad;
};

/* rows: of the embedding in the checkpoint. pre: the user's choice of a pre-tokenizer, or NULL to
 * find it by its own rules. ERR_INVALID. */
int tokenizer_open(struct arena *a, const char *dir, const struct json *model_config, uint64_t rows,
		   const char *pre, struct tokenizer *t, struct err *e);

/* All tokenizer.* keys, for an embedding of `rows` rows in the file; the list is filled up. */
int tokenizer_write(struct arena *a, struct tokenizer *t, uint64_t rows, struct gguf_writer *w,
		    struct err *e);

/* Read one JSON file of dir into a; *out NULL when it is not there. */
int tokenizer_read_json(struct arena *a, const char *dir, const char *name, struct json **out,
			struct err *e);

/* tokenizer_files.c: t->root from vocab.json and merges.txt, which are there. ERR_INVALID: nothing
 * says how text is split. */
int tokenizer_from_files(struct arena *a, struct tokenizer *t, struct err *e);
/* The same from what is in them: vocab.json, and the n bytes of merges.txt, with a NUL behind. */
int tokenizer_from_texts(struct arena *a, struct tokenizer *t, struct json *vocab,
			 const char *merges, size_t n, struct err *e);

/* ---- the kinds: one file each */

extern const struct tokenizer_kind tokenizer_bpe;	/* bytes as printable characters */
extern const struct tokenizer_kind tokenizer_spm;	/* tokenizer.model */
extern const struct tokenizer_kind tokenizer_spm_json;	/* the same as tokenizer.json */
extern const struct tokenizer_kind tokenizer_wordpiece; /* BERT's */

/* Which of them tokenizer.json is; NULL with why in e. */
const struct tokenizer_kind *tokenizer_json_kind(const struct json *root, struct err *e);
/* One token of tokenizer.json's model.vocab; ERR_INVALID when an id is taken twice. */
int tokenizer_place_vocab(struct tokenizer *t, struct err *e);
/* "left right" of one of tokenizer.json's merges: text, or a pair since transformers 4.45. */
int tokenizer_merge_text(const struct json *merge, struct buf *b, struct err *e);

/* tokenizer_special.c: ids of special tokens, whether a text gets them. */
void tokenizer_write_specials(const struct tokenizer *t, uint64_t rows, struct gguf_writer *w);
/* tokenizer_template.c: all chat templates. ERR_INVALID: two of one name. */
int tokenizer_write_templates(struct arena *a, const struct tokenizer *t, struct gguf_writer *w,
			      struct err *e);

/* pretokenizer.c: the name llama.cpp has for these splitting rules (src/llama-vocab.cpp), or NULL
 * with why in e. */
const char *pretokenizer_name(const struct json *root, struct err *e);

#endif
