/* Sizes, durations, globs and did-you-mean, by tables of what is right and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/units.h"

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "512B", 512 },
		{ "100k", 100000 },
		{ "1 KiB", 1024 },
		{ "1.5 GB", 1500000000 },
		{ "1.5GiB", 1610612736 },
		{ "16GiB", 17179869184 },
		{ "2T", 2000000000000 },
		{ "0.3KiB", 307 },
		{ "4194304TiB", (uint64_t)1 << 62 },
	};
	static const char *const bad[] = {
		"",	 " 1",	 "-1",	       "x",
		"1 kib", "1gb",	 "1.",	       ".5",
		"1.5",	 "1.5B", "4194305TiB", "99999999999999999999999",
		"1e9",	 "1GB ", "0x10",       "1.12345678901234567890123G",
		"1 G B",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		uint64_t v = 99;

		assert_int_equal(units_parse_size(good[i].text, &v), 0);
		assert_int_equal(v, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint64_t v = 99;

		if (units_parse_size(bad[i], &v) != ERR_INVALID)
			fail_msg("size \"%s\" was read", bad[i]);
		assert_int_equal(v, 99);
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "90s", 90000 },     { "6h", 21600000 },
		{ "1h30m", 5400000 }, { "2d", 172800000 },
		{ "250ms", 250 },     { "45", 45000 },
		{ "1.5h", 5400000 },  { "0", 0 },
		{ "0.25", 250 },      { "1d2h3m4s5ms", 93784005 },
	};
	static const char *const bad[] = {
		"",   "s",   "-5s",  "1h30",  "30m1h", "1h1h",
		"1w", "5 s", "1e3s", "1.5ms", "1h-1m", "99999999999999999999d",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		int64_t v = -1;

		assert_int_equal(units_parse_duration(good[i].text, &v), 0);
		assert_int_equal(v, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int64_t v = -1;

		if (units_parse_duration(bad[i], &v) != ERR_INVALID)
			fail_msg("duration \"%s\" was read", bad[i]);
		assert_int_equal(v, -1);
	}
}

static void test_formats(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0 B" },		{ 1023, "1023 B" },	   { 1024, "1.0 KiB" },
		{ 1048575, "1.0 MiB" }, { 1503238554, "1.4 GiB" }, { UINT64_MAX, "16.0 EiB" },
	};
	static const struct {
		int64_t ms;
		const char *text;
	} times[] = {
		{ 0, "0ms" },	      { 850, "850ms" },	     { 42000, "42s" },
		{ 307000, "5m 07s" }, { 7500000, "2h 05m" }, { 273600000, "3d 04h" },
		{ -5000, "-5s" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		units_format_size(sizes[i].bytes, out, sizeof(out));
		assert_string_equal(out, sizes[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		units_format_duration(times[i].ms, out, sizeof(out));
		assert_string_equal(out, times[i].text);
	}
	units_format_duration(INT64_MIN, out, sizeof(out));
	assert_memory_equal(out, "-106751991167d", 14);
	units_format_size(UINT64_MAX, out, 4); /* cut, not overrun */
	assert_string_equal(out, "16.");
}

static void test_globs(void **state)
{
	static const struct {
		const char *pattern, *text;
		int match;
	} cases[] = {
		{ "", "", 1 },
		{ "", "a", 0 },
		{ "*", "", 1 },
		{ "*", "a/b", 1 },
		{ "a*c", "abbc", 1 },
		{ "a*c", "abcd", 0 },
		{ "*a*b", "xaxbxb", 1 },
		{ "?", "a", 1 },
		{ "?", "\xc3\xa9", 1 },
		{ "?", "", 0 },
		{ "[a-c]x", "bx", 1 },
		{ "[!a-c]x", "bx", 0 },
		{ "[!a-c]x", "dx", 1 },
		{ "[]a]", "]", 1 },
		{ "[a", "[a", 1 },
		{ "\\*", "*", 1 },
		{ "\\*", "a", 0 },
		{ "q[48]_*", "q4_0", 1 },
		{ "q[48]_*", "q5_0", 0 },
		{ "*.safetensors", "m.safetensors", 1 },
		{ "a\\", "a\\", 1 },
		{ "[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", 1 },
		{ "\xff", "\xff", 1 },
		{ "\xff", "\xc3\xbf", 0 },
		{ "[a-", "[a-", 1 },
	};
	char text[2001], pattern[201];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (glob_match(cases[i].pattern, cases[i].text) != cases[i].match)
			fail_msg("\"%s\" on \"%s\"", cases[i].pattern, cases[i].text);
	/* What takes exponential time where every star is gone back to. */
	memset(text, 'a', 2000);
	text[2000] = 0;
	for (int i = 0; i < 100; i++)
		memcpy(pattern + 2 * i, "*a", 2);
	pattern[199] = 'b';
	pattern[200] = 0;
	assert_false(glob_match(pattern, text));
}

static void test_nearest(void **state)
{
	static const char *const names[] = { "models", "targets", "resources", "q8_0", "id" };
	char longest[200];

	(void)state;
	assert_int_equal(edit_distance("", ""), 0);
	assert_int_equal(edit_distance("abc", ""), 3);
	assert_int_equal(edit_distance("kitten", "sitting"), 3);
	assert_int_equal(edit_distance("abcd", "abdc"), 1);
	assert_int_equal(edit_distance("ca", "abc"), 3); /* alignment, not Damerau: 3, not 2 */
	assert_string_equal(nearest_name("modles", names, ARRAY_LEN(names)), "models");
	assert_string_equal(nearest_name("resorces", names, ARRAY_LEN(names)), "resources");
	assert_string_equal(nearest_name("Q8_0", names, ARRAY_LEN(names)), "q8_0");
	assert_null(nearest_name("zebra", names, ARRAY_LEN(names)));
	assert_null(nearest_name("xy", names, ARRAY_LEN(names)));
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_null(nearest_name(longest, names, ARRAY_LEN(names)));
	assert_int_equal(edit_distance(longest, longest), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	cmocka_unit_test(test_durations),
		cmocka_unit_test(test_formats), cmocka_unit_test(test_globs),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
