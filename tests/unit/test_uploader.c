/* The uploader over the local hub: what is published, and when it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload_test.h"

static void ready_jobs_are_published_in_one_commit(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	int64_t a = fixture_job(f, &fixture_q8), b = fixture_job(f, &fixture_q4),
		c = fixture_job(f, &fixture_folder);
	struct uploader_result res;
	struct upload_row *rows;
	size_t n;

	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 1);
	assert_int_equal(res.files_sent, 4);
	assert_int_equal(res.bytes_sent, 5 + 5 + 2 + 7);
	assert_int_equal(strlen(res.commit), 40);
	assert_int_equal(fixture_state(f, a), JOB_DONE);
	assert_int_equal(fixture_state(f, b), JOB_DONE);
	assert_int_equal(fixture_state(f, c), JOB_DONE);
	fixture_published(f, "kjv-Q8_0.gguf", "eight");
	fixture_published(f, "kjv-w8a8/config.json", "{}");
	fixture_published(f, "kjv-w8a8/model.safetensors", "tensors");
	assert_int_equal(fixture_find(f, "kjv-w8a8/config.json")->lfs, 0);
	assert_int_equal(fixture_find(f, "kjv-w8a8/model.safetensors")->lfs, 1);
	assert_non_null(strstr(fixture_text(f, "README.md"), "`kjv-Q4_0.gguf`"));
	assert_non_null(strstr(fixture_text(f, "quern.json"), "\"kjv-w8a8/config.json\""));
	assert_non_null(strstr(fixture_text(f, ".gitattributes"), "*.gguf filter=lfs"));
	assert_int_equal(store_uploads(f->store, "local", FIXTURE_REPO, f->a, &rows, &n, &f->e), 0);
	assert_int_equal(n, 7);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(rows[i].state, "done");
		assert_string_equal(rows[i].commit, res.commit);
	}
}

static void a_second_upload_does_nothing(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct uploader_result one, two;

	fixture_job(f, &fixture_q8);
	assert_int_equal(fixture_upload(f, &one), 0);
	assert_int_equal(fixture_upload(f, &two), 0);
	assert_int_equal(two.commits, 0);
	assert_int_equal(two.files_sent, 0);
	assert_int_equal(two.files_kept, 1);
	assert_string_equal(one.commit, two.commit);
}

static void nothing_ready_makes_no_repository(void **state)
{
	struct upload_test *s = *state;
	struct uploader_result res;
	char path[128];

	assert_int_equal(fixture_upload(&s->f, &res), 0);
	assert_int_equal(res.commits, 0);
	assert_string_equal(res.commit, "");
	snprintf(path, sizeof(path), "%s/hub", s->work);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_variant_joins_those_that_are_there(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct uploader_result res;

	fixture_job(f, &fixture_q8);
	assert_int_equal(fixture_upload(f, &res), 0);
	fixture_job(f, &fixture_q4);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.files_sent, 1);
	assert_int_equal(res.files_kept, 1);
	fixture_published(f, "kjv-Q8_0.gguf", "eight");
	fixture_published(f, "kjv-Q4_0.gguf", "four!");
	assert_non_null(strstr(fixture_text(f, "README.md"), "kjv-Q8_0.gguf"));
}

static void a_newer_variant_replaces_an_older_one(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct fixture_job one = fixture_q8, two = fixture_q8;
	struct uploader_result res;
	struct job_row row;
	int64_t old_id, new_id;

	one.names[1] = "kjv-Q8_0-part2.gguf";
	one.contents[1] = "rest";
	old_id = fixture_job(f, &one);
	assert_int_equal(fixture_upload(f, &res), 0);
	two.version = "2";
	two.contents[0] = "better";
	assert_int_equal(store_run_begin(f->store, "next", "jobs.yaml", 5000, &f->run_id, &f->e),
			 0);
	new_id = fixture_job(f, &two);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(store_job_get(f->store, old_id, f->a, &row, &f->e), 0);
	assert_int_equal(row.state, JOB_DONE);
	assert_string_equal(row.cause, JOB_CAUSE_REPLACED);
	assert_int_equal(fixture_state(f, new_id), JOB_DONE);
	fixture_published(f, "kjv-Q8_0.gguf", "better");
	assert_null(fixture_find(f, "kjv-Q8_0-part2.gguf"));
	assert_non_null(strstr(fixture_text(f, "quern.json"), "\"replaces\": [\n"));
}

static void two_of_one_matrix_with_one_name_are_told_apart(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct fixture_job other = fixture_q4;
	struct uploader_result res;
	struct event_row events[32];
	struct job_row row;
	int64_t loser, winner;
	char expected[32];
	int n;

	loser = fixture_job(f, &fixture_q8);
	other.file = fixture_q8.file;
	other.names[0] = fixture_q8.names[0];
	winner = fixture_job(f, &other);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, winner), JOB_DONE);
	(void)snprintf(expected, sizeof(expected), "job %lld ", (long long)winner);
	assert_int_equal(store_job_get(f->store, loser, f->a, &row, &f->e), 0);
	assert_int_equal(row.state, JOB_DONE);
	assert_string_equal(row.cause, JOB_CAUSE_REPLACED);
	assert_non_null(strstr(row.message, expected));
	n = store_events(f->store, loser, f->a, events, 32, &f->e);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(store_events(f->store, loser, f->a, events, 32, &f->e), n);
	fixture_published(f, "kjv-Q8_0.gguf", "four!");
}

static void a_missing_artifact_is_made_again_and_others_go_on(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	int64_t gone = fixture_job(f, &fixture_q8), good = fixture_job(f, &fixture_q4);
	struct uploader_result res;

	assert_int_equal(unlink(fixture_artifact(f, gone, "kjv-Q8_0.gguf")), 0);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, gone), JOB_PENDING);
	assert_int_equal(fixture_state(f, good), JOB_DONE);
	assert_null(fixture_find(f, "kjv-Q8_0.gguf"));
	assert_null(strstr(fixture_text(f, "README.md"), "kjv-Q8_0"));
}

static void a_changed_artifact_is_not_published(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	int64_t id = fixture_job(f, &fixture_q8);
	struct uploader_result res;

	assert_int_equal(
		path_write(fixture_artifact(f, id, "kjv-Q8_0.gguf"), "EIGHT", 5, 0444, &f->e), 0);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_PENDING);
	assert_int_equal(fixture_list(f, &(struct hub_file *){ NULL }), 0);
}

static void a_done_artifact_may_go(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	int64_t id = fixture_job(f, &fixture_q8);
	struct uploader_result res;

	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(unlink(fixture_artifact(f, id, "kjv-Q8_0.gguf")), 0);
	fixture_job(f, &fixture_q4);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	fixture_published(f, "kjv-Q8_0.gguf", "eight");
}

static void excluded_files_stay_here(void **state)
{
	static const char *const exclude[] = { "*.safetensors" };
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct uploader_result res;
	int64_t id = fixture_job(f, &fixture_folder);

	f->opt.exclude = exclude;
	f->opt.n_exclude = 1;
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	assert_null(fixture_find(f, "kjv-w8a8/model.safetensors"));
	assert_null(strstr(fixture_text(f, "quern.json"), "safetensors"));
}

/* Caches and calibration data belong to the artifact and to nobody's repository. */
static void what_is_for_the_next_conversion_stays_here(void **state)
{
	static const struct fixture_job caches[] = {
		{ "w4a16",
		  "1",
		  "kjv-w4a16",
		  { "kjv-w4a16.rkllm", "kjv-w4a16.qparams" },
		  { "model", "cache" },
		  NULL },
		{ "w8a8",
		  "1",
		  "kjv-w8a8",
		  { "kjv-w8a8.rkllm", "data_quant.json" },
		  { "model", "[]" },
		  NULL },
	};
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct uploader_result res;

	fixture_job(f, &caches[0]);
	fixture_job(f, &caches[1]);
	assert_int_equal(fixture_upload(f, &res), 0);
	fixture_published(f, "kjv-w4a16.rkllm", "model");
	assert_null(fixture_find(f, "kjv-w4a16.qparams"));
	assert_null(fixture_find(f, "kjv-w8a8/data_quant.json"));
	assert_null(strstr(fixture_text(f, "quern.json"), "qparams"));
}

static void a_job_may_not_write_the_card(void **state)
{
	static const struct fixture_job bad = {
		"F16", "1", "README", { "README.md" }, { "x" }, NULL
	};
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct uploader_result res;
	struct job_row row;
	int64_t id = fixture_job(f, &bad);

	fixture_job(f, &fixture_q8);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(store_job_get(f->store, id, f->a, &row, &f->e), 0);
	assert_int_equal(row.state, JOB_READY);
	assert_string_equal(row.cause, "name");
	assert_non_null(strstr(fixture_text(f, "README.md"), "kjv-Q8_0"));
}

static const struct fixture_job unsure = { "Q8_0",
					   "1",
					   "kjv-Q8_0",
					   { "kjv-Q8_0.gguf", "config.json" },
					   { "eight", "{}" },
					   "{\"worker\":{\"opt\":0}}" };

static void what_is_not_confirmed_is_not_in_a_name(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	int64_t id = fixture_job(f, &unsure);
	struct uploader_result res;
	struct job_row row;
	char hex[SHA256_HEX];

	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	assert_int_equal(store_job_get(f->store, id, f->a, &row, &f->e), 0);
	hex_encode(row.key, SHA256_LEN, hex);
	fixture_published(f, arena_printf(f->a, "kjv-%.8s.gguf", hex), "eight");
	fixture_published(f, "config.json", "{}");
	assert_null(strstr(fixture_text(f, "README.md"), "Q8_0"));
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 0);
}

static void a_preview_changes_nothing(void **state)
{
	static const struct fixture_job odd = {
		"F16", "1", "README", { "README.md" }, { "x" }, NULL
	};
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	int64_t good = fixture_job(f, &fixture_q8), bad = fixture_job(f, &odd);
	struct uploader_own own;
	struct uploader_result res;
	struct job_row row;
	struct store *reader;

	assert_int_equal(store_open(arena_printf(f->a, "%s/state.db", f->work), 1, &reader, &f->e),
			 0);
	assert_int_equal(
		uploader_preview(reader, f->hub, FIXTURE_REPO, &f->opt, 0, f->a, &own, &f->e), 0);
	assert_non_null(strstr(own.readme, "kjv-Q8_0.gguf"));
	assert_null(strstr(own.readme, "F16"));
	assert_int_equal(fixture_state(f, good), JOB_READY);
	assert_int_equal(store_job_get(f->store, bad, f->a, &row, &f->e), 0);
	assert_string_equal(row.message, "");
	assert_int_equal(
		uploader_preview(reader, f->hub, FIXTURE_REPO, &f->opt, 1, f->a, &own, &f->e), 0);
	assert_null(own.readme);
	store_close(reader);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(
		uploader_preview(f->store, f->hub, FIXTURE_REPO, &f->opt, 1, f->a, &own, &f->e), 0);
	assert_string_equal(own.readme, fixture_text(f, "README.md"));
	assert_string_equal(own.manifest, fixture_text(f, "quern.json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UPLOAD_TEST(ready_jobs_are_published_in_one_commit),
		UPLOAD_TEST(a_second_upload_does_nothing),
		UPLOAD_TEST(nothing_ready_makes_no_repository),
		UPLOAD_TEST(a_variant_joins_those_that_are_there),
		UPLOAD_TEST(a_newer_variant_replaces_an_older_one),
		UPLOAD_TEST(two_of_one_matrix_with_one_name_are_told_apart),
		UPLOAD_TEST(a_missing_artifact_is_made_again_and_others_go_on),
		UPLOAD_TEST(a_changed_artifact_is_not_published),
		UPLOAD_TEST(a_done_artifact_may_go),
		UPLOAD_TEST(excluded_files_stay_here),
		UPLOAD_TEST(what_is_for_the_next_conversion_stays_here),
		UPLOAD_TEST(a_job_may_not_write_the_card),
		UPLOAD_TEST(what_is_not_confirmed_is_not_in_a_name),
		UPLOAD_TEST(a_preview_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
