/* tests/unit/test_table.c -- widths as a terminal sees them, and what is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "orchestrator/view/table.h"

const struct command commands[] = { { .name = NULL } };

static void widths(void **state)
{
	/* clang-format off */
	static const struct { const char *s; size_t width; } cases[] = {
		{ "", 0 },
		{ "abc", 3 },
		{ "\xc3\xbc", 1 },                      /* u umlaut */
		{ "u\xcc\x88", 1 },                     /* u, combining diaeresis */
		{ "\xe6\xbc\xa2\xe5\xad\x97", 4 },      /* two ideographs */
		{ "\xf0\x9f\x98\x80", 2 },              /* an emoji */
		{ "\xf0\x9f\x87\xa9", 1 },              /* a regional indicator alone */
		{ "\033[31mred\033[0m", 3 },
		{ "\033[1;31m", 0 },
		{ "\033[2J", 4 },                       /* no colour: not passed over */
		{ "a\xff" "b", 3 },                     /* not UTF-8: one cell a byte */
		{ "\xe6\xbc", 2 },                      /* cut in the middle of a character */
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(text_width(cases[i].s), cases[i].width);
}

static char *cut(const char *s, size_t width)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	text_print_cut(f, s, width);
	fclose(f);
	return text;
}

static void cutting(void **state)
{
	/* clang-format off */
	static const struct { const char *s; size_t width; const char *shown; } cases[] = {
		{ "abcdef", 6, "abcdef" },
		{ "abcdef", 5, "abcd\xe2\x80\xa6" },
		{ "abcdef", 1, "\xe2\x80\xa6" },
		{ "abcdef", 0, "" },
		{ "\xe6\xbc\xa2\xe5\xad\x97", 3, "\xe6\xbc\xa2\xe2\x80\xa6" },
		{ "\xe6\xbc\xa2\xe5\xad\x97", 2, "\xe2\x80\xa6" },             /* half of one does not fit */
		{ "\033[31mabcdef\033[0m", 3, "\033[31mab\xe2\x80\xa6\033[0m" }, /* the colour ends */
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *shown = cut(cases[i].s, cases[i].width);

		assert_string_equal(shown, cases[i].shown);
		assert_true(text_width(shown) <= cases[i].width);
		free(shown);
	}
}

static char *printed(struct table *t, size_t width)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	table_print(t, f, width);
	fclose(f);
	return text;
}

static void columns_are_aligned(void **state)
{
	static const struct column columns[] = { { "n", ALIGN_RIGHT, 0 },
						 { "name", ALIGN_LEFT, 0 },
						 { "x", ALIGN_LEFT, 0 } };
	struct table *t = table_new(columns, ARRAY_LEN(columns));
	char *text;

	(void)state;
	table_add(t, (const char *[]){ "1", "\xc3\xbc", "end" });
	table_add(t, (const char *[]){ "100", "longer", NULL });
	text = printed(t, 0);
	assert_string_equal(text, "  n  name    x\n"
				  "  1  \xc3\xbc       end\n"
				  "100  longer\n");
	free(text);
	table_free(t);
}

static void narrow_terminals_cut_what_may_be_cut(void **state)
{
	static const struct column columns[] = { { NULL, ALIGN_LEFT, 0 },
						 { NULL, ALIGN_LEFT, 4 },
						 { NULL, ALIGN_LEFT, 0 } };
	struct table *t = table_new(columns, ARRAY_LEN(columns));
	char *text;

	(void)state;
	table_add(t, (const char *[]){ "key", "0123456789", "v" });
	text = printed(t, 14);
	assert_string_equal(text, "key  01234\xe2\x80\xa6  v\n");
	free(text);
	text = printed(t, 3); /* nothing gets narrower than it may */
	assert_string_equal(text, "key  012\xe2\x80\xa6  v\n");
	free(text);
	table_free(t);
}

static void foreign_text_cannot_steer(void **state)
{
	static const struct column columns[] = { { NULL, ALIGN_LEFT, 0 } };
	struct table *t = table_new(columns, 1);
	char *text;

	(void)state;
	table_add(t, (const char *[]){ "a\033[2Jb\nc\rd" });
	text = printed(t, 0);
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\r'));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
	table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(widths),
		cmocka_unit_test(cutting),
		cmocka_unit_test(columns_are_aligned),
		cmocka_unit_test(narrow_terminals_cut_what_may_be_cut),
		cmocka_unit_test(foreign_text_cannot_steer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
