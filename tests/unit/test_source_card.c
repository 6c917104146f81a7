/* What a model's folder says for its cards. Only what is sure is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/source_card.h"

static char *json_of(const struct source_card *c)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	source_card_json(c, NULL, &b);
	return buf_detach(&b);
}

static void front_matter_is_read_where_it_is_sure(void **state)
{
	static const struct {
		const char *readme, *json;
	} cases[] = {
		{ "", "{}" },
		{ "# No front matter\nlicense: mit\n", "{}" },
		{ "---\nlicense: mit\n---\n",
		  "{\"license\":\"mit\",\"license_from\":\"README.md\"}" },
		{ "---\r\nlicense: 'mit'\r\n---\r\n",
		  "{\"license\":\"mit\",\"license_from\":\"README.md\"}" },
		{ "---\nlicense:mit\n---\n", "{}" },
		{ "---\nlicense: [mit]\n---\n", "{}" },
		{ "---\nlicense: other\nlicense_name: tongyi-qianwen\n"
		  "license_link: https://example.org/L\n---\n",
		  "{\"license\":\"other\",\"license_from\":\"README.md\","
		  "\"license_link\":\"https://example.org/"
		  "L\",\"license_name\":\"tongyi-qianwen\"}" },
		{ "---\nlicense: other\nlicense_name: x\nlicense_link: LICENSE\n---\n",
		  "{\"license\":\"other\",\"license_from\":\"README.md\",\"license_name\":\"x\"}" },
		{ "---\nlicense: mit\nlicense_name: x\n---\n",
		  "{\"license\":\"mit\",\"license_from\":\"README.md\"}" },
		{ "---\nlicense_name: x\nlicense_link: https://example.org\n---\n", "{}" },
		{ "---\nlanguage: en\n---\n", "{\"language\":[\"en\"]}" },
		{ "---\nlanguage: [en, 'de' ,zh]\n---\n", "{\"language\":[\"en\",\"de\",\"zh\"]}" },
		{ "---\nlanguage:\n- en\n  - \"no\"\ntags:\n- x\n---\n",
		  "{\"language\":[\"en\",\"no\"]}" },
		{ "---\nlanguage: {a: b}\n---\n", "{}" },
		{ "---\nlanguage: []\n---\n", "{}" },
		{ "---\nlanguage: [\n---\n", "{}" },
		{ "---\n  license: mit\n---\n", "{}" }, /* nested */
		{ "---\npipeline_tag: text-ranking\n---\n", "{\"pipeline_tag\":\"text-ranking\"}" },
		{ "---\nlicense: other\nlicense_name: a: b\n---\n",
		  "{\"license\":\"other\",\"license_from\":\"README.md\"}" },
		{ "---\nlicense: other\nlicense_name: *x\n---\n",
		  "{\"license\":\"other\",\"license_from\":\"README.md\"}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new();
		struct source_card c;
		char *json;

		source_card_parse(a, cases[i].readme, &c);
		json = json_of(&c);
		if (strcmp(json, cases[i].json) != 0)
			fail_msg("%s: %s", cases[i].readme, json);
		free(json);
		arena_free(a);
	}
}

static void expect_words(const struct source_words *w, const char *const *expected)
{
	size_t n = 0;

	for (; expected[n]; n++) {
		assert_true(n < w->n);
		assert_string_equal(w->v[n], expected[n]);
	}
	assert_int_equal(w->n, n);
}

static void lists_are_taken_in_every_form(void **state)
{
	static const char readme[] = "---\ntags: [a, 'two words' ,license:mit]\n"
				     "base_model:\n- org/one\n  - \"org/two-B\"\n- {a: b}\n"
				     "datasets: org/set # not sure\n"
				     "model-index:\n- name: x\n  tags:\n  - nested\n---\n";
	struct arena *a = arena_new();
	struct source_card c;

	(void)state;
	source_card_parse(a, readme, &c);
	expect_words(&c.tags, (const char *const[]){ "a", "two words", "license:mit", NULL });
	expect_words(&c.base_models, (const char *const[]){ "org/one", "org/two-B", NULL });
	expect_words(&c.datasets, (const char *const[]){ NULL });
	expect_words(&c.languages, (const char *const[]){ NULL });
	source_card_parse(a, "---\ntags:\n- a\ntags:\n- b\n---\n", &c);
	expect_words(&c.tags, (const char *const[]){ "b", NULL });
	arena_free(a);
}

static void licences_are_known_by_title_or_spdx_line(void **state)
{
	static const struct {
		const char *text, *id;
	} cases[] = {
		{ "                                 Apache License\n"
		  "                           Version 2.0, January 2004\n",
		  "apache-2.0" },
		{ "MIT License\n\nCopyright (c) 2024", "mit" },
		{ "# MIT License\n", "mit" },
		{ "Modified MIT License\n", NULL },
		{ "MIT Licensed by nobody\n", NULL },
		{ "Apache License\n", NULL }, /* which version? */
		{ "                    GNU GENERAL PUBLIC LICENSE\n"
		  "                       Version 3, 29 June 2007\n",
		  "gpl-3.0" },
		{ "GNU LESSER GENERAL PUBLIC LICENSE\n Version 3", "lgpl-3.0" },
		{ "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version", "llama3.1" },
		{ "// SPDX-License-Identifier: Apache-2.0\n", "apache-2.0" },
		{ "SPDX-License-Identifier: GPL-3.0-only", "gpl-3.0" },
		{ "SPDX-License-Identifier: MIT OR Apache-2.0", NULL },
		{ "SPDX-License-Identifier: LicenseRef-Mine\nMIT License", NULL },
		{ "Our own licence: ask us\n", NULL },
		{ "", NULL },
		{ "\xff\xfe\x80", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new();
		const char *id = source_license_of(a, cases[i].text);

		if (!id != !cases[i].id || (id && strcmp(id, cases[i].id) != 0))
			fail_msg("%s: %s", cases[i].text, id ? id : "none");
		arena_free(a);
	}
}

static void put(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	assert_int_equal(path_write(path, text, strlen(text), 0644, &e), 0);
}

static void a_readme_wins_over_a_licence_file(void **state)
{
	struct arena *a = arena_new();
	struct source_card c;
	struct err e = ERR_INIT;

	(void)state;
	(void)path_remove_tree("card-source", &e);
	assert_int_equal(path_mkdirs("card-source", 0755, &e), 0);
	assert_int_equal(source_read_card(a, "card-source", &c, &e), 0);
	assert_null(c.license);
	put("card-source/COPYING", "MIT License\n");
	assert_int_equal(source_read_card(a, "card-source", &c, &e), 0);
	assert_string_equal(c.license, "mit");
	assert_string_equal(c.license_from, "COPYING");
	put("card-source/README.md", "---\nlanguage: en\n---\n");
	assert_int_equal(source_read_card(a, "card-source", &c, &e), 0);
	assert_string_equal(c.license_from, "COPYING");
	assert_int_equal(c.languages.n, 1);
	put("card-source/README.md", "---\nlicense: gemma\n---\n");
	assert_int_equal(source_read_card(a, "card-source", &c, &e), 0);
	assert_string_equal(c.license, "gemma");
	assert_string_equal(c.license_from, "README.md");
	arena_free(a);
}

static void a_task_is_named_by_the_model_or_its_class(void **state)
{
	struct source_card none = { 0 }, own = { .pipeline_tag = "feature-extraction" };
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	source_card_json(&none, "LlamaForCausalLM", &b);
	assert_string_equal(
		buf_str(&b),
		"{\"architecture\":\"LlamaForCausalLM\",\"pipeline_tag\":\"text-generation\"}");
	buf_clear(&b);
	source_card_json(&own, "LlamaForCausalLM", &b);
	assert_non_null(strstr(buf_str(&b), "feature-extraction"));
	buf_clear(&b);
	source_card_json(&none, "BertModel", &b);
	assert_string_equal(buf_str(&b), "{\"architecture\":\"BertModel\"}");
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(front_matter_is_read_where_it_is_sure),
		cmocka_unit_test(lists_are_taken_in_every_form),
		cmocka_unit_test(licences_are_known_by_title_or_spdx_line),
		cmocka_unit_test(a_readme_wins_over_a_licence_file),
		cmocka_unit_test(a_task_is_named_by_the_model_or_its_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
