/* workers/gguf/lattice.h -- the codebooks of IQ1, IQ2 and IQ3, arranged for a search of the nearest
 * point: what a point costs is a sum over its coordinates, so the sums of all possible halves are
 * made once, and a point is one addition of two of them. Points are listed by their first half. */
#ifndef QUERN_WORKERS_GGUF_LATTICE_H
#define QUERN_WORKERS_GGUF_LATTICE_H

#include <stdint.h>

enum lattice_id {
	LATTICE_IQ2_XXS,
	LATTICE_IQ2_XS,
	LATTICE_IQ2_S,
	LATTICE_IQ3_XXS,
	LATTICE_IQ3_S,
	LATTICE_IQ1,
	LATTICE_COUNT
};

#define LATTICE_HALVES 81   /* 3^4; IQ3 has 8^2 */
#define LATTICE_POINTS 2048 /* of the largest */
#define LATTICE_HALF_BITS 7 /* a number of a half fits */

/* As a file has them: coordinates of `bits` bits each, the first one lowest. decode_lattice.c */
struct codebook {
	const uint16_t *points;
	int n, dims, bits;
};

extern const struct codebook codebooks[LATTICE_COUNT];

/* The number of a half is that of its coordinates as digits to the base of `levels`, the first one
 * lowest. Those with points: first[0..n_firsts), in rising order; second[] of first[i] lie from
 * begin[i] to begin[i+1], in rising order. */
struct lattice {
	int dims, levels, n_firsts;
	uint8_t first[LATTICE_HALVES];
	uint16_t begin[LATTICE_HALVES + 1];
	uint8_t second[LATTICE_POINTS];
	uint16_t point[LATTICE_HALVES][LATTICE_HALVES]; /* its number in the codebook */
};

/* Made at the first call, by one thread; lives as long as the process. */
const struct lattice *lattice_get(enum lattice_id id);

#endif
