/* Names of repositories and files: what a template may hold, and what it makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/plan/matrix.h"

#define DEFAULT "{model}-{platform}-{quant}{+opt}{+hybrid}"

static const char *fill(struct arena *a, const char *tmpl, const char *platform, int opt,
			double hybrid)
{
	const struct job_spec s = { .model = "kjv",
				    .engine = "gguf",
				    .platform = platform,
				    .quant = "Q8_0",
				    .toolkit = *platform ? "1.2.3" : NULL,
				    .hybrid = hybrid,
				    .opt = opt };
	struct err e = ERR_INIT;

	assert_int_equal(template_check(tmpl, &e), 0);
	return template_fill(a, tmpl, &s);
}

static void test_fill(void **state)
{
	static const struct {
		const char *tmpl, *platform;
		int opt;
		double hybrid;
		const char *name;
	} cases[] = {
		{ "{model}-{quant}-opt-{opt}-hybrid-ratio-{hybrid}", "", 1, 0.5,
		  "kjv-Q8_0-opt-1-hybrid-ratio-0.5" },
		{ "{model}-{quant}-opt-{opt}-hybrid-ratio-{hybrid}", "", 0, 0,
		  "kjv-Q8_0-opt-0-hybrid-ratio-0.0" },
		{ DEFAULT, "", 0, 0, "kjv-Q8_0" },
		{ DEFAULT, "rk3588", 1, 0.125, "kjv-rk3588-Q8_0-opt-1-hybrid-ratio-0.125" },
		{ DEFAULT, "", 0, 1, "kjv-Q8_0-hybrid-ratio-1.0" },
		{ "{model}-{platform}", "", 0, 0, "kjv" },
		{ "{platform}-{model}", "", 0, 0, "kjv" },
		{ "{model}-{platform}-GGUF", "", 0, 0, "kjv-GGUF" },
		{ "{model}.{platform}", "", 0, 0, "kjv" },
		{ "x_{engine}", "", 0, 0, "x_gguf" },
		{ "{model}{model}", "", 0, 0, "kjvkjv" },
		{ "fixed", "", 0, 0, "fixed" },
		{ "{model}-{platform}-{toolkit}", "rk3588", 0, 0, "kjv-rk3588-1.2.3" },
		{ "{model}-{platform}-{toolkit}", "", 0, 0, "kjv" },
	};
	struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(
			fill(a, cases[i].tmpl, cases[i].platform, cases[i].opt, cases[i].hybrid),
			cases[i].name);
	arena_free(a);
}

static void test_check(void **state)
{
	static const struct {
		const char *tmpl, *why;
	} cases[] = {
		{ "{modle}", "unknown variable {modle}; did you mean {model}?" },
		{ "{m}", "unknown variable {m}; there are {model} {engine} {platform} {quant} "
			 "{toolkit} {hybrid} "
			 "{opt} {+hybrid} {+opt}" },
		{ "{}", "unknown variable {}; there are {model} {engine} {platform} {quant} "
			"{toolkit} {hybrid} "
			"{opt} {+hybrid} {+opt}" },
		{ "{model", "\"{\" without \"}\"; a variable is written {model}" },
		{ "model}",
		  "the character '}' cannot be in a name; use letters, digits, '.', '_' and "
		  "'-'" },
		{ "../{model}",
		  "\"..\" and \"--\" are not allowed in names on a hub; use one of them" },
		{ "{model}--{quant}",
		  "\"..\" and \"--\" are not allowed in names on a hub; use one of them" },
		{ "a/{model}",
		  "the character '/' cannot be in a name; use letters, digits, '.', '_' "
		  "and '-'" },
		{ "{platform}{+opt}", "it can make an empty name; add {model} or {quant}" },
		{ "-.", "it can make an empty name; add {model} or {quant}" },
	};
	char longer[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(template_check(cases[i].tmpl, &e), ERR_INVALID);
		assert_string_equal(e.msg, cases[i].why);
	}
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(template_check(longer, NULL), ERR_INVALID);
}

/* Too long a name is cut, and two of them stay two. */
static void test_long(void **state)
{
	struct arena *a = arena_new();
	const char *tmpl = "{model}-{model}-{model}-{model}-{model}-{model}-{quant}";
	struct job_spec s = { .model = "a-model-with-a-name-of-a-good-forty-letters",
			      .engine = "e",
			      .platform = "",
			      .quant = "Q8_0" };
	const char *one = template_fill(a, tmpl, &s), *two;

	(void)state;
	s.quant = "Q4_0";
	two = template_fill(a, tmpl, &s);
	assert_int_equal(strlen(one), 200);
	assert_true(path_component_ok(one));
	assert_string_not_equal(one, two);
	arena_free(a);
}

static void test_params(void **state)
{
	static const struct {
		const char *tmpl, *platform;
		int opt;
		double hybrid;
		unsigned params;
	} cases[] = {
		{ "{model}-{engine}", "rk3588", 1, 0.5, 0 },
		{ "{model}-{quant}", "rk3588", 1, 0.5, JOB_PARAM_QUANT },
		{ DEFAULT, "", 0, 0, JOB_PARAM_QUANT },
		{ DEFAULT, "rk3588", 1, 0.5,
		  JOB_PARAM_PLATFORM | JOB_PARAM_QUANT | JOB_PARAM_HYBRID | JOB_PARAM_OPT },
		{ "{model}-{opt}-{hybrid}", "", 0, 0, JOB_PARAM_OPT | JOB_PARAM_HYBRID },
		{ "{platform}-{model}", "", 0, 0, 0 }, /* it says nothing of no platform */
		{ "fixed", "", 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct job_spec s = { .model = "m",
					    .engine = "e",
					    .platform = cases[i].platform,
					    .quant = "Q8_0",
					    .hybrid = cases[i].hybrid,
					    .opt = cases[i].opt };

		assert_int_equal(template_params(cases[i].tmpl, &s), cases[i].params);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
