/* Versions of toolkits: their order, and comparisons as manifests write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"
#include "orchestrator/engine/version.h"

static void test_order(void **state)
{
	static const char *const ordered[] = { "1.1.4",	   "1.2.0.dev1", "1.2.0a1",	"1.2.0b2",
					       "1.2.0rc1", "1.2.0",	 "1.2.0.post1", "1.2.1b1",
					       "1.2.1",	   "1.2.10",	 "1.10",	"2" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ordered); i++) {
		assert_true(version_ok(ordered[i]));
		for (size_t k = 0; k < ARRAY_LEN(ordered); k++) {
			int order = version_compare(ordered[i], ordered[k]);

			assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
		}
	}
	assert_int_equal(version_compare("1.2", "1.2.0"), 0);
	assert_int_equal(version_compare("1.2.3+standin", "1.2.3"), 0);
	assert_int_equal(version_public_len("1.2.3+standin"), 5);
}

static void test_refused(void **state)
{
	static const char *const bad[] = { "",	   "v1",    "1.",
					   "1..2", "1.2x",  "1.2b",
					   "1.2+", "-1",    "1.2.3.4.5.6.7.8.9",
					   "1 2",  "1.2-1", "12345678901" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(version_ok(bad[i]));
}

static void test_comparisons(void **state)
{
	static const struct {
		const char *want, *have;
		int is_version, holds;
	} cases[] = {
		{ ">=1.2.0", "1.2.0", 1, 1 },
		{ ">=1.2.0", "1.2.0b1", 1, 0 },
		{ ">=1.1 <1.3", "1.2.3", 1, 1 },
		{ ">=1.1 <1.3", "1.3.0", 1, 0 },
		{ "<1.10", "1.9", 1, 1 },
		{ "=1.2", "1.2.0", 1, 1 },
		{ "1.2", "1.2.1", 1, 0 },
		{ "<=1.2", "1.2", 1, 1 },
		{ ">0", "0", 0, 0 },
		{ ">0", "0.5", 0, 1 },
		{ "0.5", "0.5", 0, 1 },
		{ "<>1", "1", 0, -1 },
		{ "", "1", 0, -1 },
		{ ">", "1", 0, -1 },
		{ ">x", "1", 0, -1 },
		{ ">x", "1", 1, -1 },
		{ "==1", "1", 1, 1 },
		{ "=<1", "1", 1, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			comparison_holds(cases[i].want, cases[i].have, cases[i].is_version),
			cases[i].holds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_comparisons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
