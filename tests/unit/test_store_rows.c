/* test_store_rows: runs, attempts, artifacts, uploads and the cache do what store.h says. */
#include "store_helper.h"

#define DB "rows.db"

struct fixture {
	struct store *s;
	struct arena *a;
	int64_t run;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->s = new_store(DB);
	f->a = arena_new();
	f->run = begin_run(f->s);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	arena_free(f->a);
	free(f);
	return 0;
}

/* ---- runs */

static void test_run(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct run_row r;

	OK(store_run_get(f->s, 0, f->a, &r, &e));
	assert_int_equal(r.id, f->run);
	assert_int_equal(r.exit_code, -1);
	assert_int_equal(r.ended_ms, 0);
	assert_int_equal(r.pid, getpid());
	assert_string_equal(r.config, "/srv/jobs.yaml");
	OK(store_run_totals(f->s, f->run, 5, 4, 3, 2, 1, &e));
	OK(store_run_end(f->s, f->run, 1, NOW - 5000, &e)); /* the clock went back */
	OK(store_run_get(f->s, f->run, f->a, &r, &e));
	assert_int_equal(r.exit_code, 1);
	assert_int_equal(r.ended_ms, NOW - 5000);
	assert_int_equal(r.points, 5);
	assert_int_equal(r.illegal, 1);
	assert_int_equal(store_run_get(f->s, 99, f->a, &r, &e), ERR_NOTFOUND);
	assert_int_equal(store_run_end(f->s, 99, 0, NOW, &e), ERR_NOTFOUND);
}

/* ---- attempts, artifacts, uploads */

static void test_attempts(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct attempt_row rows[4], end = { .verb = "validate",
					    .exit_code = 3,
					    .cause = "exit",
					    .message = "bad header",
					    .peak_rss_bytes = 1 << 20,
					    .user_ms = 11,
					    .system_ms = 12,
					    .ended_ms = NOW + 9 };
	int64_t id = add_job(f->s, 1, f->run), first, second;

	OK(store_attempt_begin(f->s, id, 1, f->run, NOW, &first, &e));
	OK(store_attempt_begin(f->s, id, 2, f->run, NOW, &second, &e));
	assert_int_equal(store_attempt_begin(f->s, id, 2, f->run, NOW, &second, &e), ERR_CONFLICT);
	OK(store_attempt_pid(f->s, first, 4711, UINT64_MAX, &e));
	OK(store_attempt_progress(f->s, first, "write", "bytes", 10, 100, &e));
	end.id = first;
	OK(store_attempt_end(f->s, &end, &e));
	assert_int_equal(store_attempts(f->s, id, f->a, rows, 4, &e), 2);
	assert_int_equal(rows[0].number, 2);
	assert_int_equal(rows[0].exit_code, -1);
	assert_int_equal(rows[0].ended_ms, 0);
	assert_string_equal(rows[0].verb, "convert");
	assert_string_equal(rows[1].verb, "validate");
	assert_int_equal(rows[1].pid, 4711);
	assert_true(rows[1].pid_start == UINT64_MAX);
	assert_int_equal(rows[1].exit_code, 3);
	assert_int_equal(rows[1].done, 10); /* the end said nothing about progress */
	assert_string_equal(rows[1].stage, "write");
	assert_string_equal(rows[1].message, "bad header");
	end.id = 99;
	assert_int_equal(store_attempt_end(f->s, &end, &e), ERR_NOTFOUND);
	assert_int_equal(store_attempt_begin(f->s, 99, 1, f->run, NOW, &second, &e), ERR_INVALID);
}

static void test_artifacts(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	int64_t id = add_job(f->s, 1, f->run);
	struct artifact_row rows[4], r = { .job_id = id,
					   .name = "b.gguf",
					   .size_bytes = 1LL << 40,
					   .mtime_ns = 5,
					   .sha256 = { 1, 2, 3 },
					   .facts = "{\"n_tensors\":9}",
					   .created_ms = NOW };

	OK(store_artifact_put(f->s, &r, &e));
	r.name = "a.json";
	r.facts = NULL;
	OK(store_artifact_put(f->s, &r, &e));
	r.size_bytes = 77;
	OK(store_artifact_put(f->s, &r, &e));
	assert_int_equal(store_artifacts(f->s, id, f->a, rows, 4, &e), 2);
	assert_string_equal(rows[0].name, "a.json");
	assert_string_equal(rows[0].facts, "{}");
	assert_int_equal(rows[0].size_bytes, 77);
	assert_true(rows[1].size_bytes == 1LL << 40);
	assert_int_equal(rows[1].sha256[2], 3);
	OK(store_artifacts_clear(f->s, id, &e));
	OK(store_artifacts_clear(f->s, id, &e));
	assert_int_equal(store_artifacts(f->s, id, f->a, rows, 4, &e), 0);
}

static void test_uploads_and_repositories(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	int64_t id = add_job(f->s, 1, f->run);
	struct upload_row *rows, r = { .job_id = id,
				       .hub = "local",
				       .repo = "org/model",
				       .path = "b.gguf",
				       .sha256 = { 9 },
				       .size_bytes = 5,
				       .state = "pending" };
	const char **repos;
	size_t n;

	OK(store_upload_put(f->s, &r, &e));
	r.path = "README.md";
	r.job_id = 0;
	OK(store_upload_put(f->s, &r, &e));
	r.state = "done";
	r.commit = "c0ffee";
	OK(store_upload_put(f->s, &r, &e));
	OK(store_uploads(f->s, "local", "org/model", f->a, &rows, &n, &e));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].path, "README.md");
	assert_string_equal(rows[0].commit, "c0ffee");
	assert_int_equal(rows[0].job_id, 0);
	assert_int_equal(rows[1].job_id, id);
	r.state = "nonsense";
	assert_int_equal(store_upload_put(f->s, &r, &e), ERR_INVALID);
	OK(store_uploads(f->s, "other", "org/model", f->a, &rows, &n, &e));
	assert_int_equal(n, 0);
	OK(store_repos_ready(f->s, f->a, &repos, &n, &e));
	assert_int_equal(n, 0);
	assert_int_equal(store_repo_pending(f->s, f->run, "org/model", &e), 1);
	assert_int_equal(store_repo_pending(f->s, f->run + 1, "org/model", &e), 0);
	assert_int_equal(store_repo_pending(f->s, f->run, "org/none", &e), 0);
	move(f->s, id, JOB_PENDING, EV_FOUND);
	assert_int_equal(store_repo_pending(f->s, f->run, "org/model", &e), 0);
	OK(store_repos_ready(f->s, f->a, &repos, &n, &e));
	assert_int_equal(n, 1);
	assert_string_equal(repos[0], "org/model");
}

static void test_hashes_and_values(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	uint8_t hash[SHA256_LEN] = { 1 }, got[SHA256_LEN];
	const char *value = NULL;

	assert_int_equal(store_hash_get(f->s, "/m/a", 10, 20, 30, UINT64_MAX, got, &e), 0);
	OK(store_hash_put(f->s, "/m/a", 10, 20, 30, UINT64_MAX, hash, &e));
	assert_int_equal(store_hash_get(f->s, "/m/a", 10, 20, 30, UINT64_MAX, got, &e), 1);
	assert_memory_equal(hash, got, SHA256_LEN);
	assert_int_equal(store_hash_get(f->s, "/m/a", 10, 21, 30, UINT64_MAX, got, &e), 0);
	assert_int_equal(store_meta_get(f->s, "x", f->a, &value, &e), 0);
	OK(store_meta_set(f->s, "x", "1", &e));
	OK(store_meta_set(f->s, "x", "2", &e));
	assert_int_equal(store_meta_get(f->s, "x", f->a, &value, &e), 1);
	assert_string_equal(value, "2");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_run),
		TEST(test_attempts),
		TEST(test_artifacts),
		TEST(test_uploads_and_repositories),
		TEST(test_hashes_and_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
