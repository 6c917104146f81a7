/* workers/gguf/decode_small.c -- blocks of 32 to 128 weights with one or two scales.
 *
 * "Nibbles": byte j holds element j (low) and j+16 (high) of 32.
 * Q4_0    18: d, nibbles                          x = d*(q-8)
 * Q4_1    20: d, m, nibbles                       x = d*q + m
 * Q5_0    22: d, fifth bits (bit j: element j), nibbles     x = d*(q-16)
 * Q5_1    24: d, m, fifth bits, nibbles           x = d*q + m
 * Q8_0    34: d, i8[32]                           x = d*q
 * Q8_1    36: d, s, i8[32]                        x = d*q
 * IQ4_NL  18: d, nibbles                          x = d*levels[q]
 * MXFP4   17: e (E8M0), nibbles                   x = fp4[q]*2^(e-128)
 * NVFP4   36, 64 weights: 4 scales (UE4M3), 4 times 8 bytes, byte j: element j (low), j+8 (high);
 *                                                 x = fp4[q]*scale/2
 * Q1_0    18, 128 weights: d, bits                x = bit ? d : -d
 * Q2_0    18, 64 weights: d, pairs of bits        x = d*(q-1)
 *
 * d and m are binary16. Source: ggml/src/ggml-common.h, and ggml-quants.c for the order of
 * operations, which decides the last bit. */
#include <math.h>
#include <string.h>

#include "workers/gguf/codec.h"
#include "workers/gguf/half.h"

const int8_t iq4_levels[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
				1,    13,   25,	 38,  53,  69,	89,  113 };
const int8_t fp4_doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

static float half_at(const unsigned char *p)
{
	uint16_t h;

	memcpy(&h, p, 2);
	return half_to_float(h);
}

static uint32_t word_at(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static int nibble(const unsigned char *p, int j)
{
	return j < 16 ? p[j] & 15 : p[j - 16] >> 4;
}

void decode_q4_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 32, x += 32, p += 18) {
		float d = half_at(p);

		/* In halves, of which the compiler makes vectors: what was written is read back. */
		for (int j = 0; j < 16; j++)
			x[j] = (float)((p[2 + j] & 15) - 8) * d;
		for (int j = 0; j < 16; j++)
			x[16 + j] = (float)((p[2 + j] >> 4) - 8) * d;
	}
}

void decode_q4_1(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 32, x += 32, p += 20) {
		float d = half_at(p), m = half_at(p + 2);

		for (int j = 0; j < 32; j++)
			x[j] = (float)nibble(p + 4, j) * d + m;
	}
}

void decode_q5_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 32, x += 32, p += 22) {
		float d = half_at(p);
		uint32_t high = word_at(p + 2);

		for (int j = 0; j < 32; j++)
			x[j] = (float)((nibble(p + 6, j) | (int)(high >> j & 1) << 4) - 16) * d;
	}
}

void decode_q5_1(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 32, x += 32, p += 24) {
		float d = half_at(p), m = half_at(p + 2);
		uint32_t high = word_at(p + 4);

		for (int j = 0; j < 32; j++)
			x[j] = (float)(nibble(p + 8, j) | (int)(high >> j & 1) << 4) * d + m;
	}
}

void decode_q8_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 32, x += 32, p += 34) {
		float d = half_at(p);

		for (int j = 0; j < 32; j++)
			x[j] = (float)(signed char)p[2 + j] * d;
	}
}

void decode_q8_1(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 32, x += 32, p += 36) {
		float d = half_at(p);

		for (int j = 0; j < 32; j++)
			x[j] = (float)(signed char)p[4 + j] * d;
	}
}

void decode_iq4_nl(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 32, x += 32, p += 18) {
		float d = half_at(p);

		for (int j = 0; j < 32; j++)
			x[j] = d * (float)iq4_levels[nibble(p + 2, j)];
	}
}

void decode_mxfp4(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 32, x += 32, p += 17) {
		float d = ldexpf(1.0f, (int)p[0] - 128);

		for (int j = 0; j < 32; j++)
			x[j] = (float)fp4_doubled[nibble(p + 1, j)] * d;
	}
}

/* Unsigned, four bits of exponent (bias 7), three of mantissa; 0x7f would be NaN and counts as 0.
 */
static float ue4m3(unsigned char v)
{
	int exponent = v >> 3 & 15, mantissa = v & 7;

	if (v == 0 || v == 0x7f)
		return 0;
	return exponent ? ldexpf((float)(8 + mantissa), exponent - 10)
			: ldexpf((float)mantissa, -9);
}

void decode_nvfp4(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 64, x += 64, p += 36) {
		for (int j = 0; j < 64; j++) {
			unsigned char q = p[4 + j / 16 * 8 + j % 8];

			x[j] = (float)fp4_doubled[j % 16 < 8 ? q & 15 : q >> 4] *
			       (ue4m3(p[j / 16]) * 0.5f);
		}
	}
}

void decode_q1_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 128, x += 128, p += 18) {
		float d = half_at(p);

		for (int j = 0; j < 128; j++)
			x[j] = p[2 + j / 8] >> j % 8 & 1 ? d : -d;
	}
}

void decode_q2_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 64, x += 64, p += 18) {
		float d = half_at(p);

		for (int j = 0; j < 64; j++)
			x[j] = (float)((p[2 + j / 4] >> 2 * (j % 4) & 3) - 1) * d;
	}
}
