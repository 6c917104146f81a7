/* quern-board's lines on this side: what is believed, what becomes an error, what differs from the
 * job. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/measure/board_talk.h"

struct talk {
	struct arena *a;
	struct ssh ssh;
	struct ssh_channel channel;
	struct measure_result r;
	struct board_talk t;
};

/* A channel whose other side has said text and then ended. */
static void open_talk(struct talk *k, const char *text, size_t n)
{
	FILE *f = tmpfile();

	memset(k, 0, sizeof(*k));
	k->a = arena_new();
	k->r.a = k->a;
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fflush(f), 0);
	k->channel.in_fd = dup(fileno(f));
	assert_int_equal(lseek(k->channel.in_fd, 0, SEEK_SET), 0);
	(void)fclose(f);
	k->channel.out_fd = -1;
	k->channel.ssh = &k->ssh;
	buf_init(&k->channel.in, SSH_LINE_MAX);
	k->t.channel = &k->channel;
	k->t.r = &k->r;
}

static void close_talk(struct talk *k)
{
	(void)ssh_drop(&k->channel);
	arena_free(k->a);
}

static int await(struct talk *k, const char *text, struct json **v, struct err *e)
{
	open_talk(k, text, strlen(text));
	return board_await(&k->t, k->a, "answer", 5000, v, e);
}

static void test_finds_its_event(void **state)
{
	static const char text[] = "Welcome to this board!\n"
				   "{\"event\":\"log\",\"text\":\"E rkllm: bad\\u0007 thing\"}\n"
				   "{\"event\":\"warning\",\"text\":\"mind\"}\n"
				   "{\"event\":7}\n{\"event\":\"answer\"\n[]\n{\"a\":1}\n\n"
				   "{\"event\":\"answer\",\"text\":\"first\"}\n"
				   "{\"event\":\"answer\",\"text\":\"second\"}\n";
	struct talk k;
	struct json *v;
	struct err e;

	(void)state;
	assert_int_equal(await(&k, text, &v, &e), 0);
	assert_string_equal(json_str(v, "text", ""), "first");
	assert_int_equal(k.r.n_warnings, 1);
	assert_string_equal(k.r.warnings[0].text, "mind");
	assert_null(strchr(k.t.last_error, 7));
	assert_int_equal(board_await(&k.t, k.a, "answer", 5000, &v, &e), 0);
	assert_string_equal(json_str(v, "text", ""), "second");
	assert_int_equal(board_await(&k.t, k.a, "answer", 5000, &v, &e), ERR_BUSY);
	close_talk(&k);
}

static void test_bad_ends(void **state)
{
	static const struct {
		const char *line;
		int code;
	} cases[] = {
		{ "{\"event\":\"result\",\"status\":\"error\",\"code\":\"invalid\",\"message\":"
		  "\"no\"}\n",
		  ERR_INVALID },
		{ "{\"event\":\"result\",\"status\":\"error\",\"code\":\"env\",\"message\":\"no\"}"
		  "\n",
		  ERR_ENV },
		{ "{\"event\":\"result\",\"status\":\"error\",\"code\":\"busy\",\"message\":\"no\"}"
		  "\n",
		  ERR_BUSY },
		{ "{\"event\":\"result\",\"status\":\"error\",\"code\":\"io\",\"message\":\"no\"}"
		  "\n",
		  ERR_IO },
		{ "{\"event\":\"result\",\"status\":\"error\",\"code\":\"io\",\"cause\":"
		  "\"stopped\",\"message\":\"no\"}\n",
		  ERR_BUSY },
		{ "{\"event\":\"result\",\"status\":\"ok\",\"message\":\"no\"}\n",
		  ERR_IO }, /* but no answer */
	};
	struct talk k;
	struct json *v;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(await(&k, cases[i].line, &v, &e), cases[i].code);
		assert_string_equal(e.msg, "no");
		close_talk(&k);
	}
}

static void test_a_line_without_end(void **state)
{
	size_t n = SSH_LINE_MAX + 100000;
	char *text = malloc(n);
	struct talk k;
	struct json *v;
	struct err e;

	(void)state;
	assert_non_null(text);
	memset(text, '{', n);
	open_talk(&k, text, n);
	assert_int_equal(board_await(&k.t, k.a, "answer", 60000, &v, &e), ERR_IO);
	close_talk(&k);
	free(text);
}

static struct json *parse(struct arena *a, const char *text)
{
	struct json *v;
	struct err e;

	assert_int_equal(json_parse(a, text, strlen(text), &v, &e), 0);
	return v;
}

static void test_answers(void **state)
{
	struct arena *a = arena_new();
	struct measure_answer x = { .cut = false };
	struct err e;

	(void)state;
	buf_init(&x.text, MEASURE_ANSWER_MAX);
	assert_int_equal(board_read_answer(parse(a, "{\"text\":\"hi\",\"counted_by\":\"log\","
						    "\"ttft_ms\":1.5,\"new_tokens\":3,"
						    "\"memory_bytes\":-7,\"total_ms\":1e300,"
						    "\"prompt_ms\":\"x\",\"cut\":true}"),
					   &x, &e),
			 0);
	assert_string_equal(buf_str(&x.text), "hi");
	assert_true(x.ttft_ms == 1.5 && x.new_tokens == 3 && x.cut);
	assert_true(x.memory_bytes == -1 && x.total_ms == -1 && x.prompt_ms == -1 &&
		    x.prompt_tokens == -1);
	assert_int_equal(x.counted_by, COUNTED_RUNTIME);
	assert_int_equal(
		board_read_answer(parse(a, "{\"text\":\"\",\"counted_by\":\"clock\"}"), &x, &e), 0);
	assert_int_equal(x.counted_by, COUNTED_CHUNKS);
	assert_int_equal(board_read_answer(parse(a, "{\"text\":7}"), &x, &e), ERR_IO);
	assert_int_equal(board_read_answer(parse(a, "[]"), &x, &e), ERR_IO);
	buf_release(&x.text);
	arena_free(a);
}

static void test_compare(void **state)
{
	struct arena *a = arena_new();
	struct measure_options o = { .platform = "rk3588",
				     .quant = "w8a8",
				     .toolkit = "1.2.3",
				     .max_context = 4096,
				     .npu_cores = 3 };
	struct measure_result r = { .a = a };
	struct board_loaded l;

	(void)state;
	board_read_loaded(parse(a, "{\"runtime\":\"1.2.3\",\"toolkit\":\"1.2.3\",\"target\":"
				   "\"RK3588\",\"dtype\":\"W8A8\","
				   "\"max_context\":4096,\"cores\":3}"),
			  &l);
	board_compare(&o, &l, &r);
	assert_int_equal(r.n_warnings, 0);
	board_read_loaded(parse(a, "{\"runtime\":\"1.2.3\",\"toolkit\":\"1.2.2\",\"target\":"
				   "\"RK3576\",\"dtype\":\"W4A16\","
				   "\"max_context\":8192,\"cores\":2}"),
			  &l);
	board_compare(&o, &l, &r);
	assert_int_equal(r.n_warnings, 5);
	for (size_t i = 0; i < r.n_warnings; i++)
		assert_string_equal(r.warnings[i].kind, MEASURE_WARN_MISMATCH);
	assert_string_equal(r.warnings[0].text,
			    "platform: the job says rk3588, the file says RK3576");
	assert_string_equal(r.warnings[4].text, "NPU cores: the job says 3, the file says 2");
	assert_string_equal(r.warnings[2].text, "toolkit: the job says 1.2.3, the file says 1.2.2");
	l.toolkit = "1.2.3b5"; /* as released wheels write */
	o = (struct measure_options){ .platform = "", .quant = "", .toolkit = "1.2.3" };
	board_compare(&o, &l, &r);
	assert_int_equal(r.n_warnings, 5);
	/* What either side does not know is no difference. */
	o = (struct measure_options){ .platform = "", .quant = "" };
	board_compare(&o, &l, &r);
	assert_int_equal(r.n_warnings, 5);
	/* A runtime that says nothing: once. */
	board_read_loaded(parse(a, "{\"runtime\":\"1.1.4\",\"toolkit\":null,\"cores\":null}"), &l);
	board_compare(&o, &l, &r);
	assert_int_equal(r.n_warnings, 6);
	assert_string_equal(r.warnings[5].kind, MEASURE_WARN_TARGET);
	assert_non_null(strstr(r.warnings[5].text, "1.1.4"));
	arena_free(a);
}

static void test_quoting(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	assert_string_equal(ssh_quoted(a, "it's $(me)\n"), "'it'\\''s $(me)\n'");
	assert_string_equal(ssh_quoted(a, ""), "''");
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_its_event),
		cmocka_unit_test(test_bad_ends),
		cmocka_unit_test(test_a_line_without_end),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_quoting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
