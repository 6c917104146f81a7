/* test_watching: the machine's memory from its files, and a worker's processes, however they hide,
 * with what they use together. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/proc.h"
#include "orchestrator/host/machine.h"
#include "orchestrator/host/tree.h"

#define MIB (1ull << 20)

static void test_files_of_the_machine(void **state)
{
	struct machine m = { .available_bytes = UINT64_MAX, .pressure = -1 };

	(void)state;
	machine_meminfo("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n"
			"SwapFree:   7 kB\n",
			&m);
	assert_int_equal(m.total_bytes, 1000 * 1024);
	assert_int_equal(m.available_bytes, 400 * 1024);
	assert_int_equal(m.swap_free_bytes, 7 * 1024);
	machine_pressure("some avg10=12.34 avg60=0.00 avg300=0.00 total=5\nfull avg10=99.00\n", &m);
	assert_int_equal(m.pressure, 123);
	machine_network("Inter-|   Receive\n face |bytes packets\n"
			"    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
			"  eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n"
			"wlan0:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n",
			&m);
	assert_int_equal(m.received_bytes, 105);
	assert_int_equal(m.sent_bytes, 27);
}

static void test_what_is_not_said_stays_unknown(void **state)
{
	struct machine m = { .available_bytes = UINT64_MAX, .pressure = -1 };

	(void)state;
	machine_meminfo("", &m);
	machine_meminfo("xMemAvailable: 3 kB\nMemAvailable: many\n", &m);
	machine_pressure("some avg10=400.00", &m);
	machine_pressure("full avg10=1.00", &m);
	machine_network("nothing here", &m);
	assert_true(m.available_bytes == UINT64_MAX);
	assert_int_equal(m.pressure, -1);
	assert_int_equal(m.received_bytes, 0);
	machine_look(&m);
	assert_true(m.total_bytes > 0 && m.available_bytes <= m.total_bytes);
}

static void test_lines_of_processes(void **state)
{
	struct process p;

	(void)state;
	assert_int_equal(process_parse("42 (a) b (c) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 "
				       "123456 1000 50\n",
				       &p),
			 0);
	assert_int_equal(p.pid, 42);
	assert_int_equal(p.parent, 7);
	assert_int_equal(p.group, 8);
	assert_int_equal(p.session, 9);
	assert_int_equal(p.start, 123456);
	assert_int_equal(process_parse("", &p), -1);
	assert_int_equal(process_parse("42 (a", &p), -1);
	assert_int_equal(process_parse("42 (a) S 1 2", &p), -1);
}

/* ---- a worker of our own: a session leader whose children each take memory */

enum { READY, GO, ENDS };

static void say(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void hear(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		_exit(9);
}

static void take(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(8);
	memset(p, 7, bytes);
}

/* The worker shares 32 MiB with its child; a grandchild with 24 MiB of its own leaves the session
 * and loses its parent, but only after it was seen. */
static void worker(int ready, int go)
{
	char *shared =
		mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t middle;

	setsid();
	memset(shared, 1, 32 * MIB);
	if (fork() == 0) {
		volatile char sum = 0;

		for (size_t i = 0; i < 32 * MIB; i += 4096)
			sum = (char)(sum + shared[i]);
		say(ready);
		pause();
	}
	middle = fork();
	if (middle == 0) {
		if (fork() == 0) {
			take(24 * MIB);
			say(ready);
			hear(go);
			setsid();
			say(ready);
			pause();
		}
		hear(go);
		_exit(0);
	}
	waitpid(middle, NULL, 0);
	say(ready);
	pause();
}

static void wait_for(int fd, int n)
{
	while (n--)
		hear(fd);
}

static void test_a_tree_and_its_memory(void **state)
{
	struct processes all = { 0 };
	struct tree t = { 0 };
	enum tree_by by;
	uint64_t bytes;
	int ready[2], go[2], status;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	t.root = fork();
	if (t.root == 0) {
		worker(ready[1], go[0]);
		_exit(0);
	}
	wait_for(ready[0], 2);
	processes_read(&all);
	tree_update(&t, &all);
	assert_int_equal(t.n, 4);
	bytes = tree_memory(&t, &by);
	if (by == TREE_BY_PSS) /* the shared pages once */
		assert_in_range(bytes, 56 * MIB, 75 * MIB);
	else
		assert_true(bytes > 56 * MIB);
	assert_int_equal(write(go[1], "xx", 2), 2);
	wait_for(ready[0], 2); /* the parent in the middle is gone, and the session left */
	processes_read(&all);
	tree_update(&t, &all);
	assert_int_equal(t.n, 3);
	assert_true(tree_memory(&t, &by) >= 56 * MIB);
	tree_kill(&t, SIGKILL);
	assert_int_equal(waitpid(t.root, &status, 0), t.root);
	assert_true(WIFSIGNALED(status));
	for (size_t i = 0; i < t.n; i++) { /* orphans go as soon as init has waited for them */
		for (int n = 0; n < 20000 && tree_memory(&t, &by) > MIB; n++)
			usleep(1000);
	}
	assert_true(tree_memory(&t, &by) < MIB);
	processes_release(&all);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

/* A number that is somebody else's by now is not killed. */
static void test_a_number_is_no_process(void **state)
{
	struct tree t = { .n = 1 };
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		pause();
		_exit(0);
	}
	t.v[0].pid = child;
	t.v[0].start = proc_start_time(child) + 1;
	tree_kill(&t, SIGKILL);
	assert_int_equal(waitpid(child, &status, WNOHANG), 0);
	kill(child, SIGTERM);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void test_room_of_a_folder(void **state)
{
	char block[8192] = { 1 };
	int fd;

	(void)state;
	assert_int_equal(system("rm -rf room && mkdir -p room/a/b"), 0);
	fd = open("room/a/b/file", O_WRONLY | O_CREAT, 0644);
	for (int i = 0; i < 128; i++)
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	fsync(fd);
	close(fd);
	assert_int_equal(symlink("/usr", "room/a/link"), 0);
	assert_in_range(folder_bytes("room"), MIB, MIB + 100000);
	assert_int_equal(folder_bytes("room/none"), 0);
	assert_int_equal(folder_bytes("room/a/link"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_the_machine),
		cmocka_unit_test(test_what_is_not_said_stays_unknown),
		cmocka_unit_test(test_lines_of_processes),
		cmocka_unit_test(test_a_tree_and_its_memory),
		cmocka_unit_test(test_a_number_is_no_process),
		cmocka_unit_test(test_room_of_a_folder),
	};

	return cmocka_run_group_tests_name("watching", tests, NULL, NULL);
}
