/* workers/gguf/scales.h -- factors that lie beside 8-bit weights in a checkpoint: one for
 * the tensor, each row, each group of a row, or each block. */
#ifndef QUERN_WORKERS_GGUF_SCALES_H
#define QUERN_WORKERS_GGUF_SCALES_H

#include "core/arena.h"
#include "core/err.h"
#include "core/safetensors.h"
#include "core/source_quant.h"
#include "workers/gguf/origin.h"

/* Find those of the slice's source, and set its scale, zero and the size of blocks. used: for each
 * of m's tensors, set to 1 for those found. A source without any stays as it is. ERR_INVALID:
 * factors that fit no blocks, or integers without. */
int scales_find(struct arena *a, const struct st_model *m, const struct source_quant *q,
		struct slice *s, unsigned char *used, struct err *e);

#endif
