/* What a person wrote into a card, its front matter or a template of their own is kept, or refused
 * with its place. */
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

/* Put words of a person into every place that is theirs. */
static void a_persons_text_survives(void **state)
{
	struct card_fixture f;
	char *first, *edited, *again;
	const char *section, *front_end;
	struct buf b;

	(void)state;
	card_fixture_init(&f);
	first = card_of(&f, 1, NULL);
	front_end = strstr(first, "# quern:end\n");
	section = strstr(first, "<!-- quern:begin");
	assert_non_null(front_end);
	assert_non_null(section);
	buf_init(&b, CARD_MAX);
	buf_addf(&b,
		 "---\nwidget: mine\n%.*slicense: mit\nextra:\n  - 1\n---\nIntro.\n%.*s%sOutro.\n",
		 (int)(front_end - first - 4) + 12, first + 4,
		 (int)(section - strstr(first, "\n---\n") - 5), strstr(first, "\n---\n") + 5,
		 section);
	edited = buf_detach(&b);
	again = card_of(&f, 2, edited);
	assert_non_null(strstr(again, "\nwidget: mine\n"));
	assert_non_null(strstr(again, "\nlicense: mit\nextra:\n  - 1\n---\nIntro.\n"));
	assert_null(strstr(again, "apache-2.0"));
	assert_non_null(strstr(again, "Outro.\n"));
	assert_non_null(strstr(again, "m-Q4_0.gguf"));
	free(first);
	first = card_of(&f, 2, again);
	assert_string_equal(first, again);
	free(first);
	free(edited);
	free(again);
}

static void a_card_of_somebody_else_is_kept(void **state)
{
	static const char *const old[] = { "# Hand-written\n\nNo front matter.",
					   "---\nunclosed: yes\n",
					   "---\nlicense: mit\n---\n# Text\n",
					   "\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\n# Text\r\n",
					   "text\n<!-- quern:begin -->\nhalf a pair\n",
					   "text\n<!-- quern:end -->\nhalf a pair\n" };
	struct card_fixture f;

	(void)state;
	card_fixture_init(&f);
	for (size_t i = 0; i < ARRAY_LEN(old); i++) {
		char *one = card_of(&f, 1, old[i]), *two = card_of(&f, 1, one);
		const char *last = strrchr(old[i], '#');

		assert_string_equal(one, two);
		assert_non_null(strstr(one, "m-Q8_0.gguf"));
		if (last)
			assert_non_null(strstr(one, last));
		if (strstr(old[i], "half"))
			assert_non_null(strstr(one, "half a pair"));
		if (strstr(old[i], "mit"))
			assert_null(strstr(one, "apache"));
		free(one);
		free(two);
	}
}

/* Whatever stands in a repository, a card made from its own result is the same card. */
static void any_old_text_settles_at_once(void **state)
{
	static const char *const pieces[] = {
		"---\n",
		"---",
		"# quern:begin\n",
		"# quern:end\n",
		"<!-- quern:begin -->\n",
		"<!-- quern:end -->\n",
		"license: mit\n",
		"\"tags\": x\n",
		"text",
		"\n",
		"\r\n",
		"  ",
		"\xff",
		"\xef\xbb\xbf",
		"license",
		":",
		"{{section}}",
		"'",
	};
	struct card_fixture f;
	unsigned seed = 1;

	(void)state;
	card_fixture_init(&f);
	for (int round = 0; round < 3000; round++) {
		char old[512] = "", *one, *two;

		for (int i = 0; i < 12; i++) {
			seed = seed * 1664525u + 1013904223u;
			strcat(old, pieces[(seed >> 16) % ARRAY_LEN(pieces)]);
		}
		one = card_of(&f, 1, old);
		two = card_of(&f, 1, one);
		assert_string_equal(one, two);
		free(one);
		free(two);
	}
}

static void templates_are_strict(void **state)
{
	const struct card_var vars[] = { { "a", "{{b}}" } };
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(card_fill(&b, "x{{a}}y", vars, 1, &e), 0);
	assert_string_equal(buf_str(&b), "x{{b}}y"); /* values are not looked into */
	assert_int_equal(card_fill(&b, "{{nope}}", vars, 1, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "{{nope}}"));
	assert_int_equal(card_fill(&b, "{{a", vars, 1, &e), ERR_INVALID);
	assert_null(card_template("no-such"));
	buf_release(&b);
}

/* ---- a person's text */

/* Write a card over old, and give what stands before and behind the one section. */
static char *rewrite(const char *old, const char **before, size_t *before_len, const char **after)
{
	static const char end[] = "<!-- quern:end -->\n";
	struct card_fixture f;
	const char *begin, *stop;
	char *text;

	card_fixture_init(&f);
	text = card_of(&f, 1, old);
	/* The generated section is the one with the table in it. */
	stop = strstr(text, "| file | quant | size | SHA-256 |");
	assert_non_null(stop);
	for (begin = stop; strncmp(begin, "<!-- quern:begin", 16) != 0; begin--)
		assert_true(begin > text);
	*before = strstr(text, "# quern:end\n");
	*before_len = (size_t)(begin - *before);
	*after = strstr(stop, end) + strlen(end);
	return text;
}

#define MARKS "<!-- quern:begin -->\nold\n<!-- quern:end -->\n"

static void odd_texts_survive_byte_for_byte(void **state)
{
	static const struct {
		const char *old;
		const char *before; /* ends what stands before the section */
		const char *after;  /* all that stands behind it */
	} cases[] = {
		{ "one\r\ntwo\r\n" MARKS "three\r\n", "---\none\r\ntwo\r\n", "three\r\n" },
		{ "one\r\n<!-- quern:begin -->\r\nold\r\n<!-- quern:end -->\r\ntwo", "one\r\n",
		  "two" },
		{ "no newline at the end", "no newline at the end\n\n", "" },
		{ MARKS "no newline at the end", "---\n", "no newline at the end" },
		{ "a\n<!-- quern:begin -->\nold\n<!-- quern:end -->", "---\na\n", "" },
		/* twice: the second is an old one */
		{ "a\n" MARKS "b\n" MARKS "c", "---\na\n", "b\nc" },
		{ "a\n<!-- quern:begin -->\n" MARKS "b\n", "a\n<!-- quern:begin -->\n", "b\n" },
		{ "a\n<!-- quern:end -->\n" MARKS "b\n", "a\n<!-- quern:end -->\n", "b\n" },
		/* the half mark would pair with the last one if the old section went */
		{ "a\n" MARKS "b\n<!-- quern:begin -->\n" MARKS "c\n<!-- quern:end -->\n",
		  "---\na\n", "b\n<!-- quern:begin -->\n" MARKS "c\n<!-- quern:end -->\n" },
		/* words about marks */
		{ "```\n" MARKS "```\n", "```\n" MARKS "```\n\n", "" },
		{ "~~~~ html\n" MARKS "~~~\n~~~~\n" MARKS "b", "~~~~ html\n" MARKS "~~~\n~~~~\n",
		  "b" },
		{ "   ```\n" MARKS "   ```\nx\n" MARKS "```\ny\n```\n",
		  "   ```\n" MARKS "   ```\nx\n", "```\ny\n```\n" },
		{ "    ```\n" MARKS "    ```\n", "---\n    ```\n", "    ```\n" }, /* no fence */
		{ "``` a`b\n" MARKS "```\n", "---\n``` a`b\n", "```\n" },	  /* nor this */
		{ "```\nnever closed\n" MARKS "b\n", "```\nnever closed\n", "b\n" },
		{ "text `<!-- quern:begin -->` text\n", "text `<!-- quern:begin -->` text\n\n",
		  "" },
		/* bytes that are no text */
		{ "\xff\xfe\x80 caf\xe9\n" MARKS "\xc3\x28", "\xff\xfe\x80 caf\xe9\n", "\xc3\x28" },
		/* the mark at the start of the file is no text: front matter has to be first */
		{ "\xef\xbb\xbf# T\n" MARKS "\xef\xbb\xbf in the middle", "---\n# T\n",
		  "\xef\xbb\xbf in the middle" },
		{ "\xef\xbb\xbf---\r\nmine: \xef\xbb\xbf\r\n---\r\n# T\r\n",
		  "\nmine: \xef\xbb\xbf\r\n---\n# T\r\n\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *before, *after, *again_before, *again_after;
		size_t len, again_len, n = strlen(cases[i].before);
		char *one = rewrite(cases[i].old, &before, &len, &after), *two;

		if (len < n || memcmp(before + len - n, cases[i].before, n) != 0 ||
		    strcmp(after, cases[i].after) != 0)
			fail_msg("case %zu: %s", i, one);
		two = rewrite(one, &again_before, &again_len, &again_after);
		if (strcmp(one, two) != 0)
			fail_msg("case %zu does not settle: %s", i, two);
		free(one);
		free(two);
	}
}

static void a_large_text_survives_quickly(void **state)
{
	const size_t size = (size_t)5 << 20;
	const char *const fills[] = { "```\n", "~~~x\n", "<!-- quern:begin -->\n", "line\r\n",
				      "<!-- quern:end -->\n" };
	struct err e = ERR_INIT;
	struct card_fixture f;

	(void)state;
	card_fixture_init(&f);
	for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
		size_t n = strlen(fills[i]), count = size / n;
		char *old = mem_alloc(count * n + 1);
		struct buf b;

		for (size_t k = 0; k < count; k++)
			memcpy(old + k * n, fills[i], n);
		old[count * n] = '\0';
		buf_init(&b, 2 * size);
		assert_int_equal(card_write(&b, &card_fixture_settings, f.v, 1, old, &e), 0);
		assert_non_null(strstr(buf_str(&b), old));
		buf_release(&b);
		free(old);
	}
}

/* ---- front matter as YAML */

static void front_matter_is_checked(void **state)
{
	static const struct {
		const char *readme, *says; /* NULL: nothing is wrong */
	} cases[] = {
		{ "no front matter", NULL },
		{ "---\n---\n", NULL },
		{ "---\nlicense: mit\ntags: [a, b]\nbase_model: [x/y]\n---\n", NULL },
		{ "---\nlicense: \"no\"\n---\n", NULL },
		{ "---\nextra: {a: [1, 2, {b: null}]}\n---\n", NULL },
		{ "---\nmodel-index:\n- name: x\n  results: []\n---\n", NULL },
		{ "---\na: &x [1]\nb: *x\n---\n", NULL },
		{ "---\nlicense: [\n---\n", "line 3 column 1" },
		{ "---\na: b\n\tc: d\n---\n", "front matter, line 3" },
		{ "\n\n---\nlicense: mit\nlicense: mit\n---\n",
		  "line 5 column 1: the key \"license\" stands here twice" },
		{ "---\n- a\n- b\n---\n", "no \"key: value\"" },
		{ "---\njust text\n---\n", "no \"key: value\"" },
		{ "---\nlicense:\n---\n", "license is empty" },
		{ "---\nlicense: {a: b}\n---\n", "license holds a list or a map" },
		{ "---\nlibrary_name: [a]\n---\n", "library_name holds a list or a map" },
		{ "---\nlanguage: no\n---\n", "language is a number or a truth value" },
		{ "---\nlanguage:\n- en\n- no\n---\n", "line 4 column 3: language is a number" },
		{ "---\ntags: 12\n---\n", "tags is a number" },
		{ "---\nmodel-index: x\n---\n", "model-index is no list" },
		{ "---\n? [a]\n: b\n---\n", "a key that is no plain text" },
		{ "---\na: b\n...\n%TAG ! x\n---\n", "line" },
		{ "---\na: *nowhere\n---\n", NULL }, /* its meaning is the hub's to say */
		{ "---\na: \xff\n---\n", "not UTF-8" },
		{ "---\na: \x01\n---\n", "front matter" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		int rc = card_check_front(cases[i].readme, &e);

		if (rc != (cases[i].says ? ERR_INVALID : 0) ||
		    (cases[i].says && !strstr(e.msg, cases[i].says)))
			fail_msg("case %zu: %d %s", i, rc, e.msg);
	}
}

static void deep_and_endless_front_matter_is_refused(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	buf_init(&b, CARD_MAX);
	buf_adds(&b, "---\na: ");
	for (int i = 0; i < 5000; i++)
		buf_addc(&b, '[');
	buf_adds(&b, "\n---\n");
	assert_int_equal(card_check_front(buf_str(&b), &e), ERR_INVALID);
	buf_clear(&b);
	buf_adds(&b, "---\na: [");
	for (int i = 0; i < 200000; i++)
		buf_adds(&b, "1,");
	buf_adds(&b, "]\n---\n");
	assert_int_equal(card_check_front(buf_str(&b), &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "more values"));
	buf_release(&b);
}

static void what_we_write_is_what_a_hub_takes(void **state)
{
	static const char *const odd[] = { "no",   "1.5",	 "null", "a: b",     "- x",
					   "'",	   "\"",	 "#c",	 "&a",	     "*a",
					   "{",	   "]",		 "%x",	 "@x",	     "`x`",
					   "!t",   "|",		 ">",	 "\x7f\x01", "a\nb",
					   "~",	   "2024-01-01", "0x10", " x ",	     "\xe2\x80\xa8",
					   "\xff", "?" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		const struct card_settings by = { .repo = "ns/m", .quantized_by = odd[i] };
		struct card_fixture f;
		struct buf b;

		card_fixture_init(&f);
		f.jobs[0].spec.source = odd[i];
		f.jobs[0].spec.engine = odd[i];
		buf_init(&b, CARD_MAX);
		assert_int_equal(card_write(&b, &by, f.v, 1, NULL, &e), 0);
		if (card_check_front(buf_str(&b), &e) < 0)
			fail_msg("%s: %s", odd[i], e.msg);
		buf_release(&b);
	}
}

/* ---- templates of users */

struct told {
	char text[1000];
};

static void tell(void *ctx, int line, int column, const char *what)
{
	struct told *t = ctx;
	size_t n = strlen(t->text);

	(void)snprintf(t->text + n, sizeof(t->text) - n, "%d:%d: %s\n", line, column, what);
}

static void a_users_template_is_checked(void **state)
{
	static const struct {
		const char *text;
		int faults;
		const char *says;
	} cases[] = {
		{ "", 0, "" },
		{ "{{title}} {{repo}} {{files}} {{file}} {{usage}} {{sources}} {{engines}} "
		  "{{license}} "
		  "{{quantized_by}}",
		  0, "" },
		{ "{ {title} }} {}", 0, "" },
		{ "a\nb {{fils}} c", 1, "2:3: unknown variable {{fils}}; did you mean {{file" },
		{ "{{zzzzzzzzzzzzz}}", 1, "1:1: unknown variable {{zzzzzzzzzzzzz}}; docs/card.md" },
		{ "{{ title }}", 1, "1:1: unknown variable {{ title }}" },
		{ "{{}}", 1, "1:1: unknown variable {{}}" },
		{ "x {{files\n}}", 1, "1:3: \"{{\" without \"}}\" on its line" },
		{ "{{a}}\n{{files}} {{b}}", 2, "2:11: unknown variable {{b}}" },
		{ "a\n<!-- quern:begin -->\n", 1, "2:1: a mark of the generated section" },
		{ "<!-- quern:end -->", 1, "1:1: a mark of the generated section" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct told told = { "" };
		int n = card_template_check(cases[i].text, tell, &told);

		if (n != cases[i].faults || !strstr(told.text, cases[i].says))
			fail_msg("case %zu: %d %s", i, n, told.text);
	}
}

static void a_users_template_is_the_section(void **state)
{
	struct card_settings own = { .repo = "ns/m",
				     .quantized_by = "me_too",
				     .template_name = "my.md",
				     .template_text =
					     "# {{title}} of {{repo}} by {{quantized_by}}\n"
					     "{{files}}```\n{{file}} {{license}}" };
	struct err e = ERR_INIT;
	struct card_fixture f;
	struct buf b;
	char *one;

	(void)state;
	card_fixture_init(&f);
	buf_init(&b, CARD_MAX);
	assert_int_equal(card_write(&b, &own, f.v, 1, NULL, &e), 0);
	one = buf_detach(&b);
	assert_non_null(strstr(one, "# m of ns/m by me\\_too\n| file |"));
	assert_non_null(strstr(one, "```\nm-Q8_0.gguf apache-2.0\n<!-- quern:end -->\n"));
	buf_init(&b, CARD_MAX);
	assert_int_equal(card_write(&b, &own, f.v, 1, one, &e), 0);
	assert_string_equal(buf_str(&b), one);
	own.template_text = "{{nope}}";
	assert_int_equal(card_write(&b, &own, f.v, 1, one, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "my.md"));
	buf_release(&b);
	free(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_persons_text_survives),
		cmocka_unit_test(a_card_of_somebody_else_is_kept),
		cmocka_unit_test(any_old_text_settles_at_once),
		cmocka_unit_test(templates_are_strict),
		cmocka_unit_test(odd_texts_survive_byte_for_byte),
		cmocka_unit_test(a_large_text_survives_quickly),
		cmocka_unit_test(front_matter_is_checked),
		cmocka_unit_test(deep_and_endless_front_matter_is_refused),
		cmocka_unit_test(what_we_write_is_what_a_hub_takes),
		cmocka_unit_test(a_users_template_is_checked),
		cmocka_unit_test(a_users_template_is_the_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
