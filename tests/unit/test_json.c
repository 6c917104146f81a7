/* JSON: what is refused and where, what is read, and that canonical text is one text. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"

static int setup(void **state)
{
	*state = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static const struct json *parse(struct arena *a, const char *text)
{
	struct err e = ERR_INIT;
	struct json *v = NULL;

	if (json_parse(a, text, strlen(text), &v, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return v;
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error; /* error: how the sentence begins */
	} cases[] = {
		{ "", "1:1: the text ends" },
		{ "nul", "1:1: 'n'" },
		{ "\xef\xbb\xbf{}", "1:1: byte 0xef" },
		{ "{} x", "1:4: 'x'" },
		{ "[1,]", "1:4: ']'" },
		{ "[1 2]", "1:4: '2' where ',' or ']'" },
		{ "[1", "1:3: the text ends" },
		{ "{\"a\":1,}", "1:8: '}'" },
		{ "{a:1}", "1:2: 'a' where a key" },
		{ "{\"a\" 1}", "1:6: '1' where ':'" },
		{ "{\n \"a\":1,\n \"a\":2\n}", "4:1: the object that ends here has the key \"a\"" },
		{ "{\"a\":1,\"\\u0061\":2}", "1:18: the object" },
		{ "{\"a\\u0000\":1}", "1:2: a key with an embedded NUL" },
		{ "01", "1:2: a number must not begin with 0" },
		{ "-", "1:2: the text ends" },
		{ "1.", "1:3: the text ends" },
		{ "1.e5", "1:3: 'e' where a digit" },
		{ "+1", "1:1: '+'" },
		{ ".5", "1:1: '.'" },
		{ "1e", "1:3: the text ends" },
		{ "1e999", "1:1: a number larger" },
		{ "NaN", "1:1: 'N'" },
		{ "\"a\nb\"", "1:3: control character 0x0a" },
		{ "\"\\x\"", "1:3: 'x' where one of" },
		{ "\"\\u12\"", "1:4: \\u is not followed" },
		{ "\"\\udc00\"", "1:4: a low surrogate" },
		{ "\"\\ud800\"", "1:8: a high surrogate" },
		{ "\"\\ud800\\ud800\"", "1:8: a high surrogate" },
		{ "\"abc", "1:5: the text ends inside a string" },
		{ "\"abc\\", "1:6: the text ends where an escape" },
		{ "\"\xc0\xaf\"", "1:2: byte 0xc0 is not valid UTF-8" },
		{ "\"\xed\xa0\x80\"", "1:2: byte 0xed is not valid UTF-8" },
		{ "\"\xf4\x90\x80\x80\"", "1:2: byte 0xf4 is not valid UTF-8" },
		{ "\"\xe2\x82\"", "1:2: byte 0xe2 is not valid UTF-8" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct json *v = NULL;

		assert_int_equal(json_parse(*state, cases[i].text, strlen(cases[i].text), &v, &e),
				 ERR_INVALID);
		assert_null(v);
		if (strncmp(e.msg, cases[i].error, strlen(cases[i].error)) != 0)
			fail_msg("'%s' gives '%s', not '%s...'", cases[i].text, e.msg,
				 cases[i].error);
	}
}

static void test_depth(void **state)
{
	static char text[1000000];
	struct err e = ERR_INIT;
	struct json *v;

	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	assert_int_equal(json_parse(*state, text + 1, 128, &v, &e), 0);
	assert_int_equal(json_parse(*state, text, 130, &v, &e), ERR_INVALID);
	assert_string_equal(e.msg, "1:65: nested more than 64 deep");
	memset(text, '[', sizeof(text));
	assert_int_equal(json_parse(*state, text, sizeof(text), &v, &e), ERR_INVALID);
}

static void test_values(void **state)
{
	const struct json *v = parse(
		*state,
		" { \"s\" : \"a\\u0000b\\n\\ud83d\\ude00\\u20ac\" , \"i\":-9223372036854775808,"
		"\"big\":9223372036854775808,\"d\":2.5e-3,\"t\":true,\"f\":false,\"n\":null,"
		"\"e\":{},\"l\":[],\"z\":-0 } ");
	const struct json *s = json_get(v, "s");

	assert_int_equal(s->len, 11);
	assert_memory_equal(s->str, "a\0b\n\xf0\x9f\x98\x80\xe2\x82\xac", 12);
	assert_true(json_int(v, "i", 0) == INT64_MIN);
	assert_true(json_get(v, "i")->is_integer);
	assert_false(json_get(v, "big")->is_integer);
	assert_true(json_num(v, "big", 0) == 9223372036854775808.0);
	assert_int_equal(json_int(v, "big", 7), 7);
	assert_true(json_num(v, "d", 0) == 0.0025);
	assert_int_equal(json_bool(v, "t", 0), 1);
	assert_int_equal(json_bool(v, "f", 1), 0);
	assert_int_equal(json_get(v, "n")->type, JSON_NULL);
	assert_int_equal(json_get(v, "e")->count, 0);
	assert_int_equal(json_get(v, "l")->count, 0);
	/* another type gives the default as well, and so does what is no object */
	assert_string_equal(json_str(v, "i", "dflt"), "dflt");
	assert_int_equal(json_bool(v, "n", 5), 5);
	assert_null(json_get(v, "absent"));
	assert_null(json_get(NULL, "s"));
	assert_null(json_get(s, "s"));
}

/* A vocabulary of 150,000 and a list of 500,000: the sizes of real tokenizer files. */
static void test_large(void **state)
{
	struct buf b;
	const struct json *v;
	struct json_out w;
	int64_t start;
	char key[32];

	buf_init(&b, (size_t)64 << 20);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_key(&w, "vocab");
	jw_object(&w);
	for (int i = 0; i < 150000; i++) {
		(void)snprintf(key, sizeof(key), "tok%d\xc4\xa0", i);
		jw_kint(&w, key, i);
	}
	jw_end_object(&w);
	jw_key(&w, "merges");
	jw_array(&w);
	for (int i = 0; i < 500000; i++)
		jw_str(&w, "ab cd");
	jw_end_array(&w);
	jw_end_object(&w);
	assert_false(b.overflow);
	v = parse(*state, b.data);
	assert_int_equal(json_get(v, "merges")->count, 500000);
	v = json_get(v, "vocab");
	start = clock_mono_ms();
	for (int i = 0; i < 150000; i++) {
		(void)snprintf(key, sizeof(key), "tok%d\xc4\xa0", i);
		assert_int_equal(json_int(v, key, -1), i);
	}
	/* A search from the front would take 11 thousand million comparisons. */
	assert_true(clock_mono_ms() - start < 5000);
	assert_null(json_get(v, "tok150000"));
	buf_release(&b);
}

/* A key twice among many, which another piece of code finds than among few. */
static void test_large_duplicate(void **state)
{
	struct err e = ERR_INIT;
	struct json *v;
	struct buf b;

	buf_init(&b, 100000);
	(void)buf_adds(&b, "{");
	for (int i = 0; i < 1000; i++)
		(void)buf_addf(&b, "\"k%d\":0,", i);
	(void)buf_adds(&b, "\"k500\":0}");
	assert_int_equal(json_parse(*state, b.data, b.len, &v, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "\"k500\" twice"));
	buf_release(&b);
}

static void test_canonical(void **state)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {
		{ " { \"b\" : 1.0 , \"a\" : [ 1e0 , 0.50 , -0, -0.0 ] , \"\" : null } ",
		  "{\"\":null,\"a\":[1,0.5,0,0],\"b\":1}" },
		{ "\"\\u0001\\u001f\\u007f\\/\\\"\\\\\\b\\f\\n\\r\\t\\u00e9\"",
		  "\"\\u0001\\u001f\x7f/\\\"\\\\\\b\\f\\n\\r\\t\xc3\xa9\"" },
		{ "[9007199254740993,1E30,1e21,1e20]",
		  "[9007199254740993,1e+30,1e+21,100000000000000000000]" },
		{ "{\"\xc3\xa9\":1,\"z\":2,\"a\":3}", "{\"a\":3,\"z\":2,\"\xc3\xa9\":1}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;

		buf_init(&b, 1000);
		assert_int_equal(json_write_canonical(&b, parse(*state, cases[i].text)), 0);
		assert_string_equal(buf_str(&b), cases[i].canonical);
		buf_release(&b);
		buf_init(&b, 3);
		assert_int_equal(json_write_canonical(&b, parse(*state, cases[i].text)),
				 ERR_NOSPACE);
		buf_release(&b);
	}
}

static void test_numbers(void **state)
{
	static const struct {
		double v;
		const char *text;
	} cases[] = {
		/* some from appendix B of RFC 8785 */
		{ 0.5, "0.5" },
		{ 1, "1" },
		{ 0.1, "0.1" },
		{ 1e30, "1e+30" },
		{ -0.0, "0" },
		{ 5e-324, "5e-324" },
		{ -5e-324, "-5e-324" },
		{ 1.7976931348623157e308, "1.7976931348623157e+308" },
		{ 9007199254740992, "9007199254740992" },
		{ 295147905179352830000.0, "295147905179352830000" },
		{ 9.999999999999997e22, "9.999999999999997e+22" },
		{ 1e21, "1e+21" },
		{ 999999999999999900000.0, "999999999999999900000" },
		{ 0.000001, "0.000001" },
		{ 1e-7, "1e-7" },
		{ 333333333.3333332, "333333333.3333332" },
		{ -0.0000033333333333333333, "-0.0000033333333333333333" },
		{ 1424953923781206.2, "1424953923781206.2" },
		{ 1e-5, "0.00001" },
	};
	uint64_t bits = 0x9e3779b97f4a7c15u;
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_format_number(cases[i].v, out);
		assert_string_equal(out, cases[i].text);
	}
	json_format_number((double)NAN, out);
	assert_string_equal(out, "null");
	json_format_number((double)INFINITY, out);
	assert_string_equal(out, "null");
	for (int i = 0; i < 20000; i++) { /* any finite double reads back */
		double v;

		bits = bits * 6364136223846793005u + 1442695040888963407u;
		memcpy(&v, &bits, sizeof(v));
		if (!isfinite(v))
			continue;
		json_format_number(v, out);
		assert_true(strtod(out, NULL) == v);
	}
}

/* The text with the fewest digits, searched for: short numbers take another road in json.c. */
static void shortest_text(double v, char out[32])
{
	for (int decimals = 0; decimals <= 17; decimals++) {
		(void)snprintf(out, 32, "%.*f", decimals, v);
		if (strtod(out, NULL) == v)
			return;
	}
}

static void test_short_numbers(void **state)
{
	uint64_t bits = 0x9e3779b97f4a7c15u;
	char out[32], want[32];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		double scale = 1, v;

		bits = bits * 6364136223846793005u + 1442695040888963407u;
		for (unsigned k = bits >> 32 & 7; k; k--)
			scale *= 10;
		v = (double)(bits >> 40 >> (bits & 15)) / scale;
		if (v < 0.001 || v > 1e6) /* printf's %f has all digits of these */
			continue;
		json_format_number(v, out);
		shortest_text(v, want);
		assert_string_equal(out, want);
		json_format_number(-v, out);
		assert_int_equal(out[0], '-');
		assert_string_equal(out + 1, want);
		json_format_number(nextafter(v, 1), out); /* not short: all its digits */
		assert_true(strtod(out, NULL) == nextafter(v, 1));
	}
}

static void test_writer(void **state)
{
	struct json_out w;
	struct buf b;

	buf_init(&b, 10000);
	jw_init(&w, &b, 2);
	jw_object(&w);
	jw_kstr(&w, "s", "a\"\xff\x01");
	jw_kstr(&w, "n", NULL);
	jw_key(&w, "l");
	jw_array(&w);
	jw_int(&w, -1);
	jw_uint(&w, UINT64_MAX);
	jw_num(&w, (double)NAN);
	jw_end_array(&w);
	jw_key(&w, "e");
	jw_object(&w);
	jw_end_object(&w);
	jw_key(&w, "v");
	jw_value(&w, parse(*state, "{\"b\":[], \"a\":1}"));
	jw_kbool(&w, "t", 7);
	jw_knum(&w, "d", 0.25);
	jw_end_object(&w);
	assert_string_equal(buf_str(&b), "{\n"
					 "  \"s\": \"a\\\"\xef\xbf\xbd\\u0001\",\n"
					 "  \"n\": null,\n"
					 "  \"l\": [\n"
					 "    -1,\n"
					 "    18446744073709551615,\n"
					 "    null\n"
					 "  ],\n"
					 "  \"e\": {},\n"
					 "  \"v\": {\"a\":1,\"b\":[]},\n"
					 "  \"t\": true,\n"
					 "  \"d\": 0.25\n"
					 "}");
	(void)parse(*state, buf_str(&b));
	buf_clear(&b);
	jw_init(&w, &b, 0);
	jw_array(&w);
	jw_bool(&w, 0);
	jw_object(&w);
	jw_kint(&w, "k", 1);
	jw_kint(&w, "l", 2);
	jw_end_object(&w);
	jw_end_array(&w);
	assert_string_equal(buf_str(&b), "[false,{\"k\":1,\"l\":2}]");
	buf_release(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_refused), T(test_depth),		  T(test_values),
		T(test_large),	 T(test_large_duplicate), T(test_canonical),
		T(test_numbers), T(test_writer),	  T(test_short_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
