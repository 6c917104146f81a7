/* workers/gguf/decode_lattice.c -- IQ1, IQ2 and IQ3: 256 weights in groups of eight or four, each a
 * point of a lattice (codebook.inc) with signs or a shift, times a small scale of 16 or 32 weights,
 * times d (binary16). qs, qh: indexes.
 *
 * IQ2_XXS  66: d; for each 32: four indexes u8, then u32: 4 x 7 signs, scale in the top four bits
 * IQ2_XS   74: d; for each 8: u16, index in nine bits, 7 signs; scales[8] (one nibble for 16)
 * IQ2_S    82: d; qs[32], signs[32], qh[8] (two bits for each 8), scales[8] (one nibble for 16)
 * IQ3_XXS  98: d; qs[64] (one for each 4); for each 32: u32 as in IQ2_XXS
 * IQ3_S   110: d; qs[64], qh[8] (one bit for each 4), signs[32], scales[4] (one nibble for 32)
 * IQ1_S    50: d; qs[32]; for each 32: u16: 4 x 3 bits of index, 3 of scale, sign of the shift
 * IQ1_M    56: qs[32]; qh[16] (for each 8: three bits of index, sign of the shift); u16[4]: four
 * times three bits of scale for 16, then four bits of d
 *
 * x = d*(1/2+s)/4*g (IQ2), d*(1/2+s)/2*g (IQ3_XXS), d*(1+2s)*g (IQ3_S), d*(1+2s)*(g+shift), shift =
 * +-1/8 (IQ1). Source: ggml/src/ggml-common.h; the order of operations is that of ggml-quants.c. */
#include <string.h>

#include "workers/gguf/codebook.inc"
#include "workers/gguf/codec.h"
#include "workers/gguf/half.h"
#include "workers/gguf/lattice.h"

#define SHIFT 0.125f

const struct codebook codebooks[LATTICE_COUNT] = {
	[LATTICE_IQ2_XXS] = { iq2_xxs, 256, 8, 2 }, [LATTICE_IQ2_XS] = { iq2_xs, 512, 8, 2 },
	[LATTICE_IQ2_S] = { iq2_s, 1024, 8, 2 },    [LATTICE_IQ3_XXS] = { iq3_xxs, 256, 4, 3 },
	[LATTICE_IQ3_S] = { iq3_s, 512, 4, 3 },	    [LATTICE_IQ1] = { iq1_s, 2048, 8, 2 },
};

static uint16_t u16_at(const unsigned char *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static uint32_t u32_at(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static float half_at(const unsigned char *p)
{
	return half_to_float(u16_at(p));
}

/* Seven signs are stored; the eighth makes the number of minus signs even. */
static unsigned all_signs(unsigned seven)
{
	return seven | (unsigned)__builtin_parity(seven) << 7;
}

/* Eight weights of IQ2. */
static void put_2(float *x, float d, uint16_t point, unsigned signs)
{
	static const float level[4] = { 8, 25, 43, 0 };

	for (int j = 0; j < 8; j++)
		x[j] = d * level[point >> 2 * j & 3] * (signs >> j & 1 ? -1.0f : 1.0f);
}

/* Four weights of IQ3; level = base + step*code. */
static void put_3(float *x, float d, uint16_t point, unsigned signs, const float *level)
{
	for (int j = 0; j < 4; j++)
		x[j] = d * level[point >> 3 * j & 7] * (signs >> j & 1 ? -1.0f : 1.0f);
}

/* Eight weights of IQ1. */
static void put_1(float *x, float d, uint16_t point, float shift)
{
	for (int j = 0; j < 8; j++)
		x[j] = d * ((float)((point >> 2 * j & 3) - 1) + shift);
}

void decode_iq2_xxs(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 66) {
		for (int i = 0; i < 32; i++) {
			const unsigned char *q = p + 2 + i / 4 * 8;
			uint32_t word = u32_at(q + 4);
			float d = half_at(p) * (0.5f + (float)(word >> 28)) * 0.25f;

			put_2(x + 8 * i, d, iq2_xxs[q[i % 4]], all_signs(word >> i % 4 * 7 & 127));
		}
	}
}

void decode_iq2_xs(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 74) {
		for (int i = 0; i < 32; i++) {
			unsigned q = u16_at(p + 2 + 2 * i);
			float s = (float)(p[66 + i / 4] >> i / 2 % 2 * 4 & 15);
			float d = half_at(p) * (0.5f + s) * 0.25f;

			put_2(x + 8 * i, d, iq2_xs[q & 511], all_signs(q >> 9));
		}
	}
}

void decode_iq2_s(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 82) {
		for (int i = 0; i < 32; i++) {
			int at = p[2 + i] | (p[66 + i / 4] >> i % 4 * 2 & 3) << 8;
			float s = (float)(p[74 + i / 4] >> i / 2 % 2 * 4 & 15);
			float d = half_at(p) * (0.5f + s) * 0.25f;

			put_2(x + 8 * i, d, iq2_s[at], p[34 + i]);
		}
	}
}

void decode_iq3_xxs(const void *in, float *x, size_t n)
{
	static const float level[8] = { 4, 12, 20, 28, 36, 44, 52, 62 };
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 98) {
		for (int i = 0; i < 64; i++) {
			uint32_t word = u32_at(p + 66 + i / 8 * 4);
			float d = half_at(p) * (0.5f + (float)(word >> 28)) * 0.5f;
			unsigned signs = all_signs(word >> i / 2 % 4 * 7 & 127);

			put_3(x + 4 * i, d, iq3_xxs[p[2 + i]], signs >> i % 2 * 4, level);
		}
	}
}

void decode_iq3_s(const void *in, float *x, size_t n)
{
	static const float level[8] = { 1, 3, 5, 7, 9, 11, 13, 15 };
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 110) {
		for (int i = 0; i < 64; i++) {
			int at = p[2 + i] | (p[66 + i / 8] >> i % 8 & 1) << 8;
			int s = p[106 + i / 16] >> i / 8 % 2 * 4 & 15;
			unsigned signs = p[74 + i / 2];

			put_3(x + 4 * i, half_at(p) * (float)(1 + 2 * s), iq3_s[at],
			      signs >> i % 2 * 4, level);
		}
	}
}

void decode_iq1_s(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 50) {
		for (int i = 0; i < 32; i++) {
			unsigned h = u16_at(p + 34 + i / 4 * 2);
			unsigned at = p[2 + i] | (h >> i % 4 * 3 & 7) << 8;
			float d = half_at(p) * (float)(2 * (h >> 12 & 7) + 1);

			put_1(x + 8 * i, d, iq1_s[at], h & 0x8000 ? -SHIFT : SHIFT);
		}
	}
}

void decode_iq1_m(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 56) {
		const unsigned char *scales = p + 48;
		unsigned h = 0;
		float whole;

		for (int k = 0; k < 4; k++)
			h |= (unsigned)u16_at(scales + 2 * k) >> 12 << 4 * k;
		whole = half_to_float((uint16_t)h);
		for (int i = 0; i < 32; i++) {
			unsigned high = p[32 + i / 2] >> i % 2 * 4, at = p[i] | (high & 7) << 8;
			unsigned s = u16_at(scales + i / 8 * 2) >> i / 2 % 4 * 3 & 7;

			put_1(x + 8 * i, whole * (float)(2 * s + 1), iq1_s[at],
			      high & 8 ? -SHIFT : SHIFT);
		}
	}
}
