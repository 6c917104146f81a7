/* quern.json: sorted, read back to itself, and not believed. */
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

static void a_manifest_is_sorted_json(void **state)
{
	const struct job_row *replaced[1];
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	const struct json *variant;
	struct json *v;
	struct card_fixture f;
	struct buf b;

	(void)state;
	card_fixture_init(&f);
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

/* ---- quern.json back */

static void a_manifest_reads_back_to_itself(void **state)
{
	const struct job_row *replaced[1];
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct card_variant *v;
	const char *repo;
	struct card_fixture f;
	struct buf first, again;
	char *by_rows;
	size_t n;

	(void)state;
	card_fixture_init(&f);
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
	by_rows = card_of(&f, 2, NULL);
	buf_clear(&again);
	assert_int_equal(card_write(&again, &card_fixture_settings, v, n, NULL, &e), 0);
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
	struct card_fixture f;
	struct buf b;

	(void)state;
	card_fixture_init(&f);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_is_sorted_json),
		cmocka_unit_test(a_manifest_reads_back_to_itself),
		cmocka_unit_test(a_hostile_manifest_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
