/* workers/gguf/encode_few.c -- Q1_0 (128 weights -d or d), Q2_0 (64 weights -d, 0, d or 2d) and
 * NVFP4 (64 weights, for each 16 a scale in E4M3 without sign, times E2M1). Layouts:
 * decode_small.c. Compiled once for each instruction set (codec.h). */
#include "workers/gguf/codec.h"
#include "workers/gguf/fp4.h"
#include "workers/gguf/small.h"

#define BLOCK_MAX 128

/* LANES blocks, of which the first `count` are kept; w: NULL for equal importances. */
typedef void few_fn(const vf *x, const vf *w, unsigned char *out, size_t count, int opt);

INLINE void each_few(const float *x, const float *w, unsigned char *out, size_t n, int block,
		     size_t bytes, int opt, few_fn *encode)
{
	const size_t all = (size_t)block * LANES;

	while (n) {
		float rest[2][BLOCK_MAX * LANES];
		vf lanes[BLOCK_MAX], weights[BLOCK_MAX];
		size_t now = n < all ? n : all;
		const float *from = x, *from_w = w;

		if (now < all) {
			memset(rest, 0, sizeof(rest));
			from = memcpy(rest[0], x, now * sizeof(*x));
			from_w = w ? memcpy(rest[1], w, now * sizeof(*w)) : NULL;
		}
		load_blocks(from, block, lanes);
		if (w)
			load_blocks(from_w, block, weights);
		encode(lanes, w ? weights : NULL, out, now / (size_t)block, opt);
		x += now;
		w = w ? w + now : NULL;
		out += now / (size_t)block * bytes;
		n -= now;
	}
}

/* ---- Q1_0: the mean size is the best d */

INLINE void some_q1_0(const vf *x, const vf *w, unsigned char *out, size_t count, int opt)
{
	vf size = splat(0), size1 = splat(0), weight = splat(w ? 0 : 128), d;
	struct stored s;
	uint32_t words[4][LANES];

	(void)opt;
	for (int i = 0; i < 128; i += 2) {
		/* Less first: a sum of the largest floats must not overflow where d does not. */
		size += weigh(w, i, magnitude(x[i]) * splat(1 / 128.0f));
		size1 += weigh(w, i + 1, magnitude(x[i + 1]) * splat(1 / 128.0f));
		if (w)
			weight += w[i] + w[i + 1];
	}
	d = ratio(size + size1, weight) * splat(128);
	s = store_scales(d);
	for (int k = 0; k < 4; k++) {
		vu word = { 0 };

		for (int i = 0; i < 32; i++)
			word |= ((vu) ~(x[32 * k + i] < splat(0)) & 1) << i;
		memcpy(words[k], &word, sizeof(word));
	}
	for (size_t b = 0; b < count; b++, out += 18) {
		memcpy(out, &s.half[b], 2);
		for (int k = 0; k < 4; k++)
			memcpy(out + 2 + 4 * k, &words[k][b], 4);
	}
}

/* ---- Q2_0 */

INLINE vf two_bits(vf v)
{
	return clamp(nearest(v), splat(-1), splat(2));
}

/* Where the largest weight goes: see sym_search(). */
static const float q2_steps[] = { 2.2f, -1.6f, 2.9f,  1.2f, -2.4f, 3.6f, 1.6f,	-1.0f,
				  2.5f, -3.2f, -2.0f, 4.4f, 1.9f,  5.4f, -4.2f, 3.2f };

INLINE void some_q2_0(const vf *x, const vf *w, unsigned char *out, size_t count, int opt)
{
	vf peak = signed_peak(x, 64), per;
	struct stored s = store_scales(sym_search(x, w, 64, peak, q2_steps, 6, two_bits).d);
	uint32_t words[4][LANES];

	if (opt) {
		vf d = sym_search(x, w, 64, peak, q2_steps, 16, two_bits).d;
		struct stored deep = store_scales(sym_refine(x, w, 64, d, two_bits));
		vm better = above(sym_error(x, w, 64, s.value, two_bits),
				  sym_error(x, w, 64, deep.value, two_bits));

		s = store_scales(pick(better, deep.value, s.value));
	}
	per = stored_inverse(s.value);
	for (int k = 0; k < 4; k++) {
		vu word = { 0 };

		for (int i = 0; i < 16; i++)
			word |= whole(two_bits(x[16 * k + i] * per) + splat(1)) << 2 * i;
		memcpy(words[k], &word, sizeof(word));
	}
	for (size_t b = 0; b < count; b++, out += 18) {
		memcpy(out, &s.half[b], 2);
		for (int k = 0; k < 4; k++)
			memcpy(out + 2 + 4 * k, &words[k][b], 4);
	}
}

/* ---- NVFP4 */

#define E4M3_MOST 126 /* 448; 127 is no number */

/* Of a code from 0 to 126, a whole number. Below 8 the exponent is that of 8. */
INLINE vf e4m3_value(vf code)
{
	return pick(above(splat(7.5f), code), code * splat(0x1p-9f),
		    (vf)((whole(code) + (120u << 3)) << 20));
}

/* The code next to a size, not above the largest. */
INLINE vf e4m3_code(vf size)
{
	vf v = vmin(size, splat(448));
	vu normal = (((vu)v + (1u << 19)) >> 20) - (120u << 3);

	/* As floats, by the exponent's trick: normal is below 2^22. */
	return pick(above(splat(0x1p-6f), v), nearest(v * splat(0x1p9f)),
		    (vf)((vu)splat(MAGIC) + normal) - splat(MAGIC));
}

INLINE vf nvfp4_error(const vf *x, const vf *w, vf code)
{
	vf d = e4m3_value(code) * splat(0.5f), per = inverse(d), sum = splat(0);

	for (int i = 0; i < 16; i++) {
		vf size = magnitude(x[i]), r = size - d * fp4_level(size * per);

		sum += weigh(w, i, r) * r;
	}
	return sum;
}

/* ggml gives the largest weight the largest size. Here: the best of the scales near that. */
INLINE vf nvfp4_scale(const vf *x, const vf *w, vf peak, int reach)
{
	vf start = e4m3_code(peak * splat(1 / 6.0f)), best = start, least = splat(INFINITY);

	for (int by = -reach; by <= reach; by++) {
		vf code = clamp(start + splat((float)by), splat(1), splat(E4M3_MOST));
		vf error = nvfp4_error(x, w, code);
		vm better = above(least, error);

		best = pick(better, code, best);
		least = pick(better, error, least);
	}
	return best;
}

/* A sub-block of 16 in each lane. */
INLINE void some_nvfp4(const vf *x, const vf *w, unsigned char *out, size_t count, int opt)
{
	vf peak = magnitude(signed_peak(x, 16)), scale = nvfp4_scale(x, w, peak, opt ? 5 : 2);
	vf code[16], most;
	uint32_t words[2][LANES], scales[LANES];
	vu word;

	most = fp4_codes(x, 16, inverse(e4m3_value(scale) * splat(0.5f)), code);
	scale = pick(above(most, splat(0)), scale, splat(0));
	/* A weight that is far from the largest value: no number, which the caller refuses. */
	word = whole(pick(above(peak, splat(6 * 480)), splat(127), scale));
	memcpy(scales, &word, sizeof(word));
	for (int k = 0; k < 2; k++) {
		const vf *lo = code + 4 * k, *hi = lo + 8;

		word = pack4(lo[0], lo[1], lo[2], lo[3]) | pack4(hi[0], hi[1], hi[2], hi[3]) << 4;
		memcpy(words[k], &word, sizeof(word));
	}
	for (size_t b = 0; b < count; b++) {
		unsigned char *p = out + b / 4 * 36;

		p[b % 4] = (unsigned char)scales[b];
		for (int k = 0; k < 2; k++)
			memcpy(p + 4 + b % 4 * 8 + 4 * k, &words[k][b], 4);
	}
}

void ISA(encode_q1_0)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_few(x, w, out, n, 128, 18, opt, some_q1_0);
}

void ISA(encode_q2_0)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_few(x, w, out, n, 64, 18, opt, some_q2_0);
}

/* n is a multiple of 64, and so is what is done at once: bytes are those of a sub-block. */
void ISA(encode_nvfp4)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_few(x, w, out, n, 16, 9, opt, some_nvfp4);
}
