/* Codecs against plain arithmetic, and the fast paths against the portable ones: the same bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/gguf/half.h"
#include "workers/gguf/type.h"

#define N 8192

static uint64_t state_;

static uint64_t next(void) /* splitmix64 */
{
	uint64_t z = (state_ += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Blocks of every kind: weights, zeros, one large value, ties, subnormals, the largest binary16
 * scale. */
static void fill(float *x)
{
	static const float scales[] = { 0.02f, 1.0f, 1e-8f, 1e-30f, 3e4f, 1e-42f, 127.0f, 8.0f };

	for (size_t i = 0; i < N; i++) {
		float u = (float)(int32_t)(uint32_t)next() * 0x1p-31f;

		x[i] = u * scales[i / 32 % 8];
		if (i / 32 % 11 == 3)
			x[i] = i % 32 == 5 ? -0.5f : 0;
		if (i / 32 % 13 == 4)
			x[i] = (float)((int)(i % 17) - 8) *
			       0.5f; /* exact halves: rounding decides */
		if (i / 32 % 17 == 6)
			x[i] = 0;
	}
}

static void half_is_exact_both_ways(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 65536; h++) {
		float v = half_to_float((uint16_t)h), b = bfloat_to_float((uint16_t)h);

		if (!isnan(v))
			assert_int_equal(float_to_half(v), h);
		else
			assert_true(isnan(half_to_float(float_to_half(v))));
		if (!isnan(b))
			assert_int_equal(float_to_bfloat(b), h);
		else
			assert_true(isnan(bfloat_to_float(float_to_bfloat(b))));
	}
	assert_int_equal(float_to_half(65519.996f), 0x7bff);
	assert_int_equal(float_to_half(65520.0f), 0x7c00);
	assert_int_equal(float_to_half(0x1p-25f), 0);
	assert_int_equal(float_to_half(0x1.000002p-25f), 1);
}

static void fast_floats_are_the_portable_ones(void **state)
{
	static float x[N];
	static uint16_t a[N], b[N];
	static float fa[N], fb[N];

	(void)state;
	if (!have_avx2())
		skip();
	for (int round = 0; round < 200; round++) {
		for (size_t i = 0; i < N; i++) {
			x[i] = float_of((uint32_t)next());
			if (isnan(x[i]))
				x[i] = 0;
		}
		encode_f16(x, a, N - 3);
		encode_f16_avx2(x, b, N - 3);
		assert_memory_equal(a, b, (N - 3) * 2);
		encode_bf16(x, a, N - 5);
		encode_bf16_avx2(x, b, N - 5);
		assert_memory_equal(a, b, (N - 5) * 2);
		decode_f16(a, fa, N - 7);
		decode_f16_avx2(a, fb, N - 7);
		for (size_t i = 0; i < N - 7; i++)
			assert_true(bits_of(fa[i]) == bits_of(fb[i]) ||
				    (isnan(fa[i]) && isnan(fb[i])));
		decode_bf16(a, fa, N);
		decode_bf16_avx2(a, fb, N);
		assert_memory_equal(fa, fb, sizeof(fa));
	}
}

static void fast_blocks_are_the_portable_ones(void **state)
{
	static const int ids[] = { TYPE_Q8_0, TYPE_Q4_0 };
	static float x[N];
	static unsigned char a[N * 4], b[N * 4];

	(void)state;
	if (!have_avx2())
		skip();
	for (int round = 0; round < 200; round++) {
		fill(x);
		for (int k = 0; k < 2; k++) {
			const struct type *t = type_by_id((uint32_t)ids[k]);

			t->encode(x, a, N);
			t->encode_avx2(x, b, N);
			assert_memory_equal(a, b, (size_t)type_bytes(t, N));
		}
	}
}

/* |x - decoded| is at most half a step of the stored scale (a step for the clamped end of Q4_0). */
static void error_is_bounded(void **state)
{
	static float x[N], y[N];
	static unsigned char out[N * 4];
	const struct type *q8 = type_by_id(TYPE_Q8_0), *q4 = type_by_id(TYPE_Q4_0);

	(void)state;
	fill(x);
	q8->encode(x, out, N);
	q8->decode(out, y, N);
	for (size_t i = 0; i < N; i++) {
		uint16_t h;

		memcpy(&h, out + i / 32 * 34, 2);
		assert_true(fabsf(x[i] - y[i]) <= 0.51f * half_to_float(h) + 0x1p-25f * 127);
	}
	q4->encode(x, out, N);
	q4->decode(out, y, N);
	for (size_t i = 0; i < N; i++) {
		uint16_t h;

		memcpy(&h, out + i / 32 * 18, 2);
		assert_true(fabsf(x[i] - y[i]) <= 1.01f * fabsf(half_to_float(h)) + 0x1p-25f * 8);
	}
}

/* With +1 and -1 in a block, one of them is cut to 7/8: the rarer one, wherever it stands. */
static void a_tie_goes_to_the_better_sign(void **state)
{
	const struct type *q4 = type_by_id(TYPE_Q4_0);

	(void)state;
	for (int common = -1; common <= 1; common += 2) {
		for (int rare_at = 0; rare_at < 32; rare_at += 31) {
			float x[32], y[32];
			unsigned char out[18];

			for (int i = 0; i < 32; i++)
				x[i] = (float)(i == rare_at ? -common : common);
			q4->encode(x, out, 32);
			q4->decode(out, y, 32);
			for (int i = 0; i < 32; i++)
				assert_true(y[i] == (i == rare_at ? x[i] * 0.875f : x[i]));
		}
	}
}

static void what_does_not_fit_is_seen(void **state)
{
	static float x[64];
	unsigned char out[256];

	(void)state;
	for (size_t i = 0; i < 64; i++)
		x[i] = 1;
	x[40] = 1e30f;
	type_by_id(TYPE_Q8_0)->encode(x, out, 64);
	assert_int_equal(type_check(type_by_id(TYPE_Q8_0), out, 64), 1);
	type_by_id(TYPE_F16)->encode(x, out, 64);
	assert_int_equal(type_check(type_by_id(TYPE_F16), out, 64), 40);
	type_by_id(TYPE_BF16)->encode(x, out, 64);
	assert_int_equal(type_check(type_by_id(TYPE_BF16), out, 64), -1);
	assert_int_equal(find_nonfinite(x, 64), -1);
	x[63] = NAN;
	assert_int_equal(find_nonfinite(x, 64), 63);
	x[2] = -INFINITY;
	assert_int_equal(find_nonfinite(x, 64), 2);
}

/* Every type that llama.cpp writes: an infinite scale in one block of many is found, and random
 * blocks with finite scales pass. Places: ggml/src/ggml-common.h. */
static void every_scale_is_looked_at(void **state)
{
	static const struct {
		const char *type;
		int at[2];
	} scales[] = {
		{ "Q4_0", { 0, 0 } },	  { "Q4_1", { 0, 2 } },	   { "Q5_0", { 0, 0 } },
		{ "Q5_1", { 0, 2 } },	  { "Q8_0", { 0, 0 } },	   { "Q2_K", { 80, 82 } },
		{ "Q3_K", { 108, 108 } }, { "Q4_K", { 0, 2 } },	   { "Q5_K", { 0, 2 } },
		{ "Q6_K", { 208, 208 } }, { "IQ4_NL", { 0, 0 } },  { "IQ4_XS", { 0, 0 } },
		{ "IQ2_XXS", { 0, 0 } },  { "IQ3_S", { 0, 0 } },   { "IQ1_S", { 0, 0 } },
		{ "TQ1_0", { 52, 52 } },  { "TQ2_0", { 64, 64 } },
	};
	static unsigned char block[16 * 300];
	const uint16_t one = 0x3c00, infinite = 0x7c00, nan = 0xfe01;

	(void)state;
	for (size_t k = 0; k < sizeof(scales) / sizeof(scales[0]); k++) {
		const struct type *t = type_by_name(scales[k].type);

		for (int s = 0; s < 2; s++) {
			unsigned char *bad = block + 9 * (size_t)t->bytes + scales[k].at[s];

			for (size_t i = 0; i < sizeof(block); i++)
				block[i] = (unsigned char)next();
			for (size_t b = 0; b < 16; b++) {
				memcpy(block + b * t->bytes + scales[k].at[0], &one, 2);
				memcpy(block + b * t->bytes + scales[k].at[1], &one, 2);
			}
			assert_int_equal(type_check(t, block, 16 * (size_t)t->block), -1);
			memcpy(bad, &infinite, 2);
			assert_int_equal(type_check(t, block, 16 * (size_t)t->block), 9);
			memcpy(bad, &nan, 2);
			assert_int_equal(type_check(t, block, 16 * (size_t)t->block), 9);
		}
	}
}

static void scales_of_other_kinds(void **state)
{
	static unsigned char block[4 * 292];
	const float infinite = INFINITY;

	(void)state;
	memset(block, 0, sizeof(block));
	assert_int_equal(type_check(type_by_name("MXFP4"), block, 64), -1);
	block[17] = 255;
	assert_int_equal(type_check(type_by_name("MXFP4"), block, 64), 1);
	memset(block, 0, sizeof(block));
	assert_int_equal(type_check(type_by_name("Q8_K"), block, 768), -1);
	memcpy(block + 2 * 292, &infinite, 4);
	assert_int_equal(type_check(type_by_name("Q8_K"), block, 768), 2);
	memset(block, 0, sizeof(block));
	block[56 + 48 + 5] = 0xf0; /* bits 8..11 of the second block's scale */
	block[56 + 48 + 7] = 0x70; /* bits 12..15 */
	assert_int_equal(type_check(type_by_name("IQ1_M"), block, 512), 1);
	block[56 + 48 + 7] = 0x30;
	assert_int_equal(type_check(type_by_name("IQ1_M"), block, 512), -1);
}

static void the_table_is_sound(void **state)
{
	(void)state;
	for (uint32_t id = 0; id <= TYPE_ID_MAX; id++) {
		const struct type *t = type_by_id(id);

		if (!t)
			continue;
		assert_int_equal(t->id, id);
		assert_true(t->block > 0 && t->bytes > 0);
		assert_ptr_equal(type_by_name(t->name), t);
		assert_int_equal(!t->encode, !t->decode);
	}
	assert_null(type_by_id(4));
	assert_null(type_by_id(UINT32_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_is_exact_both_ways),
		cmocka_unit_test(fast_floats_are_the_portable_ones),
		cmocka_unit_test(fast_blocks_are_the_portable_ones),
		cmocka_unit_test(error_is_bounded),
		cmocka_unit_test(a_tie_goes_to_the_better_sign),
		cmocka_unit_test(what_does_not_fit_is_seen),
		cmocka_unit_test(every_scale_is_looked_at),
		cmocka_unit_test(scales_of_other_kinds),
		cmocka_unit_test(the_table_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
