/* workers/gguf/half.h -- 16-bit floats, portable, with the results of the
 * processor's own instructions: IEEE 754 binary16 and bfloat16, rounding to
 * nearest even. test_half.c compares all 65,536 of each. */
#ifndef QUERN_WORKERS_GGUF_HALF_H
#define QUERN_WORKERS_GGUF_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of(float v)
{
	uint32_t u;

	memcpy(&u, &v, sizeof(u));
	return u;
}

static inline float float_of(uint32_t u)
{
	float v;

	memcpy(&v, &u, sizeof(v));
	return v;
}

static inline float half_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 0x3ff;

	if (exp == 31) /* Inf, NaN */
		return float_of(sign | 0x7f800000u | man << 13);
	if (exp == 0) { /* zero, subnormal: man * 2^-24 is exact */
		float v = (float)man * 0x1p-24f;

		return sign ? -v : v;
	}
	return float_of(sign | (exp + 112) << 23 | man << 13);
}

/* Overflow gives Inf; a NaN stays a (quiet) NaN. */
static inline uint16_t float_to_half(float v)
{
	uint32_t u = bits_of(v), sign = u >> 16 & 0x8000, a = u & 0x7fffffff, man, shift, rest;

	if (a > 0x7f800000)
		return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
	if (a >= 0x477ff000) /* 65520 and above round to infinity */
		return (uint16_t)(sign | 0x7c00);
	if (a >= 0x38800000) { /* normal: 2^-14 and above */
		uint32_t rounded = a + 0xfff + (a >> 13 & 1);

		return (uint16_t)(sign | ((rounded - 0x38000000) >> 13));
	}
	if (a < 0x33000000) /* below 2^-25: zero */
		return (uint16_t)sign;
	man = (a & 0x7fffff) | 0x800000;
	shift = 126 - (a >> 23); /* 14 to 24 */
	rest = man & ((1u << shift) - 1);
	man >>= shift;
	man += rest > 1u << (shift - 1) || (rest == 1u << (shift - 1) && (man & 1));
	return (uint16_t)(sign | man);
}

static inline float bfloat_to_float(uint16_t b)
{
	return float_of((uint32_t)b << 16);
}

static inline uint16_t float_to_bfloat(float v)
{
	uint32_t u = bits_of(v);

	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(u >> 16 | 0x40); /* quiet */
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

#endif
