/* What a worker wrote down of its failure, and what job.json tells it of its environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/run/jobdir.h"
#include "orchestrator/run/verdict.h"

static void put_result(const char *text)
{
	struct err e = ERR_INIT;

	assert_true(path_write("result.json", text, strlen(text), 0644, &e) >= 0);
}

#define ERROR_WITH(more) "{\"protocol\":1,\"status\":\"error\",\"message\":\"it\"" more "}"

static void test_causes(void **state)
{
	static const struct {
		const char *text, *cause;
		int exit_code, retry;
	} cases[] = {
		/* the worker's word, and its wish, before the exit code's meaning */
		{ ERROR_WITH(",\"cause\":\"out of memory\",\"retry\":true"), "out of memory", 3,
		  1 },
		{ ERROR_WITH(",\"cause\":\"bad source\",\"retry\":false"), "bad source", 1, 0 },
		{ ERROR_WITH(",\"retry\":false"), "failed", 1, 0 },
		{ ERROR_WITH(",\"cause\":\"illegal parameters\""), "illegal parameters", 3, 0 },
		/* what nobody knows is ignored */
		{ ERROR_WITH(",\"cause\":\"bad moon\",\"retry\":\"yes\""), "failed", 1, 1 },
		{ ERROR_WITH(",\"cause\":7"), "refused", 3, 0 },
		{ ERROR_WITH(""), "environment", 4, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct execution x = { .exit_code = cases[i].exit_code };
		struct verdict v;

		put_result(cases[i].text);
		verdict_of_worker(&x, END_BY_ITSELF, ".", &v);
		assert_false(v.good);
		assert_string_equal(v.cause, cases[i].cause);
		assert_int_equal(v.retry, cases[i].retry);
		assert_string_equal(v.message, "it");
	}
}

/* A limit of ours is the cause, whatever the worker says on its way out. */
static void test_our_own_ending(void **state)
{
	struct execution x = { .exit_code = 1 };
	struct verdict v;

	(void)state;
	put_result(ERROR_WITH(",\"cause\":\"crash\",\"retry\":false"));
	verdict_of_worker(&x, END_TIMEOUT, ".", &v);
	assert_string_equal(v.cause, "timeout");
	assert_true(v.retry);
}

static const struct json *job_of(struct arena *a, const char *environment)
{
	const struct job_spec s = { .model = "m",
				    .engine = "rkllm",
				    .engine_version = "0.1.0+1.2.3",
				    .platform = "rk3588",
				    .quant = "w8a8" };
	const struct jobdir_job j = { .dir = "job",
				      .spec = &s,
				      .key_hex = "00",
				      .attempt = 1,
				      .file = "f",
				      .source_dir = "/m",
				      .source_format = "safetensors",
				      .with = "{\"dataset\":\"/d.json\"}",
				      .environment = environment,
				      .toolkit = environment ? "1.2.3" : NULL,
				      .trust_remote_code = environment != NULL,
				      .threads = 1 };
	struct err e = ERR_INIT;
	struct json *v = NULL;
	struct buf b;
	int fd = jobdir_create(&j, &e);

	assert_true(fd >= 0);
	close(fd);
	buf_init(&b, 1u << 16);
	assert_int_equal(path_read("job/job.json", 1u << 16, &b, &e), 0);
	assert_int_equal(json_parse(a, buf_str(&b), b.len, &v, &e), 0);
	buf_release(&b);
	return v;
}

static void test_environment(void **state)
{
	struct arena *a = arena_new();
	const struct json *v = job_of(a, "/opt/env");

	(void)state;
	assert_string_equal(json_str(json_get(v, "environment"), "path", ""), "/opt/env");
	assert_string_equal(json_str(json_get(v, "environment"), "version", ""), "1.2.3");
	assert_int_equal(json_bool(v, "trust_remote_code", -1), 1);
	assert_string_equal(json_str(json_get(v, "with"), "dataset", ""), "/d.json");
	v = job_of(a, NULL);
	assert_int_equal(json_get(v, "environment")->type, JSON_NULL);
	assert_int_equal(json_bool(v, "trust_remote_code", -1), 0);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_causes),
		cmocka_unit_test(test_our_own_ending),
		cmocka_unit_test(test_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
