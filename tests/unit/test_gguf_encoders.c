/* Every encoder: the same bytes from every instruction set and however rows are cut, no -0, no NaN,
 * error within bounds, opt 1 never worse than opt 0 on any block. Errors against ggml's:
 * tests/peer/test_codec.py. */
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

#define N 8192 /* weights; 32 super-blocks */

static uint64_t state_;

static uint64_t next(void) /* splitmix64 */
{
	uint64_t z = (state_ += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* From -1 to 1. */
static float uniform(void)
{
	return (float)(int32_t)(uint32_t)next() * 0x1p-31f;
}

/* Close to normal: the sum of three. */
static float bell(void)
{
	return uniform() + uniform() + uniform();
}

/* Super-blocks of every kind: weights of many sizes, zeros of both signs, one large value, ties,
 * subnormals, the largest scale of binary16, only positive, far from zero, three values. */
static float weight(size_t block, size_t i)
{
	static const float scales[] = { 0.02f, 1.0f, 1e-8f, 1e-30f, 1e3f, 1e-42f, 127.0f, 1e-6f };
	float v = bell() * scales[block % 8];

	switch (block % 19) {
	case 8:
		return i % 32 == 5 ? -0.5f : 0;
	case 9:
		return (float)((int)(i % 17) - 8) * 0.5f; /* exact halves: rounding decides */
	case 10:
		return -0.0f;
	case 11:
		return fabsf(v);
	case 12:
		return 100 + uniform();
	case 13:
		return (float)((int)(next() % 3) - 1) * 0.37f;
	case 14:
		return i % 2 ? 1.0f : -1.0f;
	case 15:
		return -2.5f;
	default:
		return v;
	}
}

static void fill(float *x, float *w)
{
	size_t first = next() % 19;

	for (size_t i = 0; i < N; i++) {
		/* Every third super-block is a mix of all. */
		x[i] = weight(i / 256 % 3 ? i / 256 + first : next() % 19, i);
		w[i] = i / 256 % 7 == 3 ? 0 : fabsf(bell()) * (i % 5 ? 1.0f : 1e-6f);
	}
}

/* Of a whole file of types: those that are written. */
#define EACH_WRITTEN(t)                                                                            \
	for (uint32_t id = 0; id <= TYPE_ID_MAX; id++)                                             \
		if ((t = type_by_id(id)) != NULL && t->encode[ISA_PORTABLE])

static float x_[N], w_[N], y_[N], z_[N];
static unsigned char a_[4 * N], b_[4 * N];

static void every_instruction_set_writes_the_same(void **state)
{
	const struct type *t;

	(void)state;
	for (int round = 0; round < 3; round++) {
		fill(x_, w_);
		EACH_WRITTEN(t)
		{
			for (int opt = 0; opt < 2; opt++) {
				const float *w = round % 2 ? w_ : NULL;

				t->encode[ISA_PORTABLE](x_, w, a_, N, opt);
				for (int isa = 1; isa < ISA_COUNT; isa++) {
					if (!isa_usable((enum isa)isa) || !t->encode[isa])
						continue;
					t->encode[isa](x_, w, b_, N, opt);
					assert_memory_equal(a_, b_, (size_t)type_bytes(t, N));
				}
			}
		}
	}
}

/* One block at a time, and all at once: where a block lies among others changes nothing. */
static void blocks_do_not_see_each_other(void **state)
{
	const struct type *t;

	(void)state;
	fill(x_, w_);
	EACH_WRITTEN(t)
	{
		size_t some = t->block > 32 ? t->block : 96;

		type_encoder(t)(x_, w_, a_, N, 0);
		for (size_t at = 0; at < N; at += some) {
			size_t n = N - at < some ? N - at : some;

			type_encoder(t)(x_ + at, w_ + at, b_ + type_bytes(t, at), n, 0);
		}
		assert_memory_equal(a_, b_, (size_t)type_bytes(t, N));
	}
}

static double error_of(const float *x, const float *y, const float *w, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (w ? (double)w[i] : 1) * ((double)x[i] - (double)y[i]) *
		       ((double)x[i] - (double)y[i]);
	return sum;
}

static void opt_1_is_never_worse(void **state)
{
	const struct type *t;

	(void)state;
	for (int round = 0; round < 2; round++) {
		const float *w = round ? w_ : NULL;

		fill(x_, w_);
		EACH_WRITTEN(t)
		{
			type_encoder(t)(x_, w, a_, N, 0);
			type_encoder(t)(x_, w, b_, N, 1);
			t->decode(a_, y_, N);
			t->decode(b_, z_, N);
			for (size_t at = 0; at < N; at += t->block) {
				const float *v = w ? w + at : NULL;
				double plain = error_of(x_ + at, y_ + at, v, t->block);
				double deep = error_of(x_ + at, z_ + at, v, t->block);

				/* They were compared in single precision. */
				assert_true(deep <= plain * (1 + 1e-5) + 1e-80);
			}
		}
	}
}

/* Relative error of bell-shaped weights: within a few percent of what tests/peer measures for
 * normal ones. */
static void error_is_bounded(void **state)
{
	static const struct {
		enum gguf_type type;
		double most;
	} bounds[] = {
		{ TYPE_F32, 0 },	{ TYPE_F16, 0.0003 },	 { TYPE_BF16, 0.002 },
		{ TYPE_Q8_0, 0.0052 },	{ TYPE_Q4_0, 0.081 },	 { TYPE_Q4_1, 0.07 },
		{ TYPE_Q5_0, 0.041 },	{ TYPE_Q5_1, 0.034 },	 { TYPE_Q2_K, 0.26 },
		{ TYPE_Q3_K, 0.145 },	{ TYPE_Q4_K, 0.07 },	 { TYPE_Q5_K, 0.035 },
		{ TYPE_Q6_K, 0.017 },	{ TYPE_IQ4_NL, 0.076 },	 { TYPE_IQ4_XS, 0.077 },
		{ TYPE_TQ1_0, 0.45 },	{ TYPE_TQ2_0, 0.45 },	 { TYPE_MXFP4, 0.12 },
		{ TYPE_IQ3_S, 0.135 },	{ TYPE_IQ3_XXS, 0.184 }, { TYPE_IQ2_S, 0.25 },
		{ TYPE_IQ2_XS, 0.297 }, { TYPE_IQ2_XXS, 0.339 }, { TYPE_IQ1_M, 0.455 },
		{ TYPE_IQ1_S, 0.457 },	{ TYPE_NVFP4, 0.092 },	 { TYPE_Q2_0, 0.355 },
		{ TYPE_Q1_0, 0.605 },
	};

	(void)state;
	for (size_t i = 0; i < N; i++)
		x_[i] = 0.02f * bell();
	memset(z_, 0, sizeof(z_));
	for (size_t k = 0; k < sizeof(bounds) / sizeof(bounds[0]); k++) {
		const struct type *t = type_by_id(bounds[k].type);

		type_encoder(t)(x_, NULL, a_, N, 0);
		t->decode(a_, y_, N);
		assert_true(sqrt(error_of(x_, y_, NULL, N) / error_of(x_, z_, NULL, N)) <=
			    bounds[k].most);
	}
}

/* What is read back is as long along the weights as they are: see stretch_of(). Without a stretch
 * Q2_K has 0.93 of it, Q3_K 0.98. */
static void few_bits_keep_the_length(void **state)
{
	static const enum gguf_type types[] = { TYPE_Q2_K, TYPE_Q3_K, TYPE_IQ3_S, TYPE_IQ3_XXS,
						TYPE_IQ2_S };

	(void)state;
	for (int round = 0; round < 4; round++) {
		const float *w = round % 2 ? w_ : NULL;

		for (size_t i = 0; i < N; i++) {
			x_[i] = 0.02f * bell();
			w_[i] = fabsf(bell());
		}
		for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
			const struct type *t = type_by_id(types[k]);
			double xx = 0, xy = 0;

			type_encoder(t)(x_, w, a_, N, round / 2);
			t->decode(a_, y_, N);
			for (size_t i = 0; i < N; i++) {
				double wx = (w ? (double)w[i] : 1) * (double)x_[i];

				xx += wx * (double)x_[i];
				xy += wx * (double)y_[i];
			}
			assert_true(fabs(xy / xx - 1) < 0.001);
		}
	}
}

/* A block of zeros, of whatever sign, is read as zeros and has the same bytes. */
static void zeros_are_zeros(void **state)
{
	const struct type *t;

	(void)state;
	for (int opt = 0; opt < 2; opt++) {
		EACH_WRITTEN(t)
		{
			for (size_t i = 0; i < 512; i++) {
				x_[i] = i % 2 ? 0.0f : -0.0f;
				z_[i] = 0;
				w_[i] = 1;
			}
			if (t->block == 1)
				memset(x_, 0, sizeof(x_)); /* floats keep the sign */
			type_encoder(t)(x_, opt ? w_ : NULL, a_, 512, opt);
			type_encoder(t)(z_, NULL, b_, 512, 0);
			assert_memory_equal(a_, b_, (size_t)type_bytes(t, 512));
			t->decode(a_, y_, 512);
			for (size_t i = 0; i < 512; i++)
				assert_true(y_[i] == 0);
		}
	}
}

/* One weight beyond what a scale of binary16 can reach, alone and among others. */
static void what_is_too_large_is_found(void **state)
{
	static const float sizes[] = { 1e9f, 1e20f, 1e30f, 3.4e38f, -1e9f, -3.4e38f };
	const struct type *t;

	(void)state;
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		for (int opt = 0; opt < 2; opt++) {
			for (size_t i = 0; i < 1024; i++) {
				x_[i] = bell();
				w_[i] = 1;
			}
			x_[600] = sizes[k];
			x_[601] = k % 2 ? -sizes[k] : 0;
			EACH_WRITTEN(t)
			{
				int64_t bad;

				if (t->scale_at[0] == NO_SCALE && t->id != TYPE_NVFP4 &&
				    t->id != TYPE_IQ1_M)
					continue;
				type_encoder(t)(x_, opt ? w_ : NULL, a_, 1024, opt);
				bad = type_check(t, a_, 1024);
				assert_int_equal(bad, 600 / t->block);
			}
		}
	}
}

/* NaN and infinity never come so far (pass.c), but if they did: nothing is read or written out of
 * place, whatever the block becomes. */
static void what_is_no_number_does_no_harm(void **state)
{
	static const float bad[] = { NAN, INFINITY, -INFINITY };
	const struct type *t;

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		fill(x_, w_);
		for (size_t i = k; i < N; i += 67)
			x_[i] = bad[k];
		EACH_WRITTEN(t)
		{
			for (int isa = 0; isa < ISA_COUNT; isa++) {
				if (!isa_usable((enum isa)isa) || !t->encode[isa])
					continue;
				memset(a_, 0xee, sizeof(a_));
				t->encode[isa](x_, k ? w_ : NULL, a_, 512, k == 2);
				for (size_t i = (size_t)type_bytes(t, 512); i < sizeof(a_); i++)
					assert_int_equal(a_[i], 0xee);
				t->encode[isa](x_, w_, a_, 0, 0);
				t->decode(a_, y_, 512);
			}
		}
	}
}

/* MXFP4 has an exponent as wide as a float's. */
static void any_float_fits_mxfp4(void **state)
{
	const struct type *t = type_by_id(TYPE_MXFP4);

	(void)state;
	for (int e = -140; e < 128; e++) {
		for (size_t i = 0; i < 32; i++)
			x_[i] = ldexpf(uniform(), e);
		type_encoder(t)(x_, NULL, a_, 32, 1);
		assert_int_equal(type_check(t, a_, 32), -1);
		t->decode(a_, y_, 32);
		memset(z_, 0, 32 * sizeof(*z_));
		if (e > -120)
			assert_true(error_of(x_, y_, NULL, 32) <=
				    0.05 * error_of(x_, z_, NULL, 32));
	}
}

/* Where weights have three values, least squares finds them, and the code is exact. */
static void ternary_models_lose_nothing(void **state)
{
	static const enum gguf_type types[] = { TYPE_TQ1_0, TYPE_TQ2_0 };

	(void)state;
	for (size_t i = 0; i < N; i++)
		x_[i] = (float)((int)(next() % 3) - 1) * 0.0371094f; /* of binary16 */
	for (int k = 0; k < 2; k++) {
		const struct type *t = type_by_id(types[k]);

		type_encoder(t)(x_, NULL, a_, N, 0);
		t->decode(a_, y_, N);
		for (size_t i = 0; i < N; i++)
			assert_true(y_[i] == half_to_float(float_to_half(x_[i])));
	}
}

static void q8_0_has_no_minus_128(void **state)
{
	const struct type *t = type_by_id(TYPE_Q8_0);

	(void)state;
	for (int round = 0; round < 20; round++) {
		fill(x_, w_);
		for (int opt = 0; opt < 2; opt++) {
			type_encoder(t)(x_, round % 2 ? w_ : NULL, a_, N, opt);
			for (size_t i = 0; i < N; i++)
				assert_int_not_equal(a_[i / 32 * 34 + 2 + i % 32], 0x80);
		}
	}
}

/* Floats of every kind at every length: what half.h says. */
static void floats_are_rounded_as_one_by_one(void **state)
{
	static const enum gguf_type types[] = { TYPE_F16, TYPE_BF16 };

	(void)state;
	for (size_t i = 0; i < N; i++)
		x_[i] = float_of((uint32_t)next());
	for (int k = 0; k < 2; k++) {
		const struct type *t = type_by_id(types[k]);

		for (int isa = 0; isa < ISA_COUNT; isa++) {
			size_t n = N - 3 - 2 * (size_t)isa;

			if (!isa_usable((enum isa)isa) || !t->encode[isa])
				continue;
			t->encode[isa](x_, NULL, a_, n, 0);
			t->decode(a_, y_, n);
			for (size_t i = 0; i < n; i++) {
				uint16_t want = k ? float_to_bfloat(x_[i]) : float_to_half(x_[i]);
				uint16_t got;

				memcpy(&got, a_ + 2 * i, 2);
				assert_int_equal(got, want);
				assert_true(isnan(y_[i]) ||
					    bits_of(y_[i]) == bits_of(k ? bfloat_to_float(got)
									: half_to_float(got)));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_instruction_set_writes_the_same),
		cmocka_unit_test(blocks_do_not_see_each_other),
		cmocka_unit_test(opt_1_is_never_worse),
		cmocka_unit_test(error_is_bounded),
		cmocka_unit_test(few_bits_keep_the_length),
		cmocka_unit_test(zeros_are_zeros),
		cmocka_unit_test(what_is_too_large_is_found),
		cmocka_unit_test(what_is_no_number_does_no_harm),
		cmocka_unit_test(any_float_fits_mxfp4),
		cmocka_unit_test(ternary_models_lose_nothing),
		cmocka_unit_test(q8_0_has_no_minus_128),
		cmocka_unit_test(floats_are_rounded_as_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
