/* Cards: the same bytes from the same rows, and foreign text made harmless. That the front matter
 * is YAML is checked by a YAML reader in tests/scenario. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "card_fixture.h"
#include "core/json.h"
#include "core/mem.h"
#include "upload/card_private.h"

static void a_card_says_what_the_rows_say(void **state)
{
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	text = card_of(&f, 2, NULL);
	assert_true(strncmp(text, "---\n", 4) == 0);
	assert_non_null(strstr(text, "\nbase_model: org/base\nbase_model_relation: quantized\n"));
	assert_non_null(strstr(text, "\nlicense: apache-2.0\n"));
	assert_non_null(strstr(text, "\nlanguage:\n- en\n- \"no\"\n"));
	assert_non_null(strstr(text, "\nlibrary_name: gguf\n"));
	assert_non_null(strstr(text, "\ntags:\n- gguf\n- llama\n- quern\n"));
	assert_non_null(strstr(text, "| file | quant | size | SHA-256 |\n"));
	assert_non_null(strstr(
		text, "| `m-Q4_0.gguf` | `Q4_0` | 1000 B | "
		      "`abababababababababababababababababababababababababababababababab` |\n"));
	assert_non_null(strstr(text, "\npipeline_tag: text-generation\nquantized_by: ns\n"));
	assert_non_null(strstr(text, "llama-cli -m m-Q4_0.gguf"));
	assert_non_null(strstr(text, "| m | `org/base` | `c0ffee` | |\n"));
	assert_null(strstr(text, "{{"));
	free(text);
}

/* Each variant brings its configuration: the table would be six times as long and say no more. */
static void what_is_beside_a_model_is_one_sentence(void **state)
{
	static const char *const paths[] = { "m-w8a8/LICENSE", "m-w8a8.rkllm",
					     "m-w8a8/config.json" };
	struct artifact_row files[3];
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	for (size_t i = 0; i < 3; i++)
		files[i] = card_artifact(paths[i], 1000, FACTS("Q8_0", ""));
	f.jobs[0].spec.engine = "rkllm";
	f.v[0].files = files;
	f.v[0].paths = (const char **)paths;
	f.v[0].n_files = 3;
	text = card_of(&f, 2, NULL);
	assert_non_null(strstr(text, "| `m-w8a8.rkllm` |"));
	assert_non_null(strstr(text, "| `m-Q4_0.gguf` |"));
	assert_null(strstr(text, "config.json"));
	assert_non_null(strstr(text, "is in a folder of its name"));
	assert_non_null(strstr(text, "./llm_demo m-w8a8.rkllm 128"));
	free(text);
	/* Files that are the variant itself stay in the table. */
	f.v[0].files = &files[2];
	f.v[0].paths = (const char **)&paths[2];
	f.v[0].n_files = 1;
	text = card_of(&f, 2, NULL);
	assert_non_null(strstr(text, "| `m-w8a8/config.json` |"));
	assert_null(strstr(text, "is in a folder of its name"));
	free(text);
}

static void order_of_rows_does_not_matter(void **state)
{
	struct card_fixture f, g;
	char *one, *two;

	(void)state;
	card_fixture_init(&f);
	card_fixture_init(&g);
	g.v[0] = f.v[1];
	g.v[1] = f.v[0];
	one = card_of(&f, 2, NULL);
	two = card_of(&g, 2, NULL);
	assert_string_equal(one, two);
	free(two);
	two = card_of(&f, 2, one); /* and a card is made from itself again */
	assert_string_equal(one, two);
	free(one);
	free(two);
}

static void columns_come_when_needed(void **state)
{
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	f.jobs[1].spec.hybrid = 0.5;
	f.jobs[1].spec.opt = 1;
	f.jobs[0].spec.platform = "rk3588";
	f.files[0].facts = "{\"worker\":{\"platform\":\"rk3588\",\"quant\":\"Q8_0\"}}";
	f.files[1].facts = "{\"worker\":{\"hybrid\":0.5,\"opt\":1,\"quant\":\"Q4_0\"}}";
	text = card_of(&f, 2, NULL);
	assert_non_null(
		strstr(text, "| file | platform | quant | hybrid | opt | size | SHA-256 |\n"));
	assert_non_null(strstr(text, "| `Q4_0` | 0.5 | 1 |"));
	free(text);
}

static void foreign_text_is_harmless(void **state)
{
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	f.jobs[0].spec.model = "<script>|`x`\n# [a](b)";
	f.jobs[0].spec.quant = "a|b`c";
	f.jobs[0].spec.source = "x: y\n- \"z\"";
	f.files[0].facts = "{\"source\":{\"license\":\"null\"},\"worker\":{\"quant\":\"a|b`c\","
			   "\"architecture\":\"a: b\\n---\\n\"}}";
	f.paths[0] = "it's $(here).gguf";
	text = card_of(&f, 1, NULL);
	assert_null(strstr(text, "<script>"));
	assert_non_null(strstr(text, "&lt;script&gt;"));
	assert_non_null(strstr(text, "`` a\\|b`c ``"));
	assert_non_null(strstr(text, "\nbase_model: \"x: y\\u000a- \\\"z\\\"\"\n"));
	assert_non_null(strstr(text, "\nlicense: \"null\"\n"));
	assert_non_null(strstr(text, "- \"a: b\\u000a---\\u000a\"\n"));
	assert_non_null(strstr(text, "llama-cli -m 'it'\\''s $(here).gguf' "));
	free(text);
}

static void different_licences_are_not_claimed(void **state)
{
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	f.files[1].facts = FACTS("Q4_0", "\"license\":\"mit\"");
	text = card_of(&f, 2, NULL);
	assert_null(strstr(text, "\nlicense:"));
	free(text);
}

static void damaged_facts_are_an_error(void **state)
{
	struct err e = ERR_INIT;
	struct card_fixture f;
	struct buf b;

	(void)state;
	card_fixture_init(&f);
	buf_init(&b, CARD_MAX);
	f.files[0].facts = "[]";
	assert_int_equal(card_write(&b, &card_fixture_settings, f.v, 1, NULL, &e), ERR_CORRUPT);
	f.files[0].facts = "{";
	assert_true(card_manifest(&b, "ns/m", f.v, 1, &e) < 0);
	buf_release(&b);
}

/* ---- what is not confirmed */

static void what_nobody_confirmed_is_not_said(void **state)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	const struct json *variant;
	struct card_fixture f;
	struct json *v;
	struct buf b;
	char *text;

	(void)state;
	card_fixture_init(&f);
	f.jobs[0].spec.platform = "rk3588";
	f.jobs[0].spec.hybrid = 0.25;
	f.jobs[0].spec.opt = 7;
	f.files[0].facts = "{\"worker\":{\"architecture\":\"llama\"}}";
	f.paths[0] = "m-01010101.gguf";
	text = card_of(&f, 1, NULL);
	assert_non_null(strstr(text, "| `m-01010101.gguf` | not confirmed | not confirmed | not "
				     "confirmed | not confirmed | 2.0 KiB |"));
	assert_null(strstr(text, "Q8\\_0"));
	assert_null(strstr(text, "Q8_0"));
	assert_null(strstr(text, "rk3588"));
	assert_null(strstr(text, "0.25"));
	free(text);
	buf_init(&b, CARD_MAX);
	assert_int_equal(card_manifest(&b, "ns/m", f.v, 1, &e), 0);
	assert_int_equal(json_parse(a, buf_str(&b), b.len, &v, &e), 0);
	variant = json_get(v, "variants")->members[0].value;
	assert_int_equal(json_get(variant, "quant")->type, JSON_NULL);
	assert_int_equal(json_get(variant, "platform")->type, JSON_NULL);
	assert_int_equal(json_get(variant, "hybrid")->type, JSON_NULL);
	assert_int_equal(json_get(variant, "opt")->type, JSON_NULL);
	assert_string_equal(json_str(json_get(variant, "asked"), "quant", ""), "Q8_0");
	buf_release(&b);
	arena_free(a);
}

static void the_front_matter_says_where_it_comes_from(void **state)
{
	static const struct {
		const char *facts[2]; /* of the source */
		const char *says, *says_not;
	} cases[] = {
		{ { "", "" }, "\ntags:\n", "license" },
		{ { "\"license\":\"other\",\"license_name\":\"x y\",\"license_link\":"
		    "\"https://example.org/l\"",
		    "\"license\":\"other\",\"license_name\":\"x y\",\"license_link\":"
		    "\"https://example.org/l\"" },
		  "\nlicense: other\nlicense_link: \"https://example.org/l\"\nlicense_name: \"x "
		  "y\"\n",
		  NULL },
		{ { "\"license\":\"other\",\"license_name\":\"x\"",
		    "\"license\":\"other\",\"license_name\":\"y\"" },
		  "\nlicense: other\n",
		  "license_name" },
		{ { "\"license\":\"mit\",\"license_name\":\"x\"", "\"license\":\"mit\"" },
		  "\nlicense: mit\n",
		  "license_name" },
		{ { "\"pipeline_tag\":\"text-generation\"", "" }, "\ntags:\n", "pipeline_tag" },
		{ { "\"language\":\"en\"", "\"language\":[\"de\",1]" },
		  "\nlanguage:\n- de\n- en\n",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct card_fixture f;
		char facts[2][512], *text;

		card_fixture_init(&f);
		for (int k = 0; k < 2; k++) {
			/* A worker may not speak for the source. */
			(void)snprintf(facts[k], sizeof(facts[k]),
				       "{\"source\":{%s},\"worker\":{\"license\":\"forged\"}}",
				       cases[i].facts[k]);
			f.files[k].facts = facts[k];
		}
		text = card_of(&f, 2, NULL);
		assert_non_null(strstr(text, cases[i].says));
		assert_null(strstr(text, "forged"));
		if (cases[i].says_not && strstr(text, cases[i].says_not))
			fail_msg("case %zu says %s", i, cases[i].says_not);
		if (card_check_front(text, &e) < 0)
			fail_msg("case %zu: %s", i, e.msg);
		free(text);
	}
}

static void an_adapter_makes_it_a_merge(void **state)
{
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	f.jobs[0].spec.lora = "org/adapter";
	f.jobs[0].spec.lora_version = "beef";
	text = card_of(&f, 1, NULL);
	assert_non_null(strstr(text, "\nbase_model:\n- org/adapter\n- org/base\n"
				     "base_model_relation: merge\n"));
	free(text);
	f.jobs[0].spec.lora = "/home/me/adapter";
	text = card_of(&f, 1, NULL);
	assert_non_null(strstr(text, "\nbase_model: org/base\nbase_model_relation: quantized\n"));
	assert_null(strstr(text, "/home/me"));
	free(text);
}

static void an_engine_without_instructions_is_named(void **state)
{
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	f.jobs[1].spec.engine = "no*such";
	text = card_of(&f, 2, NULL);
	assert_non_null(strstr(text, "## Run with llama.cpp\n"));
	assert_non_null(strstr(text, "## Run files of engine `no*such`\n\nquern has no "
				     "instructions for files of this engine"));
	free(text);
}

static void tools_are_listed_with_their_versions(void **state)
{
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	f.files[0].facts = "{\"worker\":{\"tools\":{\"b|\":\"2\",\"a\":\"1.0\",\"c\":3}}}";
	f.files[1].facts = "{\"worker\":{\"tools\":[]}}";
	text = card_of(&f, 2, NULL);
	assert_non_null(strstr(text, "| gguf | 0.1 | b\\| 2, a 1.0 | none |\n"));
	assert_non_null(strstr(text, "| gguf | 0.1 | | none |\n"));
	free(text);
}

/* Only where a worker has measured it; of others the cell is empty. */
static void a_card_says_the_error(void **state)
{
	struct card_fixture f;
	char *text;

	(void)state;
	card_fixture_init(&f);
	f.files[1].facts = "{\"worker\":{\"quant\":\"Q4_0\",\"hybrid\":0,\"opt\":0,\"quality\":{"
			   "\"columns\":[\"relative\"],\"tensors\":{},\"all\":[0.08123]}}}";
	text = card_of(&f, 2, NULL);
	assert_non_null(strstr(text, "| file | quant | error | size | SHA-256 |\n"));
	assert_non_null(strstr(text, "| `m-Q4_0.gguf` | `Q4_0` | 0.0812 | 1000 B | "));
	assert_non_null(strstr(text, "| `m-Q8_0.gguf` | `Q8_0` |  | 2.0 KiB | "));
	assert_non_null(strstr(text, "\nThe error is what conversion changed"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_card_says_what_the_rows_say),
		cmocka_unit_test(what_is_beside_a_model_is_one_sentence),
		cmocka_unit_test(a_card_says_the_error),
		cmocka_unit_test(order_of_rows_does_not_matter),
		cmocka_unit_test(columns_come_when_needed),
		cmocka_unit_test(foreign_text_is_harmless),
		cmocka_unit_test(different_licences_are_not_claimed),
		cmocka_unit_test(damaged_facts_are_an_error),
		cmocka_unit_test(what_nobody_confirmed_is_not_said),
		cmocka_unit_test(the_front_matter_says_where_it_comes_from),
		cmocka_unit_test(an_adapter_makes_it_a_merge),
		cmocka_unit_test(an_engine_without_instructions_is_named),
		cmocka_unit_test(tools_are_listed_with_their_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
