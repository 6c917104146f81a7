/* test_store: jobs and transactions do what store.h says. */
#include "store_helper.h"

#include <fcntl.h>

#define DB "store.db"

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

/* ---- add */

static void test_add_new_known_duplicate(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	uint8_t key[SHA256_LEN];
	enum job_added how;
	enum job_state row_state;
	struct job_row row;
	char label[64];
	int64_t id, again;
	struct job_new j = numbered_job(1, key, label);

	OK(store_job_add(f->s, &j, f->run, NOW, &how, &id, &row_state, &e));
	assert_int_equal(how, JOB_ADDED_NEW);
	assert_int_equal(row_state, JOB_PENDING);
	OK(store_job_add(f->s, &j, f->run, NOW, &how, &again, NULL, &e));
	assert_int_equal(how, JOB_ADDED_DUPLICATE);
	assert_int_equal(again, id);
	move(f->s, id, JOB_PENDING, EV_FOUND);
	j.repo = "org/elsewhere";
	j.memory_bytes = 7;
	OK(store_job_add(f->s, &j, begin_run(f->s), NOW, &how, &again, &row_state, &e));
	assert_int_equal(how, JOB_ADDED_KNOWN);
	assert_int_equal(row_state, JOB_READY);
	OK(store_job_get(f->s, id, f->a, &row, &e));
	assert_string_equal(row.repo, "org/elsewhere");
	assert_int_equal(row.memory_bytes, 7);
	assert_int_equal(row.run_id, f->run + 1);
	j.repo = "";
	OK(store_job_add(f->s, &j, begin_run(f->s), NOW, &how, &again, NULL, &e));
	OK(store_job_get(f->s, id, f->a, &row, &e));
	assert_string_equal(row.repo, "");
}

static void test_row_is_what_was_added(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	uint8_t key[SHA256_LEN];
	enum job_added how;
	struct job_row row;
	char label[64];
	int64_t id;
	struct job_new j = numbered_job(2, key, label);

	j.spec.lora = "org/adapter";
	j.spec.lora_version = "beef";
	j.spec.platform = "rk3588";
	j.spec.hybrid = 0.35;
	j.spec.with = "{\"max_context\":4096}";
	OK(store_job_add(f->s, &j, f->run, NOW, &how, &id, NULL, &e));
	assert_int_equal(store_job_by_key(f->s, key, f->a, &row, &e), 1);
	assert_int_equal(row.id, id);
	assert_memory_equal(row.key, key, SHA256_LEN);
	assert_string_equal(row.spec.model, "model");
	assert_string_equal(row.spec.lora, "org/adapter");
	assert_string_equal(row.spec.lora_version, "beef");
	assert_string_equal(row.spec.platform, "rk3588");
	assert_string_equal(row.spec.with, "{\"max_context\":4096}");
	assert_string_equal(row.spec.source, "/models/model");
	assert_true(row.spec.hybrid == 0.35);
	assert_int_equal(row.spec.opt, 2);
	assert_string_equal(row.label, label);
	assert_string_equal(row.repo, "org/model");
	assert_string_equal(row.file, "model-Q8_0");
	assert_int_equal(row.created_ms, NOW);
	assert_int_equal(row.scratch_bytes, 300);
	key[31] ^= 1;
	assert_int_equal(store_job_by_key(f->s, key, f->a, &row, &e), 0);
}

/* Keys that differ only behind the part that the index holds are told apart, and refused. */
static void test_keys_with_the_same_beginning_are_not_mixed_up(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	uint8_t key[SHA256_LEN];
	enum job_added how;
	char label[64];
	int64_t id;
	struct job_new j = numbered_job(1, key, label);

	(void)add_job(f->s, 1, f->run);
	key[20] ^= 0xff;
	assert_int_equal(store_job_add(f->s, &j, f->run, NOW, &how, &id, NULL, &e), ERR_INVALID);
}

static void test_same_point(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	uint8_t key[SHA256_LEN], other[SHA256_LEN];
	enum job_added how;
	struct job_row row;
	char label[64];
	int64_t id;
	struct job_new j = numbered_job(5, key, label);

	(void)add_job(f->s, 5, f->run);
	memset(other, 9, sizeof(other));
	assert_int_equal(store_job_same_point(f->s, &j.spec, key, f->a, &row, &e), 0);
	j.key = other;
	j.spec.engine_version = "1.1.0";
	OK(store_job_add(f->s, &j, f->run, NOW, &how, &id, NULL, &e));
	assert_int_equal(store_job_same_point(f->s, &j.spec, key, f->a, &row, &e), 1);
	assert_int_equal(row.id, id);
	assert_int_equal(store_job_same_point(f->s, &j.spec, other, f->a, &row, &e), 1);
	assert_memory_equal(row.key, key, SHA256_LEN);
	j.spec.quant = "Q4_0";
	assert_int_equal(store_job_same_point(f->s, &j.spec, key, f->a, &row, &e), 0);
}

/* ---- find */

static void test_find(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct job_row row;
	int64_t a = add_job(f->s, 0x12345678, f->run), b = add_job(f->s, 0x1234abcd, f->run);
	int64_t c = add_job(f->s, 0x00010000, f->run);

	OK(store_job_find(f->s, "1", f->a, &row, &e));
	assert_int_equal(row.id, a);
	OK(store_job_find(f->s, "12345", f->a, &row, &e));
	assert_int_equal(row.id, a);
	OK(store_job_find(f->s, "1234ABCD", f->a, &row, &e));
	assert_int_equal(row.id, b);
	OK(store_job_find(f->s, "0001", f->a, &row, &e)); /* a number as well: the number wins */
	assert_int_equal(row.id, a);
	OK(store_job_find(f->s, "00010", f->a, &row, &e)); /* no such number: a key */
	assert_int_equal(row.id, c);
	assert_int_equal(store_job_find(f->s, "1234", f->a, &row, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "1234abcd"));
	assert_int_equal(store_job_find(f->s, "123", f->a, &row, &e), ERR_NOTFOUND);
	assert_int_equal(store_job_find(f->s, "", f->a, &row, &e), ERR_NOTFOUND);
	assert_int_equal(store_job_find(f->s, "12345x", f->a, &row, &e), ERR_NOTFOUND);
	assert_int_equal(store_job_find(f->s, "99999999999999999999", f->a, &row, &e),
			 ERR_NOTFOUND);
	assert_int_equal(store_job_find(f->s, "../../etc/passwd", f->a, &row, &e), ERR_NOTFOUND);
}

/* ---- candidates */

static void wait_until(struct store *s, int64_t id, int64_t not_before_ms)
{
	struct job_move m = { .id = id,
			      .from = JOB_RUNNING,
			      .ev = EV_EXIT_RETRY,
			      .now_ms = NOW,
			      .not_before_ms = not_before_ms,
			      .cause = "oom",
			      .message = "killed" };
	struct err e = ERR_INIT;

	move(s, id, JOB_PENDING, EV_CLAIM);
	OK(store_job_move(s, &m, NULL, &e));
}

static void test_candidates(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct job_row rows[10];
	int64_t ids[6], next = -1;

	for (int i = 0; i < 6; i++)
		ids[i] = add_job(f->s, i, f->run);
	(void)add_job(f->s, 100, begin_run(f->s)); /* of another run */
	wait_until(f->s, ids[1], NOW + 500);
	wait_until(f->s, ids[2], NOW - 500);
	wait_until(f->s, ids[3], NOW + 200);
	assert_int_equal(store_job_candidates(f->s, f->run, NOW, 0, 10, f->a, rows, &next, &e), 4);
	assert_int_equal(rows[0].id, ids[0]);
	assert_int_equal(rows[1].id, ids[2]);
	assert_string_equal(rows[1].cause, "oom");
	assert_int_equal(rows[2].id, ids[4]);
	assert_int_equal(next, NOW + 200);
	assert_int_equal(store_job_candidates(f->s, f->run, NOW, 1, 2, f->a, rows, &next, &e), 2);
	assert_int_equal(rows[0].id, ids[2]);
	assert_int_equal(
		store_job_candidates(f->s, f->run, NOW + 500, 0, 10, f->a, rows, &next, &e), 6);
	assert_int_equal(next, 0);
	OK(store_wake(f->s, f->run, &e));
	assert_int_equal(store_job_candidates(f->s, f->run, NOW, 0, 10, f->a, rows, &next, &e), 6);
	assert_int_equal(rows[1].id, ids[1]);
	assert_int_equal(next, 0);
}

/* ---- move */

static void test_move_counts_and_writes_events(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct event_row ev[8];
	struct job_row row;
	int64_t id = add_job(f->s, 1, f->run);
	struct job_move fail = { .id = id,
				 .from = JOB_RUNNING,
				 .ev = EV_EXIT_FAIL,
				 .now_ms = NOW - 99,
				 .cause = "crash",
				 .message = "signal 11",
				 .run_id = f->run };

	move(f->s, id, JOB_PENDING, EV_CLAIM);
	move(f->s, id, JOB_RUNNING, EV_LOST);
	OK(store_job_get(f->s, id, f->a, &row, &e));
	assert_int_equal(row.attempts, 0);
	assert_int_equal(row.tries, 1);
	move(f->s, id, JOB_PENDING, EV_CLAIM);
	OK(store_job_move(f->s, &fail, NULL, &e));
	OK(store_job_get(f->s, id, f->a, &row, &e));
	assert_int_equal(row.state, JOB_FAILED);
	assert_int_equal(row.attempts, 1);
	assert_string_equal(row.cause, "crash");
	assert_string_equal(row.message, "signal 11");
	move(f->s, id, JOB_FAILED, EV_RETRY);
	OK(store_job_get(f->s, id, f->a, &row, &e));
	assert_int_equal(row.attempts, 0);
	assert_int_equal(row.tries, 2);
	assert_string_equal(row.cause, "");
	assert_int_equal(store_events(f->s, id, f->a, ev, 8, &e), 5);
	assert_string_equal(ev[0].event, "claim");
	assert_string_equal(ev[3].event, "exit_fail");
	assert_string_equal(ev[3].from, "running");
	assert_string_equal(ev[3].to, "failed");
	assert_string_equal(ev[3].message, "signal 11");
	assert_int_equal(ev[3].run_id, f->run);
	assert_int_equal(ev[4].run_id, 0);
	assert_int_equal(store_events(f->s, id, f->a, ev, 2, &e), 2);
	assert_string_equal(ev[0].event, "exit_fail");
}

static void test_move_that_is_not_possible(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct event_row ev[4];
	int64_t id = add_job(f->s, 1, f->run);

	assert_int_equal(try_move(f->s, id, JOB_PENDING, EV_UPLOADED, &e), ERR_INVALID);
	assert_int_equal(try_move(f->s, id, JOB_RUNNING, EV_EXIT_OK, &e), ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "pending, not running"));
	assert_int_equal(try_move(f->s, 99, JOB_PENDING, EV_CLAIM, &e), ERR_NOTFOUND);
	assert_int_equal(store_events(f->s, id, f->a, ev, 4, &e), 0);
	assert_int_equal(state_of(f->s, id), JOB_PENDING);
}

/* Two processes want the same job: one gets it. */
static void test_two_connections_one_claim(void **state)
{
	struct fixture *f = *state;
	struct store *other = open_store(DB);
	struct err e = ERR_INIT;
	struct event_row ev[4];
	int64_t id = add_job(f->s, 1, f->run);

	assert_int_equal(state_of(other, id), JOB_PENDING);
	assert_int_equal(try_move(f->s, id, JOB_PENDING, EV_CLAIM, &e), 0);
	assert_int_equal(try_move(other, id, JOB_PENDING, EV_CLAIM, &e), ERR_CONFLICT);
	assert_int_equal(store_events(other, id, f->a, ev, 4, &e), 1);
	store_close(other);
}

static void test_counts(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT], id = add_job(f->s, 1, f->run);

	(void)add_job(f->s, 2, f->run);
	(void)add_job(f->s, 3, begin_run(f->s));
	move(f->s, id, JOB_PENDING, EV_CLAIM);
	OK(store_job_counts(f->s, f->run, counts, &e));
	assert_int_equal(counts[JOB_PENDING], 1);
	assert_int_equal(counts[JOB_RUNNING], 1);
	OK(store_job_counts(f->s, 0, counts, &e));
	assert_int_equal(counts[JOB_PENDING], 2);
	assert_int_equal(counts[JOB_DONE], 0);
}

/* ---- walk */

struct seen {
	struct store *s;
	int64_t ids[64];
	int n, stop_after, cancel;
};

static int see(void *ctx, const struct job_row *row, struct err *e)
{
	struct seen *seen = ctx;

	assert_int_equal(strncmp(row->label, "model/gguf/Q", 12), 0);
	seen->ids[seen->n++] = row->id;
	if (seen->cancel)
		move(seen->s, row->id, JOB_PENDING, EV_CANCEL);
	return seen->n == seen->stop_after ? err_set(e, ERR_CANCELLED, "enough") : 0;
}

static int each(struct store *s, struct job_filter filter, struct seen *seen)
{
	struct err e = ERR_INIT;

	seen->s = s;
	seen->n = 0;
	return store_job_each(s, &filter, see, seen, &e);
}

static void test_each_filters(void **state)
{
	struct fixture *f = *state;
	struct seen seen = { .n = 0 };
	int64_t ids[5], run2;

	for (int i = 0; i < 5; i++)
		ids[i] = add_job(f->s, i, f->run);
	run2 = begin_run(f->s);
	assert_int_equal(add_job(f->s, 3, run2), ids[3]);
	move(f->s, ids[1], JOB_PENDING, EV_FOUND);
	assert_int_equal(each(f->s, (struct job_filter){ .state = -1 }, &seen), 0);
	assert_int_equal(seen.n, 5);
	each(f->s, (struct job_filter){ .state = -1, .run_id = f->run }, &seen);
	assert_int_equal(seen.n, 4);
	assert_int_equal(seen.ids[1], ids[1]); /* by id, not by state */
	each(f->s, (struct job_filter){ .state = JOB_PENDING, .run_id = f->run }, &seen);
	assert_int_equal(seen.n, 3);
	each(f->s, (struct job_filter){ .state = JOB_READY }, &seen);
	assert_int_equal(seen.n, 1);
	each(f->s, (struct job_filter){ .state = JOB_READY, .repo = "org/model" }, &seen);
	assert_int_equal(seen.n, 1);
	each(f->s, (struct job_filter){ .state = -1, .repo = "org/model", .after_id = ids[2] },
	     &seen);
	assert_int_equal(seen.n, 2);
	each(f->s, (struct job_filter){ .state = -1, .repo = "org/none" }, &seen);
	assert_int_equal(seen.n, 0);
	each(f->s, (struct job_filter){ .state = -1, .glob = "*Q[34]" }, &seen);
	assert_int_equal(seen.n, 2);
	each(f->s, (struct job_filter){ .state = -1, .glob = "model/*", .limit = 2 }, &seen);
	assert_int_equal(seen.n, 2);
	each(f->s, (struct job_filter){ .state = -1, .cause = "oom" }, &seen);
	assert_int_equal(seen.n, 0);
	seen.stop_after = 2;
	assert_int_equal(each(f->s, (struct job_filter){ .state = -1 }, &seen), ERR_CANCELLED);
	assert_int_equal(seen.n, 2);
}

/* What the callback does to the rows does not change which rows it gets. */
static void test_each_while_moving(void **state)
{
	struct fixture *f = *state;
	struct seen seen = { .cancel = 1 };
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT];

	for (int i = 0; i < 50; i++)
		(void)add_job(f->s, i, f->run);
	assert_int_equal(each(f->s, (struct job_filter){ .state = JOB_PENDING }, &seen), 0);
	assert_int_equal(seen.n, 50);
	OK(store_job_counts(f->s, f->run, counts, &e));
	assert_int_equal(counts[JOB_CANCELLED], 50);
}

/* ---- transactions */

static void test_rollback_undoes_all_levels(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	int64_t counts[JOB_STATE_COUNT], id;

	OK(store_begin(f->s, &e));
	OK(store_begin(f->s, &e));
	(void)add_job(f->s, 1, f->run);
	OK(store_commit(f->s, &e));
	store_rollback(f->s);
	store_rollback(f->s); /* nothing open: nothing happens */
	assert_int_equal(store_commit(f->s, &e), ERR_INVALID);
	OK(store_job_counts(f->s, 0, counts, &e));
	assert_int_equal(counts[JOB_PENDING], 0);
	id = add_job(f->s, 1, f->run); /* its repository was undone, too, and is made again */
	assert_int_equal(store_repo_pending(f->s, f->run, "org/model", &e), 1);
	assert_int_equal(state_of(f->s, id), JOB_PENDING);
}

/* A claim that lost changes nothing: the rest of the batch may be committed. */
static void test_conflict_does_not_spoil_the_batch(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	int64_t a = add_job(f->s, 1, f->run), b = add_job(f->s, 2, f->run);

	OK(store_begin(f->s, &e));
	assert_int_equal(try_move(f->s, a, JOB_RUNNING, EV_EXIT_OK, &e), ERR_CONFLICT);
	move(f->s, b, JOB_PENDING, EV_CLAIM);
	OK(store_commit(f->s, &e));
	assert_int_equal(state_of(f->s, b), JOB_RUNNING);
}

/* An event that cannot be written takes its state change with it, also inside a batch. */
static void test_half_a_move_is_never_committed(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	int64_t id = add_job(f->s, 1, f->run);
	struct job_move m = {
		.id = id, .from = JOB_PENDING, .ev = EV_CLAIM, .now_ms = NOW, .run_id = 4711
	}; /* no such run */

	assert_int_equal(store_job_move(f->s, &m, NULL, &e), ERR_INVALID);
	assert_int_equal(state_of(f->s, id), JOB_PENDING);
	OK(store_begin(f->s, &e));
	assert_int_equal(store_job_move(f->s, &m, NULL, &e), ERR_INVALID);
	assert_int_equal(try_move(f->s, id, JOB_PENDING, EV_CANCEL, &e), ERR_INVALID);
	assert_int_equal(store_commit(f->s, &e), ERR_INVALID);
	assert_int_equal(state_of(f->s, id), JOB_PENDING);
	move(f->s, id, JOB_PENDING, EV_CLAIM); /* and life goes on */
}

/* The lock by which SQLite knows that the file is in use; its shared bytes begin at 1 GiB + 2
 * (https://www.sqlite.org/lockingv3.html). Asked by another process, as locks are. */
static int is_in_use(void)
{
	struct flock l = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000002, .l_len = 510
	};
	int status = 0, fd;
	pid_t pid = fork();

	if (pid == 0) {
		fd = open(DB, O_RDWR | O_CLOEXEC);
		_exit(fd >= 0 && fcntl(fd, F_GETLK, &l) == 0 ? l.l_type != F_UNLCK : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status);
}

/* Whoever believes that nobody uses the file removes the WAL when it leaves, with what is in it. */
static void test_a_second_connection_leaves_the_locks(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct store *again;

	add_job(f->s, 1, f->run);
	assert_true(is_in_use());
	OK(store_open_again(f->s, &again, &e));
	OK(store_checkpoint(again, &e));
	store_close(again);
	assert_true(is_in_use());
	for (int read_only = 0; read_only < 2; read_only++) {
		OK(store_open(DB, read_only, &again, &e));
		assert_true(is_in_use());
		store_close(again);
		assert_true(is_in_use());
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_add_new_known_duplicate),
		TEST(test_row_is_what_was_added),
		TEST(test_keys_with_the_same_beginning_are_not_mixed_up),
		TEST(test_same_point),
		TEST(test_find),
		TEST(test_candidates),
		TEST(test_move_counts_and_writes_events),
		TEST(test_move_that_is_not_possible),
		TEST(test_two_connections_one_claim),
		TEST(test_counts),
		TEST(test_each_filters),
		TEST(test_each_while_moving),
		TEST(test_rollback_undoes_all_levels),
		TEST(test_conflict_does_not_spoil_the_batch),
		TEST(test_half_a_move_is_never_committed),
		TEST(test_a_second_connection_leaves_the_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
