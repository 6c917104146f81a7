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
};

struct origin {
	const struct slice *slices;
	size_t n_slices;
	uint64_t row; /* elements of a row of the file; 1 for a vector */
	float add;    /* to each weight */
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

/* Bytes of n elements from element `at` of the file's tensor, in the file's order and the source's
 * dtype. fds: of m's files. */
int origin_read(const struct origin *o, const struct st_model *m, const int *fds, uint64_t at,
		size_t n, void *out, struct err *e);

/* What else happens to n weights from element `at`, as floats. */
void origin_finish(const struct origin *o, uint64_t at, float *x, size_t n);

#endif
