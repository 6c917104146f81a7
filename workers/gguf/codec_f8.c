/* Eight-bit floats and integers of checkpoints, read only. E4M3FN: bias 7, no infinity, NaN is all
 * ones; E5M2: as IEEE 754, bias 15. Source: "FP8 Formats for Deep Learning", arXiv 2209.05433,
 * table 1. */
#include <math.h>
#include <stdint.h>

#include "workers/gguf/half.h"
#include "workers/gguf/type.h"

static float e4m3(uint8_t v)
{
	int exponent = v >> 3 & 15, mantissa = v & 7;
	float x = exponent ? ldexpf((float)(8 + mantissa), exponent - 10)
			   : ldexpf((float)mantissa, -9);

	if ((v & 0x7f) == 0x7f)
		x = NAN;
	return v & 0x80 ? -x : x;
}

void load_i8(const void *in, float *x, size_t n)
{
	const int8_t *p = in;

	for (size_t i = 0; i < n; i++)
		x[i] = (float)p[i];
}

void load_f8_e4m3(const void *in, float *x, size_t n)
{
	const uint8_t *p = in;
	float table[256];

	for (int i = 0; i < 256; i++)
		table[i] = e4m3((uint8_t)i);
	for (size_t i = 0; i < n; i++)
		x[i] = table[p[i]];
}

/* The upper half of a binary16. */
void load_f8_e5m2(const void *in, float *x, size_t n)
{
	const uint8_t *p = in;

	for (size_t i = 0; i < n; i++)
		x[i] = half_to_float((uint16_t)(p[i] << 8));
}
