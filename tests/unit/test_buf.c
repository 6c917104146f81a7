/* Buffer: the ceiling holds for every way of adding, and a refused addition leaves no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"

static void test_growth(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_string_equal(buf_str(&b), "");
	for (int i = 0; i < 10000; i++)
		assert_int_equal(buf_addf(&b, "%04d,", i), 0);
	assert_int_equal(b.len, 50000);
	assert_memory_equal(b.data + 5 * 1234, "1234,", 5);
	assert_int_equal(b.data[b.len], 0);
	buf_release(&b);
}

static void test_ceiling(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_adds(&b, "12345678"), 0);
	assert_int_equal(buf_adds(&b, "abc"), ERR_NOSPACE);
	assert_true(b.overflow);
	assert_string_equal(buf_str(&b), "12345678");
	assert_int_equal(buf_addf(&b, "%s", "abc"), ERR_NOSPACE);
	assert_string_equal(buf_str(&b), "12345678");
	assert_int_equal(b.len, 8);
	assert_int_equal(buf_addf(&b, "%d", 90), 0); /* exactly full */
	assert_int_equal(buf_addc(&b, 'x'), ERR_NOSPACE);
	assert_string_equal(buf_str(&b), "1234567890");
	assert_int_equal(buf_add(&b, "", 0), 0);
	assert_true(b.overflow); /* sticky */
	buf_clear(&b);
	assert_false(b.overflow);
	assert_int_equal(buf_add(&b, "a\0b", 3), 0);
	assert_int_equal(b.len, 3);
	assert_int_equal(buf_add(&b, "x", SIZE_MAX), ERR_NOSPACE);
	buf_release(&b);
}

static void test_drop_and_detach(void **state)
{
	struct buf b;
	char *s;

	(void)state;
	buf_init(&b, 100);
	buf_drop(&b, 5);
	(void)buf_adds(&b, "hello world");
	buf_drop(&b, 6);
	assert_string_equal(buf_str(&b), "world");
	s = buf_detach(&b);
	assert_string_equal(s, "world");
	free(s);
	assert_int_equal(b.len, 0);
	s = buf_detach(&b);
	assert_string_equal(s, "");
	free(s);
	(void)buf_adds(&b, "abc");
	buf_drop(&b, 1000);
	assert_string_equal(buf_str(&b), "");
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_drop_and_detach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
