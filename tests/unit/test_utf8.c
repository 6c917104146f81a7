/* UTF-8: every scalar value there and back; the forms that RFC 3629 forbids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/utf8.h"

static void test_every_character(void **state)
{
	char text[4];

	(void)state;
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		uint32_t back = 0;
		int n = utf8_put(cp, text);

		if (cp >= 0xd800 && cp <= 0xdfff) {
			assert_int_equal(utf8_next(text, (size_t)n, &back), 0);
			continue;
		}
		if (utf8_next(text, (size_t)n, &back) != n || back != cp)
			fail_msg("U+%04X", cp);
		if (n > 1 && utf8_next(text, (size_t)n - 1, &back) != 0)
			fail_msg("U+%04X cut short", cp);
	}
}

static void test_forbidden(void **state)
{
	static const char *const bad[] = {
		"\x80",		"\xbf",		"\xc0\x80",	    "\xc1\xbf",
		"\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",	    "\xf0\x8f\xbf\xbf",
		"\xfe",		"\xff",		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xc3(",	"\xe2\x82(",	"a\xe2\x82",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("a\0b", 3));
}

static void test_cut(void **state)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t whole[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10 };

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(whole); n++)
		assert_int_equal(utf8_cut(text, n), whole[n]);
	assert_int_equal(utf8_cut("\x80\x80\x80\x80\x80", 5), 5); /* nothing to be saved */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
