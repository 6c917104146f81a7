/* Children of a loop: their lines, their one ending, what they inherit, and a worker's way into its
 * place. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/host/spawn.h"
#include "orchestrator/run/child.h"

#define LINES_MAX 8

struct run {
	char dir[64];
	uv_loop_t loop;
	struct children kids;
	struct child child;
	int log_fd, endings;
	char lines[LINES_MAX][256];
	int n_lines;
};

static void on_line(struct child *c, const char *line, size_t len)
{
	struct run *r = c->data;

	assert_true(r->n_lines < LINES_MAX);
	snprintf(r->lines[r->n_lines++], sizeof(r->lines[0]), "%.*s", (int)len, line);
}

static void on_done(struct child *c)
{
	struct run *r = c->data;

	assert_true(uv_is_closing((uv_handle_t *)&c->out));
	if (++r->endings == 1)
		children_close(&r->kids);
}

static int setup(void **state)
{
	struct run *r = mem_zalloc(sizeof(*r));
	char *log;

	strcpy(r->dir, "/tmp/quern-child-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	log = path_join(r->dir, "log");
	r->log_fd = open(log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	assert_true(r->log_fd >= 0);
	free(log);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	children_open(&r->kids, &r->loop);
	r->child = (struct child){ .log_fd = r->log_fd,
				   .lock_fd = -1,
				   .on_line = on_line,
				   .on_done = on_done,
				   .data = r };
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct run *r = *state;
	struct err e = ERR_INIT;

	close(r->log_fd);
	assert_int_equal(path_remove_tree(r->dir, &e), 0);
	free(r);
	return 0;
}

static void run_to_the_end(struct run *r)
{
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(r->endings, 1);
	assert_int_equal(uv_loop_close(&r->loop), 0);
}

static void run_shell(struct run *r, const char *script)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };

	r->child.argv = argv;
	child_start(&r->child, &r->kids);
	assert_int_equal(r->child.spawn_err, 0);
	run_to_the_end(r);
}

static const char *logged(struct run *r, char *out, size_t size)
{
	ssize_t n = pread(r->log_fd, out, size - 1, 0);

	assert_true(n >= 0);
	out[n] = '\0';
	return out;
}

/* ---- plain children */

static void tells_lines_and_its_exit_code(void **state)
{
	struct run *r = *state;
	char text[256];

	run_shell(r,
		  "echo one; read -r x || echo nothing to read; echo loud >&2; printf two; exit 7");
	assert_int_equal(r->n_lines, 3);
	assert_string_equal(r->lines[0], "one");
	assert_string_equal(r->lines[1], "nothing to read");
	assert_string_equal(r->lines[2], "two");
	assert_string_equal(logged(r, text, sizeof(text)), "loud\n");
	assert_int_equal(r->child.exit_code, 7);
	assert_int_equal(r->child.signal, 0);
	assert_int_equal(r->child.pid, 0);
}

static void tells_its_signal(void **state)
{
	struct run *r = *state;

	run_shell(r, "kill -USR1 $$");
	assert_int_equal(r->child.signal, SIGUSR1);
}

/* Also when it was there for a moment only, and by a child of its own. */
static void tells_what_it_used(void **state)
{
	struct run *r = *state;

	run_shell(r, "dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null");
	assert_int_equal(r->child.exit_code, 0);
	assert_true(r->child.used.peak_rss_bytes >= 100u << 20);
	assert_true(r->child.used.user_ms > 0 || r->child.used.system_ms > 0);
	assert_true(r->child.used.user_ms < 60000 && r->child.used.system_ms < 60000);
}

static void ends_also_when_its_output_ended_long_before(void **state)
{
	struct run *r = *state;

	run_shell(r, "exec >&-; read -r pid </proc/self/stat; exit 3");
	assert_int_equal(r->child.exit_code, 3);
}

static void signals_are_as_at_the_start_of_a_program(void **state)
{
	struct run *r = *state;
	sigset_t term;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	run_shell(r, "grep -E '^Sig(Blk|Ign):' /proc/self/status");
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	assert_int_equal(r->n_lines, 2);
	assert_string_equal(r->lines[0], "SigBlk:\t0000000000000000");
	assert_string_equal(r->lines[1], "SigIgn:\t0000000000000000");
}

static void a_missing_program_is_an_exit_code(void **state)
{
	const char *const argv[] = { "/nonexistent/program", NULL };
	struct run *r = *state;

	r->child.argv = argv;
	child_start(&r->child, &r->kids);
	run_to_the_end(r);
	assert_int_equal(r->child.exit_code, PLACE_CANNOT_RUN);
}

/* The pipe cannot be made: the same road, and not from within child_start(). */
static void a_failed_start_has_its_ending(void **state)
{
	const char *const argv[] = { "/bin/true", NULL };
	struct run *r = *state;
	int fds[1024], n = 0;

	r->child.argv = argv;
	while (n < 1024 && (fds[n] = fcntl(r->log_fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		n++;
	assert_true(n < 1024);
	child_start(&r->child, &r->kids);
	while (n > 0)
		close(fds[--n]);
	assert_int_equal(r->endings, 0);
	run_to_the_end(r);
	assert_int_equal(r->child.spawn_err, UV_EMFILE);
}

static void is_signalled_while_it_lives(void **state)
{
	const char *const argv[] = { "/bin/sleep", "600", NULL };
	struct run *r = *state;

	r->child.argv = argv;
	child_start(&r->child, &r->kids);
	child_signal(&r->child, SIGTERM);
	run_to_the_end(r);
	assert_int_equal(r->child.signal, SIGTERM);
	child_signal(&r->child, SIGTERM); /* to nobody */
}

/* ---- many at once: one SIGCHLD may stand for several */

#define MANY 20

struct many {
	struct run run;
	struct child child[MANY];
	int ended, restarted;
};

static const char *const quick[] = { "/bin/true", NULL };

static void one_done(struct child *c)
{
	struct many *m = c->data;

	assert_int_equal(c->exit_code, 0);
	assert_int_equal(c->signal, 0);
	m->ended++;
	if (m->restarted < MANY) {
		m->restarted++;
		child_start(c, &m->run.kids);
	} else if (m->ended == 2 * MANY) {
		children_close(&m->run.kids);
	}
}

static void each_of_many_ends_once(void **state)
{
	struct many *m = mem_zalloc(sizeof(*m));

	(void)state;
	assert_int_equal(uv_loop_init(&m->run.loop), 0);
	children_open(&m->run.kids, &m->run.loop);
	for (int i = 0; i < MANY; i++) {
		m->child[i] = (struct child){
			.argv = quick, .log_fd = -1, .lock_fd = -1, .on_done = one_done, .data = m
		};
		child_start(&m->child[i], &m->run.kids);
	}
	uv_run(&m->run.loop, UV_RUN_DEFAULT);
	assert_int_equal(m->ended, 2 * MANY);
	assert_int_equal(uv_loop_close(&m->run.loop), 0);
	free(m);
}

/* ---- workers */

static void run_worker(struct run *r, const char *const *program)
{
	struct place place = { .job = r->dir, .program = program, .lock_fd = SPAWN_LOCK_FD };
	struct err e = ERR_INIT;
	char *lock = path_join(r->dir, "lock");

	r->child.place = &place;
	r->child.lock_fd = lock_take(lock, &e);
	assert_true(r->child.lock_fd >= 0);
	child_start(&r->child, &r->kids);
	close(r->child.lock_fd);
	run_to_the_end(r);
	/* A straggler may have been killed before it closed the lock: it is dying. */
	while (lock_held(lock, &e) == 1)
		uv_sleep(1);
	assert_int_equal(lock_held(lock, &e), 0);
	free(lock);
}

static void a_worker_runs_in_its_place(void **state)
{
	const char *const program[] = { "/bin/sh", "-c",
					"pwd; env | grep -c QUERN_TEST; cat lock; echo $$; "
					"(: >/tmp/quern-child-outside) 2>/dev/null || echo no; "
					"readlink /proc/$$/fd/3; sleep 600 3>&- & exit 5",
					NULL };
	struct run *r = *state;
	char pid[32], *lock = path_join(r->dir, "lock");

	setenv("QUERN_TEST_SECRET", "1", 1);
	run_worker(r, program); /* ends: what is left of the session does not hold the pipe */
	unsetenv("QUERN_TEST_SECRET");
	assert_int_equal(r->child.exit_code, 5);
	assert_string_equal(r->lines[0], r->dir);
	assert_string_equal(r->lines[1], "0");
	assert_int_equal(sscanf(r->lines[2], "%31[0-9] %*u", pid), 1);
	assert_string_equal(r->lines[3], pid);
	assert_string_equal(r->lines[r->n_lines - 1], lock);
	free(lock);
	if (access("/tmp/quern-child-outside", F_OK) == 0)
		unlink("/tmp/quern-child-outside"); /* a kernel without Landlock */
	else
		assert_string_equal(r->lines[4], "no");
}

/* It has left the group, its parent is gone, and it holds standard output and the lock. */
static void a_straggler_in_a_session_of_its_own_ends_with_it(void **state)
{
	const char *const program[] = { "/bin/sh", "-c", "(setsid sleep 600 &); echo over; exit 6",
					NULL };
	struct run *r = *state;

	run_worker(r, program);
	assert_int_equal(r->child.exit_code, 6);
	assert_string_equal(r->lines[0], "over");
}

static void what_is_wrong_with_a_worker_is_in_its_log(void **state)
{
	const char *const program[] = { "/usr/no-such-program", NULL };
	struct run *r = *state;
	char text[256];

	run_worker(r, program);
	assert_int_equal(r->child.exit_code, PLACE_CANNOT_RUN);
	assert_string_equal(logged(r, text, sizeof(text)),
			    "quern-launch: /usr/no-such-program: No such file or directory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_lines_and_its_exit_code, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_its_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_what_it_used, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_also_when_its_output_ended_long_before, setup,
						teardown),
		cmocka_unit_test_setup_teardown(signals_are_as_at_the_start_of_a_program, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_missing_program_is_an_exit_code, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_start_has_its_ending, setup, teardown),
		cmocka_unit_test_setup_teardown(is_signalled_while_it_lives, setup, teardown),
		cmocka_unit_test(each_of_many_ends_once),
		cmocka_unit_test_setup_teardown(a_worker_runs_in_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(a_straggler_in_a_session_of_its_own_ends_with_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_with_a_worker_is_in_its_log, setup,
						teardown),
	};

	/* Few descriptors, so that a test can use them up. */
	if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 256, 256 }) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
