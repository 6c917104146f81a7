/* tests/unit/test_cli.c -- options from a table, exit codes, foreign text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "orchestrator/cli.h"

static int nothing(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return EXIT_GOOD;
}

const struct command commands[] = { { "test", "[FILE]", "try the parser", nothing, false },
				    { .name = NULL } };

struct values {
	bool flag;
	const char *name;
	int64_t number;
	struct option_list list;
};

static int parse(struct values *v, char **argv, bool *help, struct err *e)
{
	const struct option_def opts[] = {
		{ "flag", 'x', OPT_FLAG, NULL, "a flag", &v->flag },
		{ "name", 'n', OPT_STRING, "NAME", "a name", &v->name },
		{ "number", 0, OPT_INT, "N", "a number", &v->number },
		{ "set", 0, OPT_LIST, "K=V", "many", &v->list },
	};
	int argc = 0;

	while (argv[argc])
		argc++;
	memset(v, 0, sizeof(*v));
	return cli_parse("test", opts, ARRAY_LEN(opts), argc, argv, help, e);
}

#define ARGV(...) ((char *[]){ (char *)"test", __VA_ARGS__, NULL })

static void options_and_operands_mix(void **state)
{
	char **argv = ARGV((char *)"one", (char *)"-x", (char *)"--name=a", (char *)"two",
			   (char *)"--number", (char *)"42", (char *)"-n", (char *)"b",
			   (char *)"--set", (char *)"k=1", (char *)"--set=l=2");
	struct err e = ERR_INIT;
	struct values v;
	bool help;
	int at = parse(&v, argv, &help, &e);

	(void)state;
	assert_int_equal(at, 10);
	assert_false(help);
	assert_string_equal(argv[at], "one");
	assert_string_equal(argv[at + 1], "two");
	assert_true(v.flag);
	assert_string_equal(v.name, "b"); /* the last one wins */
	assert_int_equal(v.number, 42);
	assert_int_equal(v.list.n, 2);
	assert_string_equal(v.list.v[1], "l=2");
}

static void what_follows_two_dashes_is_no_option(void **state)
{
	char **argv = ARGV((char *)"--", (char *)"-x");
	struct err e = ERR_INIT;
	struct values v;
	bool help;
	int at = parse(&v, argv, &help, &e);

	(void)state;
	assert_string_equal(argv[at], "-x");
	assert_false(v.flag);
}

static void wrong_options_are_said(void **state)
{
	/* clang-format off */
	static const struct { const char *word, *value, *says; } cases[] = {
		{ "--nmae", "x", "did you mean --name" },
		{ "--zzzzzzzz", NULL, "quern help test" },
		{ "--number", "4x", "\"4x\" is not a whole number" },
		{ "--number", "", "is not a whole number" },
		{ "--number", "-3", "is not a whole number" },
		{ "--number", "99999999999999999999", "is not a whole number" },
		{ "--name", NULL, "needs a value" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *argv[] = { (char *)"test", (char *)cases[i].word, (char *)cases[i].value,
				 NULL };
		struct err e = ERR_INIT;
		struct values v;
		bool help;

		assert_int_equal(parse(&v, argv, &help, &e), ERR_INVALID);
		assert_non_null(strstr(e.msg, cases[i].says));
		assert_int_equal(exit_code_for(&e), EXIT_USAGE);
	}
}

static void too_many_of_a_list_are_refused(void **state)
{
	char *argv[2 * 65 + 2] = { (char *)"test" };
	struct err e = ERR_INIT;
	struct values v;
	bool help;

	(void)state;
	for (int i = 0; i < 65; i++) {
		argv[1 + 2 * i] = (char *)"--set";
		argv[2 + 2 * i] = (char *)"k=v";
	}
	assert_int_equal(parse(&v, argv, &help, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "more than 64 times"));
}

static void errors_have_their_exit_codes(void **state)
{
	/* clang-format off */
	static const struct { int code, exit; } cases[] = {
		{ ERR_INVALID, 2 }, { ERR_NOTFOUND, 2 }, { ERR_CONFLICT, 2 }, { ERR_BUSY, 3 },
		{ ERR_IO, 4 }, { ERR_CORRUPT, 4 }, { ERR_NOSPACE, 4 }, { ERR_ENV, 4 },
		{ ERR_CANCELLED, 130 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { .code = cases[i].code };

		assert_int_equal(exit_code_for(&e), cases[i].exit);
	}
}

static void files_have_no_colours(void **state)
{
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	assert_false(cli_is_terminal(f));
	assert_false(cli_colour(f));
	assert_string_equal(cli_style(f, STYLE_RED), "");
	assert_int_equal(cli_width(f), 80);
	fclose(f);
}

static void foreign_text_is_made_visible(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	cli_print_text(f, "a\033]0;title\007b");
	fclose(f);
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\007'));
	assert_non_null(strstr(text, "title"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_operands_mix),
		cmocka_unit_test(what_follows_two_dashes_is_no_option),
		cmocka_unit_test(wrong_options_are_said),
		cmocka_unit_test(too_many_of_a_list_are_refused),
		cmocka_unit_test(errors_have_their_exit_codes),
		cmocka_unit_test(files_have_no_colours),
		cmocka_unit_test(foreign_text_is_made_visible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
