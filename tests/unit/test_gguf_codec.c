/* Half precision, the table of types, and what is no number. Encoders: test_gguf_encoders.c. */
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

static uint64_t state_;

static uint64_t next(void) /* splitmix64 */
{
	uint64_t z = (state_ += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
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

static void what_does_not_fit_is_seen(void **state)
{
	static float x[64];
	unsigned char out[256];

	(void)state;
	for (size_t i = 0; i < 64; i++)
		x[i] = 1;
	x[40] = 1e30f;
	type_encoder(type_by_id(TYPE_Q8_0))(x, NULL, out, 64, 0);
	assert_int_equal(type_check(type_by_id(TYPE_Q8_0), out, 64), 1);
	type_encoder(type_by_id(TYPE_F16))(x, NULL, out, 64, 0);
	assert_int_equal(type_check(type_by_id(TYPE_F16), out, 64), 40);
	type_encoder(type_by_id(TYPE_BF16))(x, NULL, out, 64, 0);
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
		assert_true(t->decode || !t->encode[ISA_PORTABLE]); /* what is written is read */
	}
	assert_null(type_by_id(4));
	assert_null(type_by_id(UINT32_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_is_exact_both_ways),
		cmocka_unit_test(what_does_not_fit_is_seen),
		cmocka_unit_test(every_scale_is_looked_at),
		cmocka_unit_test(scales_of_other_kinds),
		cmocka_unit_test(the_table_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
