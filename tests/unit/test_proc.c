/* Processes by number, and locks that live as long as a descriptor does. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/proc.h"

static void test_start_time(void **state)
{
	uint64_t mine = proc_start_time(getpid());
	int go[2], status;
	pid_t pid;

	(void)state;
	assert_true(mine > 0);
	/* A name made to confuse whoever counts fields from the front. */
	assert_int_equal(prctl(PR_SET_NAME, "a) R 1 1 (b", 0, 0, 0), 0);
	assert_int_equal(proc_start_time(getpid()), mine);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(go[1]);
		_exit(read(go[0], &c, 1) == 0 ? 0 : 1);
	}
	assert_true(proc_start_time(pid) >= mine);
	assert_true(proc_peak_rss(pid) > 0);
	close(go[0]);
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(proc_start_time(pid), 0); /* gone */
	assert_int_equal(proc_peak_rss(pid), 0);
	assert_int_equal(proc_start_time(0), 0);
	assert_int_equal(proc_start_time(-1), 0);
}

static void test_lock(void **state)
{
	struct err e = ERR_INIT;
	int fd, copy;

	(void)state;
	(void)unlink("lock");
	assert_int_equal(lock_held("lock", &e), 0); /* absent, and stays so */
	assert_int_equal(access("lock", F_OK), -1);
	fd = lock_take("lock", &e);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(lock_held("lock", &e), 1);
	assert_int_equal(lock_take("lock", &e), ERR_BUSY);
	assert_string_equal(e.msg, "lock is held by another process");
	/* As inherited by a worker: held until the last copy is closed. */
	copy = dup(fd);
	close(fd);
	assert_int_equal(lock_held("lock", &e), 1);
	close(copy);
	assert_int_equal(lock_held("lock", &e), 0);
	assert_int_equal(lock_held("lock", &e), 0); /* looking takes nothing */
	fd = lock_take("lock", &e);
	assert_true(fd >= 0);
	close(fd);
}

static void sign(int fd, const char *text)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
}

static void test_lock_signer(void **state)
{
	int fd = open("signed", O_RDWR | O_CREAT, 0644), other = open("/dev/null", O_RDONLY);
	unsigned long long start = proc_start_time(getpid());
	char line[64];

	(void)state;
	assert_true(fd >= 0 && other >= 0);
	snprintf(line, sizeof(line), "%d %llu\n", (int)getpid(), start);
	sign(fd, line);
	assert_int_equal(lock_signer("signed", fd), getpid());
	assert_int_equal(lock_signer("signed", other), 0); /* a victim that knows nothing of it */
	snprintf(line, sizeof(line), "%d %llu\n", (int)getpid(), start + 1);
	sign(fd, line); /* another process had this number */
	assert_int_equal(lock_signer("signed", fd), 0);
	snprintf(line, sizeof(line), "%d %llu", (int)getpid(), start);
	sign(fd, line); /* half of a line */
	assert_int_equal(lock_signer("signed", fd), 0);
	sign(fd, "");
	assert_int_equal(lock_signer("signed", fd), 0);
	sign(fd, "-1 5\n"); /* everybody, for kill(2) */
	assert_int_equal(lock_signer("signed", fd), 0);
	assert_int_equal(lock_signer("absent", fd), 0);
	close(fd);
	close(other);
}

static void test_lock_not_possible(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(lock_take("none/lock", &e), ERR_NOTFOUND);
	assert_int_equal(lock_take(".", &e), ERR_IO);
	(void)unlink("link");
	assert_int_equal(symlink("elsewhere", "link"), 0);
	assert_int_equal(lock_take("link", &e), ERR_IO); /* does not create elsewhere */
	assert_int_equal(access("elsewhere", F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_time),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_lock_not_possible),
		cmocka_unit_test(test_lock_signer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
