/* test_measure: streams of answers, sets of prompts, results as JSON, comparisons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/measure/chat.h"
#include "orchestrator/measure/measure.h"
#include "orchestrator/measure/sse.h"

/* ---- server-sent events */

static int note(void *ctx, const char *data, size_t len, struct err *e)
{
	struct buf *b = ctx;

	(void)e;
	buf_addf(b, "[%.*s]", (int)len, data);
	return 0;
}

/* The same events, in whatever pieces the bytes come. */
static void check_events(const char *text, const char *want)
{
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		struct err e = ERR_INIT;
		struct sse s;
		struct buf b;

		sse_init(&s, 4096);
		buf_init(&b, 4096);
		for (size_t at = 0; at < strlen(text); at += piece) {
			size_t n = strlen(text) - at < piece ? strlen(text) - at : piece;

			assert_int_equal(sse_feed(&s, text + at, n, note, &b, &e), 0);
		}
		assert_string_equal(buf_str(&b), want);
		sse_release(&s);
		buf_release(&b);
	}
}

static void test_events(void **state)
{
	(void)state;
	check_events("data: a\n\ndata:b\r\n\r\ndata:  c\r\r", "[a][b][ c]");
	check_events("data: a\ndata: b\n\n", "[a\nb]");
	check_events(": ping\n\nevent: x\nid: 1\nretry: 5\ndata: y\n\n", "[y]");
	check_events("\xEF\xBB\xBF"
		     "data: a\n\n\xEF\xBB\xBF"
		     "data: b\n\n",
		     "[a]");
	check_events("data\n\n", "[]");
	check_events("data: never ended", "");
	check_events("database: 1\n\ndat: 2\n\n", "");
	check_events("\n\n\n\r\n", "");
}

static void test_events_have_an_end(void **state)
{
	struct err e = ERR_INIT;
	struct sse s;
	struct buf b;
	int rc = 0;

	(void)state;
	buf_init(&b, 1 << 20);
	sse_init(&s, 1024);
	for (int i = 0; i < 2000 && rc >= 0; i++)
		rc = sse_feed(&s, "x", 1, note, &b, &e);
	assert_int_equal(rc, ERR_INVALID);
	sse_release(&s);
	sse_init(&s, 1024);
	for (int i = 0, rc2 = 0; i < 2000 && rc2 >= 0; i++)
		rc = rc2 = sse_feed(&s, "data: xxxx\n", 11, note, &b, &e);
	assert_int_equal(rc, ERR_INVALID);
	sse_release(&s);
	buf_release(&b);
}

/* ---- an answer */

static double clock_ms;

static double now(void)
{
	return clock_ms;
}

struct answered {
	struct measure_answer x;
	int rc;
	struct err e;
};

/* Each event comes 10 ms after the one before it. */
static struct answered answer(int new_tokens, const char *const *events, size_t n)
{
	struct answered out = { .x = { .prompt_tokens = -1,
				       .new_tokens = -1,
				       .ttft_ms = -1,
				       .prompt_ms = -1,
				       .generate_ms = -1,
				       .cached_tokens = -1 } };
	struct chat c;

	clock_ms = 1000;
	buf_init(&out.x.text, 1 << 16);
	chat_begin(&c, &out.x, new_tokens, now);
	for (size_t i = 0; i < n && out.rc >= 0; i++) {
		clock_ms += 10;
		out.rc = chat_event(&c, events[i], strlen(events[i]), &out.e);
	}
	if (out.rc >= 0)
		out.rc = chat_end(&c, &out.e);
	chat_release(&c);
	return out;
}

#define PIECE(text) "{\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}"

static void test_an_answer_by_usage(void **state)
{
	static const char *const events[] = {
		"{\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}",
		PIECE("a "),
		PIECE("b "),
		PIECE("c"),
		"{\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
		"\"completion_tokens\":4}}",
		"[DONE]",
		"{\"error\":\"after the end\"}"
	};
	struct answered r = answer(8, events, 7);

	(void)state;
	assert_int_equal(r.rc, 0);
	assert_string_equal(buf_str(&r.x.text), "a b c");
	assert_int_equal(r.x.counted_by, COUNTED_USAGE);
	assert_int_equal(r.x.prompt_tokens, 7);
	assert_int_equal(r.x.new_tokens, 4);
	assert_true(r.x.ttft_ms == 20 && r.x.generate_ms == 20 && r.x.total_ms == 70);
	buf_release(&r.x.text);
}

static void test_an_answer_by_timings(void **state)
{
	static const char *const events[] = {
		PIECE("a"), "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],"
			    "\"timings\":{\"prompt_n\":5,\"prompt_ms\":2.5,\"cache_n\":3,"
			    "\"predicted_n\":9,\"predicted_ms\":12.5}}"
	};
	struct answered r = answer(9, events, 2);

	(void)state;
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.x.counted_by, COUNTED_TIMINGS);
	assert_int_equal(r.x.prompt_tokens, 8);
	assert_int_equal(r.x.cached_tokens, 3);
	assert_int_equal(r.x.new_tokens, 9);
	assert_true(r.x.prompt_ms == 2.5 && r.x.generate_ms == 12.5 && r.x.cut);
	buf_release(&r.x.text);
}

static void test_what_cannot_be_is_not_believed(void **state)
{
	static const char *const events[] = {
		PIECE("a"), PIECE("b"),
		"{\"usage\":{\"prompt_tokens\":-4,\"completion_tokens\":999999999999},"
		"\"timings\":{\"predicted_n\":5,\"predicted_ms\":1e12,\"prompt_ms\":-1}}"
	};
	struct answered r = answer(8, events, 3);

	(void)state;
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.x.counted_by, COUNTED_CHUNKS);
	assert_int_equal(r.x.prompt_tokens, -1);
	assert_int_equal(r.x.new_tokens, 2);
	buf_release(&r.x.text);
}

static void test_bad_answers(void **state)
{
	static const struct {
		const char *event, *says;
	} bad[] = {
		{ "{", "no JSON" },
		{ "[]", "no JSON object" },
		{ "{\"choices\":5}", "no list" },
		{ "{\"error\":{\"message\":\"gone \\u001b[31m\"}}", "the server says: gone" },
		{ "{\"error\":{}}", "the server says: error" },
	};
	static const char *const nothing[] = { "{\"choices\":[]}" };
	struct answered r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = answer(8, &bad[i].event, 1);
		assert_true(r.rc < 0);
		assert_non_null(strstr(r.e.msg, bad[i].says));
		assert_null(strchr(r.e.msg, '\x1b'));
		buf_release(&r.x.text);
	}
	r = answer(8, nothing, 1);
	assert_int_equal(r.rc, ERR_INVALID);
	buf_release(&r.x.text);
}

static void test_an_answer_has_an_end(void **state)
{
	const char *events[2000];
	struct answered r;

	(void)state;
	for (size_t i = 0; i < 2000; i++)
		events[i] = PIECE("on and ");
	r = answer(8, events, 2000);
	assert_int_equal(r.rc, ERR_INVALID);
	assert_non_null(strstr(r.e.msg, "does not stop"));
	buf_release(&r.x.text);
}

/* ---- prompts */

static void test_prompts(void **state)
{
	static const char text[] =
		"{\"name\":\"n\",\"performance\":[{\"prompt\":\"p\"}],\"quality\":[{\"name\":\"q\","
		"\"prompt\":\"x\",\"new_tokens\":9,\"language\":\"de\",\"topic\":[\"a\",\"b\"]}]}";
	struct arena *a = arena_new();
	struct measure_prompt_set set;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(measure_prompts_read(a, text, strlen(text), &set, &e), 0);
	assert_int_equal(set.n_performance, 1);
	assert_string_equal(set.performance[0].name, "performance-1");
	assert_int_equal(set.performance[0].new_tokens, 64);
	assert_int_equal(set.quality[0].n_topic, 2);
	assert_int_equal(strlen(set.hash), 7 + 64);
	arena_free(a);
}

static void test_bad_prompts(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "{", "1:" },
		{ "[]", "an object" },
		{ "{}", "no prompts" },
		{ "{\"perfomance\":[]}", "did you mean \"performance\"?" },
		{ "{\"performance\":[{}]}", "prompt 1 of `performance`: it has no `prompt`" },
		{ "{\"performance\":[{\"prompt\":\"a\",\"language\":\"en\"}]}", "unknown member" },
		{ "{\"quality\":[{\"prompt\":\"a\",\"language\":\"xx\"}]}", "not known" },
		{ "{\"quality\":[{\"prompt\":\"a\",\"topic\":[]}]}", "no list of words" },
		{ "{\"performance\":[{\"prompt\":\"a\",\"new_tokens\":0}]}", "1 to 32768" },
		{ "{\"performance\":[{\"prompt\":\"a\",\"name\":\"x\"},{\"prompt\":\"b\",\"name\":"
		  "\"x\"}]}",
		  "taken by prompt 1" },
		{ "{\"performance\":[{\"prompt\":\"a\",\"name\":\"x y\"}]}", "is none" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct arena *a = arena_new();
		struct measure_prompt_set set;
		struct err e = ERR_INIT;

		assert_int_equal(
			measure_prompts_read(a, bad[i].text, strlen(bad[i].text), &set, &e),
			ERR_INVALID);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("%s: %s", bad[i].text, e.msg);
		arena_free(a);
	}
}

/* quern's own set is one, and its questions would pass for their own answers. */
static void test_own_prompts(void **state)
{
	struct arena *a = arena_new();
	struct measure_prompt_set set;
	struct err e = ERR_INIT;

	(void)state;
	if (measure_prompts_load(a, SOURCE_DIR "/share/prompts.json", &set, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(set.n_performance >= 2 && set.n_quality >= 3);
	arena_free(a);
}

/* ---- results */

static struct measure_result sample(struct arena *a, double speed, double ttft)
{
	struct measure_result r = { .a = a,
				    .kind = MEASURE_SERVE,
				    .machine = "a machine",
				    .host = "local x",
				    .prompts = "p",
				    .prompts_hash = "sha256:0",
				    .at_ms = 1700000000000,
				    .runs = 3,
				    .warmup = 1,
				    .memory_bytes = 1000,
				    .counted_by = COUNTED_TIMINGS };

	r.rows = arena_array(a, 1, sizeof(*r.rows));
	r.n_rows = 1;
	r.rows[0] = (struct measure_row){ .prompt = "short",
					  .seqlen = 12,
					  .new_tokens = 64,
					  .ttft_ms = { 3, ttft, ttft, ttft, ttft },
					  .generate_per_s = { 3, speed, speed, speed, speed } };
	return r;
}

static void test_a_result_and_back(void **state)
{
	struct arena *a = arena_new();
	struct measure_result r = sample(a, 10.5, 20), back;
	struct err e = ERR_INIT;
	struct json_out w;
	struct json *v;
	struct buf once, twice;

	(void)state;
	measure_say_version(&r, "server", "b1\x1b[0m");
	measure_say_version(&r, "server", "second is not taken");
	measure_warn(&r, MEASURE_WARN_GARBAGE, "short", "it is %d", 7);
	for (int i = 0; i < 100; i++)
		measure_warn(&r, MEASURE_WARN_TARGET, "", "more");
	assert_int_equal(r.n_warnings, MEASURE_WARNINGS_MAX);
	assert_int_equal(r.more_warnings, 101 - MEASURE_WARNINGS_MAX);
	buf_init(&once, 1 << 20);
	buf_init(&twice, 1 << 20);
	jw_init(&w, &once, 0);
	measure_result_write(&w, &r);
	assert_int_equal(json_parse(a, once.data, once.len, &v, &e), 0);
	assert_int_equal(measure_result_read(a, v, &back, &e), 0);
	jw_init(&w, &twice, 0);
	measure_result_write(&w, &back);
	assert_string_equal(buf_str(&once), buf_str(&twice));
	assert_null(strchr(buf_str(&once), '\x1b'));
	assert_int_equal(back.rows[0].total_ms.n, 0);
	buf_release(&once);
	buf_release(&twice);
	arena_free(a);
}

static void test_foreign_results(void **state)
{
	static const char *const texts[] = { "{\"kind\":\"serve\"}",
					     "{\"kind\":\"serve\",\"rows\":5,\"versions\":[],"
					     "\"warnings\":{}}",
					     "{\"kind\":\"board\",\"rows\":[1,null,{\"ttft_ms\":{"
					     "\"runs\":-1,\"median\":\"x\"}}],\"warnings\":[3]}" };
	struct arena *a = arena_new();
	struct measure_result r;
	struct err e = ERR_INIT;
	struct json *v;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(json_parse(a, texts[i], strlen(texts[i]), &v, &e), 0);
		assert_int_equal(measure_result_read(a, v, &r, &e), 0);
	}
	assert_int_equal(r.rows[2].ttft_ms.n, 0);
	assert_int_equal(json_parse(a, "{\"kind\":\"toaster\"}", 18, &v, &e), 0);
	assert_int_equal(measure_result_read(a, v, &r, &e), ERR_INVALID);
	arena_free(a);
}

static void test_comparison(void **state)
{
	struct arena *a = arena_new();
	struct measure_result before = sample(a, 100, 20), now1 = sample(a, 91, 21);
	struct measure_result slow = sample(a, 80, 20), late = sample(a, 100, 30);
	struct measure_result other = sample(a, 10, 200), big = sample(a, 100, 20);

	(void)state;
	assert_int_equal(measure_compare(&now1, &before, 0.1, "then"), 0);
	assert_int_equal(measure_compare(&slow, &before, 0.1, "then"), 1);
	assert_string_equal(slow.warnings[0].kind, MEASURE_WARN_REGRESSION);
	assert_string_equal(slow.warnings[0].text, "generation with \"short\" went from 100 to 80 "
						   "tokens/s since then (-20 %)");
	assert_int_equal(measure_compare(&late, &before, 0.1, "then"), 1);
	other.prompts_hash = "sha256:1";
	assert_int_equal(measure_compare(&other, &before, 0.1, "then"), 0);
	other.prompts_hash = before.prompts_hash;
	other.host = "local y";
	assert_int_equal(measure_compare(&other, &before, 0.1, "then"), 0);
	/* Pieces of the stream are no tokens; the time to the first is a time. */
	slow.counted_by = late.counted_by = COUNTED_TOKENIZER;
	assert_int_equal(measure_compare(&slow, &before, 0.1, "then"), 0);
	assert_int_equal(measure_compare(&late, &before, 0.1, "then"), 1);
	big.memory_bytes = 2000;
	assert_int_equal(measure_compare(&big, &before, 0.1, "then"), 1);
	assert_int_equal(measure_compare(&big, &before, 0, "then"), 0);
	arena_free(a);
}

/* ---- templates */

static void test_templates(void **state)
{
	static const struct measure_var vars[] = { { "file", "a b/\"c\"" }, { "port", "80" } };
	static const char *const names[] = { "file", "port" };
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	measure_fill(&b, "{file}:{port}{x}{", vars, 2, MEASURE_IN_TEXT);
	assert_string_equal(buf_str(&b), "a b/\"c\":80{x}{");
	buf_clear(&b);
	measure_fill(&b, "/load/{file}", vars, 2, MEASURE_IN_PATH);
	assert_string_equal(buf_str(&b), "/load/a%20b%2F%22c%22");
	buf_clear(&b);
	measure_fill(&b, "{\"model\": \"{file}\"}", vars, 2, MEASURE_IN_JSON);
	assert_string_equal(buf_str(&b), "{\"model\": \"a b/\\\"c\\\"\"}");
	buf_release(&b);
	assert_int_equal(measure_template_check("{\"a\": \"{file}\"}", names, 2, &e), 0);
	assert_int_equal(measure_template_check("{prot}", names, 2, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "{port}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_events_have_an_end),
		cmocka_unit_test(test_an_answer_by_usage),
		cmocka_unit_test(test_an_answer_by_timings),
		cmocka_unit_test(test_what_cannot_be_is_not_believed),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_an_answer_has_an_end),
		cmocka_unit_test(test_prompts),
		cmocka_unit_test(test_bad_prompts),
		cmocka_unit_test(test_own_prompts),
		cmocka_unit_test(test_a_result_and_back),
		cmocka_unit_test(test_foreign_results),
		cmocka_unit_test(test_comparison),
		cmocka_unit_test(test_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
