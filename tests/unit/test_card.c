/* Cards and manifests: the same bytes from the same rows, foreign text made harmless, a person's
 * text kept. That the front matter is YAML is checked by a YAML reader in tests/scenario. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/mem.h"
#include "upload/card.h"
#include "upload/card_private.h"

#define CARD_MAX ((size_t)1 << 20)

static struct job_row job(const char *quant, int key)
{
	struct job_row r = { .id = key, .label = quant, .file = "m", .repo = "ns/m" };

	r.spec = (struct job_spec){ .model = "m",
				    .engine = "gguf",
				    .engine_version = "0.1",
				    .source_kind = "hub",
				    .source = "org/base",
				    .source_version = "c0ffee",
				    .platform = "",
				    .quant = quant,
				    .with = "{}" };
	memset(r.key, key, sizeof(r.key));
	return r;
}

static struct artifact_row artifact(const char *name, int64_t size, const char *facts)
{
	struct artifact_row r = { .name = name, .size_bytes = size, .facts = facts };

	memset(r.sha256, 0xab, sizeof(r.sha256));
	return r;
}

/* A worker that confirms everything, and what the source says. */
#define FACTS(quant, source)                                                                       \
	"{\"source\":{" source "},\"worker\":{\"architecture\":\"llama\",\"hybrid\":0,\"opt\":0,"  \
	"\"quant\":\"" quant "\"}}"

static const struct card_settings settings = { .repo = "ns/m", .quantized_by = "ns" };

struct fixture {
	struct job_row jobs[2];
	struct artifact_row files[2];
	const char *paths[2];
	struct card_variant v[2];
};

static void fixture_init(struct fixture *f)
{
	f->jobs[0] = job("Q8_0", 1);
	f->jobs[1] = job("Q4_0", 2);
	f->files[0] = artifact("m-Q8_0.gguf", 2000,
			       FACTS("Q8_0", "\"license\":\"apache-2.0\",\"pipeline_tag\":"
					     "\"text-generation\""));
	f->files[1] =
		artifact("m-Q4_0.gguf", 1000,
			 FACTS("Q4_0", "\"license\":\"apache-2.0\",\"language\":[\"en\",\"no\"],"
				       "\"pipeline_tag\":\"text-generation\""));
	for (int i = 0; i < 2; i++) {
		f->paths[i] = f->files[i].name;
		f->v[i] = (struct card_variant){ .job = &f->jobs[i],
						 .files = &f->files[i],
						 .paths = &f->paths[i],
						 .n_files = 1 };
	}
}

static char *card(const struct fixture *f, size_t n, const char *old)
{
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, CARD_MAX);
	assert_int_equal(card_write(&b, &settings, f->v, n, old, &e), 0);
	return buf_detach(&b);
}

static void a_card_says_what_the_rows_say(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	text = card(&f, 2, NULL);
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
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < 3; i++)
		files[i] = artifact(paths[i], 1000, FACTS("Q8_0", ""));
	f.jobs[0].spec.engine = "rkllm";
	f.v[0].files = files;
	f.v[0].paths = (const char **)paths;
	f.v[0].n_files = 3;
	text = card(&f, 2, NULL);
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
	text = card(&f, 2, NULL);
	assert_non_null(strstr(text, "| `m-w8a8/config.json` |"));
	assert_null(strstr(text, "is in a folder of its name"));
	free(text);
}

static void order_of_rows_does_not_matter(void **state)
{
	struct fixture f, g;
	char *one, *two;

	(void)state;
	fixture_init(&f);
	fixture_init(&g);
	g.v[0] = f.v[1];
	g.v[1] = f.v[0];
	one = card(&f, 2, NULL);
	two = card(&g, 2, NULL);
	assert_string_equal(one, two);
	free(two);
	two = card(&f, 2, one); /* and a card is made from itself again */
	assert_string_equal(one, two);
	free(one);
	free(two);
}

static void columns_come_when_needed(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.jobs[1].spec.hybrid = 0.5;
	f.jobs[1].spec.opt = 1;
	f.jobs[0].spec.platform = "rk3588";
	f.files[0].facts = "{\"worker\":{\"platform\":\"rk3588\",\"quant\":\"Q8_0\"}}";
	f.files[1].facts = "{\"worker\":{\"hybrid\":0.5,\"opt\":1,\"quant\":\"Q4_0\"}}";
	text = card(&f, 2, NULL);
	assert_non_null(
		strstr(text, "| file | platform | quant | hybrid | opt | size | SHA-256 |\n"));
	assert_non_null(strstr(text, "| `Q4_0` | 0.5 | 1 |"));
	free(text);
}

/* Put words of a person into every place that is theirs. */
static void a_persons_text_survives(void **state)
{
	struct fixture f;
	char *first, *edited, *again;
	const char *section, *front_end;
	struct buf b;

	(void)state;
	fixture_init(&f);
	first = card(&f, 1, NULL);
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
	again = card(&f, 2, edited);
	assert_non_null(strstr(again, "\nwidget: mine\n"));
	assert_non_null(strstr(again, "\nlicense: mit\nextra:\n  - 1\n---\nIntro.\n"));
	assert_null(strstr(again, "apache-2.0"));
	assert_non_null(strstr(again, "Outro.\n"));
	assert_non_null(strstr(again, "m-Q4_0.gguf"));
	free(first);
	first = card(&f, 2, again);
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
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < ARRAY_LEN(old); i++) {
		char *one = card(&f, 1, old[i]), *two = card(&f, 1, one);
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
	struct fixture f;
	unsigned seed = 1;

	(void)state;
	fixture_init(&f);
	for (int round = 0; round < 3000; round++) {
		char old[512] = "", *one, *two;

		for (int i = 0; i < 12; i++) {
			seed = seed * 1664525u + 1013904223u;
			strcat(old, pieces[(seed >> 16) % ARRAY_LEN(pieces)]);
		}
		one = card(&f, 1, old);
		two = card(&f, 1, one);
		assert_string_equal(one, two);
		free(one);
		free(two);
	}
}

static void foreign_text_is_harmless(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.jobs[0].spec.model = "<script>|`x`\n# [a](b)";
	f.jobs[0].spec.quant = "a|b`c";
	f.jobs[0].spec.source = "x: y\n- \"z\"";
	f.files[0].facts = "{\"source\":{\"license\":\"null\"},\"worker\":{\"quant\":\"a|b`c\","
			   "\"architecture\":\"a: b\\n---\\n\"}}";
	f.paths[0] = "it's $(here).gguf";
	text = card(&f, 1, NULL);
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
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.files[1].facts = FACTS("Q4_0", "\"license\":\"mit\"");
	text = card(&f, 2, NULL);
	assert_null(strstr(text, "\nlicense:"));
	free(text);
}

static void damaged_facts_are_an_error(void **state)
{
	struct err e = ERR_INIT;
	struct fixture f;
	struct buf b;

	(void)state;
	fixture_init(&f);
	buf_init(&b, CARD_MAX);
	f.files[0].facts = "[]";
	assert_int_equal(card_write(&b, &settings, f.v, 1, NULL, &e), ERR_CORRUPT);
	f.files[0].facts = "{";
	assert_true(card_manifest(&b, "ns/m", f.v, 1, &e) < 0);
	buf_release(&b);
}

static void a_manifest_is_sorted_json(void **state)
{
	const struct job_row *replaced[1];
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	const struct json *variant;
	struct json *v;
	struct fixture f;
	struct buf b;

	(void)state;
	fixture_init(&f);
	f.jobs[0].spec.source_kind = "path";
	f.jobs[0].spec.source = "/home/me/secret";
	f.jobs[0].spec.with = "{\"b\":1,\"a\":[2]}";
	replaced[0] = &f.jobs[1];
	f.v[0].replaces = replaced;
	f.v[0].n_replaces = 1;
	buf_init(&b, CARD_MAX);
	assert_int_equal(card_manifest(&b, "ns/m", f.v, 2, &e), 0);
	assert_null(strstr(buf_str(&b), "secret"));
	assert_int_equal(json_parse(a, buf_str(&b), b.len, &v, &e), 0);
	assert_int_equal(json_int(v, "format", 0), 2);
	v = json_get(v, "variants")->members[1].value; /* Q4_0 is smaller, so it is first */
	variant = v;
	assert_string_equal(json_str(variant, "quant", ""), "Q8_0");
	assert_int_equal(json_get(variant, "source")->count, 3);
	assert_int_equal(json_get(json_get(variant, "source"), "repo")->type, JSON_NULL);
	assert_int_equal(json_get(variant, "replaces")->count, 1);
	for (size_t i = 1; i < variant->count; i++)
		assert_true(strcmp(variant->members[i - 1].key, variant->members[i].key) < 0);
	buf_release(&b);
	arena_free(a);
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

/* ---- what is not confirmed */

static void what_nobody_confirmed_is_not_said(void **state)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	const struct json *variant;
	struct fixture f;
	struct json *v;
	struct buf b;
	char *text;

	(void)state;
	fixture_init(&f);
	f.jobs[0].spec.platform = "rk3588";
	f.jobs[0].spec.hybrid = 0.25;
	f.jobs[0].spec.opt = 7;
	f.files[0].facts = "{\"worker\":{\"architecture\":\"llama\"}}";
	f.paths[0] = "m-01010101.gguf";
	text = card(&f, 1, NULL);
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
		struct fixture f;
		char facts[2][512], *text;

		fixture_init(&f);
		for (int k = 0; k < 2; k++) {
			/* A worker may not speak for the source. */
			(void)snprintf(facts[k], sizeof(facts[k]),
				       "{\"source\":{%s},\"worker\":{\"license\":\"forged\"}}",
				       cases[i].facts[k]);
			f.files[k].facts = facts[k];
		}
		text = card(&f, 2, NULL);
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
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.jobs[0].spec.lora = "org/adapter";
	f.jobs[0].spec.lora_version = "beef";
	text = card(&f, 1, NULL);
	assert_non_null(strstr(text, "\nbase_model:\n- org/adapter\n- org/base\n"
				     "base_model_relation: merge\n"));
	free(text);
	f.jobs[0].spec.lora = "/home/me/adapter";
	text = card(&f, 1, NULL);
	assert_non_null(strstr(text, "\nbase_model: org/base\nbase_model_relation: quantized\n"));
	assert_null(strstr(text, "/home/me"));
	free(text);
}

static void an_engine_without_instructions_is_named(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.jobs[1].spec.engine = "no*such";
	text = card(&f, 2, NULL);
	assert_non_null(strstr(text, "## Run with llama.cpp\n"));
	assert_non_null(strstr(text, "## Run files of engine `no*such`\n\nquern has no "
				     "instructions for files of this engine"));
	free(text);
}

static void tools_are_listed_with_their_versions(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.files[0].facts = "{\"worker\":{\"tools\":{\"b|\":\"2\",\"a\":\"1.0\",\"c\":3}}}";
	f.files[1].facts = "{\"worker\":{\"tools\":[]}}";
	text = card(&f, 2, NULL);
	assert_non_null(strstr(text, "| gguf | 0.1 | b\\| 2, a 1.0 | none |\n"));
	assert_non_null(strstr(text, "| gguf | 0.1 | | none |\n"));
	free(text);
}

/* ---- a person's text */

/* Write a card over old, and give what stands before and behind the one section. */
static char *rewrite(const char *old, const char **before, size_t *before_len, const char **after)
{
	static const char end[] = "<!-- quern:end -->\n";
	struct fixture f;
	const char *begin, *stop;
	char *text;

	fixture_init(&f);
	text = card(&f, 1, old);
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
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
		size_t n = strlen(fills[i]), count = size / n;
		char *old = mem_alloc(count * n + 1);
		struct buf b;

		for (size_t k = 0; k < count; k++)
			memcpy(old + k * n, fills[i], n);
		old[count * n] = '\0';
		buf_init(&b, 2 * size);
		assert_int_equal(card_write(&b, &settings, f.v, 1, old, &e), 0);
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
		struct fixture f;
		struct buf b;

		fixture_init(&f);
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
	struct fixture f;
	struct buf b;
	char *one;

	(void)state;
	fixture_init(&f);
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

/* ---- quern.json back */

static void a_manifest_reads_back_to_itself(void **state)
{
	const struct job_row *replaced[1];
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct card_variant *v;
	const char *repo;
	struct fixture f;
	struct buf first, again;
	char *by_rows;
	size_t n;

	(void)state;
	fixture_init(&f);
	f.jobs[0].spec.source_kind = "path";
	f.jobs[0].spec.source = "/home/me/secret";
	f.jobs[0].spec.with = "{\"a\":[2],\"b\":1}";
	f.jobs[1].spec.lora = "/home/me/lora";
	f.jobs[1].spec.lora_version = "v";
	f.jobs[1].spec.hybrid = 0.1;
	replaced[0] = &f.jobs[1];
	f.v[0].replaces = replaced;
	f.v[0].n_replaces = 1;
	buf_init(&first, CARD_MAX);
	buf_init(&again, CARD_MAX);
	assert_int_equal(card_manifest(&first, "ns/m", f.v, 2, &e), 0);
	if (card_manifest_read(a, buf_str(&first), first.len, &repo, &v, &n, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(repo, "ns/m");
	assert_int_equal(n, 2);
	assert_int_equal(card_manifest(&again, repo, v, n, &e), 0);
	assert_string_equal(buf_str(&again), buf_str(&first));
	by_rows = card(&f, 2, NULL);
	buf_clear(&again);
	assert_int_equal(card_write(&again, &settings, v, n, NULL, &e), 0);
	assert_string_equal(buf_str(&again), by_rows);
	free(by_rows);
	buf_release(&first);
	buf_release(&again);
	arena_free(a);
}

/* Every member taken away or made something else: an error, or a manifest; never a crash. */
static void a_hostile_manifest_is_refused(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "\"format\": 2", "\"format\": 3" },
		{ "\"variants\": [", "\"variant\": [" },
		{ "\"path\": \"m-Q4_0.gguf\"", "\"path\": \"../m-Q4_0.gguf\"" },
		{ "\"path\": \"m-Q4_0.gguf\"", "\"path\": \".git/config\"" },
		{ "\"path\": \"m-Q4_0.gguf\"", "\"path\": \"/etc/passwd\"" },
		{ "\"path\": \"m-Q4_0.gguf\"", "\"path\": \"a\\u0000b\"" },
		{ "\"size\": 1000", "\"size\": -1" },
		{ "\"size\": 1000", "\"size\": 1e300" },
		{ "\"sha256\": \"ab", "\"sha256\": \"xy" },
		{ "\"key\": \"02", "\"key\": \"2" },
		{ "\"asked\": {", "\"asked2\": {" },
		{ "\"opt\": 0,\n        \"platform\"",
		  "\"opt\": 99999999999,\n        \"platform\"" },
		{ "\"with\": {}", "\"with\": []" },
		{ "\"replaces\": []", "\"replaces\": [1]" },
		{ "\"worker\": {", "\"worker\": 1, \"x\": {" },
		{ "\"kind\": \"hub\"", "\"kind\": null" },
	};
	struct fixture f;
	struct buf b;

	(void)state;
	fixture_init(&f);
	buf_init(&b, CARD_MAX);
	assert_int_equal(card_manifest(&b, "ns/m", f.v, 2, &(struct err)ERR_INIT), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *at = strstr(buf_str(&b), cases[i].from), *repo;
		struct arena *a = arena_new();
		struct err e = ERR_INIT;
		struct card_variant *v;
		char *text;
		size_t n;

		if (!at)
			fail_msg("case %zu is not in %s", i, buf_str(&b));
		text = mem_printf("%.*s%s%s", (int)(at - buf_str(&b)), buf_str(&b), cases[i].to,
				  at + strlen(cases[i].from));
		if (card_manifest_read(a, text, strlen(text), &repo, &v, &n, &e) >= 0)
			fail_msg("case %zu is taken", i);
		assert_non_null(strstr(e.msg, "quern.json"));
		free(text);
		arena_free(a);
	}
	buf_release(&b);
}

/* Only where a worker has measured it; of others the cell is empty. */
static void a_card_says_the_error(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.files[1].facts = "{\"worker\":{\"quant\":\"Q4_0\",\"hybrid\":0,\"opt\":0,\"quality\":{"
			   "\"columns\":[\"relative\"],\"tensors\":{},\"all\":[0.08123]}}}";
	text = card(&f, 2, NULL);
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
		cmocka_unit_test(a_persons_text_survives),
		cmocka_unit_test(a_card_of_somebody_else_is_kept),
		cmocka_unit_test(any_old_text_settles_at_once),
		cmocka_unit_test(foreign_text_is_harmless),
		cmocka_unit_test(different_licences_are_not_claimed),
		cmocka_unit_test(damaged_facts_are_an_error),
		cmocka_unit_test(a_manifest_is_sorted_json),
		cmocka_unit_test(templates_are_strict),
		cmocka_unit_test(what_nobody_confirmed_is_not_said),
		cmocka_unit_test(the_front_matter_says_where_it_comes_from),
		cmocka_unit_test(an_adapter_makes_it_a_merge),
		cmocka_unit_test(an_engine_without_instructions_is_named),
		cmocka_unit_test(tools_are_listed_with_their_versions),
		cmocka_unit_test(odd_texts_survive_byte_for_byte),
		cmocka_unit_test(a_large_text_survives_quickly),
		cmocka_unit_test(front_matter_is_checked),
		cmocka_unit_test(deep_and_endless_front_matter_is_refused),
		cmocka_unit_test(what_we_write_is_what_a_hub_takes),
		cmocka_unit_test(a_users_template_is_checked),
		cmocka_unit_test(a_users_template_is_the_section),
		cmocka_unit_test(a_manifest_reads_back_to_itself),
		cmocka_unit_test(a_hostile_manifest_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
