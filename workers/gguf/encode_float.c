/* workers/gguf/encode_float.c -- F32, F16 and BF16, both ways: reading checkpoints needs speed as
 * well. Bytes may lie at any address. Compiled once for each instruction set (codec.h). */
#include "workers/gguf/codec.h"
#include "workers/gguf/lanes.h"

typedef uint16_t v16 __attribute__((vector_size(2 * LANES)));

#define INFINITE 0x7f800000u

INLINE void some_to_f16(const float *x, unsigned char *out)
{
	uint16_t half[LANES];

	store_half(load(x), half);
	memcpy(out, half, sizeof(half));
}

/* To nearest even; a NaN stays one, and quiet. */
INLINE void some_to_bf16(const float *x, unsigned char *out)
{
	vu u = (vu)load(x), nan = (vu)((u & 0x7fffffffu) > INFINITE);
	vu r = (nan & (u >> 16 | 0x40)) | (~nan & (u + 0x7fff + (u >> 16 & 1)) >> 16);
	v16 half = __builtin_convertvector(r, v16);

	memcpy(out, &half, sizeof(half));
}

INLINE void some_from_f16(const unsigned char *in, float *x)
{
	uint16_t half[LANES];

	memcpy(half, in, sizeof(half));
	store(x, load_half(half));
}

INLINE void some_from_bf16(const unsigned char *in, float *x)
{
	v16 half;

	memcpy(&half, in, sizeof(half));
	store(x, (vf)(__builtin_convertvector(half, vu) << 16));
}

INLINE void to_16(const float *x, unsigned char *out, size_t n,
		  void (*some)(const float *, unsigned char *))
{
	float last[LANES] = { 0 };
	unsigned char end[2 * LANES];
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		some(x + i, out + 2 * i);
	if (i == n)
		return;
	memcpy(last, x + i, (n - i) * sizeof(*x));
	some(last, end);
	memcpy(out + 2 * i, end, 2 * (n - i));
}

INLINE void from_16(const unsigned char *in, float *x, size_t n,
		    void (*some)(const unsigned char *, float *))
{
	unsigned char last[2 * LANES] = { 0 };
	float end[LANES];
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		some(in + 2 * i, x + i);
	if (i == n)
		return;
	memcpy(last, in + 2 * i, 2 * (n - i));
	some(last, end);
	memcpy(x + i, end, (n - i) * sizeof(*x));
}

void ISA(encode_f32)(const float *x, const float *w, void *out, size_t n, int opt)
{
	(void)w;
	(void)opt;
	memcpy(out, x, n * sizeof(*x));
}

void ISA(encode_f16)(const float *x, const float *w, void *out, size_t n, int opt)
{
	(void)w;
	(void)opt;
	to_16(x, out, n, some_to_f16);
}

void ISA(encode_bf16)(const float *x, const float *w, void *out, size_t n, int opt)
{
	(void)w;
	(void)opt;
	to_16(x, out, n, some_to_bf16);
}

void ISA(decode_f16)(const void *in, float *x, size_t n)
{
	from_16(in, x, n, some_from_f16);
}

void ISA(decode_bf16)(const void *in, float *x, size_t n)
{
	from_16(in, x, n, some_from_bf16);
}

/* Without a branch inside; the place is wanted only when there is one. */
int ISA(all_finite)(const float *x, size_t n)
{
	vu bad = { 0 };
	uint32_t lane[LANES], any_bad = 0;
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		bad |= (vu)(((vu)load(x + i) & INFINITE) == INFINITE);
	memcpy(lane, &bad, sizeof(lane));
	for (int k = 0; k < LANES; k++)
		any_bad |= lane[k];
	for (; i < n; i++)
		any_bad |= (bits_of(x[i]) & INFINITE) == INFINITE;
	return !any_bad;
}
