/* workers/gguf/lanes.h -- vectors in which each lane is a block of its own.
 *
 * Element i of LANES blocks is one vector: whatever an encoder does to a block, it does to LANES of
 * them at once, without an operation between lanes. So a block gets the same bytes whatever LANES
 * is, and wherever in a row it lies: the same source is compiled for 4 (plain C, NEON), 8 (AVX2)
 * and 16 lanes (AVX-512), see codec.h. Only operations that IEEE 754 defines to the last bit
 * are used, none fused (-ffp-contract=off). */
#ifndef QUERN_WORKERS_GGUF_LANES_H
#define QUERN_WORKERS_GGUF_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "workers/gguf/half.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(QUERN_NEON)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline, unused))

/* What holds vectors in arrays must become registers. Clang sees it by itself. */
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 32")
#else
#define UNROLL
#endif

INLINE vf splat(float v)
{
	return v - (vf){ 0 };
}

INLINE vf load(const float *p)
{
	vf v;

	memcpy(&v, p, sizeof(v));
	return v;
}

INLINE void store(float *p, vf v)
{
	memcpy(p, &v, sizeof(v));
}

/* ---- choices. a < b ? a : b, to the letter: with a NaN or two zeros the answer is b. */

#if defined(__AVX512F__)
typedef __mmask16 vm;

INLINE vm above(vf a, vf b)
{
	return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
}

INLINE vf pick(vm m, vf yes, vf no)
{
	return (vf)_mm512_mask_blend_ps(m, (__m512)no, (__m512)yes);
}

INLINE vf vmin(vf a, vf b)
{
	return (vf)_mm512_min_ps((__m512)a, (__m512)b);
}

INLINE vf vmax(vf a, vf b)
{
	return (vf)_mm512_max_ps((__m512)a, (__m512)b);
}

INLINE int any(vm m)
{
	return m != 0;
}
#elif defined(__AVX2__)
typedef vi vm;

INLINE vm above(vf a, vf b)
{
	return a > b;
}

INLINE vf pick(vm m, vf yes, vf no)
{
	return (vf)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)m);
}

INLINE vf vmin(vf a, vf b)
{
	return (vf)_mm256_min_ps((__m256)a, (__m256)b);
}

INLINE vf vmax(vf a, vf b)
{
	return (vf)_mm256_max_ps((__m256)a, (__m256)b);
}

INLINE int any(vm m)
{
	return !_mm256_testz_si256((__m256i)m, (__m256i)m);
}
#elif defined(QUERN_NEON)
typedef vi vm;

INLINE vm above(vf a, vf b)
{
	return a > b;
}

INLINE vf pick(vm m, vf yes, vf no)
{
	return vbslq_f32((uint32x4_t)m, yes, no);
}

/* Not vminq_f32() and vmaxq_f32(): of two zeros, and with a NaN, they choose differently. */
INLINE vf vmin(vf a, vf b)
{
	return pick(a < b, a, b);
}

INLINE vf vmax(vf a, vf b)
{
	return pick(a > b, a, b);
}

INLINE int any(vm m)
{
	return vmaxvq_u32((uint32x4_t)m) != 0;
}
#else
typedef vi vm;

INLINE vm above(vf a, vf b)
{
	return a > b;
}

INLINE vf pick(vm m, vf yes, vf no)
{
	return (vf)((m & (vi)yes) | (~m & (vi)no));
}

INLINE vf vmin(vf a, vf b)
{
	return pick(a < b, a, b);
}

INLINE vf vmax(vf a, vf b)
{
	return pick(a > b, a, b);
}

INLINE int any(vm m)
{
	return (m[0] | m[1] | m[2] | m[3]) != 0;
}
#endif

INLINE vf magnitude(vf v)
{
	return (vf)((vu)v & 0x7fffffffu);
}

INLINE vf clamp(vf v, vf lo, vf hi)
{
	return vmin(vmax(v, lo), hi);
}

/* 1/v, and 0 for 0. */
INLINE vf inverse(vf v)
{
	vf zero = splat(0), one = splat(1);
	vm some = above(magnitude(v), zero);

	return pick(some, one / pick(some, v, one), zero);
}

/* Of a stored scale: 0 also for one that is infinite, which the caller refuses. */
INLINE vf stored_inverse(vf d)
{
	return inverse(pick(above(splat(65536), magnitude(d)), d, splat(0)));
}

/* a/b, and 0 where b is not above 0. */
INLINE vf ratio(vf a, vf b)
{
	vf zero = splat(0);
	vm some = above(b, zero);

	return pick(some, a / pick(some, b, splat(1)), zero);
}

/* ---- rounding: to nearest, ties to even. |v| < 2^22: the sum has no bits below one. */

#define MAGIC 0x1.8p23f

INLINE vf nearest(vf v)
{
	return (v + splat(MAGIC)) - splat(MAGIC);
}

/* Of whole numbers from -2^22 to 2^22. */
INLINE vu whole(vf v)
{
	return (vu)(v + splat(MAGIC)) - (vu)splat(MAGIC);
}

/* ---- binary16 */

INLINE void store_half(vf v, uint16_t *out)
{
#if defined(__AVX512F__)
	__m256i h = _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT);

	memcpy(out, &h, sizeof(h));
#elif defined(__AVX2__)
	__m128i h = _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT);

	memcpy(out, &h, sizeof(h));
#elif defined(QUERN_NEON)
	float16x4_t h = vcvt_f16_f32(v);

	memcpy(out, &h, sizeof(h));
#else
	for (int k = 0; k < LANES; k++)
		out[k] = float_to_half(v[k]);
#endif
}

INLINE vf load_half(const uint16_t *h)
{
#if defined(__AVX512F__)
	return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)h));
#elif defined(__AVX2__)
	return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)h));
#elif defined(QUERN_NEON)
	float16x4_t half;

	memcpy(&half, h, sizeof(half));
	return vcvt_f32_f16(half);
#else
	vf v = { 0 };

	for (int k = 0; k < LANES; k++)
		v[k] = half_to_float(h[k]);
	return v;
#endif
}

/* ---- from rows to lanes */

#if LANES == 16
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define PAIR_LO(a, b) MIX(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define PAIR_HI(a, b) MIX(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define QUAD_LO(a, b) MIX(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define QUAD_HI(a, b) MIX(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define EVEN(a, b) MIX(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define ODD(a, b) MIX(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#elif LANES == 8
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define PAIR_LO(a, b) MIX(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define PAIR_HI(a, b) MIX(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define QUAD_LO(a, b) MIX(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define QUAD_HI(a, b) MIX(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define EVEN(a, b) MIX(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define ODD(a, b) MIX(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#else
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define PAIR_LO(a, b) MIX(a, b, 0, 4, 1, 5)
#define PAIR_HI(a, b) MIX(a, b, 2, 6, 3, 7)
#define QUAD_LO(a, b) MIX(a, b, 0, 1, 4, 5)
#define QUAD_HI(a, b) MIX(a, b, 2, 3, 6, 7)
#endif

/* Four vectors: afterwards each group of four lanes is transposed in itself. */
INLINE void transpose4(vf v[4])
{
	vf a = PAIR_LO(v[0], v[1]), b = PAIR_HI(v[0], v[1]);
	vf c = PAIR_LO(v[2], v[3]), d = PAIR_HI(v[2], v[3]);

	v[0] = QUAD_LO(a, c);
	v[1] = QUAD_HI(a, c);
	v[2] = QUAD_LO(b, d);
	v[3] = QUAD_HI(b, d);
}

/* LANES vectors: rows become columns. */
INLINE void transpose(vf v[LANES])
{
	UNROLL
	for (int q = 0; q < LANES; q += 4)
		transpose4(v + q);
#if LANES == 8
	UNROLL
	for (int k = 0; k < 4; k++) {
		vf a = v[k], b = v[4 + k];

		v[k] = EVEN(a, b);
		v[4 + k] = ODD(a, b);
	}
#elif LANES == 16
	UNROLL
	for (int k = 0; k < 4; k++) {
		vf even_a = EVEN(v[k], v[4 + k]), odd_a = ODD(v[k], v[4 + k]);
		vf even_b = EVEN(v[8 + k], v[12 + k]), odd_b = ODD(v[8 + k], v[12 + k]);

		v[k] = EVEN(even_a, even_b);
		v[4 + k] = EVEN(odd_a, odd_b);
		v[8 + k] = ODD(even_a, even_b);
		v[12 + k] = ODD(odd_a, odd_b);
	}
#endif
}

/* out[i]: element i of LANES blocks of n elements (a multiple of LANES) that lie one behind the
 * other. */
INLINE void load_blocks(const float *x, int n, vf *out)
{
	for (int i = 0; i < n; i += LANES) {
		UNROLL
		for (int k = 0; k < LANES; k++)
			out[i + k] = load(x + k * n + i);
		transpose(out + i);
	}
}

/* Four whole numbers from 0 to 255 as the bytes of a word, the first one lowest. */
INLINE vu pack4(vf a, vf b, vf c, vf d)
{
	return whole(a) | whole(b) << 8 | whole(c) << 16 | whole(d) << 24;
}

#endif
