#include "workers/fake/weights.h"

#include <math.h>
#include <string.h>

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of z changes every bit of the
 * result. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t weights_key(uint64_t seed, const char *tensor)
{
	uint64_t h = mix(seed + 1);

	for (; *tensor; tensor++)
		h = mix(h ^ (unsigned char)*tensor);
	return h;
}

/* The sum of four uniform 16-bit numbers is nearly normal and costs no logarithm. Around its mean
 * 131070 its standard deviation is sqrt(4 * (2^32 - 1) / 12) = 37837.2; dividing by that and times
 * 0.02 gives the scale. An integer below 2^18 times one float: the same bits on every machine. */
static float value(uint64_t key, uint64_t i)
{
	uint64_t r = mix(key + (i + 1) * 0x9e3779b97f4a7c15u);
	int32_t sum = (int32_t)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48));

	return (float)(sum - 131070) * 0x1.1bc77ap-21f;
}

static uint32_t bits_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static uint16_t bf16(float x)
{
	uint32_t u = bits_of(x);

	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16); /* ties to even */
}

uint16_t weights_f16(float x)
{
	uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, m = u & 0x7fffffff;

	/* Below 2^-14 a half counts in steps of 2^-24. So does a float from 0.5 to 1: adding 0.5
	 * makes the processor round to such a step, and the low bits are the answer. */
	if (m < 0x38800000)
		return (uint16_t)(sign | (bits_of(fabsf(x) + 0.5f) - 0x3f000000));
	m -= 112u << 23; /* the exponent's bias: 127 becomes 15 */
	return (uint16_t)(sign | ((m + 0xfff + (m >> 13 & 1)) >> 13));
}

/* memcpy of a uint16_t or float is its bytes: the formats are little-endian, and so is every
 * machine this builds for. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "weights are written as they lie in memory");

void weights_random(uint64_t key, enum fake_dtype dtype, uint64_t first, size_t n, void *out)
{
	uint16_t *half = out;
	float *full = out;

	switch (dtype) {
	case FAKE_BF16:
		for (size_t i = 0; i < n; i++)
			half[i] = bf16(value(key, first + i));
		break;
	case FAKE_F16:
		for (size_t i = 0; i < n; i++)
			half[i] = weights_f16(value(key, first + i));
		break;
	case FAKE_F32:
		for (size_t i = 0; i < n; i++)
			full[i] = value(key, first + i);
		break;
	}
}

void weights_ones(enum fake_dtype dtype, size_t n, void *out)
{
	uint16_t *half = out;
	float *full = out;

	for (size_t i = 0; i < n; i++) {
		if (dtype == FAKE_F32)
			full[i] = 1;
		else
			half[i] = dtype == FAKE_BF16 ? 0x3f80 : 0x3c00;
	}
}
