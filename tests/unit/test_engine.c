/* Manifests: what is read, what is refused; legality and estimates of a point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_helper.h"
#include "core/path.h"
#include "db/job.h"
#include "orchestrator/engine/engine_private.h"

static void test_read(void **state)
{
	struct fixture *x = *state;
	const struct engine *en = engine_find(&x->es, "rkllm");

	assert_non_null(en);
	assert_null(engine_find(&x->es, "none"));
	assert_string_equal(en->version, "1.3.0");
	assert_int_equal(en->n_args, 2);
	assert_true(en->network);
	assert_int_equal(en->n_inputs, 2);
	assert_string_equal(en->extension, ".rkllm");
	assert_true(engine_has_verb(en, "convert"));
	assert_false(engine_has_verb(en, "validate"));
	assert_int_equal(en->n_quants, 3);
	assert_int_equal(en->quants[2].n_platforms, 1);
	assert_int_equal(en->n_hybrids, 0);
	assert_true(en->hybrid_max_open);
	assert_true(en->mem_base == 256.0 * 1024 * 1024);
	assert_true(en->params[0].min == 32);
	assert_string_equal(en->params[0].dflt, "4096");
	assert_null(en->program);
	assert_non_null(strstr(en->missing, "no-such-program"));
	en = engine_find(&x->es, "gguf");
	assert_int_equal(en->n_hybrids, 1);
	assert_int_equal(en->params[0].affects_output, 0);
	assert_true(isinf(en->params[2].max));
}

static const char *check(const struct engine *en, const char *platform, const char *quant,
			 double hybrid, int opt)
{
	static struct err e;
	const struct job_spec s = { .engine = en->name,
				    .platform = platform,
				    .quant = quant,
				    .hybrid = hybrid,
				    .opt = opt };

	e = (struct err)ERR_INIT;
	if (engine_check(en, &s, &e) == 0)
		return "";
	assert_int_equal(e.code, ERR_INVALID);
	return e.msg;
}

static void test_legal(void **state)
{
	struct fixture *x = *state;
	const struct engine *rk = engine_find(&x->es, "rkllm"), *gguf = engine_find(&x->es, "gguf");

	assert_string_equal(check(rk, "rk3588", "w8a8_g128", 0.5, 1), "");
	assert_string_equal(check(gguf, "", "Q8_0", 0, 1), "");
	assert_string_equal(check(rk, "rk3588", "w4a16", 0, 0),
			    "quant w4a16 is not legal for platform rk3588 in engine rkllm 1.3.0; "
			    "legal: w8a8, w8a8_g128; nearest: w8a8");
	assert_string_equal(
		check(rk, "tpu", "w8a8", 0, 0),
		"platform tpu is not legal in engine rkllm 1.3.0; legal: rk3588, rk3576");
	assert_string_equal(check(rk, "", "w8a8", 0, 0),
			    "platform (none) is not legal in engine rkllm 1.3.0; legal: rk3588, "
			    "rk3576");
	assert_string_equal(check(gguf, "rk3588", "F16", 0, 0),
			    "engine gguf has no platforms; remove platform rk3588");
	assert_string_equal(check(rk, "rk3588", "w8a8", 1, 0),
			    "hybrid 1 is not legal in engine rkllm 1.3.0; legal: 0 to below 1");
	assert_string_equal(check(gguf, "", "F16", 0.5, 0),
			    "hybrid 0.5 is not legal in engine gguf 0.1.0; legal: 0");
	assert_string_equal(check(gguf, "", "F16", 0, 2),
			    "opt 2 is not legal in engine gguf 0.1.0; legal: 0, 1");
}

static void test_model(void **state)
{
	struct fixture *x = *state;
	const struct engine *gguf = engine_find(&x->es, "gguf");
	struct source_facts facts = { .architecture = "LlamaForCausalLM", .format = "safetensors" };
	struct err e = ERR_INIT;

	assert_int_equal(engine_check_model(gguf, &facts, &e), 0);
	facts.architecture = "MambaForCausalLM";
	assert_int_equal(engine_check_model(gguf, &facts, &e), ERR_INVALID);
	assert_string_equal(e.msg, "engine gguf 0.1.0 does not know the architecture "
				   "MambaForCausalLM; legal: LlamaForCausalLM, Qwen2ForCausalLM");
	facts.format = "gguf";
	assert_int_equal(engine_check_model(gguf, &facts, &e), ERR_INVALID);
	assert_string_equal(e.msg, "engine gguf 0.1.0 does not read gguf; legal: safetensors");
	facts.architecture = NULL;
	assert_int_equal(engine_check_model(engine_find(&x->es, "rkllm"), &facts, &e), 0);
}

static void test_estimate(void **state)
{
	struct fixture *x = *state;
	const struct engine *gguf = engine_find(&x->es, "gguf");
	const struct job_spec s = { .quant = "Q8_0", .platform = "" };
	const struct source_facts facts = { .matrix_params = 1000000,
					    .vector_params = 1000,
					    .size_bytes = 2002000,
					    .max_row = 4096,
					    .tokenizer_bytes = 500 };
	const struct source_facts huge = { .matrix_params = UINT64_MAX, .size_bytes = UINT64_MAX };
	struct estimate out;

	engine_estimate(gguf, &s, NULL, &facts, 2, &out);
	assert_int_equal(out.output_bytes, 1062500 + 4000 + 500 + 1024);
	assert_int_equal(out.scratch_bytes, (1062500 + 4000 + 500 + 1024) / 4);
	assert_int_equal(out.memory_bytes, (64 << 20) + 2 * (16 << 20) + 8 * 4096 + 1001000);
	engine_estimate(gguf, &s, NULL, &huge, 2, &out);
	assert_true(out.output_bytes > (uint64_t)1 << 62);
}

static void test_values(void **state)
{
	struct fixture *x = *state;
	const struct engine *gguf = engine_find(&x->es, "gguf");
	static const struct {
		const char *param, *value, *why;
	} cases[] = {
		{ "chunk", "1", NULL },
		{ "chunk", "4096", NULL },
		{ "chunk", "4097", "chunk is 4097; it goes from 1 to 4096" },
		{ "chunk", "1.5", "chunk is 1.5; a value of type integer is wanted" },
		{ "chunk", "true", "chunk is true; a value of type integer is wanted" },
		{ "scale", "0.5", NULL },
		{ "scale", "-1", "scale is -1; it is at least 0" },
		{ "mode", "\"plain\"", NULL },
		{ "mode", "\"xyz\"", "mode is \"xyz\"; legal: plain, tuned" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct engine_param *p = engine_find_param(gguf, cases[i].param);
		struct err e = ERR_INIT;

		assert_int_equal(engine_check_value(x->a, p, cases[i].value, &e),
				 cases[i].why ? ERR_INVALID : 0);
		if (cases[i].why)
			assert_string_equal(e.msg, cases[i].why);
	}
}

static int is_yaml(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && strcmp(d->d_name + n - 5, ".yaml") == 0;
}

/* Each NAME.yaml of the folder has NAME.txt: all that is said of it. */
static void test_bad_manifests(void **state)
{
	static const char dir[] = TEST_DATA "/bad-manifests";
	struct fixture *x = *state;
	struct dirent **names;
	int n = scandir(dir, &names, is_yaml, alphasort);

	assert_true(n >= 13);
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		struct faults f = { .a = x->a, .file = name };
		struct err e = ERR_INIT;
		struct buf text, want, said;
		struct engine en;

		buf_init(&text, 1u << 20);
		buf_init(&want, 1u << 20);
		buf_init(&said, 1u << 20);
		assert_int_equal(
			path_read(arena_printf(x->a, "%s/%s", dir, name), 1u << 20, &text, &e), 0);
		assert_int_equal(path_read(arena_printf(x->a, "%s/%.*s.txt", dir,
							(int)strlen(name) - 5, name),
					   1u << 20, &want, &e),
				 0);
		assert_int_equal(manifest_read(x->a, name, buf_str(&text), text.len, &f, &en),
				 ERR_INVALID);
		faults_print(&f, &said);
		assert_string_equal(buf_str(&said), buf_str(&want));
		buf_release(&text);
		buf_release(&want);
		buf_release(&said);
		free(names[i]);
	}
	free(names);
}

static void put(const char *path, const char *text, mode_t mode)
{
	struct err e = ERR_INIT;

	assert_int_equal(path_write(path, text, strlen(text), mode, &e), 0);
}

#define TINY(version, program)                                                                     \
	"manifest: 1\nname: tiny\nversion: " version "\nprogram: " program                         \
	"\nformats: {in: [safetensors], out: x}\nquant: {a: 1}\n"

/* The first folder wins, a broken manifest only loses itself, and a program lies beside it. */
static void test_folders(void **state)
{
	struct fixture *x = *state;
	static const char *const dirs[] = { "absent", "one", "two", "two/b.yaml" };
	const struct engine *en;
	struct engines es;
	struct err e = ERR_INIT;
	char *real;

	assert_int_equal(path_remove_tree("one", &e), 0);
	assert_int_equal(path_remove_tree("two", &e), 0);
	assert_int_equal(mkdir("one", 0700), 0);
	assert_int_equal(mkdir("two", 0700), 0);
	put("one/a.yaml", TINY("1", "worker"), 0600);
	put("one/broken.yaml", "manifest: 1\nname: [", 0600);
	put("one/.hidden.yaml", "nothing", 0600);
	put("one/notes.txt", "nothing", 0600);
	put("one/worker", "#!/bin/sh\n", 0700);
	put("two/b.yaml", TINY("2", "worker"), 0600);
	assert_int_equal(engines_load_from(x->a, dirs, 4, &es, &x->f, &e), 0);
	assert_int_equal(es.n, 1);
	assert_int_equal(x->f.n, 2);
	assert_non_null(strstr(x->f.v[0].text, "/one/broken.yaml:3:1: "));
	assert_non_null(strstr(x->f.v[1].text, "two/b.yaml"));
	en = engine_find(&es, "tiny");
	assert_string_equal(en->version, "1");
	real = path_real("one/worker", &e);
	assert_string_equal(en->program, real);
	assert_null(en->missing);
	free(real);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_legal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_estimate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_manifests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folders, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
