/* workers/gguf/check.c -- is every scale a number? For types whose scales are not simply one or two
 * binary16 at fixed places; those are in the table of types. Layouts: ggml/src/ggml-common.h. */
#include <string.h>

#include "workers/gguf/type.h"

/* First without a branch, which the compiler makes vectors of; the place is wanted only once. */
int64_t check_f32(const void *in, size_t n)
{
	const unsigned char *p = in;
	uint32_t bad = 0, u;

	for (size_t i = 0; i < n; i++) {
		memcpy(&u, p + 4 * i, 4);
		bad |= (u & 0x7f800000) == 0x7f800000;
	}
	for (size_t i = 0; bad && i < n; i++) {
		memcpy(&u, p + 4 * i, 4);
		if ((u & 0x7f800000) == 0x7f800000)
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

int64_t check_f64(const void *in, size_t n)
{
	const unsigned char *p = in;

	for (size_t i = 0; i < n; i++) {
		uint64_t u;

		memcpy(&u, p + 8 * i, 8);
		if ((u >> 52 & 0x7ff) == 0x7ff)
			return (int64_t)i;
	}
	return -1;
}

/* Q8_K, 292 bytes for 256: d (binary32), i8 q[256], i16 sums[16]. */
int64_t check_q8_k(const void *in, size_t n)
{
	const unsigned char *p = in;

	for (size_t b = 0; b < n / 256; b++) {
		if (check_f32(p + 292 * b, 1) == 0)
			return (int64_t)b;
	}
	return -1;
}

/* IQ1_M, 56 bytes for 256: the four 16-bit words at 48 each hold four bits of one binary16 on top,
 * the lowest first. */
int64_t check_iq1_m(const void *in, size_t n)
{
	const unsigned char *p = in;

	for (size_t b = 0; b < n / 256; b++) {
		uint16_t word[4];
		unsigned h;

		memcpy(word, p + 56 * b + 48, sizeof(word));
		h = word[0] >> 12 | (word[1] >> 8 & 0x00f0) | (word[2] >> 4 & 0x0f00) |
		    (word[3] & 0xf000);
		if ((h & 0x7c00) == 0x7c00)
			return (int64_t)b;
	}
	return -1;
}

/* MXFP4, 17 bytes for 32: an exponent (E8M0), where 255 is no number, then nibbles. */
int64_t check_mxfp4(const void *in, size_t n)
{
	const unsigned char *p = in;

	for (size_t b = 0; b < n / 32; b++) {
		if (p[17 * b] == 255)
			return (int64_t)b;
	}
	return -1;
}

/* NVFP4, 36 bytes for 64: four scales (E4M3 without sign), where 127 is no number, then nibbles. */
int64_t check_nvfp4(const void *in, size_t n)
{
	const unsigned char *p = in;

	for (size_t b = 0; b < n / 64; b++) {
		for (int k = 0; k < 4; k++) {
			if ((p[36 * b + k] & 127) == 127)
				return (int64_t)b;
		}
	}
	return -1;
}
