/* workers/gguf/layout.h -- which tensors the file will hold, in which type and
 * order, and where each comes from. Everything a checkpoint may contradict its
 * config.json in is found here, before a byte is written. */
#ifndef QUERN_WORKERS_GGUF_LAYOUT_H
#define QUERN_WORKERS_GGUF_LAYOUT_H

#include "core/arena.h"
#include "core/err.h"
#include "core/safetensors.h"
#include "workers/gguf/arch.h"
#include "workers/gguf/origin.h"
#include "workers/gguf/type.h"
#include "workers/gguf/writer.h"

struct out_tensor {
	const char *name;
	uint64_t ne[GGUF_DIMS_MAX]; /* fastest first: ne[0] is the row's length; 1 beyond n_dims */
	int n_dims;
	const struct type *type;	/* NULL from layout_make(): a matrix, see mix.h */
	uint64_t offset;		/* in the data section */
	uint64_t n;			/* elements */
	const struct st_tensor *source; /* the first that it comes from; NULL: data */
	const struct type *stored;	/* in a GGUF source; NULL: it comes from a checkpoint */
	struct origin origin;		/* all of them */
	const float *data;		/* made here, in F32 */
	int layer;			/* -1: none */
	int shard;			/* the file that it goes to, from 0: shards.h */
	int fallback;			/* its row does not fit the wanted type */
	int promoted;			/* by hybrid */
	const float *importance;	/* of each column, of each expert; or NULL */
};

struct layout {
	struct out_tensor *v; /* by layer, then name: the order llama-quantize writes */
	size_t n;
	uint64_t params; /* elements of everything that comes from the checkpoint */
};

/* 1 for what no mix touches: vectors, norms, routers, positions and what is no weight. Rules:
 * src/llama-quant.cpp, tensor_allows_quantization(). */
int layout_keeps(const struct out_tensor *t);
/* Its blocks are the source's, byte for byte. */
int layout_copies(const struct out_tensor *t);
/* By layer, then name. */
void layout_sort(struct layout *l);

/* What a checkpoint is beside its tensors. */
struct checkpoint {
	const struct st_model *m;
	const struct source_quant *quant;
	const struct packed_set *packed; /* of m */
	const struct lora *lora;	 /* what an adapter adds; NULL without one */
};

/* Names of the embedding and of the output in this checkpoint. */
struct lora_ends layout_ends(struct arena *a, const struct arch *arch, const struct hparams *h,
			     const struct st_model *m);

int layout_make(struct arena *a, const struct arch *arch, const struct hparams *h,
		const struct checkpoint *from, struct layout *out, struct err *e);

#endif
