/* The error value: codes, context in front, and a cut that leaves whole characters. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/utf8.h"

static void test_set_and_wrap(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&e, ERR_BUSY, "lock %d", 7), ERR_BUSY);
	assert_string_equal(e.msg, "lock 7");
	assert_int_equal(err_wrap(&e, "%s", "work"), ERR_BUSY);
	assert_string_equal(e.msg, "work: lock 7");
	assert_int_equal(e.code, ERR_BUSY);
	assert_int_equal(err_set(NULL, ERR_IO, "x"), ERR_IO);
	assert_true(err_wrap(NULL, "x") < 0); /* never mistaken for success */
}

static void test_own_text_as_argument(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	(void)err_set(&e, ERR_IO, "inner");
	(void)err_set(&e, ERR_INVALID, "<%s>", e.msg);
	assert_string_equal(e.msg, "<inner>");
	(void)err_wrap(&e, "%s", e.msg);
	assert_string_equal(e.msg, "<inner>: <inner>");
}

static void test_errno(void **state)
{
	static const struct {
		int number, code;
	} cases[] = {
		{ ENOSPC, ERR_NOSPACE }, { EDQUOT, ERR_NOSPACE }, { ENOENT, ERR_NOTFOUND },
		{ EACCES, ERR_IO },	 { EIO, ERR_IO },
	};
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = cases[i].number;
		assert_int_equal(err_errno(&e, "%s", "file"), cases[i].code);
		assert_int_equal(e.code, cases[i].code);
		assert_memory_equal(e.msg, "file: ", 6);
		assert_string_equal(e.msg + 6, strerror(cases[i].number));
	}
}

/* Whatever the length of what goes in front, the cut never lies inside a character. */
static void test_cut_on_boundary(void **state)
{
	char text[4 * ERR_MSG_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ERR_MSG_MAX; i++)
		memcpy(text + 4 * i, "\xf0\x9f\x98\x80", 4);
	text[sizeof(text) - 1] = 0;
	for (int shift = 0; shift < 4; shift++) {
		struct err e = ERR_INIT;

		(void)err_set(&e, ERR_IO, "%.*s%s", shift, "abc", text);
		assert_true(strlen(e.msg) >= ERR_MSG_MAX - 4);
		assert_true(utf8_valid(e.msg, strlen(e.msg)));
		(void)err_wrap(&e, "%.*s", shift + 1, "wxyz");
		assert_true(strlen(e.msg) < ERR_MSG_MAX);
		assert_true(utf8_valid(e.msg, strlen(e.msg)));
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(err_name(ERR_INVALID), "invalid");
	assert_string_equal(err_name(ERR_CANCELLED), "cancelled");
	assert_string_equal(err_name(0), "ok");
	assert_string_equal(err_name(-99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_wrap), cmocka_unit_test(test_own_text_as_argument),
		cmocka_unit_test(test_errno),	     cmocka_unit_test(test_cut_on_boundary),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
