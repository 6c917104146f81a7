/* workers/gguf/lora.h -- an adapter of the PEFT library, merged while the weights pass
 * by: W + scale * B A, in single precision with one rounding at the end, and with DoRA
 * its rows at the lengths that were learned. Format: peft/src/peft/tuners/lora;
 * adapter_config.json and adapter_model.safetensors. */
#ifndef QUERN_WORKERS_GGUF_LORA_H
#define QUERN_WORKERS_GGUF_LORA_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "core/safetensors.h"

/* What is added to one tensor of the checkpoint. */
struct lora_delta {
	const char *target;	       /* the tensor's name */
	const struct st_tensor *a, *b; /* [rank, in] and [out, rank] */
	float scale;
	int turned; /* the tensor is [in, out]: an embedding, or GPT-2's */
	/* DoRA: the length that each output gets (a row, or, turned, a column), and, from
	 * dora_prepare() on, what it is multiplied by for that. NULL without. */
	const struct st_tensor *magnitude;
	float *factors;
};

struct lora {
	struct lora_delta *v; /* sorted by target */
	size_t n;
};

/* The two matrices that a model may share. */
struct lora_ends {
	const char *embedding; /* names of tensors */
	const char *output;    /* NULL: the architecture has but one */
	int tied;	       /* they are the same; the second is not in the checkpoint */
};

/* Read the adapter in dir and take it into m: its files come behind the model's, and tensors that
 * it replaces whole are replaced in m. Where it changes one of two shared matrices, PEFT changes
 * that use of it alone: they are two from then on, and ends->tied becomes 0. ERR_INVALID: a
 * variant that is not merged, a part that fits nothing in the model. */
int lora_open(struct arena *a, const char *dir, struct st_model *m, struct lora_ends *ends,
	      struct lora *out, struct err *e);
const struct lora_delta *lora_find(const struct lora *l, const char *target); /* NULL */

/* The factors of one delta as floats, kept until another one is asked for. One for each thread. */
struct lora_cache {
	const struct lora_delta *held;
	float *a, *b;
};

int lora_cache_get(struct lora_cache *c, const struct lora_delta *d, const struct st_model *m,
		   const int *fds, struct err *e);
void lora_cache_release(struct lora_cache *c);

/* Add the delta's weights to n weights of row `row` of the tensor, from column `col` on. */
void lora_add(const struct lora_cache *c, uint64_t row, uint64_t col, float *x, size_t n);

#endif
