/* workers/gguf/pass.h -- the one pass over the weights: threads take pieces of
 * tensors, read, convert, encode, and write each to its final place. What a
 * piece is depends on shapes alone, so the bytes are the same for any number of
 * threads. Private memory: about 12 MiB a thread, whatever the model. */
#ifndef QUERN_WORKERS_GGUF_PASS_H
#define QUERN_WORKERS_GGUF_PASS_H

#include <stdint.h>

#include "core/err.h"
#include "core/safetensors.h"
#include "workers/gguf/layout.h"
#include "workers/gguf/quality.h"

struct pass_file {
	int fd;
	uint64_t data_at; /* where the data section begins */
};

struct pass {
	enum {
		PASS_WRITE,
		PASS_LOOK, /* writes nothing: only the quality of at most four pieces of each tensor
			    */
	} mode;
	const struct st_model *model;
	const struct layout *layout;
	const struct pass_file *files; /* by the shards of the layout */
	int threads;
	int opt;
	int zero_nonfinite; /* NaN and infinity become 0 and are counted; else they are refused */
	uint64_t n_zeroed;  /* result */
	struct quality *quality; /* result: of each tensor of the layout; the caller's */
};

/* ERR_INVALID (a weight that cannot be converted, with its tensor and place; a source that got
 * shorter), ERR_IO, ERR_NOSPACE. */
int pass_run(struct pass *p, struct err *e);

#endif
