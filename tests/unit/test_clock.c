/* Time as text, and the shift that tests may ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/mem.h"

static void test_format(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ 999, "1970-01-01T00:00:00Z" },
		{ -1, "1969-12-31T23:59:59Z" },
		{ 951782400000, "2000-02-29T00:00:00Z" },
		{ 1790802245000, "2026-09-30T21:04:05Z" },
		{ INT64_MAX, "9999-12-31T23:59:59Z" },
		{ INT64_MIN, "1000-01-01T00:00:00Z" },
	};
	char out[21];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		clock_format_utc(cases[i].ms, out, sizeof(out));
		assert_string_equal(out, cases[i].text);
	}
}

static void test_clocks(void **state)
{
	int64_t mono = clock_mono_ms(), wall = clock_wall_ms(), shifted;

	(void)state;
	assert_true(wall > 1700000000000); /* November 2023: before this was written */
	assert_true(clock_mono_ms() >= mono);
	assert_int_equal(setenv("QUERN_TEST_CLOCK_MS", "-86400000", 1), 0);
	shifted = clock_wall_ms();
	assert_int_equal(unsetenv("QUERN_TEST_CLOCK_MS"), 0);
#ifdef NDEBUG
	assert_true(shifted >= wall); /* releases do not listen */
#else
	assert_true(shifted < wall - 86000000);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
