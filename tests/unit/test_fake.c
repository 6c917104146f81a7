/* Fake models: the spec, the shapes it stands for, and weights that depend on nothing else. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "workers/fake/shape.h"
#include "workers/fake/weights.h"

static struct fake_spec parsed(const char *text)
{
	struct err e = ERR_INIT;
	struct fake_spec s = { 0 };

	if (fake_spec_parse(text, &s, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return s;
}

static void canonical(const struct fake_spec *s, char *out, size_t size)
{
	struct buf b;

	buf_init(&b, size - 1);
	fake_spec_write(s, &b);
	assert_false(b.overflow);
	memcpy(out, buf_str(&b), b.len + 1);
	buf_release(&b);
}

static void test_canonical_text_is_a_fixed_point(void **state)
{
	char once[512], twice[512];
	const struct fake_spec *p;

	(void)state;
	for (size_t i = 0; (p = fake_preset(i)) != NULL; i++) {
		struct fake_spec s = parsed(p->preset);

		canonical(&s, once, sizeof(once));
		s = parsed(once);
		canonical(&s, twice, sizeof(twice));
		assert_string_equal(once, twice);
		assert_memory_equal(once, p->preset, strlen(p->preset));
	}
}

static void test_equal_models_have_equal_texts(void **state)
{
	struct fake_spec a = parsed("llama-tiny:layers=3,seed=7,shard=1MB");
	struct fake_spec b = parsed("llama-tiny:shard=1000000,seed=7,layers=3");
	struct fake_spec other = parsed("llama-tiny:layers=3,seed=8,shard=1MB");
	char ta[512], tb[512], tother[512];

	(void)state;
	canonical(&a, ta, sizeof(ta));
	canonical(&b, tb, sizeof(tb));
	canonical(&other, tother, sizeof(tother));
	assert_string_equal(ta, tb);
	assert_string_not_equal(ta, tother);
}

static void test_bad_specs_say_what_would_be_right(void **state)
{
	static const struct {
		const char *spec, *says;
	} bad[] = {
		{ "llama-8", "llama-8b" },
		{ "llama-tiny:layer=2", "did you mean \"layers\"" },
		{ "llama-tiny:layers", "KEY=VALUE" },
		{ "llama-tiny:layers=", "layers" },
		{ "llama-tiny:layers=0", "layers" },
		{ "llama-tiny:layers=-1", "layers" },
		{ "llama-tiny:layers=1025", "layers" },
		{ "llama-tiny:layers=18446744073709551617", "layers" },
		{ "llama-tiny:layers=2,layers=3", "twice" },
		{ "llama-tiny:hidden=65537", "hidden" },
		{ "llama-tiny:vocab=524289", "vocab" },
		{ "llama-tiny:vocab=100", "vocab" },
		{ "llama-tiny:heads=3", "heads" },
		{ "llama-tiny:kv_heads=3", "kv_heads" },
		{ "llama-tiny:head_dim=3", "head_dim" },
		{ "llama-tiny:dtype=F61", "F16" },
		{ "llama-tiny:fill=ones", "random" },
		{ "llama-tiny:tie=yes", "true" },
		{ "llama-tiny:shard=big", "2GB" },
		{ "llama-tiny:shard=0", "shard" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fake_spec s = { .layers = 12345 };
		struct err e = ERR_INIT;

		if (fake_spec_parse(bad[i].spec, &s, &e) != ERR_INVALID)
			fail_msg("%s was taken", bad[i].spec);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].spec, e.msg, bad[i].says);
		assert_int_equal(s.layers, 12345);
	}
}

/* Parameter counts as published with each model (their safetensors metadata on the Hub). */
static void test_presets_have_the_published_sizes(void **state)
{
	static const struct {
		const char *name;
		uint64_t params;
	} published[] = {
		{ "qwen2-0.5b", 494032768 }, { "qwen2-1.5b", 1543714304 },
		{ "qwen2-7b", 7615616512 },  { "tinyllama-1.1b", 1100048384 },
		{ "llama-1b", 1235814400 },  { "llama-3b", 3212749824 },
		{ "llama-8b", 8030261248 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(published); i++) {
		struct fake_spec s = parsed(published[i].name);
		struct fake_totals t;

		fake_totals(&s, &t);
		assert_int_equal(t.params, published[i].params);
		assert_int_equal(t.params, t.matrix_params + t.vector_params);
		assert_int_equal(t.size_bytes, 2 * t.params);
	}
}

/* 0 absent, else 1; *out is the tensor. */
static int find(const struct fake_spec *s, const char *name, struct fake_tensor *out)
{
	for (size_t i = 0; i < fake_tensor_count(s); i++) {
		fake_tensor_get(s, i, out);
		if (strcmp(out->name, name) == 0)
			return 1;
	}
	return 0;
}

static void test_tensors_of_each_family(void **state)
{
	struct fake_spec llama = parsed("llama-8b"), qwen = parsed("qwen2-0.5b");
	struct fake_tensor t = { 0 };

	(void)state;
	assert_int_equal(fake_tensor_count(&llama), 291);
	assert_int_equal(fake_tensor_count(&qwen), 290);
	assert_true(find(&llama, "lm_head.weight", &t));
	assert_false(find(&qwen, "lm_head.weight", &t)); /* tied */
	assert_false(find(&llama, "model.layers.0.self_attn.q_proj.bias", &t));
	assert_true(find(&qwen, "model.layers.23.self_attn.k_proj.bias", &t));
	assert_int_equal(t.n_dims, 1);
	assert_int_equal(t.shape[0], 128);
	assert_true(find(&llama, "model.layers.31.mlp.down_proj.weight", &t));
	assert_int_equal(t.shape[0], 4096);
	assert_int_equal(t.shape[1], 14336);
	assert_true(find(&llama, "model.layers.0.self_attn.k_proj.weight", &t));
	assert_int_equal(t.shape[0], 1024);
	assert_int_equal(t.shape[1], 4096);
}

/* One by one, backwards and in any blocks: the same bytes. */
static void check_blocks(enum fake_dtype dtype, size_t width)
{
	enum { N = 1000 };
	uint64_t key = weights_key(3, "model.norm.weight");
	unsigned char whole[4 * N], piece[4 * N];

	weights_random(key, dtype, 0, N, whole);
	for (size_t i = N; i-- > 0;)
		weights_random(key, dtype, i, 1, piece + i * width);
	assert_memory_equal(whole, piece, N * width);
	for (size_t at = 0, n = 1; at < N; at += n, n = n * 2 + 1) {
		if (n > N - at)
			n = N - at;
		weights_random(key, dtype, at, n, piece);
		assert_memory_equal(whole + at * width, piece, n * width);
	}
}

static void test_values_do_not_depend_on_order(void **state)
{
	(void)state;
	check_blocks(FAKE_BF16, 2);
	check_blocks(FAKE_F16, 2);
	check_blocks(FAKE_F32, 4);
}

static void test_values_depend_on_seed_and_name(void **state)
{
	float a[64], b[64], c[64];

	(void)state;
	weights_random(weights_key(0, "a"), FAKE_F32, 0, 64, a);
	weights_random(weights_key(1, "a"), FAKE_F32, 0, 64, b);
	weights_random(weights_key(0, "b"), FAKE_F32, 0, 64, c);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
	assert_memory_not_equal(b, c, sizeof(b));
}

/* Of 2^20 values: the standard error of the mean is 2e-5, that of the deviation 1.4e-5; the bounds
 * are five of them. Each value is alone within 0.07. */
static void test_values_are_bell_shaped(void **state)
{
	enum { BLOCK = 1024, BLOCKS = 1024 };
	uint64_t key = weights_key(0, "model.embed_tokens.weight");
	double sum = 0, squares = 0, near = 0;
	float v[BLOCK];

	(void)state;
	for (uint64_t i = 0; i < BLOCKS; i++) {
		weights_random(key, FAKE_F32, i * BLOCK, BLOCK, v);
		for (size_t k = 0; k < BLOCK; k++) {
			assert_true(fabsf(v[k]) <= 0.07f);
			sum += (double)v[k];
			squares += (double)v[k] * (double)v[k];
			near += fabsf(v[k]) < 0.02f;
		}
	}
	sum /= (double)BLOCK * BLOCKS;
	squares /= (double)BLOCK * BLOCKS;
	near /= (double)BLOCK * BLOCKS;
	assert_true(fabs(sum) < 1e-4);
	assert_true(fabs(sqrt(squares) - 0.02) < 7e-5);
	assert_true(near > 0.64 &&
		    near < 0.70); /* 0.683 for a normal distribution, 0.577 for a uniform */
}

/* The nearest of all finite halves, found by looking at each, for values of every size. */
static void test_half_is_the_nearest(void **state)
{
	(void)state;
	for (int power = -30; power <= 0; power++) {
		for (int step = 0; step < 7; step++) {
			float x = ldexpf(1.0f + (float)step * 0.14013f, power);
			uint16_t h = weights_f16(x);
			double best = INFINITY, got;

			for (uint16_t c = 0; c < 0x7c00; c++) {
				int ex = c >> 10;
				double v = ex ? ldexp(1024 + (c & 1023), ex - 25) : ldexp(c, -24);

				best = fmin(best, fabs(v - (double)x));
				if (c == h)
					got = fabs(v - (double)x);
			}
			assert_true(h < 0x7c00);
			assert_true(got == best);
			assert_int_equal(weights_f16(-x), h | 0x8000);
		}
	}
}

static void test_bf16_is_the_rounded_float(void **state)
{
	uint64_t key = weights_key(5, "x");
	uint16_t half[256];
	float full[256];

	(void)state;
	weights_random(key, FAKE_BF16, 0, 256, half);
	weights_random(key, FAKE_F32, 0, 256, full);
	for (size_t i = 0; i < 256; i++) {
		uint32_t u = (uint32_t)half[i] << 16;
		float back;

		memcpy(&back, &u, sizeof(back));
		/* 8 bits of significand: half a step is 2^-8 of the value below it */
		assert_true(fabsf(back - full[i]) <= ldexpf(fabsf(full[i]), -8));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical_text_is_a_fixed_point),
		cmocka_unit_test(test_equal_models_have_equal_texts),
		cmocka_unit_test(test_bad_specs_say_what_would_be_right),
		cmocka_unit_test(test_presets_have_the_published_sizes),
		cmocka_unit_test(test_tensors_of_each_family),
		cmocka_unit_test(test_values_do_not_depend_on_order),
		cmocka_unit_test(test_values_depend_on_seed_and_name),
		cmocka_unit_test(test_values_are_bell_shaped),
		cmocka_unit_test(test_half_is_the_nearest),
		cmocka_unit_test(test_bf16_is_the_rounded_float),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
