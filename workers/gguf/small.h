/* workers/gguf/small.h -- what the encoders of small blocks share: scales as they are stored, and
 * packing. */
#ifndef QUERN_WORKERS_GGUF_SMALL_H
#define QUERN_WORKERS_GGUF_SMALL_H

#include "workers/gguf/blocks.h"

/* Scales of LANES blocks as they are stored. */
struct stored {
	uint16_t half[LANES];
	vf value;
};

INLINE struct stored store_scales(vf d)
{
	struct stored s;

	/* -0 would be other bytes for the same block of zeros. */
	store_half(pick(above(magnitude(d), splat(0)), d, splat(0)), s.half);
	s.value = load_half(s.half);
	return s;
}

/* Four bits of each code: 16 bytes a block. */
INLINE void put_nibbles(const vf *code, unsigned char *out, int bytes, int at)
{
	vu words[4];

	UNROLL
	for (int k = 0; k < 4; k++) {
		const vf *lo = code + 4 * k, *hi = lo + 16;

		words[k] = (pack4(lo[0], lo[1], lo[2], lo[3]) & 0x0f0f0f0f) |
			   (pack4(hi[0], hi[1], hi[2], hi[3]) & 0x0f0f0f0f) << 4;
	}
	put_quad(words, out + at, bytes);
}

/* The fifth bits, element j at bit j. */
INLINE void put_fifth_bits(const vf *code, unsigned char *out, int bytes, int at)
{
	vu w = { 0 };

	for (int j = 0; j < SMALL; j++)
		w |= (whole(code[j]) >> 4 & 1) << j;
	put_word(w, out + at, bytes);
}

INLINE void put_halves(const uint16_t *half, unsigned char *out, int bytes, int at)
{
	for (int k = 0; k < LANES; k++)
		memcpy(out + k * bytes + at, half + k, 2);
}

#endif
