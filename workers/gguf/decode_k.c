/* workers/gguf/decode_k.c -- super-blocks of 256 weights: sub-blocks of 16 or 32 with small integer
 * scales under one or two binary16 (d, dmin). Element 128h+32g+l, h = 0..1, g = 0..3, l = 0..31,
 * lies in sub-block b = 8h+2g+l/16 of 16.
 *
 * Q2_K    84: scales[16] (low: s, high: m), qs[64], d, dmin     x = d*s*q - dmin*m
 * Q3_K   110: high bits[32], qs[64], scales[12], d              x = d*(s-32)*(q-4)
 * Q4_K   144: d, dmin, scales[12], qs[128]                      x = d*s*q - dmin*m
 * Q5_K   176: d, dmin, scales[12], high bits[32], qs[128]       x = d*s*q - dmin*m
 * Q6_K   210: low bits[128], high bits[64], i8 scales[16], d    x = d*s*(q-32)
 * Q8_K   292: d (binary32), i8 qs[256], sums[16]                x = d*q
 * IQ4_XS 136: d, high bits of scales (u16), low ones[4], qs[128]  x = d*(s-32)*levels[q]
 * TQ1_0   54: qs[48] (five trits a byte), qh[4] (four), d       x = d*(t-1)
 * TQ2_0   66: qs[64], d                                         x = d*(q-1)
 *
 * Source: ggml/src/ggml-common.h; the order of operations is that of ggml-quants.c. */
#include <string.h>

#include "workers/gguf/codec.h"
#include "workers/gguf/half.h"

static float half_at(const unsigned char *p)
{
	uint16_t h;

	memcpy(&h, p, 2);
	return half_to_float(h);
}

void decode_q2_k(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 84) {
		float d = half_at(p + 80), dmin = half_at(p + 82);

		for (int i = 0; i < 256; i++) {
			int scale = p[i / 16],
			    q = p[16 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;

			x[i] = d * (float)(scale & 15) * (float)q - dmin * (float)(scale >> 4);
		}
	}
}

/* 6-bit scale b of sixteen: its low four bits, then its high two. */
static int q3_scale(const unsigned char *s, int b)
{
	int low = b < 8 ? s[b] & 15 : s[b - 8] >> 4;

	return low | (s[8 + b % 4] >> b / 4 * 2 & 3) << 4;
}

void decode_q3_k(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 110) {
		float d = half_at(p + 108);

		for (int i = 0; i < 256; i++) {
			int low = p[32 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
			int high = p[i % 32] >> i / 32 & 1;

			x[i] = d * (float)(q3_scale(p + 96, i / 16) - 32) *
			       (float)((low | high << 2) - 4);
		}
	}
}

/* Scale and minimum j of eight: six bits each, in twelve bytes. */
static void k4_scale(const unsigned char *s, int j, int *scale, int *min)
{
	if (j < 4) {
		*scale = s[j] & 63;
		*min = s[j + 4] & 63;
	} else {
		*scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
		*min = s[j + 4] >> 4 | s[j] >> 6 << 4;
	}
}

void decode_q4_k(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 144) {
		float d = half_at(p), dmin = half_at(p + 2);

		for (int j = 0; j < 8; j++) {
			int scale, min;

			k4_scale(p + 4, j, &scale, &min);
			for (int l = 0; l < 32; l++) {
				int q = p[16 + j / 2 * 32 + l] >> j % 2 * 4 & 15;

				x[32 * j + l] = d * (float)scale * (float)q - dmin * (float)min;
			}
		}
	}
}

void decode_q5_k(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 176) {
		float d = half_at(p), dmin = half_at(p + 2);

		for (int j = 0; j < 8; j++) {
			int scale, min;

			k4_scale(p + 4, j, &scale, &min);
			for (int l = 0; l < 32; l++) {
				int low = p[48 + j / 2 * 32 + l] >> j % 2 * 4 & 15;
				int q = low | (p[16 + l] >> j & 1) << 4;

				x[32 * j + l] = d * (float)scale * (float)q - dmin * (float)min;
			}
		}
	}
}

void decode_q6_k(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 210) {
		float d = half_at(p + 208);

		for (int i = 0; i < 256; i += 16) { /* that have one scale */
			int h = i / 128, g = i / 32 % 4, l = i % 32;
			const unsigned char *low = p + 64 * h + g % 2 * 32 + l;
			const unsigned char *high = p + 128 + 32 * h + l;
			float scale = d * (float)(signed char)p[192 + i / 16];

			for (int k = 0; k < 16; k++) {
				int q = (low[k] >> g / 2 * 4 & 15) | (high[k] >> 2 * g & 3) << 4;

				x[i + k] = scale * (float)(q - 32);
			}
		}
	}
}

void decode_q8_k(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 292) {
		float d;

		memcpy(&d, p, 4);
		for (int i = 0; i < 256; i++)
			x[i] = d * (float)(signed char)p[4 + i];
	}
}

void decode_iq4_xs(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 136) {
		float d = half_at(p);

		for (int i = 0; i < 256; i++) {
			int j = i / 32, l = i % 32;
			int low = p[4 + j / 2] >> j % 2 * 4 & 15;
			int high = p[2 + j / 4] >> j % 4 * 2 & 3;
			int byte = p[8 + 16 * j + l % 16], q = l < 16 ? byte & 15 : byte >> 4;

			x[i] = d * (float)((low | high << 4) - 32) * (float)iq4_levels[q];
		}
	}
}

/* Trit n of a byte that holds ceil(v*256/243): the first is the most significant one. */
static int trit(unsigned char byte, int n)
{
	static const unsigned char power[5] = { 1, 3, 9, 27, 81 };

	return (unsigned char)(byte * power[n]) * 3 >> 8;
}

void decode_tq1_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 54) {
		float d = half_at(p + 52);

		for (int i = 0; i < 256; i++) {
			int t = i < 160	  ? trit(p[i % 32], i / 32)
				: i < 240 ? trit(p[32 + (i - 160) % 16], (i - 160) / 16)
					  : trit(p[48 + i % 4], (i - 240) / 4);

			x[i] = (float)(t - 1) * d;
		}
	}
}

void decode_tq2_0(const void *in, float *x, size_t n)
{
	const unsigned char *p = in;

	for (; n; n -= 256, x += 256, p += 66) {
		float d = half_at(p + 64);

		for (int i = 0; i < 256; i++) {
			int q = p[i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;

			x[i] = (float)(q - 1) * d;
		}
	}
}
