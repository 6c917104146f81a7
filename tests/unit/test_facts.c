/* Who said what of an artifact: which parameters are confirmed, and what contradicts them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "db/facts.h"

static const struct job_spec asked = {
	.platform = "rk3588", .quant = "w8a8", .hybrid = 0.5, .opt = 1
};

static void parse(struct arena *a, const char *text, struct facts *f)
{
	struct err e = ERR_INIT;

	if (facts_parse(a, text, f, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
}

static void confirmation_is_the_asked_value(void **state)
{
	static const struct {
		const char *facts;
		unsigned confirmed;
	} cases[] = {
		{ "{}", 0 },
		{ "{\"worker\":{\"quant\":\"w8a8\"}}", JOB_PARAM_QUANT },
		{ "{\"file\":{\"quant\":\"w8a8\"}}", JOB_PARAM_QUANT },
		{ "{\"name\":{\"quant\":\"w8a8\"}}", 0 }, /* and a name only claims */
		{ "{\"source\":{\"quant\":\"w8a8\"}}",
		  0 }, /* a source says nothing of the output */
		{ "{\"worker\":{\"quant\":\"w8a8x\"}}", 0 },
		{ "{\"worker\":{\"quant\":\"w8a8\\u0000\"}}", 0 },
		{ "{\"worker\":{\"quant\":null}}", 0 },
		{ "{\"file\":{\"quant\":null},\"worker\":{\"quant\":\"w8a8\"}}", JOB_PARAM_QUANT },
		{ "{\"worker\":{\"platform\":\"rk3588\",\"hybrid\":0.5}}",
		  JOB_PARAM_PLATFORM | JOB_PARAM_HYBRID },
		{ "{\"worker\":{\"hybrid\":\"0.5\",\"opt\":true}}", 0 },
		{ "{\"worker\":{\"opt\":1.0}}", JOB_PARAM_OPT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new();
		struct facts f;

		parse(a, cases[i].facts, &f);
		if (facts_confirmed(&f, &asked) != cases[i].confirmed)
			fail_msg("%s: %u", cases[i].facts, facts_confirmed(&f, &asked));
		arena_free(a);
	}
}

static void without_platforms_there_is_none_to_confirm(void **state)
{
	struct job_spec spec = asked;
	struct arena *a = arena_new();
	struct facts f;

	(void)state;
	spec.platform = "";
	parse(a, "{}", &f);
	assert_int_equal(facts_confirmed(&f, &spec), JOB_PARAM_PLATFORM);
	arena_free(a);
}

static void contradictions_are_told(void **state)
{
	static const struct {
		const char *facts, *says; /* NULL: nothing is wrong */
	} cases[] = {
		{ "{}", NULL },
		{ "{\"worker\":{\"quant\":\"w8a8\",\"x\":1}}", NULL },
		{ "{\"worker\":{\"quant\":\"w4a16\"}}",
		  "asked for quant \"w8a8\", the worker reports \"w4a16\"" },
		{ "{\"file\":{\"opt\":2}}", "asked for opt 1, its own validation reads 2" },
		{ "{\"worker\":{\"hybrid\":[]}}", "asked for hybrid 0.5, the worker reports []" },
		{ "{\"worker\":{\"platform\":\"\"}}", "asked for platform \"rk3588\"" },
		{ "{\"file\":{\"t\":{\"a\":1,\"b\":2}},\"worker\":{\"t\":{\"b\":2,\"a\":1}}}",
		  NULL },
		{ "{\"file\":{\"t\":{\"a\":1}},\"worker\":{\"t\":{\"a\":2}}}",
		  "t: the worker reports {\"a\":2}, its own validation reads {\"a\":1}" },
		{ "{\"file\":{\"t\":1},\"worker\":{\"t\":null}}", NULL },
		{ "{\"file\":{\"t\":null},\"worker\":{\"t\":1}}", NULL },
		{ "{\"source\":{\"architecture\":\"X\"},\"worker\":{\"architecture\":\"x\"}}",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new();
		struct err e = ERR_INIT;
		struct facts f;
		int rc;

		parse(a, cases[i].facts, &f);
		rc = facts_check(&f, &asked, &e);
		if (rc != (cases[i].says ? ERR_INVALID : 0) ||
		    (cases[i].says && !strstr(e.msg, cases[i].says)))
			fail_msg("%s: %d %s", cases[i].facts, rc, e.msg);
		arena_free(a);
	}
}

static void damaged_facts_are_an_error(void **state)
{
	static const char *const cases[] = {
		"", "[]", "1", "{", "{\"worker\":[]}", "{\"file\":1}"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new();
		struct err e = ERR_INIT;
		struct facts f;

		assert_int_equal(facts_parse(a, cases[i], &f, &e), ERR_CORRUPT);
		arena_free(a);
	}
}

static void text_is_sorted_and_reads_back(void **state)
{
	struct arena *a = arena_new();
	struct facts f, again;

	(void)state;
	parse(a, "{\"worker\":{\"b\":1,\"a\":[2]},\"other\":{}}", &f);
	assert_string_equal(facts_text(a, &f),
			    "{\"file\":{},\"source\":{},\"worker\":{\"a\":[2],\"b\":1}}");
	parse(a, facts_text(a, &f), &again);
	assert_string_equal(facts_text(a, &again), facts_text(a, &f));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(confirmation_is_the_asked_value),
		cmocka_unit_test(without_platforms_there_is_none_to_confirm),
		cmocka_unit_test(contradictions_are_told),
		cmocka_unit_test(damaged_facts_are_an_error),
		cmocka_unit_test(text_is_sorted_and_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
