/* test_store_room: what the store does where there is no room, or nothing may be written. */
#include "store_helper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/path.h"

#define DB "room.db"

static void hit_the_limit(int unused)
{
	struct rlimit limit = { 600000, 600000 };
	struct store *s = open_store(DB);
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT], id, run = begin_run(s);
	enum job_added how;
	uint8_t key[SHA256_LEN];
	char label[64];
	int rc = 0, n = 0;

	(void)unused;
	(void)signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		_exit(1);
	while (rc >= 0 && n < 100000) {
		struct job_new j = numbered_job(++n, key, label);

		rc = store_job_add(s, &j, run, NOW, &how, &id, NULL, &e);
	}
	if (rc != ERR_NOSPACE || store_job_counts(s, 0, counts, &e) < 0)
		_exit(2);
	if (counts[JOB_PENDING] != n - 1) /* what was said to be in is in, and no more */
		_exit(3);
	rc = try_move(s, 1, JOB_PENDING, EV_CLAIM, &e);
	store_close(s);
	_exit(rc == ERR_NOSPACE ? 0 : 4);
}

static void test_no_room(void **state)
{
	struct store *s;
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT];

	(void)state;
	remove_database(DB);
	assert_int_equal(in_child(hit_the_limit, 0), 0);
	s = open_store(DB); /* room again: all is there */
	OK(store_job_counts(s, 0, counts, &e));
	assert_true(counts[JOB_PENDING] > 10);
	assert_int_equal(counts[JOB_RUNNING], 0);
	move(s, 1, JOB_PENDING, EV_CLAIM);
	store_close(s);
}

#define CANNOT 77

/* A file system of our own in a namespace of our own, filled, then made read-only. */
static void on_a_small_file_system(int end_cleanly)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT], run;
	struct job_row row;
	struct arena *a = arena_new();
	enum job_added how;
	uint8_t key[SHA256_LEN];
	char label[64];
	int64_t id;
	int rc = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    (mkdir("small", 0755) < 0 && errno != EEXIST) ||
	    mount("none", "small", "tmpfs", 0, "size=1m") < 0)
		_exit(CANNOT);
	OK(store_open("small/x.db", 0, &s, &e));
	run = begin_run(s);
	OK(store_begin(s, &e));
	for (int n = 0; rc >= 0 && n < 100000; n++) {
		struct job_new j = numbered_job(n, key, label);

		if (n % 100 == 99) {
			rc = store_commit(s, &e);
			if (rc >= 0)
				rc = store_begin(s, &e);
		}
		if (rc >= 0)
			rc = store_job_add(s, &j, run, NOW, &how, &id, NULL, &e);
	}
	store_rollback(s);
	if (rc != ERR_NOSPACE)
		_exit(2);
	OK(store_job_get(s, 1, a, &row, &e));
	if (end_cleanly) {
		store_close(s);
		s = NULL;
	}
	if (mount("none", "small", NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0 && end_cleanly)
		_exit(3);
	if (s) /* files are open for writing: the mount cannot become read-only, but a bind of it
		  can */
		if (mount("small", "small", NULL, MS_BIND, NULL) < 0 ||
		    mount("none", "small", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
			_exit(3);
	s = NULL;
	OK(store_open("small/x.db", 1, &s, &e));
	OK(store_job_counts(s, 0, counts, &e));
	if (counts[JOB_PENDING] < 99)
		_exit(4);
	store_close(s);
	rc = store_open("small/x.db", 0, &s, &e);
	_exit(rc == ERR_IO && strstr(e.msg, "small/x.db") ? 0 : 5);
}

static void check_small_file_system(int end_cleanly)
{
	int status = in_child(on_a_small_file_system, end_cleanly);

	if (status == CANNOT) {
		print_message("this machine lets nobody mount: not tried\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static void test_full_then_read_only(void **state)
{
	(void)state;
	check_small_file_system(1);
}

static void test_full_then_read_only_with_wal(void **state)
{
	(void)state;
	check_small_file_system(0);
}

static void read_in_read_only_folder(int unused)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT];

	(void)unused;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("odd%?#", "odd%?#", NULL, MS_BIND, NULL) < 0 ||
	    mount("none", "odd%?#", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		_exit(CANNOT);
	if (store_open("odd%?#/" DB, 1, &s, &e) < 0)
		_exit(2);
	if (store_job_counts(s, 0, counts, &e) < 0 || counts[JOB_PENDING] != 3)
		_exit(3);
	store_close(s);
	_exit(0);
}

/* Closed well, so there is no WAL, and on read-only media there will be none. */
static void test_read_only_folder(void **state)
{
	struct err e = ERR_INIT;
	int status;

	(void)state;
	make_database(DB, 3);
	OK(path_mkdirs("odd%?#", 0755, &e));
	OK(path_copy(DB, "odd%?#/" DB, 0644, &e));
	status = in_child(read_in_read_only_folder, 0);
	if (status == CANNOT) {
		print_message("this machine lets nobody mount: not tried\n");
		skip();
	}
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_full_then_read_only),
		cmocka_unit_test(test_full_then_read_only_with_wal),
		cmocka_unit_test(test_read_only_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
