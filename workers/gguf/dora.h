/* workers/gguf/dora.h -- adapters that set the lengths of rows (DoRA): what each row of a
 * merged matrix is multiplied by is computed once, before the weights pass by. Of a matrix that is
 * stored turned, GPT-2's or an embedding, they are columns.
 *
 *   factor of row o = magnitude[o] / |W[o] + scale * (B A)[o]|
 *
 * Source: peft/src/peft/tuners/lora/dora.py. */
#ifndef QUERN_WORKERS_GGUF_DORA_H
#define QUERN_WORKERS_GGUF_DORA_H

#include "core/arena.h"
#include "core/err.h"
#include "workers/gguf/layout.h"

/* Fill in the factors of every delta that has magnitudes; memory in a. Reads each of their matrices
 * once. ERR_INVALID: a row of length 0, a magnitude or weight that is not finite. */
int dora_prepare(struct arena *a, const struct checkpoint *from, struct lora *lora, int threads,
		 struct err *e);

#endif
