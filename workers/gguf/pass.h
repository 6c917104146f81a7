/* workers/gguf/pass.h -- the one pass over the weights: threads take pieces of
 * tensors, read, convert, encode, and write each to its final place. What a
 * piece is depends on shapes alone, so the bytes are the same for any number of
 * threads. While one waits for the disk with its piece, another computes: there are
 * twice as many as may compute at a time. Private memory: about 6 MiB a thread, whatever
 * the model. */
#ifndef QUERN_WORKERS_GGUF_PASS_H
#define QUERN_WORKERS_GGUF_PASS_H

#include <stdint.h>

#include "core/err.h"
#include "core/safetensors.h"
#include "workers/common/outfile.h"
#include "workers/gguf/layout.h"
#include "workers/gguf/quality.h"

struct pass_file {
	struct out_file *out;
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
	int threads;		       /* that compute at a time */
	int opt;
	int zero_nonfinite; /* NaN and infinity become 0 and are counted; else they are refused */
	uint64_t n_zeroed;  /* result */
	struct quality *quality; /* result: of each tensor of the layout; the caller's */
};

/* ERR_INVALID (a weight that cannot be converted, with its tensor and place; a source that got
 * shorter), ERR_IO, ERR_NOSPACE. */
int pass_run(struct pass *p, struct err *e);

#endif
