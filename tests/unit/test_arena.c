/* Arena: zeroed, aligned, apart from each other, also after a reset. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"

#define MANY 3000

static void fill_and_check(struct arena *a)
{
	unsigned char *p[MANY];
	size_t size[MANY], total = 0;

	for (size_t i = 0; i < MANY; i++) {
		size[i] = i % 97 == 0 ? 70000 : i % 131;
		p[i] = arena_alloc(a, size[i]);
		total += size[i];
		assert_int_equal((uintptr_t)p[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < size[i]; k++)
			assert_int_equal(p[i][k], 0);
		memset(p[i], (int)(i % 251 + 1), size[i]);
	}
	for (size_t i = 0; i < MANY; i++)
		for (size_t k = 0; k < size[i]; k++)
			assert_int_equal(p[i][k], i % 251 + 1);
	assert_int_equal(arena_used(a), total);
}

static void test_apart_and_zeroed(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	fill_and_check(a);
	arena_reset(a);
	assert_int_equal(arena_used(a), 0);
	fill_and_check(a); /* memory used before is zeroed again */
	arena_free(a);
	arena_free(NULL);
}

static void test_strings(void **state)
{
	struct arena *a = arena_new();
	const char not_terminated[3] = { 'a', 'b', 'c' };

	(void)state;
	assert_null(arena_strdup(a, NULL));
	assert_string_equal(arena_strdup(a, ""), "");
	assert_string_equal(arena_strdup(a, "quern"), "quern");
	assert_string_equal(arena_strndup(a, not_terminated, 3), "abc");
	assert_string_equal(arena_strndup(a, "ab", 9), "ab");
	assert_string_equal(arena_printf(a, "%s-%05d", "n", 42), "n-00042");
	assert_non_null(arena_array(a, 0, 8));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apart_and_zeroed),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
