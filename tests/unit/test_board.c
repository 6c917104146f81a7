/* quern-board's tables and parsers: layouts by version, the runtime's log, jobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "workers/board/abi.h"
#include "workers/board/job.h"
#include "workers/board/rklog.h"

/* ---- layouts */

static void test_versions(void **state)
{
	static const struct {
		const char *version;
		unsigned row;
	} known[] = { { "1.1.0", 0 }, { "1.1.4", 0 }, { "1.2.0", 1 }, { "1.2.1b1", 2 },
		      { "1.2.1", 3 }, { "1.2.2", 3 }, { "1.2.3", 3 }, { "1.3.0", 4 } };
	static const char *const unknown[] = { "1.0.1",	  "1.1.5",	     "1.2.4",  "1.3.1",
					       "1.2.1b2", "1.2.2b1",	     "1.3",    "",
					       "1.2.3x",  "v1.2.3",	     "1.2.3 ", "2.0.0",
					       "1.1.4b5", "999999999999.1.1" };
	const struct abi *a;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_int_equal(abi_of(known[i].version, &a, &e), 0);
		assert_ptr_equal(a, abi_row(known[i].row));
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_int_equal(abi_of(unknown[i], &a, &e), ERR_INVALID);
		assert_non_null(strstr(e.msg, "1.2.1 to 1.2.3"));
	}
}

/* Members lie inside their structs, do not overlap, and the structs inside the room for them. */
static void test_rows(void **state)
{
	const struct abi *a;
	unsigned n = 0;

	(void)state;
	for (; (a = abi_row(n)) != NULL; n++) {
		assert_true(a->param.size <= ABI_ROOM && a->input.size <= ABI_ROOM &&
			    a->infer.size <= ABI_ROOM);
		assert_int_equal(a->param.model_path, 0); /* `look` counts on it */
		assert_true(a->param.is_async < a->param.size);
		assert_true(a->input.prompt + sizeof(void *) <= a->input.size);
		assert_true(a->input.input_type + sizeof(int) <= a->input.prompt);
		if (a->infer.keep_history != ABI_NONE)
			assert_true(a->infer.keep_history + sizeof(int) <= a->infer.size);
		if (a->result.perf != ABI_NONE)
			assert_true(a->result.perf + PERF_MEMORY_MB + sizeof(float) <=
				    a->result.size);
		/* A number that goes with the question, or a model that is loaded again. */
		assert_int_equal(a->infer.max_new_tokens != ABI_NONE, a->callback == CALLBACK_SET);
	}
	assert_int_equal(n, 5);
}

/* ---- the log */

static void say(struct rklog *l, const char *line)
{
	rklog_line(l, line, strlen(line));
}

static void test_load_lines(void **state)
{
	struct rklog l;

	(void)state;
	rklog_init(&l);
	say(&l, "I rkllm: rkllm-runtime version: 1.2.1b1, rknpu driver version: 0.9.8, platform: "
		"RK3588");
	say(&l,
	    "I rkllm: rkllm-toolkit version: 1.2.1b1, max_context_limit: 4096, npu_core_num: 3");
	assert_string_equal(l.runtime, "1.2.1b1");
	assert_string_equal(l.driver, "0.9.8");
	assert_string_equal(l.platform, "RK3588");
	assert_string_equal(l.toolkit, "1.2.1b1");
	assert_string_equal(l.dtype, "");
	assert_string_equal(l.target, "");
	assert_int_equal(l.max_context, 4096);
	assert_int_equal(l.cores, 3);
	/* The file's platform is not the board's. */
	say(&l, "\033[32mI rkllm: rkllm-toolkit version: 1.2.3, max_context_limit: 16384, "
		"npu_core_num: 2, "
		"target_platform: RK3576, model_dtype: W4A16_G128\033[0m\r");
	assert_string_equal(l.platform, "RK3588");
	assert_string_equal(l.target, "RK3576");
	assert_string_equal(l.dtype, "W4A16_G128");
	assert_int_equal(l.max_context, 16384);
	say(&l, "E rkllm: matmul(w8a8) run failed");
	assert_string_equal(l.error, "matmul(w8a8) run failed");
}

static void test_tables(void **state)
{
	struct rklog l;

	(void)state;
	rklog_init(&l);
	say(&l, "I rkllm:  Init          189073.94        /         /                        /");
	say(&l,
	    "I rkllm:  Prefill       1523.53          47        32.42                    30.85");
	say(&l, "robot: and so on.I rkllm:  Generate      308636.08        999       308.95        "
		"           3.24");
	say(&l, "I rkllm:  Memory Usage (GB)");
	say(&l, "I rkllm:  6.66        ");
	assert_true(l.init_ms == 189073.94);
	assert_true(l.prefill_ms == 1523.53 && l.prefill_tokens == 47);
	assert_true(l.generate_ms == 308636.08 && l.generate_tokens == 999);
	assert_true(l.memory_bytes == 6.66 * 1024 * 1024 * 1024);
	rklog_next(&l);
	assert_true(l.prefill_ms == -1 && l.generate_tokens == -1 && l.memory_bytes == -1);
	assert_true(l.init_ms == 189073.94);
	say(&l, "I rkllm:  Model init time (ms)  5482.81");
	say(&l, "I rkllm:  Peak Memory Usage (MB)");
	say(&l, "I rkllm:  1673.56");
	assert_true(l.init_ms == 5482.81);
	assert_true(l.memory_bytes == 1673.56 * 1024 * 1024);
}

static void test_lines_that_say_nothing(void **state)
{
	static const char *const lines[] = {
		"rkllm-runtime version: 9.9.9",
		"I rkllm: rkllm-runtime version: ",
		"I rkllm: rkllm-runtime version: 1.2.3; rm -rf /, platform: <b>",
		"I rkllm: rkllm-runtime version: 0123456789012345678901234567890123456789",
		"X rkllm: rkllm-runtime version: 9.9.9",
		"I rkllm:  Prefill       nan   47  32.42  30.85",
		"I rkllm:  Prefill       -3    47  32.42  30.85",
		"I rkllm:  Prefill       1e99  47  32.42  30.85",
		"I rkllm:  Prefill       12",
		"I rkllm:  Prefilled     12 13",
		"I rkllm: npu_core_num: 3, max_context_limit: 4096",
		"rkllm: ",
		"",
	};
	struct rklog l, none;

	(void)state;
	rklog_init(&l);
	rklog_init(&none);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		say(&l, lines[i]);
	assert_memory_equal(&l, &none, sizeof(l));
	say(&l, "I rkllm: rkllm-toolkit version: 1.2.3, max_context_limit: 99999999999999999999, "
		"npu_core_num: -1");
	assert_string_equal(l.toolkit, "1.2.3");
	assert_true(l.max_context == -1 && l.cores == -1);
}

/* Every cut of a line, and bytes of any value: for sanitizers. */
static void test_bytes(void **state)
{
	char line[3000];
	struct rklog l;

	(void)state;
	rklog_init(&l);
	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = (char)(i * 7 % 256);
	memcpy(line + 1500, "I rkllm: E rkllm: rkllm-runtime version: 1.2.3,", 47);
	for (size_t n = 0; n < sizeof(line); n += 7)
		rklog_line(&l, line + n, sizeof(line) - n);
	memset(line, '\033', sizeof(line));
	rklog_line(&l, line, sizeof(line));
	memset(line, '[', sizeof(line));
	line[0] = '\033';
	rklog_line(&l, line, sizeof(line));
}

/* ---- jobs */

static int read_job(struct arena *a, const char *text, struct job *j, struct err *e)
{
	return job_read(a, text, strlen(text), j, e);
}

static void test_jobs(void **state)
{
	struct arena *a = arena_new();
	struct job_prompt p;
	struct job j;
	struct err e;

	(void)state;
	assert_int_equal(
		read_job(a, "{\"protocol\":1,\"model\":\"/m\",\"max_new_tokens\":7}", &j, &e), 0);
	assert_string_equal(j.library, "librkllmrt.so");
	assert_true(!j.abi && j.runs == 1 && j.n_prompts == 0 && j.load_ms == 600000);
	assert_int_equal(job_read_ask(a, &j, "{\"ask\":{\"text\":\"x\"}}", 20, &p, &e), 0);
	assert_int_equal(p.max_new_tokens, 7);
	assert_int_equal(job_read_ask(a, &j, "{\"ask\":{\"text\":7}}", 18, &p, &e), ERR_INVALID);
	assert_int_equal(job_read_ask(a, &j, "{\"ask\":[]}", 10, &p, &e), ERR_INVALID);
	assert_int_equal(job_read_ask(a, &j, "{}", 2, &p, &e), ERR_INVALID);
	assert_int_equal(read_job(a, "{\"protocol\":1,\"model\":\"/m\",\"runs\":1001}", &j, &e),
			 ERR_INVALID);
	assert_non_null(strstr(e.msg, "runs"));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_load_lines),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_lines_that_say_nothing),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
