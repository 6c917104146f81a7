/* workers/gguf/codec_float.c -- F32, F16 and BF16. Input and output of the
 * 16-bit ones may lie at any address. */
#include <string.h>

#include "workers/gguf/half.h"
#include "workers/gguf/type.h"

#define EXPONENT 0x7f800000u /* all ones: NaN or infinity */

void encode_f32(const float *x, void *out, size_t n)
{
	memcpy(out, x, n * sizeof(*x));
}

void decode_f32(const void *in, float *x, size_t n)
{
	memcpy(x, in, n * sizeof(*x));
}

#define ENCODE_16(name, convert)                                                                   \
	void name(const float *x, void *out, size_t n)                                             \
	{                                                                                          \
		unsigned char *p = out;                                                            \
                                                                                                   \
		for (size_t i = 0; i < n; i++) {                                                   \
			uint16_t v = convert(x[i]);                                                \
                                                                                                   \
			memcpy(p + 2 * i, &v, 2);                                                  \
		}                                                                                  \
	}

#define DECODE_16(name, convert)                                                                   \
	void name(const void *in, float *x, size_t n)                                              \
	{                                                                                          \
		const unsigned char *p = in;                                                       \
                                                                                                   \
		for (size_t i = 0; i < n; i++) {                                                   \
			uint16_t v;                                                                \
                                                                                                   \
			memcpy(&v, p + 2 * i, 2);                                                  \
			x[i] = convert(v);                                                         \
		}                                                                                  \
	}

ENCODE_16(encode_f16, float_to_half)
ENCODE_16(encode_bf16, float_to_bfloat)
DECODE_16(decode_f16, half_to_float)
DECODE_16(decode_bf16, bfloat_to_float)

/* First without a branch, which the compiler makes vectors of; the place is wanted only once. */
int64_t check_f32(const void *in, size_t n)
{
	const unsigned char *p = in;
	uint32_t bad = 0, u;

	for (size_t i = 0; i < n; i++) {
		memcpy(&u, p + 4 * i, 4);
		bad |= (u & EXPONENT) == EXPONENT;
	}
	for (size_t i = 0; bad && i < n; i++) {
		memcpy(&u, p + 4 * i, 4);
		if ((u & EXPONENT) == EXPONENT)
			return (int64_t)i;
	}
	return -1;
}

static int64_t check_16(const void *in, size_t n, uint16_t exponent)
{
	const unsigned char *p = in;
	uint16_t bad = 0, u;

	for (size_t i = 0; i < n; i++) {
		memcpy(&u, p + 2 * i, 2);
		bad |= (u & exponent) == exponent;
	}
	for (size_t i = 0; bad && i < n; i++) {
		memcpy(&u, p + 2 * i, 2);
		if ((u & exponent) == exponent)
			return (int64_t)i;
	}
	return -1;
}

int64_t check_f16(const void *in, size_t n)
{
	return check_16(in, n, 0x7c00);
}

int64_t check_bf16(const void *in, size_t n)
{
	return check_16(in, n, 0x7f80);
}

/* The largest magnitude as an integer, which orders as the float does: no branch inside. */
static uint32_t largest_magnitude(const float *x, size_t n)
{
	uint32_t worst = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t a = bits_of(x[i]) & 0x7fffffff;

		worst = a > worst ? a : worst;
	}
	return worst;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2,f16c"))) void encode_f16_avx2(const float *x, void *out, size_t n)
{
	unsigned char *p = out;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		__m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);

		_mm_storeu_si128((__m128i *)(p + 2 * i), h);
	}
	encode_f16(x + i, p + 2 * i, n - i);
}

__attribute__((target("avx2,f16c"))) void decode_f16_avx2(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(x + i,
				 _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 2 * i))));
	decode_f16(p + 2 * i, x + i, n - i);
}

__attribute__((target("avx2,f16c"))) void encode_bf16_avx2(const float *x, void *out, size_t n)
{
	const __m256i bias = _mm256_set1_epi32(0x7fff), one = _mm256_set1_epi32(1);
	const __m256i abs = _mm256_set1_epi32(0x7fffffff), inf = _mm256_set1_epi32(0x7f800000);
	const __m256i quiet = _mm256_set1_epi32(0x40);
	unsigned char *p = out;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		__m256i u = _mm256_loadu_si256((const __m256i *)(x + i));
		__m256i high = _mm256_srli_epi32(u, 16);
		__m256i sum =
			_mm256_add_epi32(u, _mm256_add_epi32(bias, _mm256_and_si256(high, one)));
		__m256i nan = _mm256_cmpgt_epi32(_mm256_and_si256(u, abs), inf);
		__m256i r = _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16),
					       _mm256_or_si256(high, quiet), nan);
		__m128i lo = _mm256_castsi256_si128(r), hi = _mm256_extracti128_si256(r, 1);

		_mm_storeu_si128((__m128i *)(p + 2 * i), _mm_packus_epi32(lo, hi));
	}
	encode_bf16(x + i, p + 2 * i, n - i);
}

__attribute__((target("avx2,f16c"))) void decode_bf16_avx2(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		__m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 2 * i)));

		_mm256_storeu_si256((__m256i *)(x + i), _mm256_slli_epi32(u, 16));
	}
	decode_bf16(p + 2 * i, x + i, n - i);
}

/* Magnitudes are below 2^31, so that the signed comparison is right. */
__attribute__((target("avx2"))) static uint32_t largest_magnitude_avx2(const float *x, size_t n)
{
	const __m256i abs = _mm256_set1_epi32(0x7fffffff);
	__m256i worst = _mm256_setzero_si256();
	uint32_t lane[8], most;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		__m256i u = _mm256_loadu_si256((const __m256i *)(x + i));

		worst = _mm256_max_epi32(worst, _mm256_and_si256(u, abs));
	}
	_mm256_storeu_si256((__m256i *)lane, worst);
	most = largest_magnitude(x + i, n - i);
	for (int k = 0; k < 8; k++)
		most = lane[k] > most ? lane[k] : most;
	return most;
}
#else
static uint32_t largest_magnitude_avx2(const float *x, size_t n)
{
	return largest_magnitude(x, n);
}

void encode_f16_avx2(const float *x, void *out, size_t n)
{
	encode_f16(x, out, n);
}

void decode_f16_avx2(const void *in, float *x, size_t n)
{
	decode_f16(in, x, n);
}

void encode_bf16_avx2(const float *x, void *out, size_t n)
{
	encode_bf16(x, out, n);
}

void decode_bf16_avx2(const void *in, float *x, size_t n)
{
	decode_bf16(in, x, n);
}
#endif

int64_t find_nonfinite(const float *x, size_t n)
{
	uint32_t worst = have_avx2() ? largest_magnitude_avx2(x, n) : largest_magnitude(x, n);

	return worst < EXPONENT ? -1 : check_f32(x, n);
}
