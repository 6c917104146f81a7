/* workers/gguf/origin.h -- where the weights of one tensor of the file come from:
 * slices of tensors of the checkpoint, one behind the other. All that an
 * architecture changes is in which row follows which, so that any part of a
 * tensor can be read by itself and nothing is ever held whole. */
#ifndef QUERN_WORKERS_GGUF_ORIGIN_H
#define QUERN_WORKERS_GGUF_ORIGIN_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/safetensors.h"
#include "workers/gguf/arch.h"
#include "workers/gguf/lora.h"
#include "workers/gguf/packed.h"
#include "workers/gguf/type.h"

/* `rows` rows of the file. They are taken from source rows first .. first+take-1, then the same
 * number `stride` rows further on, and so on. */
struct slice {
	const struct st_tensor *source;
	uint64_t rows, first, take, stride;
	/* Row 2i+p of `take` comes from row p*take/2+i: two halves become adjacent pairs. Source:
	 * LlamaModel.permute in llama.cpp's conversion/llama.py. */
	int halves;
	/* Row r of the file is column r of the source's rows first, first+1, ...; take and stride
	 * have no meaning. */
	int transposed;
	/* Factors of blocks of the source, which multiply its weights less the blocks' zero points;
	 * NULL: none. */
	const struct st_tensor *scale, *zero;
	uint64_t block_rows, block_cols;
	const struct lora_delta *delta; /* of an adapter; NULL: none */
	/* The source lies in a GGUF file in blocks of this type, and is read as floats; NULL: in
	 * numbers of its dtype. Only whole blocks are read then. */
	const struct type *blocks;
	const struct packed *packed; /* the source is decoded from this; NULL: it is there */
};

struct origin {
	struct slice *slices;
	size_t n_slices;
	uint64_t row;  /* elements of a row of the file; 1 for a vector */
	float add;     /* to each weight */
	int worked_on; /* some slice has a scale or a delta */
};

/* A shape as GGUF has it. */
struct shape {
	uint64_t ne[3]; /* fastest first; 1 beyond n_dims */
	int n_dims;
};

/* What rule r makes of these source tensors, whose shapes are those of the rule: one, or as many as
 * there are experts or heads. Memory in a. */
void origin_make(struct arena *a, const struct tensor_rule *r, const struct hparams *h,
		 const struct st_tensor *const *sources, size_t n_sources, struct origin *o,
		 struct shape *shape);

/* What a thread reads with. */
struct origin_io {
	const struct st_model *m;
	const int *fds; /* of m's files */
	struct lora_cache lora;
	struct packed_cache packed;
	unsigned char *raw; /* blocks that are read as floats */
	size_t raw_bytes;
};

void origin_io_release(struct origin_io *io);

/* Bytes of n elements from element `at` of the file's tensor, in the file's order and the source's
 * dtype. */
int origin_read(const struct origin *o, struct origin_io *io, uint64_t at, size_t n, void *out,
		struct err *e);

/* What else happens to n weights from element `at`, as floats: scales of blocks, an adapter, a
 * constant. */
int origin_finish(const struct origin *o, struct origin_io *io, uint64_t at, float *x, size_t n,
		  struct err *e);

#endif
