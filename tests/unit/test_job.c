/* test_job: the table of states, and the text that a key is hashed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/path.h"
#include "db/job.h"

static struct job_spec plain_spec(void)
{
	return (struct job_spec){ .model = "kjv-llama",
				  .engine = "gguf",
				  .engine_version = "1.0.0",
				  .source_kind = "hub",
				  .source = "org/kjv-llama",
				  .source_version = "0123abcd",
				  .platform = "",
				  .quant = "Q8_0",
				  .with = "{}" };
}

/* ---- states */

static void test_every_state_reaches_an_end(void **state)
{
	int reaches[JOB_STATE_COUNT] = { 0 }, changed = 1;

	(void)state;
	for (int s = 0; s < JOB_STATE_COUNT; s++)
		reaches[s] = job_state_is_end((enum job_state)s);
	while (changed) {
		changed = 0;
		for (int s = 0; s < JOB_STATE_COUNT; s++) {
			for (int ev = 0; ev < JOB_EVENT_COUNT; ev++) {
				int to = job_next((enum job_state)s, (enum job_event)ev);

				if (to >= 0 && reaches[to] && !reaches[s])
					reaches[s] = changed = 1;
			}
		}
	}
	for (int s = 0; s < JOB_STATE_COUNT; s++)
		assert_true(reaches[s]);
}

static void test_every_state_is_reached_and_every_event_used(void **state)
{
	int seen[JOB_STATE_COUNT] = { [JOB_PENDING] = 1 }, used[JOB_EVENT_COUNT] = { 0 };
	int changed = 1;

	(void)state;
	while (changed) {
		changed = 0;
		for (int s = 0; s < JOB_STATE_COUNT; s++) {
			for (int ev = 0; seen[s] && ev < JOB_EVENT_COUNT; ev++) {
				int to = job_next((enum job_state)s, (enum job_event)ev);

				if (to < 0)
					continue;
				used[ev] = 1;
				if (!seen[to])
					seen[to] = changed = 1;
			}
		}
	}
	for (int s = 0; s < JOB_STATE_COUNT; s++)
		assert_true(seen[s]);
	for (int ev = 0; ev < JOB_EVENT_COUNT; ev++)
		assert_true(used[ev]);
}

/* Whatever a dead process left behind goes on: no state in work is without a way back. */
static void test_recovery_is_made_of_edges(void **state)
{
	(void)state;
	assert_int_equal(job_next(JOB_RUNNING, EV_LOST), JOB_PENDING);
	assert_int_equal(job_next(JOB_VALIDATING, EV_LOST), JOB_PENDING);
	assert_int_equal(job_next(JOB_UPLOADING, EV_LOST), JOB_READY);
	assert_int_equal(job_next(JOB_PENDING, EV_FOUND), JOB_READY);
	assert_int_equal(job_next(JOB_RUNNING, EV_FOUND), JOB_READY);
	assert_int_equal(job_next(JOB_VALIDATING, EV_FOUND), JOB_READY);
	assert_int_equal(job_next(JOB_DONE, EV_ARTIFACT_GONE), JOB_PENDING);
	assert_int_equal(job_next(JOB_READY, EV_ARTIFACT_GONE), JOB_PENDING);
	assert_int_equal(job_next(JOB_UPLOADING, EV_ARTIFACT_GONE), JOB_PENDING);
	assert_int_equal(job_next(JOB_DONE, EV_CLAIM), -1);
	assert_int_equal(job_next(JOB_DONE, EV_CANCEL), -1);
}

static void test_names(void **state)
{
	(void)state;
	for (int s = 0; s < JOB_STATE_COUNT; s++)
		assert_int_equal(job_state_parse(job_state_name((enum job_state)s)), s);
	assert_int_equal(job_state_parse("asleep"), -1);
	assert_int_equal(job_state_parse(NULL), -1);
	assert_string_equal(job_event_name(EV_ARTIFACT_GONE), "artifact_gone");
}

/* docs/states.md holds one line "| `from` | `event` | `to` |" for each edge, and no other. */
static void test_document_has_the_same_table(void **state)
{
	struct err e = ERR_INIT;
	struct buf doc;
	char line[160];
	int edges = 0, lines = 0;

	(void)state;
	buf_init(&doc, 1 << 20);
	assert_int_equal(path_read(SOURCE_DIR "/docs/states.md", 1 << 20, &doc, &e), 0);
	for (int s = 0; s < JOB_STATE_COUNT; s++) {
		for (int ev = 0; ev < JOB_EVENT_COUNT; ev++) {
			int to = job_next((enum job_state)s, (enum job_event)ev);

			(void)snprintf(line, sizeof(line), "\n| `%s` | `%s` | `%s` |",
				       job_state_name((enum job_state)s),
				       job_event_name((enum job_event)ev),
				       to < 0 ? "" : job_state_name((enum job_state)to));
			if (to < 0)
				continue;
			edges++;
			if (!strstr(doc.data, line))
				fail_msg("docs/states.md lacks %s", line + 1);
		}
	}
	for (const char *p = doc.data; (p = strstr(p, "\n| `")); p++)
		lines++;
	assert_int_equal(lines, edges);
	buf_release(&doc);
}

/* ---- canonical text */

/* The same object by the general writer. */
static void general_canonical(const struct job_spec *s, struct buf *out)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct json_out w;
	struct json *v;
	struct buf text;

	buf_init(&text, 1 << 20);
	jw_init(&w, &text, 0);
	jw_object(&w); /* on purpose not in the order of names */
	jw_kstr(&w, "quant", s->quant);
	jw_kstr(&w, "platform", s->platform);
	jw_kstr(&w, "model", s->model);
	jw_kint(&w, "opt", s->opt);
	jw_knum(&w, "hybrid", s->hybrid);
	jw_key(&w, "with");
	assert_int_equal(json_parse(a, s->with, strlen(s->with), &v, &e), 0);
	jw_value(&w, v);
	jw_key(&w, "source");
	jw_object(&w);
	jw_kstr(&w, "version", s->source_version);
	jw_kstr(&w, "repo", strcmp(s->source_kind, "path") == 0 ? NULL : s->source);
	jw_kstr(&w, "kind", s->source_kind);
	if (s->runs_code)
		jw_kbool(&w, "runs_code", 1);
	if (s->source_file)
		jw_kstr(&w, "file", s->source_file);
	jw_end_object(&w);
	jw_key(&w, "lora");
	if (s->lora) {
		jw_object(&w);
		jw_kstr(&w, "version", s->lora_version);
		jw_kstr(&w, "repo", s->lora);
		jw_end_object(&w);
	} else {
		jw_null(&w);
	}
	jw_key(&w, "engine");
	jw_object(&w);
	jw_kstr(&w, "version", s->engine_version);
	jw_kstr(&w, "name", s->engine);
	jw_end_object(&w);
	jw_end_object(&w);
	assert_int_equal(json_parse(a, text.data, text.len, &v, &e), 0);
	assert_int_equal(json_write_canonical(out, v), 0);
	buf_release(&text);
	arena_free(a);
}

static void check_canonical(const struct job_spec *s)
{
	struct buf fast, general;

	buf_init(&fast, 1 << 20);
	buf_init(&general, 1 << 20);
	assert_int_equal(job_canonical(s, &fast), 0);
	general_canonical(s, &general);
	assert_string_equal(buf_str(&fast), buf_str(&general));
	buf_release(&fast);
	buf_release(&general);
}

static void test_canonical_is_that_of_json(void **state)
{
	static const char *const texts[] = {
		"",
		"plain",
		"with \"quotes\" and \\",
		"\t\n\r\b\f",
		"\x01\x1f\x7f",
		"gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\xbe",
		"bad \xff\xc3",
		"a/b</c>",
		"\xe2\x80\xa8",
	};
	static const double shares[] = { 0,	 -0.0, 0.5,   1,    0.25,   0.1,
					 0.29,	 0.57, 0.999, 1e-7, 1e30,   1.0 / 3.0,
					 0.3333, 12.5, 100,   0.01, 999.99, 1000 };
	struct job_spec s = plain_spec();

	(void)state;
	check_canonical(&s);
	s.runs_code = 1;
	check_canonical(&s);
	s.source_file = "m-F16.gguf";
	check_canonical(&s);
	s = plain_spec();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		s.engine = s.quant = s.source = s.lora = s.source_version = texts[i];
		s.lora_version = i % 2 ? texts[i] : NULL;
		check_canonical(&s);
	}
	s = plain_spec();
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		s.hybrid = shares[i];
		s.opt = (int)i * 7 - 3;
		check_canonical(&s);
	}
	for (int i = 0; i <= 1000; i++) {
		s.hybrid = i / 1000.0;
		check_canonical(&s);
	}
	s.with = "{\"a\":[1,2.5,\"x\"],\"max_context\":4096}";
	check_canonical(&s);
}

static void key_of(const struct job_spec *s, uint8_t key[SHA256_LEN])
{
	struct buf scratch;

	buf_init(&scratch, 1 << 16);
	job_key(s, &scratch, key);
	buf_release(&scratch);
}

static void assert_other_key(const struct job_spec *s, const uint8_t key[SHA256_LEN])
{
	uint8_t other[SHA256_LEN];

	key_of(s, other);
	assert_memory_not_equal(other, key, SHA256_LEN);
}

static void test_key_depends_on_all_that_changes_the_output(void **state)
{
	struct job_spec s = plain_spec();
	uint8_t key[SHA256_LEN];

	(void)state;
	key_of(&s, key);
#define OTHER(field, value) (s = plain_spec(), s.field = (value), assert_other_key(&s, key))
	OTHER(model, "another name"); /* general.name of a GGUF */
	OTHER(engine, "qkv");
	OTHER(engine_version, "1.0.1");
	OTHER(source_kind, "fake");
	OTHER(source, "org/other");
	OTHER(source_version, "0123abce");
	OTHER(lora, "org/adapter");
	OTHER(platform, "rk3588");
	OTHER(quant, "Q4_0");
	OTHER(hybrid, 0.5);
	OTHER(opt, 1);
	OTHER(with, "{\"max_context\":4096}");
#undef OTHER
}

static void test_folder_is_not_in_the_key(void **state)
{
	struct job_spec s = plain_spec();
	uint8_t here[SHA256_LEN], there[SHA256_LEN];
	struct buf b;

	(void)state;
	s.source_kind = "path";
	s.source = "/home/one/model";
	key_of(&s, here);
	s.source = "/mnt/two";
	key_of(&s, there);
	assert_memory_equal(here, there, SHA256_LEN);
	buf_init(&b, 4096);
	assert_int_equal(job_canonical(&s, &b), 0);
	assert_non_null(strstr(b.data, "\"repo\":null"));
	buf_release(&b);
}

static void test_small_scratch_gives_the_same_key(void **state)
{
	struct job_spec s = plain_spec();
	uint8_t key[SHA256_LEN], small[SHA256_LEN];
	struct buf scratch;

	(void)state;
	key_of(&s, key);
	buf_init(&scratch, 64);
	assert_int_equal(job_canonical(&s, &scratch), ERR_NOSPACE);
	job_key(&s, &scratch, small);
	assert_memory_equal(key, small, SHA256_LEN);
	buf_release(&scratch);
}

/* A key is for ever: all that was done is found by it. If this changes, everything is done again.
 */
static void test_key_stays(void **state)
{
	static const char text[] =
		"{\"engine\":{\"name\":\"gguf\",\"version\":\"1.0.0\"},\"hybrid\":0,\"lora\":null,"
		"\"model\":\"kjv-llama\",\"opt\":0,\"platform\":\"\",\"quant\":\"Q8_0\",\"source\":"
		"{\"kind\":\"hub\","
		"\"repo\":\"org/kjv-llama\",\"version\":\"0123abcd\"},\"with\":{}}";
	struct job_spec s = plain_spec();
	uint8_t key[SHA256_LEN], expected[SHA256_LEN];

	(void)state;
	key_of(&s, key);
	sha256_bytes(text, strlen(text), expected);
	assert_memory_equal(key, expected, SHA256_LEN);
}

static void test_label(void **state)
{
	struct job_spec s = plain_spec();
	char label[64], tiny[8];

	(void)state;
	job_label(&s, label, sizeof(label));
	assert_string_equal(label, "kjv-llama/gguf/Q8_0");
	job_label(&s, tiny, sizeof(tiny));
	assert_string_equal(tiny, "kjv-lla");
	s.model = "m";
	s.engine = "rkllm";
	s.platform = "rk3588";
	s.quant = "w8a8";
	s.opt = 1;
	s.hybrid = 0.5;
	job_label(&s, label, sizeof(label));
	assert_string_equal(label, "m/rkllm/rk3588/w8a8/opt-1/hybrid-0.5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_state_reaches_an_end),
		cmocka_unit_test(test_every_state_is_reached_and_every_event_used),
		cmocka_unit_test(test_recovery_is_made_of_edges),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_document_has_the_same_table),
		cmocka_unit_test(test_canonical_is_that_of_json),
		cmocka_unit_test(test_key_depends_on_all_that_changes_the_output),
		cmocka_unit_test(test_folder_is_not_in_the_key),
		cmocka_unit_test(test_small_scratch_gives_the_same_key),
		cmocka_unit_test(test_key_stays),
		cmocka_unit_test(test_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
