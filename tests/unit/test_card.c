/* Cards and manifests: the same bytes from the same rows, foreign text made harmless, a person's
 * text kept. That the front matter is YAML is checked by a YAML reader in tests/scenario. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
	assert_non_null(strstr(text, "\nbase_model: \"x: y - \\\"z\\\"\"\n"));
	assert_non_null(strstr(text, "\nlicense: \"null\"\n"));
	assert_non_null(strstr(text, "- \"a: b --- \"\n"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_card_says_what_the_rows_say),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
