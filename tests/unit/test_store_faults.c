/* test_store_faults: what the store does when files are damaged or too new, when
 * others write at the same time, and when the process ends in the middle. */
#include "store_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/path.h"

#define DB "faults.db"

/* ---- files that are not a whole database of ours */

static int open_code(const char *path, int read_only, struct err *e)
{
	struct store *s = NULL;
	int rc = store_open(path, read_only, &s, e);

	store_close(s);
	return rc;
}

static void write_file(const char *path, const void *data, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void overwrite(const char *path, off_t at, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, n, at), n);
	assert_int_equal(close(fd), 0);
}

static void test_absent(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	remove_database(DB);
	assert_int_equal(open_code(DB, 1, &e), ERR_NOTFOUND);
	assert_int_not_equal(open_code("no/such/folder/state.db", 0, &e), 0);
	assert_non_null(strstr(e.msg, "no/such/folder"));
	assert_int_equal(mkdir("a-folder", 0755) == 0 || errno == EEXIST, 1);
	assert_int_equal(open_code("a-folder", 0, &e), ERR_INVALID);
}

static void test_not_a_database(void **state)
{
	static const char text[] =
		"version: 1\nname: this is YAML, and long enough to fill a header. "
		"0123456789012345678901234567890123456789012345678901234567890\n";
	struct err e = ERR_INIT;

	(void)state;
	remove_database(DB);
	write_file(DB, text, sizeof(text));
	assert_int_equal(open_code(DB, 0, &e), ERR_CORRUPT);
	assert_non_null(strstr(e.msg, DB));
	assert_non_null(strstr(e.msg, "move it away"));
	assert_int_equal(open_code(DB, 1, &e), ERR_CORRUPT);
	write_file(DB, text, 10);
	assert_int_equal(open_code(DB, 0, &e), ERR_CORRUPT);
}

/* An empty file is a database that nothing was written to; what a crash at birth leaves. */
static void test_empty_file(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	remove_database(DB);
	write_file(DB, "", 0);
	assert_int_equal(open_code(DB, 1, &e), ERR_NOTFOUND);
	assert_int_equal(open_code(DB, 0, &e), 0);
	assert_int_equal(open_code(DB, 1, &e), 0);
}

static void test_of_another_program(void **state)
{
	struct err e = ERR_INIT;
	uint8_t id[4] = { 1, 2, 3, 4 }, none[4] = { 0 };

	(void)state;
	make_database(DB, 1);
	overwrite(DB, 68, id, 4); /* application id */
	assert_int_equal(open_code(DB, 0, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "another program"));
	overwrite(DB, 68, none, 4);
	assert_int_equal(open_code(DB, 0, &e), ERR_INVALID);
	overwrite(DB, 60, none, 4); /* user version: tables, but not by a migration of ours */
	assert_int_equal(open_code(DB, 0, &e), ERR_INVALID);
}

static void test_newer_version(void **state)
{
	struct err e = ERR_INIT;
	uint8_t version[4] = { 0, 0, 0, 77 };

	(void)state;
	make_database(DB, 1);
	overwrite(DB, 60, version, 4);
	assert_int_equal(open_code(DB, 0, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "made by schema 77, this quern knows up to "));
	assert_non_null(strstr(e.msg, "; update quern"));
	assert_int_equal(open_code(DB, 1, &e), ERR_INVALID);
}

static int count_rows(void *ctx, const struct job_row *row, struct err *e)
{
	(void)row;
	(void)e;
	++*(int *)ctx;
	return 0;
}

/* Every page in turn becomes rubbish: the worst that may happen is ERR_CORRUPT, and somebody says
 * so. */
static void test_damaged_pages(void **state)
{
	struct job_filter all = { .state = -1 };
	char junk[4096];
	struct stat st;
	int damaged = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (char)(i * 131 + 7);
	make_database(DB, 300);
	assert_int_equal(stat(DB, &st), 0);
	for (off_t page = 0; page < st.st_size / 4096; page++) {
		struct err e = ERR_INIT;
		struct store *s = NULL;
		int rc, n = 0;

		make_database(DB, 300);
		overwrite(DB, page * 4096 + (page ? 0 : 100), junk,
			  sizeof(junk) - (page ? 0 : 100));
		rc = store_open(DB, 0, &s, &e);
		if (rc >= 0)
			rc = store_job_each(s, &all, count_rows, &n, &e);
		if (rc < 0) {
			assert_int_equal(rc, ERR_CORRUPT);
			assert_non_null(strstr(e.msg, DB));
			damaged++;
		}
		store_close(s);
	}
	assert_true(damaged > 10); /* the pages of the table; indexes are not read on this way */
}

static void test_cut_off(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	make_database(DB, 300);
	assert_int_equal(stat(DB, &st), 0);
	assert_int_equal(truncate(DB, st.st_size / 2), 0);
	assert_int_equal(open_code(DB, 0, &e), ERR_CORRUPT);
	assert_int_equal(open_code(DB, 1, &e), ERR_CORRUPT);
}

/* ---- one who reads while another writes */

static void test_reader_during_a_write(void **state)
{
	struct store *writer = new_store(DB), *reader = NULL;
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT], run = begin_run(writer);

	(void)state;
	(void)add_job(writer, 1, run);
	OK(store_begin(writer, &e));
	(void)add_job(writer, 2, run);
	OK(store_open(DB, 1, &reader, &e));
	OK(store_job_counts(reader, 0, counts, &e));
	assert_int_equal(counts[JOB_PENDING], 1); /* at once, and without what is not committed */
	OK(store_commit(writer, &e));
	OK(store_job_counts(reader, 0, counts, &e));
	assert_int_equal(counts[JOB_PENDING], 2);
	assert_int_equal(store_meta_set(reader, "x", "y", &e), ERR_IO);
	assert_non_null(strstr(e.msg, "read-only"));
	store_close(reader);
	store_close(writer);
}

/* A reader that stays in its snapshot sees one state of the world, and does not hold up a
 * checkpoint. */
static void test_snapshot(void **state)
{
	struct store *writer = new_store(DB), *reader = NULL, *mover = open_store(DB);
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT], run = begin_run(writer);

	(void)state;
	OK(store_open(DB, 1, &reader, &e));
	OK(store_begin(reader, &e));
	OK(store_job_counts(reader, 0, counts, &e));
	(void)add_job(writer, 2, run);
	OK(store_checkpoint(mover, &e));
	OK(store_job_counts(reader, 0, counts, &e));
	assert_int_equal(counts[JOB_PENDING], 0);
	OK(store_commit(reader, &e));
	OK(store_job_counts(reader, 0, counts, &e));
	assert_int_equal(counts[JOB_PENDING], 1);
	store_close(mover);
	store_close(reader);
	store_close(writer);
}

/* ---- the end of the process at any commit */

/* A little night: the same steps from the same beginning give the same end, wherever it was cut. */
static void little_night(void)
{
	struct store *s = open_store(DB);
	struct err e = ERR_INIT;
	int64_t run = begin_run(s), attempt;
	struct arena *a = arena_new();
	struct job_row row;

	for (int n = 0; n < 2; n++) {
		int64_t id = add_job(s, n, run);

		OK(store_job_get(s, id, a, &row, &e));
		if (row.state == JOB_RUNNING)
			move(s, id, JOB_RUNNING, EV_LOST);
		if (row.state == JOB_PENDING || row.state == JOB_RUNNING) {
			OK(store_job_get(s, id, a, &row, &e));
			OK(store_begin(s, &e));
			move(s, id, JOB_PENDING, EV_CLAIM);
			OK(store_attempt_begin(s, id, row.tries + 1, run, NOW, &attempt, &e));
			OK(store_commit(s, &e));
			move(s, id, JOB_RUNNING, EV_EXIT_OK);
			row.state = JOB_VALIDATING;
		}
		if (row.state == JOB_VALIDATING)
			move(s, id, JOB_VALIDATING, EV_VALID);
	}
	arena_free(a);
	store_close(s);
}

static void check_little_night(void)
{
	struct store *s = open_store(DB);
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT];
	struct attempt_row attempts[32];
	struct event_row events[64];
	struct job_row row;

	OK(store_job_counts(s, 0, counts, &e));
	assert_int_equal(counts[JOB_READY], 2);
	for (int id = 1; id <= 2; id++) {
		OK(store_job_get(s, id, a, &row, &e));
		assert_int_equal(row.attempts, 1);
		assert_int_equal(store_attempts(s, id, a, attempts, 32, &e), row.tries);
		int n = store_events(s, id, a, events, 64, &e);

		/* each event goes on from where the one before it ended: none lost, none twice */
		assert_true(n >= 3);
		assert_string_equal(events[0].from, "pending");
		for (int i = 1; i < n; i++)
			assert_string_equal(events[i].from, events[i - 1].to);
		assert_string_equal(events[n - 1].to, "ready");
	}
	arena_free(a);
	store_close(s);
}

#ifdef QUERN_CRASH_TESTS
static void crash_at(int n)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", n);
	(void)setenv("QUERN_CRASH_AT", text, 1);
	little_night();
}

static void test_crash_at_every_commit(void **state)
{
	int n = 0, status;

	(void)state;
	do {
		remove_database(DB);
		status = in_child(crash_at, ++n);
		assert_true(status == 99 || status == 0);
		little_night();
		check_little_night();
	} while (status == 99);
	assert_true(n > 16); /* two points a commit */
}

/* Crash, crash again while repairing, and again. */
static void test_crash_after_crash(void **state)
{
	(void)state;
	remove_database(DB);
	for (int n = 1; n < 16; n++)
		(void)in_child(crash_at, n);
	little_night();
	check_little_night();
}
#endif

static void die_inside(int unused)
{
	struct store *s = open_store(DB);
	struct err e = ERR_INIT;

	(void)unused;
	OK(store_begin(s, &e));
	for (int i = 100; i < 5000; i++) /* more than stays in memory: half of it is in the WAL */
		(void)add_job(s, i, 1);
	move(s, 1, JOB_PENDING, EV_CLAIM);
	(void)kill(getpid(), SIGKILL);
}

static void test_killed_inside_a_transaction(void **state)
{
	struct store *s;
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT];

	(void)state;
	make_database(DB, 3);
	assert_int_equal(in_child(die_inside, 0), 128 + SIGKILL);
	OK(store_open(DB, 1, &s, &e)); /* a look at it first, with the WAL as it was left */
	OK(store_job_counts(s, 0, counts, &e));
	assert_int_equal(counts[JOB_PENDING], 3);
	store_close(s);
	s = open_store(DB);
	assert_int_equal(state_of(s, 1), JOB_PENDING);
	store_close(s);
}

/* ---- databases of older versions */

/* Made by schema 1 and kept for ever: new code must open it and find all that is in it. */
static void test_old_database(void **state)
{
	struct err e = ERR_INIT;
	struct store *s;
	struct arena *a = arena_new();
	struct attempt_row attempts[4];
	struct artifact_row artifacts[4];
	struct event_row events[16];
	struct upload_row *uploads;
	struct job_row row;
	const char *value;
	size_t n;

	(void)state;
	remove_database(DB);
	OK(path_copy(TEST_DATA "/old-databases/schema-1.db", DB, 0644, &e));
	s = open_store(DB);
	OK(store_job_find(s, "00000001", a, &row, &e));
	assert_int_equal(row.state, JOB_DONE);
	assert_string_equal(row.repo, "org/model");
	assert_int_equal(store_attempts(s, row.id, a, attempts, 4, &e), 2);
	assert_string_equal(attempts[1].cause, "oom");
	assert_int_equal(store_artifacts(s, row.id, a, artifacts, 4, &e), 1);
	assert_string_equal(artifacts[0].name, "model-Q8_0.gguf");
	assert_true(strncmp(artifacts[0].facts, "{\"source\":{", 11) == 0);
	assert_int_equal(row.file_params, 15);
	assert_int_equal(store_events(s, row.id, a, events, 16, &e), 7);
	OK(store_uploads(s, "local", "org/model", a, &uploads, &n, &e));
	assert_int_equal(n, 1);
	assert_int_equal(store_meta_get(s, "made_by", a, &value, &e), 1);
	OK(store_job_find(s, "00000002", a, &row, &e));
	assert_int_equal(row.state, JOB_FAILED);
	move(s, row.id, JOB_FAILED, EV_RETRY);
	arena_free(a);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_not_a_database),
		cmocka_unit_test(test_empty_file),
		cmocka_unit_test(test_of_another_program),
		cmocka_unit_test(test_newer_version),
		cmocka_unit_test(test_damaged_pages),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_reader_during_a_write),
		cmocka_unit_test(test_snapshot),
#ifdef QUERN_CRASH_TESTS
		cmocka_unit_test(test_crash_at_every_commit),
		cmocka_unit_test(test_crash_after_crash),
#endif
		cmocka_unit_test(test_killed_inside_a_transaction),
		cmocka_unit_test(test_old_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
