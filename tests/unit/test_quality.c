/* What a worker says of quality: the worst tensors in order, and what has not the form is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "db/quality.h"

static bool read(struct arena *a, const char *quality, struct quality_facts *q)
{
	char *text = arena_printf(a, "{\"worker\":{\"quality\":%s}}", quality);
	struct err e = ERR_INIT;
	struct facts f;

	if (facts_parse(a, text, &f, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return quality_read(&f, q);
}

static void the_worst_come_first(void **state)
{
	struct arena *a = arena_new();
	struct quality_facts q;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	buf_adds(&b,
		 "{\"columns\":[\"other\",\"snr_db\",\"relative\",\"max_error\"],\"tensors\":{");
	for (int i = 0; i < 30; i++) /* each of three errors ten times */
		buf_addf(&b, "%s\"t%02d\":[\"Q4_0\",7,20,0.%d,3]", i ? "," : "", i, 1 + i % 3);
	buf_adds(&b, "},\"all\":[7,21.5,0.25,3]}");
	assert_true(read(a, buf_str(&b), &q));
	assert_int_equal(q.n_tensors, 30);
	assert_int_equal(q.n_worst, QUALITY_WORST);
	assert_true(q.all.relative == 0.25 && q.all.snr_db == 21.5 && q.all.max_error == 3);
	for (int i = 0; i < QUALITY_WORST; i++) {
		assert_true(q.worst[i].relative == 0.3);
		assert_string_equal(q.worst[i].tensor, arena_printf(a, "t%02d", 2 + 3 * i));
		assert_string_equal(q.worst[i].type, "Q4_0");
	}
	assert_string_equal(quality_error_text(a, &q.all), "0.25");
	assert_string_equal(quality_snr_text(a, &q.all), "21.5 dB");
	buf_release(&b);
	arena_free(a);
}

static void without_loss_there_is_no_ratio(void **state)
{
	struct arena *a = arena_new();
	struct quality_facts q;
	struct json_out w;
	struct buf b;

	(void)state;
	assert_true(read(a,
			 "{\"columns\":[\"relative\",\"snr_db\"],\"tensors\":{\"t\":[\"F32\",0,"
			 "null]},\"all\":[0,null]}",
			 &q));
	assert_int_equal(q.n_worst, 1);
	assert_string_equal(quality_error_text(a, &q.all), "none");
	assert_string_equal(quality_snr_text(a, &q.worst[0]), "exact");
	buf_init(&b, 1 << 10);
	jw_init(&w, &b, 0);
	jw_object(&w);
	quality_row_json(&w, &q.all);
	jw_end_object(&w);
	assert_string_equal(buf_str(&b), "{\"relative_error\":0,\"snr_db\":null,\"max_error\":0}");
	buf_release(&b);
	arena_free(a);
}

static void another_form_is_none(void **state)
{
	static const char *const cases[] = {
		"null",
		"7",
		"{}",
		"{\"columns\":[],\"tensors\":{},\"all\":[]}",
		"{\"columns\":[\"relative\"],\"tensors\":{},\"all\":[]}",
		"{\"columns\":[\"relative\"],\"tensors\":[],\"all\":[1]}",
		"{\"columns\":[\"relative\"],\"tensors\":{\"t\":[]},\"all\":[1]}",
		"{\"columns\":[\"relative\"],\"tensors\":{\"t\":[1,2]},\"all\":[1]}",
		"{\"columns\":[\"relative\"],\"tensors\":{\"t\":{}},\"all\":[1]}",
		"{\"columns\":[\"snr_db\"],\"tensors\":{},\"all\":[1]}",
		"{\"columns\":[7,\"relative\"],\"tensors\":{},\"all\":[1,2]}",
		"{\"columns\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
		"\"a\","
		"\"a\",\"a\",\"a\",\"a\",\"relative\"],\"tensors\":{},\"all\":[1]}",
	};
	struct quality_facts q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new();

		if (read(a, cases[i], &q))
			fail_msg("%s", cases[i]);
		arena_free(a);
	}
}

/* A row may be shorter than the names, and hold anything. */
static void what_is_missing_is_zero(void **state)
{
	struct arena *a = arena_new();
	struct quality_facts q;

	(void)state;
	assert_true(read(a,
			 "{\"columns\":[\"relative\",\"snr_db\",\"max_error\"],\"tensors\":{\"t\":"
			 "[\"X\",0.5]},\"all\":[\"a\",{}]}",
			 &q));
	assert_true(q.all.relative == 0 && q.all.snr_db == 0);
	assert_true(q.worst[0].relative == 0.5 && q.worst[0].max_error == 0);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_worst_come_first),
		cmocka_unit_test(without_loss_there_is_no_ratio),
		cmocka_unit_test(another_form_is_none),
		cmocka_unit_test(what_is_missing_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
