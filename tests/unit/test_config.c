/* jobs.yaml: a whole file, what it need not say, --set, and a folder of files with faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include "config_helper.h"
#include "core/path.h"

static const char whole[] = "version: 1\n"
			    "name: nightly\n"
			    "work: out/.quern\n"
			    "models:\n"
			    "  - id: Qwen/Qwen2.5-0.5B-Instruct\n"
			    "    revision: v1.0\n"
			    "  - path: data/./kjv-llama/\n"
			    "    name: kjv\n"
			    "  - id: org/base\n"
			    "    lora: org/adapter\n"
			    "    lora_revision: abc\n"
			    "  - fake: qwen2-tiny:fill=random,seed=1\n"
			    "defaults: {hybrid: [0.0, 0.5], opt: 1}\n"
			    "targets:\n"
			    "  - engine: gguf\n"
			    "    quant: [Q8_0, Q4_0]\n"
			    "    hybrid: 0\n"
			    "  - engine: rkllm\n"
			    "    platform: [rk3588]\n"
			    "    quant: w8a8\n"
			    "    model: [k*, base]\n"
			    "    with: {max_context: 4096}\n"
			    "exclude:\n"
			    "  - {engine: rkllm, quant: \"w8*\", hybrid: 0.5}\n"
			    "include:\n"
			    "  - {model: kjv, engine: gguf, quant: F16}\n"
			    "resources: {jobs: 3, threads: 5, memory: 16GiB, disk_reserve: 10GiB,\n"
			    "            timeout: 6h, stall: 10min, grace: 0s}\n"
			    "retry: {attempts: 4, backoff: 2h}\n"
			    "upload:\n"
			    "  hub: https://huggingface.co\n"
			    "  namespace: my-org\n"
			    "  repo: \"{model}-{platform}\"\n"
			    "  file: \"{model}-{quant}-opt-{opt}-hybrid-ratio-{hybrid}\"\n"
			    "  private: yes\n"
			    "  hold: off\n"
			    "  when: model\n"
			    "  exclude: [\"*.bin\", \"*.pt\"]\n";

static void test_whole(void **state)
{
	const struct config *c = good(*state, whole);

	assert_string_equal(c->name, "nightly");
	assert_string_equal(c->work, "/jobs/out/.quern");
	assert_int_equal(c->n_models, 4);
	assert_string_equal(c->models[0].name, "Qwen2.5-0.5B-Instruct");
	assert_string_equal(c->models[0].revision, "v1.0");
	assert_int_equal(c->models[0].at.line, 5);
	assert_int_equal(c->models[0].at.column, 5);
	assert_string_equal(c->models[1].path, "/jobs/data/kjv-llama");
	assert_string_equal(c->models[1].name, "kjv");
	assert_string_equal(c->models[2].revision, "main");
	assert_string_equal(c->models[2].lora_revision, "abc");
	assert_string_equal(c->models[3].name, "qwen2-tiny-fill-random-seed-1");
	assert_int_equal(c->n_targets, 2);
	assert_int_equal(c->targets[0].hybrid.n, 1);
	assert_int_equal(c->targets[0].opt.v[0], 1);
	assert_int_equal(c->targets[1].hybrid.n, 2);
	assert_string_equal(c->targets[1].models.v[1], "base");
	assert_string_equal(c->targets[1].with[0].value, "4096");
	assert_int_equal(c->targets[1].with[0].name_at.column, 12);
	assert_int_equal(c->n_exclude, 1);
	assert_int_equal(c->n_include, 1);
	assert_true(c->resources.memory_bytes == 16ull << 30);
	assert_int_equal(c->resources.stall_ms, 600000);
	assert_int_equal(c->resources.grace_ms, 0);
	assert_int_equal(c->resources.threads, 5);
	assert_int_equal(c->retry.backoff_ms, 7200000);
	assert_int_equal(c->retry.backoff_max_ms, 7200000); /* never below the first wait */
	assert_int_equal(c->upload.kind, HUB_HTTP);
	assert_int_equal(c->upload.is_private, 1);
	assert_int_equal(c->upload.hold, 0);
	assert_int_equal(c->upload.when, UPLOAD_MODEL);
	assert_int_equal(c->upload.exclude.n, 2);
}

static void test_defaults(void **state)
{
	const struct config *c = good(*state, MODEL TARGET);

	assert_string_equal(c->name, "t");
	assert_string_equal(c->work, "/jobs/.quern");
	assert_true(c->resources.jobs >= 1 && c->resources.threads >= 1);
	assert_true(c->resources.memory_bytes > 0);
	assert_true(c->resources.disk_reserve_bytes == 1ull << 30);
	assert_int_equal(c->resources.timeout_ms, 21600000);
	assert_int_equal(c->resources.stall_ms, 1800000);
	assert_int_equal(c->resources.grace_ms, 10000);
	assert_int_equal(c->retry.attempts, 3);
	assert_int_equal(c->retry.backoff_ms, 30000);
	assert_int_equal(c->retry.backoff_max_ms, 3600000);
	assert_int_equal(c->upload.kind, HUB_NONE);
	assert_int_equal(c->targets[0].hybrid.n, 1);
	assert_true(c->targets[0].hybrid.v[0] == 0);
	assert_int_equal(c->targets[0].opt.v[0], 0);
	c = good(*state, MODEL TARGET "upload: {hub: local}\n");
	assert_string_equal(c->upload.namespace_, "local");
	assert_int_equal(c->upload.when, UPLOAD_END);
	c = good(*state, MODEL "include: [{engine: gguf, quant: F16}]\n");
	assert_int_equal(c->n_targets, 0);
	/* Behind the targets, as well. */
	c = good(*state, MODEL TARGET "defaults: {opt: [0, 1]}\n");
	assert_int_equal(c->targets[0].opt.n, 2);
}

static void test_text_stays_text(void **state)
{
	const struct config *c =
		good(*state, "version: 1.0\nname: no\nmodels:\n"
			     "  - {path: 007, name: 1.10}\n  - {path: on}\n" TARGET);

	assert_string_equal(c->name, "no");
	assert_string_equal(c->models[0].name, "1.10");
	assert_string_equal(c->models[0].path, "/jobs/007");
	assert_string_equal(c->models[1].name, "on");
}

static void test_derived_names(void **state)
{
	static const struct {
		const char *source, *name;
	} cases[] = {
		{ "path: /data/My Model (2)/", "My-Model-2" },
		{ "path: .hidden", "hidden" },
		{ "path: a--b..c", "a-b.c" },
		{ "id: plain", "plain" },
		{ "fake: \"llama:layers=2,hidden=64\"", "llama-layers-2-hidden-64" },
	};
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), "version: 1\nmodels:\n  - %s\n" TARGET,
			 cases[i].source);
		assert_string_equal(good(*state, text)->models[0].name, cases[i].name);
	}
}

static const char *set(struct fixture *x, const char *word)
{
	const struct config_set s = { &word, 1 };

	return read_config(x, "t.yaml", MODEL TARGET, strlen(MODEL TARGET), &s);
}

static void test_set(void **state)
{
	struct fixture *x = *state;

	assert_string_equal(set(x, "resources.jobs=7"), "");
	assert_int_equal(x->c->resources.jobs, 7);
	assert_string_equal(set(x, "defaults.opt=[0, 1]"), "");
	assert_int_equal(x->c->targets[0].opt.n, 2);
	assert_string_equal(set(x, "work=/x//y"), "");
	assert_string_equal(x->c->work, "/x/y");
	assert_string_equal(set(x, "upload={hub: local, file: '{model}-{quant}'}"), "");
	assert_string_equal(x->c->upload.file, "{model}-{quant}");
	assert_string_equal(
		set(x, "resources.jobz=7"),
		"--set: resources.jobz=7: unknown key \"jobz\" in resources; did you mean "
		"\"jobs\"?\n");
	assert_string_equal(set(x, "resources.jobs=900"),
			    "--set: resources.jobs=900: jobs is \"900\"; a whole number from 1 to "
			    "256 is wanted\n");
	assert_string_equal(
		set(x, "targets=[]"),
		"--set: targets=[]: \"targets\" is no key that can be set; those are name, "
		"work, defaults.*, resources.*, retry.*, run.* and upload.*\n");
	assert_string_equal(
		set(x, "retyr.attempts=1"),
		"--set: retyr.attempts=1: \"retyr\" is no key that can be set; did you mean "
		"\"retry\"?\n");
	assert_non_null(strstr(set(x, "jobs"), "not KEY=VALUE"));
	assert_non_null(strstr(set(x, "name="), "no value"));
	assert_non_null(strstr(set(x, "upload.file={model}-{quant}"), "in quotes"));
}

/* After a thousand, faults are counted only; and text from the file cannot leave its line. */
static void test_fault_list(void **state)
{
	struct fixture *x = *state;
	struct buf b;

	buf_init(&b, 1u << 20);
	buf_adds(&b, MODEL TARGET);
	for (int i = 0; i < 1500; i++)
		buf_addf(&b, "unknown%d: 1\n", i);
	read_config(x, "t.yaml", b.data, b.len, NULL);
	assert_int_equal(x->f.n, FAULTS_KEPT_MAX);
	assert_non_null(strstr(x->said, "t.yaml: and 500 more; correct these first\n"));
	buf_clear(&b);
	buf_adds(&b, MODEL TARGET "name: \"a\\nb\\e[2J\"\n");
	read_config(x, "t.yaml", b.data, b.len, NULL);
	assert_ptr_equal(strchr(x->said, '\n'), x->said + strlen(x->said) - 1);
	assert_null(strchr(x->said, '\x1b'));
	buf_release(&b);
}

static int is_yaml(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && strcmp(d->d_name + n - 5, ".yaml") == 0;
}

/* Each NAME.yaml of the folder has NAME.txt: all that is said of it. */
static void test_bad_files(void **state)
{
	static const char dir[] = TEST_DATA "/bad-yaml";
	struct fixture *x = *state;
	struct dirent **names;
	int n = scandir(dir, &names, is_yaml, alphasort);

	assert_true(n >= 40);
	unsetenv("QUERN_TEST_UNSET");
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		struct err e = ERR_INIT;
		struct buf text, want;

		buf_init(&text, 1u << 20);
		buf_init(&want, 1u << 20);
		assert_int_equal(
			path_read(arena_printf(x->a, "%s/%s", dir, name), 1u << 20, &text, &e), 0);
		assert_int_equal(path_read(arena_printf(x->a, "%s/%.*s.txt", dir,
							(int)strlen(name) - 5, name),
					   1u << 20, &want, &e),
				 0);
		assert_true(want.len > 0);
		assert_string_equal(read_config(x, name, buf_str(&text), text.len, NULL),
				    buf_str(&want));
		buf_release(&text);
		buf_release(&want);
		free(names[i]);
	}
	free(names);
}

static void test_load(void **state)
{
	struct fixture *x = *state;
	struct err e = ERR_INIT;
	char *here = path_real(".", &e);

	assert_int_equal(config_load(x->a, "absent.yaml", NULL, &x->f, &x->c, &e), ERR_NOTFOUND);
	assert_non_null(strstr(e.msg, "absent.yaml"));
	assert_int_equal(path_write("jobs.yaml", MODEL TARGET, strlen(MODEL TARGET), 0600, &e), 0);
	assert_int_equal(config_load(x->a, "jobs.yaml", NULL, &x->f, &x->c, &e), 0);
	assert_string_equal(x->c->dir, here);
	assert_string_equal(x->c->name, "jobs");
	assert_int_equal(config_load(x->a, ".", NULL, &x->f, &x->c, &e), ERR_INVALID);
	unlink("jobs.yaml");
	free(here);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text_stays_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_derived_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
