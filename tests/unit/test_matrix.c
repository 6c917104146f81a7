/* The matrix: order, exclusion, inclusion, duplicates, parameters of the key, a million points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config_helper.h"

/* All points as lines "LABEL [duplicate] [illegal]". */
static const char *points(struct fixture *x, const char *only)
{
	struct matrix *m = matrix_new(x->c, &x->es, only);
	struct matrix_point p;
	const char *text;
	char label[256];
	struct buf b;

	buf_init(&b, 1u << 20);
	while (matrix_next(m, &p)) {
		job_label(&p.spec, label, sizeof(label));
		buf_addf(&b, "%s%s%s\n", label, p.duplicate ? " duplicate" : "",
			 p.illegal ? " illegal" : "");
	}
	assert_int_equal(matrix_next(m, &p), 0);
	matrix_free(m);
	text = arena_strdup(x->a, buf_str(&b));
	buf_release(&b);
	return text;
}

static void test_order(void **state)
{
	struct fixture *x = *state;

	good(x, "version: 1\nmodels: [{path: a}, {path: b}]\n"
		"targets:\n"
		"  - {engine: rkllm, platform: [rk3588, rk3576], quant: w8a8, hybrid: [0, 0.5], "
		"opt: [0, 1],\n"
		"     model: a}\n"
		"  - {engine: gguf, quant: [Q8_0, Q4_0]}\n"
		"exclude: [{quant: \"Q?_0\", model: a, engine: gg*}, {hybrid: 0.5, opt: 1}]\n"
		"include: [{engine: gguf, quant: Q4_0, model: [a]}]\n");
	assert_string_equal(points(x, NULL), "a/rkllm/rk3588/w8a8\n"
					     "a/rkllm/rk3588/w8a8/opt-1\n"
					     "a/rkllm/rk3588/w8a8/hybrid-0.5\n"
					     "a/rkllm/rk3576/w8a8\n"
					     "a/rkllm/rk3576/w8a8/opt-1\n"
					     "a/rkllm/rk3576/w8a8/hybrid-0.5\n"
					     "a/gguf/Q4_0\n"
					     "b/gguf/Q8_0\n"
					     "b/gguf/Q4_0\n");
	assert_string_equal(points(x, "b/*"), "b/gguf/Q8_0\nb/gguf/Q4_0\n");
	assert_string_equal(points(x, "nothing"), "");
}

static void test_illegal(void **state)
{
	struct fixture *x = *state;
	struct matrix_point p;
	struct matrix *m;

	good(x, MODEL
	     "targets: [{engine: rkllm, platform: [rk3588, rk3576], quant: [w8a8, w4a16]}]\n");
	assert_string_equal(points(x, NULL), "m/rkllm/rk3588/w8a8\n"
					     "m/rkllm/rk3588/w4a16 illegal\n"
					     "m/rkllm/rk3576/w8a8\n"
					     "m/rkllm/rk3576/w4a16\n");
	m = matrix_new(x->c, &x->es, "*rk3588/w4a16");
	assert_int_equal(matrix_next(m, &p), 1);
	assert_string_equal(
		p.illegal,
		"quant w4a16 is not legal for platform rk3588 in engine rkllm 1.3.0; legal: "
		"w8a8, w8a8_g128; nearest: w8a8");
	assert_ptr_equal(p.engine, engine_find(&x->es, "rkllm"));
	assert_ptr_equal(p.target, &x->c->targets[0]);
	matrix_free(m);
}

static void test_default_platform(void **state)
{
	struct fixture *x = *state;

	/* For the engines that have platforms, and no fault for the others. */
	good(x, MODEL "defaults: {platform: rk3588}\n"
		      "targets: [{engine: gguf, quant: F16}, {engine: rkllm, quant: w8a8}]\n");
	assert_string_equal(points(x, NULL), "m/gguf/F16\nm/rkllm/rk3588/w8a8\n");
}

static void test_duplicates(void **state)
{
	struct fixture *x = *state;

	good(x, MODEL "targets:\n"
		      "  - {engine: gguf, quant: [F16, Q8_0, F16], opt: [0, 0]}\n"
		      "  - {engine: gguf, quant: [Q8_0, Q4_0]}\n"
		      "  - {engine: gguf, quant: Q4_0, with: {chunk: 7, mode: plain}}\n"
		      "  - {engine: gguf, quant: Q4_0, with: {mode: tuned}}\n"
		      "include: [{engine: gguf, quant: Q4_0, with: {mode: tuned}}]\n");
	assert_string_equal(points(x, NULL),
			    "m/gguf/F16\n"
			    "m/gguf/F16 duplicate\n"
			    "m/gguf/Q8_0\n"
			    "m/gguf/Q8_0 duplicate\n"
			    "m/gguf/F16 duplicate\n"
			    "m/gguf/F16 duplicate\n"
			    "m/gguf/Q8_0 duplicate\n"
			    "m/gguf/Q4_0\n"
			    "m/gguf/Q4_0 duplicate\n" /* only what changes nothing */
			    "m/gguf/Q4_0\n"
			    "m/gguf/Q4_0 duplicate\n");
	/* An excluded point makes nothing, and an entry for other models neither. */
	good(x, "version: 1\nmodels: [{path: a}, {path: b}]\n"
		"targets: [{engine: gguf, quant: [F16, Q8_0], model: a}, {engine: gguf, quant: "
		"Q8_0}]\n"
		"exclude: [{engine: gguf, quant: F16}]\n"
		"include: [{engine: gguf, quant: F16}]\n");
	assert_string_equal(points(x, NULL), "a/gguf/Q8_0\n"
					     "a/gguf/Q8_0 duplicate\n"
					     "a/gguf/F16\n"
					     "b/gguf/Q8_0\n"
					     "b/gguf/F16\n");
}

/* A name stands inside the files: one source under two names is two models. */
static void test_names_of_one_source(void **state)
{
	struct fixture *x = *state;

	good(x, "version: 1\nmodels:\n"
		"  - {path: m, name: a}\n"
		"  - {path: m, name: b}\n"
		"  - {path: ./m/, name: c}\n"
		"  - {path: m, name: d, lora: o/x}\n"
		"targets:\n"
		"  - {engine: gguf, quant: F16, model: [b, c, d]}\n"
		"  - {engine: gguf, quant: Q8_0, model: [a, c]}\n");
	assert_string_equal(points(x, NULL), "a/gguf/Q8_0\n"
					     "b/gguf/F16\n"
					     "c/gguf/F16\n"
					     "c/gguf/Q8_0\n"
					     "d/gguf/F16\n");
}

static const char *with(struct fixture *x, const char *engine, const char *members)
{
	const char *text = arena_printf(
		x->a, MODEL "targets: [{engine: %s, quant: F16, with: {%s}}]\n", engine, members);
	struct matrix_point p;
	const char *out;
	struct matrix *m;

	good(x, text);
	m = matrix_new(x->c, &x->es, NULL);
	assert_int_equal(matrix_next(m, &p), 1);
	out = arena_strdup(x->a, p.spec.with);
	matrix_free(m);
	return out;
}

static void test_with(void **state)
{
	struct fixture *x = *state;

	assert_string_equal(with(x, "gguf", ""), "{}");
	assert_string_equal(with(x, "gguf", "scale: 1.50, mode: tuned"),
			    "{\"mode\":\"tuned\",\"scale\":1.5}");
	assert_string_equal(with(x, "gguf", "mode: plain"), "{}"); /* the default */
	assert_string_equal(with(x, "gguf", "chunk: 5"), "{}");	   /* changes no byte */
}

/* The first target that makes a point says what is outside its key; the label names the point. */
static void test_what_a_worker_gets(void **state)
{
	struct fixture *x = *state;
	struct matrix_point p;
	struct job_spec stranger;
	struct matrix *m;

	good(x, "version: 1\nmodels: [{path: a}, {path: b}]\ntargets:\n"
		"  - {engine: gguf, quant: F16, model: b, with: {chunk: 9}}\n"
		"  - {engine: gguf, quant: [F16, Q8_0], with: {chunk: 5, mode: plain}}\n"
		"  - {engine: gguf, quant: F16, with: {chunk: 7, mode: tuned}}\n");
	m = matrix_new(x->c, &x->es, NULL);
	while (matrix_next(m, &p)) {
		int of_b = p.spec.model[0] == 'b' && strcmp(p.spec.quant, "F16") == 0;
		const char *want = strcmp(p.spec.with, "{}") ? "{\"chunk\":7,\"mode\":\"tuned\"}"
				   : of_b		     ? "{\"chunk\":9}"
							     : "{\"chunk\":5}";

		assert_string_equal(matrix_with(m, &p.spec), want);
		stranger = p.spec;
	}
	stranger.quant = "Q4_0"; /* a job of an earlier matrix: what its key says */
	assert_string_equal(matrix_with(m, &stranger), stranger.with);
	matrix_free(m);
}

static void test_excluded_count(void **state)
{
	struct fixture *x = *state;
	struct matrix_point p;
	struct matrix *m;
	int n = 0;

	good(x,
	     MODEL "targets: [{engine: gguf, quant: [F16, Q8_0, Q4_0]}]\nexclude: [{quant: Q*}]\n");
	m = matrix_new(x->c, &x->es, NULL);
	while (matrix_next(m, &p))
		n++;
	assert_int_equal(n, 1);
	assert_int_equal(matrix_excluded(m), 2);
	matrix_free(m);
}

/* 5 models, 10 entries of which 9 only repeat the first, 2 quants, 1000 hybrids, 10 opts. */
static void test_million(void **state)
{
	struct fixture *x = *state;
	uint64_t count = 0, fresh = 0;
	struct matrix_point p;
	struct matrix *m;
	struct buf b;

	buf_init(&b, 1u << 20);
	buf_adds(&b, "version: 1\nmodels: [{path: a}, {path: b}, {path: c}, {path: d}, {path: e}]\n"
		     "defaults: {opt: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], hybrid: [");
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%s%g", i ? ", " : "", i / 1000.0);
	buf_adds(&b, "]}\ntargets:\n");
	for (int i = 0; i < 10; i++)
		buf_adds(&b, "  - {engine: rkllm, platform: rk3588, quant: [w8a8, w8a8_g128]}\n");
	good(x, buf_str(&b));
	buf_release(&b);
	m = matrix_new(x->c, &x->es, NULL);
	while (matrix_next(m, &p)) {
		count++;
		fresh += !p.duplicate;
	}
	matrix_free(m);
	assert_int_equal(count, 1000000);
	assert_int_equal(fresh, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_illegal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_default_platform, setup, teardown),
		cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_of_one_source, setup, teardown),
		cmocka_unit_test_setup_teardown(test_with, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_a_worker_gets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_excluded_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_million, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
