/* workers/gguf/codec_legacy.c -- blocks of 32 weights with one scale.
 *
 * Q8_0, 34 bytes: d (binary16), i8 q[32];          x = d*q, q in -127..127
 * Q4_0, 18 bytes: d (binary16), 16 bytes of nibbles: byte j holds element j
 *                 (low) and j+16 (high);           x = d*(q-8), q in 0..15
 *
 * Source: ggml/src/ggml-common.h (block_q8_0, block_q4_0). The scale is chosen
 * as ggml's reference quantizers choose it (ggml-quants.c); but weights are
 * rounded with the scale that is stored, not with the one before its rounding to
 * binary16, which makes the error a little smaller for the same bytes. */
#include <math.h>
#include <string.h>

#include "workers/gguf/half.h"
#include "workers/gguf/type.h"

#define BLOCK 32
#define Q8_BYTES 34
#define Q4_BYTES 18

/* The stored scale and its inverse; a scale too small for binary16 makes the block zero. */
static inline float store_scale(unsigned char *p, float d)
{
	uint16_t h = float_to_half(d);
	float stored = half_to_float(h);

	memcpy(p, &h, 2);
	return stored != 0 && isfinite(stored) ? 1.0f / stored : 0.0f;
}

static inline int clamp(int v, int lo, int hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

void encode_q8_0(const float *x, void *out, size_t n)
{
	unsigned char *p = out;

	for (size_t b = 0; b < n; b += BLOCK, p += Q8_BYTES) {
		float max = 0, inv;

		for (int i = 0; i < BLOCK; i++) {
			float a = fabsf(x[b + i]);

			max = a > max ? a : max;
		}
		inv = store_scale(p, max / 127.0f);
		for (int i = 0; i < BLOCK; i++) {
			/* -128 is never written: the dot products of some kernels are exact for
			 * -127..127 only. */
			int q = clamp((int)rintf(x[b + i] * inv), -127, 127);

			p[2 + i] = (unsigned char)(signed char)q;
		}
	}
}

void decode_q8_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (size_t b = 0; b < n; b += BLOCK, p += Q8_BYTES) {
		uint16_t h;
		float d;

		memcpy(&h, p, 2);
		d = half_to_float(h);
		for (int i = 0; i < BLOCK; i++)
			x[b + i] = (float)(signed char)p[2 + i] * d;
	}
}

/* d for the extreme at code 0 (-8). A block of zeros gets +0 whatever their signs. */
static inline float q4_scale(float signed_max)
{
	return signed_max == 0 ? 0.0f : signed_max / -8.0f;
}

static void q4_block(const float *x, float signed_max, unsigned char *p)
{
	float inv = store_scale(p, q4_scale(signed_max));

	for (int j = 0; j < BLOCK / 2; j++) {
		int lo = clamp((int)rintf(x[j] * inv), -8, 7) + 8;
		int hi = clamp((int)rintf(x[j + 16] * inv), -8, 7) + 8;

		p[2 + j] = (unsigned char)(lo | hi << 4);
	}
}

/* Both +m and -m are in the block, which 16-bit sources make common: only one of them gets the
 * code -8, the other is cut to 7. Take the sign that loses less (ggml: the one that comes first).
 */
static void q4_tie(const float *x, float m, unsigned char *p)
{
	unsigned char other[Q4_BYTES];
	float y[2][BLOCK], error[2] = { 0, 0 };

	q4_block(x, m, p);
	q4_block(x, -m, other);
	decode_q4_0(p, y[0], BLOCK);
	decode_q4_0(other, y[1], BLOCK);
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < BLOCK; i++)
			error[k] += (y[k][i] - x[i]) * (y[k][i] - x[i]);
	if (error[1] < error[0])
		memcpy(p, other, sizeof(other));
}

void encode_q4_0(const float *x, void *out, size_t n)
{
	unsigned char *p = out;

	for (size_t b = 0; b < n; b += BLOCK, p += Q4_BYTES) {
		float most = x[b], least = x[b];

		for (int i = 1; i < BLOCK; i++) {
			most = x[b + i] > most ? x[b + i] : most;
			least = x[b + i] < least ? x[b + i] : least;
		}
		if (most == -least)
			q4_tie(x + b, most, p);
		else
			q4_block(x + b, most > -least ? most : least, p);
	}
}

void decode_q4_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (size_t b = 0; b < n; b += BLOCK, p += Q4_BYTES) {
		uint16_t h;
		float d;

		memcpy(&h, p, 2);
		d = half_to_float(h);
		for (int j = 0; j < BLOCK / 2; j++) {
			x[b + j] = (float)((p[2 + j] & 15) - 8) * d;
			x[b + j + 16] = (float)((p[2 + j] >> 4) - 8) * d;
		}
	}
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,f16c")))

AVX2 static inline float largest(__m256 a)
{
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	m = _mm_max_ss(m, _mm_movehdup_ps(m));
	return _mm_cvtss_f32(m);
}

/* As store_scale(), by F16C. */
AVX2 static inline __m256 store_scale_avx2(unsigned char *p, float d)
{
	uint16_t h = (uint16_t)_cvtss_sh(d, _MM_FROUND_TO_NEAREST_INT);
	float stored = _cvtsh_ss(h);

	memcpy(p, &h, 2);
	return _mm256_set1_ps(stored != 0 && (h & 0x7c00) != 0x7c00 ? 1.0f / stored : 0.0f);
}

/* Four vectors of 8 to 32 bytes in order; q is rounded to nearest even as rintf() does. */
AVX2 static inline __m256i round_pack(const __m256 v[4], __m256 inv)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i q[4], w0, w1;

	for (int k = 0; k < 4; k++)
		q[k] = _mm256_cvtps_epi32(_mm256_mul_ps(v[k], inv));
	w0 = _mm256_packs_epi32(q[0], q[1]);
	w1 = _mm256_packs_epi32(q[2], q[3]);
	return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(w0, w1), order);
}

AVX2 static inline void load_block(const float *x, __m256 v[4])
{
	for (int k = 0; k < 4; k++)
		v[k] = _mm256_loadu_ps(x + 8 * k);
}

AVX2 static inline float magnitude_avx2(const __m256 v[4])
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	__m256 m = _mm256_andnot_ps(sign, v[0]);

	for (int k = 1; k < 4; k++)
		m = _mm256_max_ps(m, _mm256_andnot_ps(sign, v[k]));
	return largest(m);
}

AVX2 void encode_q8_0_avx2(const float *x, void *out, size_t n)
{
	const __m256i least = _mm256_set1_epi8(-127);
	unsigned char *p = out;

	for (size_t b = 0; b < n; b += BLOCK, p += Q8_BYTES) {
		__m256 v[4], inv;

		load_block(x + b, v);
		inv = store_scale_avx2(p, magnitude_avx2(v) / 127.0f);
		_mm256_storeu_si256((__m256i *)(p + 2), _mm256_max_epi8(round_pack(v, inv), least));
	}
}

AVX2 void encode_q4_0_avx2(const float *x, void *out, size_t n)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	const __m256i floor = _mm256_set1_epi8(-8), ceiling = _mm256_set1_epi8(7);
	unsigned char *p = out;

	for (size_t b = 0; b < n; b += BLOCK, p += Q4_BYTES) {
		__m256 v[4], inv;
		__m256i q;
		__m128i lo, hi;
		float most, least;

		load_block(x + b, v);
		most = largest(_mm256_max_ps(_mm256_max_ps(v[0], v[1]), _mm256_max_ps(v[2], v[3])));
		least = -largest(_mm256_xor_ps(
			_mm256_min_ps(_mm256_min_ps(v[0], v[1]), _mm256_min_ps(v[2], v[3])), sign));
		if (most == -least) {
			q4_tie(x + b, most, p);
			continue;
		}
		inv = store_scale_avx2(p, q4_scale(most > -least ? most : least));
		q = _mm256_min_epi8(_mm256_max_epi8(round_pack(v, inv), floor), ceiling);
		q = _mm256_add_epi8(q, _mm256_set1_epi8(8));
		lo = _mm256_castsi256_si128(q);
		hi = _mm256_extracti128_si256(q, 1);
		/* Codes are 0..15: shifting 16-bit lanes by 4 moves no bit into a neighbour byte.
		 */
		_mm_storeu_si128((__m128i *)(p + 2), _mm_or_si128(lo, _mm_slli_epi16(hi, 4)));
	}
}
#else
void encode_q8_0_avx2(const float *x, void *out, size_t n)
{
	encode_q8_0(x, out, n);
}

void encode_q4_0_avx2(const float *x, void *out, size_t n)
{
	encode_q4_0(x, out, n);
}
#endif
