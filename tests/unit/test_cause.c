/* test_cause: the table of causes holds together, and docs/causes.md shows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/cause.h"

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_causes; i++) {
		const struct cause *c = &causes[i];

		assert_true(strlen(c->name) < CAUSE_NAME_MAX);
		assert_ptr_equal(cause_find(c->name), c);
		if (c->also[0])
			assert_ptr_equal(cause_find(c->also), c);
		assert_true(c->means[0]);
		/* A ladder is for those that climb, and only they have one. */
		assert_int_equal(c->ladder[0] != '\0', c->policy == CAUSE_CHANGED);
	}
	assert_null(cause_find(""));
	assert_null(cause_find(NULL));
	assert_null(cause_find("bad moon"));
	assert_string_equal(cause_find("oom")->name, "out of memory");
	assert_string_equal(cause_nearest("disk ful"), "disk full");
	for (int p = 0; p <= CAUSE_CHANGED; p++)
		assert_int_equal(cause_policy_parse(cause_policy_name((enum cause_policy)p)), p);
	assert_int_equal(cause_policy_parse("Later"), -1);
}

static void test_words(void **state)
{
	static const struct {
		const char *line, *cause;
	} cases[] = {
		{ "write: No space left on device", "disk full" },
		{ "terminate called after throwing an instance of 'std::bad_alloc'",
		  "out of memory" },
		{ "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried", "out of memory" },
		{ "ModuleNotFoundError: No module named 'x'", "missing dependency" },
		{ "x: error while loading shared libraries: liby.so: cannot open shared object "
		  "file",
		  "missing dependency" },
		{ "HTTP 429 - Too Many Requests", "hub limit" },
		{ "connect: Connection refused", "network" },
		{ "it went wrong", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *c = cause_of_words(cases[i].line);

		if (cases[i].cause)
			assert_string_equal(c, cases[i].cause);
		else
			assert_null(c);
		if (c)
			assert_non_null(cause_find(c));
	}
}

static void test_document(void **state)
{
	struct err e = ERR_INIT;
	size_t rows = 0;
	struct buf doc;
	char row[1024];

	(void)state;
	buf_init(&doc, 1 << 20);
	assert_true(path_read(SOURCE_DIR "/docs/causes.md", 1 << 20, &doc, &e) >= 0);
	for (size_t i = 0; i < n_causes; i++) {
		const struct cause *c = &causes[i];

		snprintf(row, sizeof(row), "\n| `%s` | %s%s%s | %s%s%s%s | %s | %s | %s |\n",
			 c->name, c->also[0] ? "`" : "", c->also, c->also[0] ? "`" : "",
			 cause_policy_name(c->policy), c->ladder[0] ? ": `" : "", c->ladder,
			 c->ladder[0] ? "`" : "", c->told ? "yes" : "no", c->means, c->fix);
		if (!strstr(buf_str(&doc), row))
			fail_msg("docs/causes.md has no row %s", row + 1);
	}
	for (const char *p = buf_str(&doc); (p = strstr(p, "\n| `")); p++)
		rows++;
	assert_int_equal(rows, n_causes); /* and no others */
	buf_release(&doc);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_document),
	};

	(void)argv;
	if (argc > 1) { /* any argument: print the rows for the document */
		for (size_t i = 0; i < n_causes; i++) {
			const struct cause *c = &causes[i];

			printf("| `%s` | %s%s%s | %s%s%s%s | %s | %s | %s |\n", c->name,
			       c->also[0] ? "`" : "", c->also, c->also[0] ? "`" : "",
			       cause_policy_name(c->policy), c->ladder[0] ? ": `" : "", c->ladder,
			       c->ladder[0] ? "`" : "", c->told ? "yes" : "no", c->means, c->fix);
		}
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
