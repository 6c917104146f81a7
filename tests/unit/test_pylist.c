/* Lists of Python scripts, read and not run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"

#include "orchestrator/start/pylist.h"

/* One assignment as text: "name@line=value" or "name@line!why". */
static void show(struct buf *b, const struct py_value *v)
{
	switch (v->type) {
	case PY_NONE:
		buf_adds(b, "None");
		break;
	case PY_BOOL:
		buf_adds(b, v->number != 0 ? "True" : "False");
		break;
	case PY_NUMBER:
		buf_addf(b, "%g", v->number);
		break;
	case PY_TEXT:
		buf_addf(b, "<%s>", v->text);
		break;
	case PY_LIST:
		buf_addc(b, '[');
		for (size_t i = 0; i < v->n; i++) {
			if (i)
				buf_addc(b, ' ');
			show(b, &v->items[i]);
		}
		buf_addc(b, ']');
	}
}

static void expect(const char *text, const char *want)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct py_script s;
	struct buf b;

	buf_init(&b, 1u << 20);
	if (pylist_read(a, text, strlen(text), &s, &e) < 0) {
		buf_addf(&b, "fault %s", e.msg);
	} else {
		for (size_t i = 0; i < s.n; i++) {
			buf_addf(&b, "%s%s@%d", i ? "; " : "", s.v[i].name, s.v[i].line);
			buf_addc(&b, s.v[i].why ? '!' : '=');
			if (s.v[i].why)
				buf_adds(&b, s.v[i].why);
			else
				show(&b, &s.v[i].value);
		}
	}
	assert_string_equal(buf_str(&b), want);
	buf_release(&b);
	arena_free(a);
}

static void test_literals(void **state)
{
	(void)state;
	expect("a = 1", "a@1=1");
	expect("a=-1.5e3 # c\n", "a@1=-1500");
	expect("a = 1_000", "a@1=1000");
	expect("a = .5;b = 2", "a@1=0.5");
	expect("a = True\nb = None\nc=False", "a@1=True; b@2=None; c@3=False");
	expect("a = 'x\\'y' \"\\\\\"", "a@1=<x'y\\>");
	expect("a = r'\\n'", "a@1=<\\n>");
	expect("a = u'\xc3\xa9'", "a@1=<\xc3\xa9>");
	expect("a = '''x\ny'''\nb = 2", "a@1=<x\ny>; b@3=2");
	expect("a = [1,\n  'x', # 2\n\n  (3,), {4}]\nb = ()", "a@1=[1 <x> [3] [4]]; b@5=[]");
	expect("a = (1)", "a@1=1");
	expect("a = ['x'\n 'y']", "a@1=[<xy>]");
	expect("a = \\\n 1\nb = 2", "a@1=1; b@3=2");
	expect("a: List[str] = ['x']", "a@1=[<x>]");
	expect("\xef\xbb\xbf"
	       "a = 1",
	       "a@1=1");
	expect("", "");
}

static void test_what_is_no_literal_is_said(void **state)
{
	static const char *const values[] = { "f'x'",	   "b'x'",   "[x]",	"[1] + [2]",
					      "{1: 2}",	   "os.x()", "0x10",	"'a\\n'",
					      "b = 1",	   "[1 2]",  "lambda:", "1 if x",
					      "nan",	   "inf",    "--1",	"",
					      "[x for x]", "Truely", "-",	"'a' % 1" };
	char text[64], want[96];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		snprintf(text, sizeof(text), "z = %s\ny = 2", values[i]);
		snprintf(want, sizeof(want), "z@1!its value is not a literal; y@2=2");
		expect(text, want);
	}
	expect("a += [1]", "a@1!it is changed here by code");
	expect("a.append(1)", "a@1!it is changed here by code");
	expect("a[0] = 1", "a@1!it is changed here by code");
}

static void test_what_is_no_assignment(void **state)
{
	(void)state;
	expect("'''a = 1'''\n# a = 1\n\"b = 2\"", "");
	expect("f(a = 1,\n  b = 2)\nself.a = 1\nif a == 1:\n  pass", "");
	expect("def f(a = 1):\n    b = 2", "b@2=2");
	expect("for a in [1]: pass", "");
	expect("x = f(\n  y = 1)", "x@1!its value is not a literal");
	expect("d = {\n 'a': 1,\n}\ne = 2", "d@1!its value is not a literal; e@4=2");
}

static void test_bounds(void **state)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct py_script s;
	char deep[8192] = "a = ";

	(void)state;
	memset(deep + 4, '[', 4000);
	memset(deep + 4004, ']', 4000);
	expect(deep, "a@1!its value is not a literal");
	expect("x = 1\na = 'open\nb = 1", "fault line 2: a text that begins here does not end");
	expect("a = '''open\nb", "fault line 1: a text that begins here does not end");
	expect("a = 'open\\", "fault line 1: a text that begins here does not end");
	expect("a = [1,", "a@1!its value is not a literal");
	expect("a = '\xff'", "fault it is no text in UTF-8");
	assert_int_equal(pylist_read(a, "a = '\0'", 8, &s, &e), ERR_INVALID);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_what_is_no_literal_is_said),
		cmocka_unit_test(test_what_is_no_assignment),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
