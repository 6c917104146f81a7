/* workers/gguf/packed.h -- matrices of checkpoints that are stored as codes of a few
 * bits, several in a 32-bit word, with scales and zero points of groups: GPTQ, AWQ
 * and compressed-tensors' pack-quantized. Each becomes one tensor of floats in the
 * model's table, and is decoded while it is read, a few rows at a time.
 *
 *   weight = (code - zero point) * scale, in single precision
 *
 * Layouts: GPTQModel (nn_modules/qlinear/__init__.py), AutoAWQ (utils/packing_utils.py),
 * compressed-tensors (compressors/quantized_compressors/pack_quantized.py). */
#ifndef QUERN_WORKERS_GGUF_PACKED_H
#define QUERN_WORKERS_GGUF_PACKED_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/safetensors.h"
#include "core/source_quant.h"

enum packed_layout {
	PACKED_GPTQ, /* words [in * bits / 32, out], zeros [groups, out * bits / 32] */
	PACKED_AWQ,  /* words [in, out / 8] in an order of their own, zeros alike */
	PACKED_ROWS, /* words [out, in * bits / 32], zeros [out * bits / 32, groups] */
};

struct packed {
	const char *name; /* of the tensor that it becomes */
	enum packed_layout layout;
	int bits;
	uint64_t rows, cols; /* of the matrix */
	uint64_t groups;     /* of each row */
	uint64_t group_size; /* columns; the last may have fewer */
	int zero_add;	     /* what zero points are stored less by */
	const struct st_tensor *codes, *scales;
	const struct st_tensor *zeros; /* NULL: the middle of the codes */
	const struct st_tensor *order; /* the group of each column; NULL: one after the other */
};

struct packed_set {
	struct packed *v; /* by name */
	size_t n;
};

/* 0 for a form whose weights are read, here or as they stand; ERR_INVALID names it. */
int packed_check_form(const struct source_quant *q, struct err *e);

/* Put a tensor of floats into m's table for each packed matrix, in place of its parts. ERR_INVALID:
 * a part that is missing, or shapes that contradict each other. Memory in a. */
int packed_open(struct arena *a, const struct source_quant *q, struct st_model *m,
		struct packed_set *out, struct err *e);
const struct packed *packed_find(const struct packed_set *s, const char *name); /* NULL */

/* Rows of one matrix, decoded as far as codes; two of them for each thread, because halves of heads
 * are read in turn. Zeroed before the first use. */
struct packed_tile {
	const struct packed *of;
	uint64_t first, rows;
	uint8_t *codes; /* [rows, cols] */
	float *scales;	/* [rows, groups] */
	float *zeros;	/* [rows, groups] */
	uint64_t used;
};

struct packed_cache {
	struct packed_tile tiles[2];
	const struct packed *order_of;
	int32_t *order; /* of order_of */
	uint64_t clock;
};

/* n weights from element `at` of the matrix, row by row. fds: of m's files. ERR_INVALID: a group
 * that does not exist. */
int packed_read(struct packed_cache *c, const struct packed *p, const struct st_model *m,
		const int *fds, uint64_t at, size_t n, float *out, struct err *e);
void packed_cache_release(struct packed_cache *c);

#endif
