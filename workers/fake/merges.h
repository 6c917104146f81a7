/* workers/fake/merges.h -- the merges of every fake tokenizer: each common English word
 * is spelled from the left, one merge a letter: " the" gives " t", " th", " the". */
#ifndef QUERN_WORKERS_FAKE_MERGES_H
#define QUERN_WORKERS_FAKE_MERGES_H

#include <stddef.h>
#include <stdint.h>

#define FAKE_MERGES_MAX 512
#define FAKE_PIECE_MAX 16 /* bytes of a piece with its space, which is '_' */

struct fake_merges {
	size_t n;
	struct {
		char left[FAKE_PIECE_MAX], right;
	} v[FAKE_MERGES_MAX];
};

/* At most max of them, the most common first. */
void fake_merges_make(struct fake_merges *m, uint64_t max);

#endif
