/* The YAML below jobs.yaml: anchors, merge keys, variables, JSON, and where it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config_helper.h"
#include "orchestrator/config/yaml_tree.h"

/* The document as canonical JSON, or the faults. */
static const char *json_of(struct fixture *x, const char *text)
{
	struct ynode *root = NULL;
	struct buf b;
	int rc;

	x->f = (struct faults){ .a = x->a, .file = "t" };
	rc = yaml_tree_parse(x->a, text, strlen(text), &x->f, &root);
	free(x->said);
	x->said = NULL;
	if (rc == 0 && x->f.n == 0)
		return root ? ynode_canonical(x->a, root) : "(nothing)";
	buf_init(&b, 1u << 20);
	faults_print(&x->f, &b);
	x->said = buf_detach(&b);
	return x->said;
}

static void test_json(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "", "(nothing)" },
		{ "# a comment\n", "(nothing)" },
		{ "\xef\xbb\xbf"
		  "a: 1\r\nb: 2\r\n",
		  "{\"a\":1,\"b\":2}" },
		{ "[1, -2, 1.50, 1e3, 007, +5, .5, 0x10, 1_000, .inf, 12:30]",
		  "[1,-2,1.5,1000,\"007\",\"+5\",\".5\",\"0x10\",\"1_000\",\".inf\",\"12:30\"]" },
		{ "[9223372036854775807, 1e999]", "[9223372036854775807,\"1e999\"]" },
		{ "[true, false, yes, no, null, ~, \"true\", '1', ]",
		  "[true,false,\"yes\",\"no\",null,null,\"true\",\"1\"]" },
		{ "a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}" },
		{ "a: {b: [c, {d: e}]}", "{\"a\":{\"b\":[\"c\",{\"d\":\"e\"}]}}" },
		{ "z: 1\na: 2\n", "{\"a\":2,\"z\":1}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(json_of(*state, cases[i].yaml), cases[i].json);
}

static void test_merge(void **state)
{
	struct fixture *x = *state;

	assert_string_equal(json_of(x, "- &a {p: 1, q: 2}\n- {<<: *a, q: 3}\n"),
			    "[{\"p\":1,\"q\":2},{\"p\":1,\"q\":3}]");
	/* The key itself wins wherever it stands, then the first of the list. */
	assert_string_equal(json_of(x, "- &a {p: 1}\n- &b {p: 2, q: 2}\n- {<<: [*a, *b], q: 9}\n"),
			    "[{\"p\":1},{\"p\":2,\"q\":2},{\"p\":1,\"q\":9}]");
	assert_string_equal(json_of(x, "- &a {p: 1}\n- &b {<<: *a, q: 2}\n- {<<: *b}\n"),
			    "[{\"p\":1},{\"p\":1,\"q\":2},{\"p\":1,\"q\":2}]");
	assert_string_equal(json_of(x, "\"<<\": 1\n"), "{\"<<\":1}");
	assert_string_equal(json_of(x, "- &a x\n- *a\n- &a y\n- *a\n"),
			    "[\"x\",\"x\",\"y\",\"y\"]");
	assert_string_equal(
		json_of(x, "<<: [[{a: 1}]]\n"),
		"t:1:5: \"<<\" merges a list of lists; it takes a map or a list of maps\n");
}

static void test_variables(void **state)
{
	struct fixture *x = *state;

	setenv("QUERN_TEST_A", "x: [1, 2]\n# '\"", 1);
	setenv("QUERN_TEST_N", "42", 1);
	setenv("QUERN_TEST_EMPTY", "", 1);
	setenv("QUERN_TEST_LATIN1", "caf\xe9", 1);
	unsetenv("QUERN_TEST_UNSET");
	/* A value never becomes structure. */
	assert_string_equal(json_of(x, "a: ${QUERN_TEST_A}\n"), "{\"a\":\"x: [1, 2]\\n# '\\\"\"}");
	assert_string_equal(json_of(x, "- a${QUERN_TEST_N}b\n- ${QUERN_TEST_N}\n"
				       "- [\"${QUERN_TEST_N}\", '${QUERN_TEST_N}']\n"),
			    "[\"a42b\",42,[42,42]]");
	assert_string_equal(json_of(x, "- ${QUERN_TEST_UNSET:-d}\n- ${QUERN_TEST_EMPTY:-d}\n"
				       "- x${QUERN_TEST_EMPTY}y\n- ${QUERN_TEST_UNSET:-}\n"),
			    "[\"d\",\"d\",\"xy\",null]");
	assert_string_equal(json_of(x, "- $${HOME}\n- $HOME\n- a$b\n- $$\n"),
			    "[\"${HOME}\",\"$HOME\",\"a$b\",\"$$\"]");
	assert_string_equal(json_of(x, "${QUERN_TEST_N}: 1\n"), "{\"${QUERN_TEST_N}\":1}");
	assert_string_equal(json_of(x, "a:\n  - ${QUERN_TEST_LATIN1}\n"),
			    "t:2:5: the variable QUERN_TEST_LATIN1 is not UTF-8; correct the "
			    "environment\n");
	/* Both are said, and what stands there is not complained of as well. */
	assert_string_equal(
		json_of(x, "a: ${QUERN_TEST_UNSET}${1}\n"),
		"t:1:4: the variable QUERN_TEST_UNSET is not set; set it in the "
		"environment, or write ${QUERN_TEST_UNSET:-text}\n"
		"t:1:4: \"1\" is no name of a variable; write ${NAME} or ${NAME:-text}, "
		"or $${ for a literal ${\n");
}

/* 64 KiB a variable, a thousand times: the sum is bounded. */
static void test_variables_are_bounded(void **state)
{
	struct fixture *x = *state;
	char *big = mem_alloc(65537);
	struct buf b;

	memset(big, 'x', 65536);
	big[65536] = '\0';
	setenv("QUERN_TEST_BIG", big, 1);
	buf_init(&b, 1u << 20);
	for (int i = 0; i < 1000; i++)
		buf_adds(&b, "- ${QUERN_TEST_BIG}\n");
	assert_non_null(strstr(json_of(x, buf_str(&b)), "t:65:3: variables bring in more than"));
	unsetenv("QUERN_TEST_BIG");
	buf_release(&b);
	free(big);
}

static void test_bounds(void **state)
{
	struct fixture *x = *state;
	struct ynode *root;
	struct buf b;

	buf_init(&b, 8u << 20);
	for (int i = 0; i < YAML_NODES_MAX; i++)
		buf_adds(&b, "- x\n");
	assert_non_null(strstr(json_of(x, buf_str(&b)), "t:100000:3: more than 100000 values"));

	buf_clear(&b);
	for (int i = 0; i <= YAML_ANCHORS_MAX; i++)
		buf_addf(&b, "- &a%d x\n", i);
	assert_non_null(strstr(json_of(x, buf_str(&b)), "t:1001:3: more than 1000 anchors"));

	buf_clear(&b);
	for (int i = 0; i <= YAML_KEYS_MAX; i++)
		buf_addf(&b, "k%d: x\n", i);
	assert_non_null(strstr(json_of(x, buf_str(&b)), "t:2001:1: more than 2000 keys"));

	/* Merging may not do what writing may not. */
	buf_clear(&b);
	for (int m = 0; m < 2; m++) {
		buf_addf(&b, "- &m%d\n", m);
		for (int i = 0; i < 1500; i++)
			buf_addf(&b, "  k%d-%d: x\n", m, i);
	}
	buf_adds(&b, "- <<: [*m0, *m1]\n");
	assert_non_null(strstr(json_of(x, buf_str(&b)), "more than 2000 keys"));

	/* One level less than the alias brings is still fine. */
	buf_clear(&b);
	buf_adds(&b, "- &a [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]\n- [[[[[[[[[[[[[[*a]]]]]]]]]]]]]]\n");
	assert_int_equal(json_of(x, buf_str(&b))[0], '[');
	buf_clear(&b);
	buf_adds(&b,
		 "- &a [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]\n- [[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]\n");
	assert_non_null(strstr(json_of(x, buf_str(&b)), "t:2:18: with *a the file has more than"));

	buf_clear(&b);
	while (b.len <= YAML_TEXT_MAX)
		buf_adds(&b, "# a comment that fills the file\n");
	x->f = (struct faults){ .a = x->a };
	assert_int_equal(yaml_tree_parse(x->a, b.data, b.len, &x->f, &root), ERR_INVALID);
	assert_int_equal(x->f.n, 1);
	buf_release(&b);
}

/* A text repeated by aliases does not become a gigabyte of JSON. */
static void test_canonical_is_bounded(void **state)
{
	struct fixture *x = *state;
	struct buf b;

	buf_init(&b, 8u << 20);
	buf_adds(&b, "- &a ");
	for (int i = 0; i < 65536; i++)
		buf_addc(&b, 'x');
	buf_addc(&b, '\n');
	for (int i = 0; i < 1000; i++)
		buf_adds(&b, "- *a\n");
	assert_null(json_of(x, buf_str(&b)));
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_variables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_variables_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_canonical_is_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
