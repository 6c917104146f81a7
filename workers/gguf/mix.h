/* workers/gguf/mix.h -- which tensor gets which type: the file types of
 * llama.cpp with the rules of its quantizer, and what a user wants otherwise.
 * Rules: src/llama-quant.cpp, llama_tensor_get_type(). A new file type is one
 * row in file_type.c. */
#ifndef QUERN_WORKERS_GGUF_MIX_H
#define QUERN_WORKERS_GGUF_MIX_H

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "workers/gguf/layout.h"

struct file_type;

struct mix {
	const struct file_type *quant;
	/* The user's, or NULL and 0. */
	const struct type *output, *token_embedding;
	const struct json *tensor_type; /* object: regular expression to type */
	int pure;			/* the base type for all matrices */
	int leave_output;		/* as the checkpoint has it */
	int has_imatrix;
	int without_imatrix; /* types that need one are made all the same */
	/* The model. */
	const char *arch;
	uint64_t layers, heads, kv_heads, experts;
};

/* By name, as in `quant`; NULL when there is none, or it is not written. */
const struct file_type *file_type_by_name(const char *name);
const struct file_type *file_type_by_number(uint64_t number); /* NULL when none has it */
const char *file_type_name(const struct file_type *f);
/* general.file_type; include/llama.h, enum llama_ftype */
uint32_t file_type_number(const struct file_type *f);
const struct type *file_type_base(const struct file_type *f);
int file_type_needs_imatrix(const struct file_type *f);

/* Reads output_type, token_embedding_type, tensor_type, pure and leave_output from `with`.
 * ERR_INVALID. */
int mix_read(const struct json *with, struct mix *m, struct err *e);

/* Sets the type of each tensor of the layout that has none yet, in the layout's order. A type that
 * a row does not fit gives way to another, and `fallback` is set. ERR_INVALID: a pattern that is no
 * regular expression, matches nothing, or contradicts another. */
int mix_apply(const struct mix *m, struct layout *l, struct err *e);

/* A little better and larger, for `hybrid`; NULL: there is nothing better for rows of this length.
 */
const struct type *mix_promoted(const struct type *t, uint64_t row);

#endif
