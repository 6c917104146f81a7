/* workers/gguf/imatrix.h -- importances of weights, measured by llama-imatrix: for each matrix the
 * mean square of what comes in by each column. Both file formats are read; both are foreign bytes.
 */
#ifndef QUERN_WORKERS_GGUF_IMATRIX_H
#define QUERN_WORKERS_GGUF_IMATRIX_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/gguf.h"

struct importance {
	const char *name; /* of the tensor */
	float *v;	  /* of each column, of each expert; their mean over an expert is 1 */
	uint64_t n;
};

struct imatrix {
	struct importance *v; /* by name */
	size_t n;
	const char *dataset; /* what it was measured on; "" unknown */
	uint32_t chunks;     /* of that; 0 unknown */
};

/* ERR_INVALID with the entry and what is wrong with it. Memory in a. */
int imatrix_read(struct arena *a, const struct gguf_source *src, struct imatrix *out,
		 struct err *e);
int imatrix_read_file(struct arena *a, const char *path, struct imatrix *out, struct err *e);
/* NULL when nothing was measured for it. */
const struct importance *imatrix_find(const struct imatrix *m, const char *tensor);

#endif
