/* workers/gguf/blocks.h -- from rows of weights to groups of LANES blocks, and from lanes to bytes.
 */
#ifndef QUERN_WORKERS_GGUF_BLOCKS_H
#define QUERN_WORKERS_GGUF_BLOCKS_H

#include "workers/gguf/lanes.h"
#include "workers/gguf/search.h"

#define SMALL 32	   /* weights of a block that each_group() takes */
#define SMALL_BYTES_MAX 40 /* of one such block */

/* A word of each lane to its place. */
INLINE void put_word(vu word, unsigned char *out, int bytes)
{
	uint32_t words[LANES];

	memcpy(words, &word, sizeof(words));
	for (int lane = 0; lane < LANES; lane++)
		memcpy(out + lane * bytes, words + lane, 4);
}

/* Four words of each lane: sixteen bytes at a time. */
INLINE void put_quad(const vu words[4], unsigned char *out, int bytes)
{
	vf v[4];
	float rows[4][LANES];

	for (int k = 0; k < 4; k++)
		v[k] = (vf)words[k];
	transpose4(v);
	for (int k = 0; k < 4; k++)
		store(rows[k], v[k]);
	for (int lane = 0; lane < LANES; lane++)
		memcpy(out + lane * bytes, rows[lane % 4] + lane / 4 * 4, 16);
}

/* LANES blocks: x[i], w[i] is element i of each; w: NULL exactly for IMPORTANCE_NONE. */
typedef void some_fn(const vf *x, const vf *w, enum importance given, unsigned char *out, int opt);

INLINE void one_group(const float *x, const float *w, unsigned char *out, int opt, some_fn *some)
{
	vf lanes[SMALL], weights[SMALL];

	load_blocks(x, SMALL, lanes);
	if (w || opt) {
		for (int i = 0; i < SMALL; i++)
			weights[i] = splat(1);
		if (w)
			load_blocks(w, SMALL, weights);
		some(lanes, weights, w ? IMPORTANCE_GIVEN : IMPORTANCE_EQUAL, out, opt);
	} else {
		some(lanes, NULL, IMPORTANCE_NONE, out, 0);
	}
}

/* n: weights, a multiple of SMALL. The last blocks are filled up with zeros, which are not kept. */
INLINE void each_group(const float *x, const float *w, unsigned char *out, size_t n, int bytes,
		       int opt, some_fn *some)
{
	const size_t group = (size_t)SMALL * LANES;

	for (; n >= group; n -= group) {
		one_group(x, w, out, opt, some);
		x += group;
		w = w ? w + group : NULL;
		out += LANES * bytes;
	}
	if (n) {
		float rest[SMALL * LANES] = { 0 }, rest_w[SMALL * LANES] = { 0 };
		unsigned char blocks[SMALL_BYTES_MAX * LANES];

		memcpy(rest, x, n * sizeof(*x));
		if (w)
			memcpy(rest_w, w, n * sizeof(*w));
		one_group(rest, w ? rest_w : NULL, blocks, opt, some);
		memcpy(out, blocks, n / SMALL * (size_t)bytes);
	}
}

#endif
