/* test_oom: which endings are a lack of memory, and with which evidence; and which only look like
 * one. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/host/kmsg.h"
#include "orchestrator/run/oom.h"

#define MIB (1ull << 20)

static char line[OOM_LINE_MAX];

static struct oom_facts quiet(void)
{
	return (struct oom_facts){ .said = "", .log = "", .available_bytes = UINT64_MAX };
}

static void has(const char *words)
{
	if (!strstr(line, words))
		fail_msg("\"%s\" is not in \"%s\"", words, line);
}

static void test_nothing(void **state)
{
	struct oom_facts f = quiet();

	(void)state;
	f.exit_code = 1;
	f.said = "no tensor blk.0.attn_q.weight";
	f.log = "loading\nquantizing\nValueError: shape\n";
	assert_int_equal(oom_evidence(&f, line), OOM_NO);
	assert_string_equal(line, "");
}

static void test_what_was_seen(void **state)
{
	struct oom_facts f = quiet();

	(void)state;
	f.watch = "it used 2.0 GiB";
	f.ended_by_us = true;
	assert_int_equal(oom_evidence(&f, line), OOM_SEEN);
	assert_string_equal(line, "it used 2.0 GiB");
	f = quiet();
	f.cgroup_kills = 2;
	f.limit_bytes = 300 * MIB;
	f.exit_code = 1; /* a child was hit; the worker says what it likes */
	assert_int_equal(oom_evidence(&f, line), OOM_SEEN);
	has("limit of 300.0 MiB");
	has("oom_kill 2");
	f = quiet();
	f.kernel_line = "Out of memory: Killed process 42 (python3)";
	assert_int_equal(oom_evidence(&f, line), OOM_SEEN);
	has("the kernel's log: Out of memory: Killed process 42");
}

static void test_its_own_words(void **state)
{
	static const char *const logs[] = {
		"Traceback (most recent call last):\n  File \"x.py\"\nMemoryError\n",
		"numpy.core._exceptions._ArrayMemoryError: Unable to allocate 30.0 GiB for an "
		"array",
		"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  "
		"std::bad_alloc\n",
		"RuntimeError: [enforce fail at alloc_cpu.cpp:114] err == 0. DefaultCPUAllocator: "
		"can't "
		"allocate memory: you tried to allocate 1 bytes",
		"quern-gguf: mmap: Cannot allocate memory\n",
		"quern: out of memory (1 x 4096 bytes)\n",
		"java.lang.OutOfMemoryError: Java heap space\n",
		"memory allocation of 123 bytes failed\nAborted\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		struct oom_facts f = quiet();

		f.exit_code = 4;
		f.log = logs[i];
		if (oom_evidence(&f, line) != OOM_SAID)
			fail_msg("not seen in: %s", logs[i]);
		has("its own words: ");
		assert_null(strchr(line, '\n'));
	}
}

static void test_the_whole_line_is_shown(void **state)
{
	struct oom_facts f = quiet();

	(void)state;
	f.log = "one\nabc std::bad_alloc def\nthree\n";
	(void)oom_evidence(&f, line);
	assert_string_equal(line, "its own words: abc std::bad_alloc def");
}

/* Whoever was ended for its time, and complains of memory on the way out, was late. */
static void test_ended_by_us_for_another_reason(void **state)
{
	struct oom_facts f = quiet();

	(void)state;
	f.ended_by_us = true;
	f.signal = SIGKILL;
	f.log = "MemoryError\n";
	f.peak_bytes = f.limit_bytes = 100 * MIB;
	assert_int_equal(oom_evidence(&f, line), OOM_NO);
}

static void test_sigkill_alone_is_no_proof(void **state)
{
	struct oom_facts f = quiet();

	(void)state;
	f.signal = SIGKILL;
	f.peak_bytes = 10 * MIB;
	f.limit_bytes = 500 * MIB;
	f.available_bytes = 20000 * MIB;
	assert_int_equal(oom_evidence(&f, line), OOM_NO); /* a person with kill -9 */
	f.peak_bytes = 480 * MIB;
	assert_int_equal(oom_evidence(&f, line), OOM_LIKELY);
	has("SIGKILL, which nobody here sent, when it had 480.0 MiB");
	f.peak_bytes = 400 * MIB;
	assert_int_equal(oom_evidence(&f, line), OOM_NO);
	f.available_bytes = 30 * MIB;
	assert_int_equal(oom_evidence(&f, line), OOM_LIKELY);
	has("the machine 30.0 MiB left");
	f.signal = SIGSEGV;
	assert_int_equal(oom_evidence(&f, line), OOM_NO);
}

static void test_a_child_was_hit(void **state)
{
	static const char *const logs[] = {
		"subprocess.CalledProcessError: Command '['x']' died with <Signals.SIGKILL: 9>.\n",
		"torch.multiprocessing.spawn.ProcessExitedException: process 0 terminated with "
		"signal "
		"SIGKILL\n",
		"worker 3 exitcode: -9\n",
		"step one\nKilled\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		struct oom_facts f = quiet();

		f.exit_code = 1;
		f.log = logs[i];
		f.limit_bytes = 100 * MIB;
		f.peak_bytes = 95 * MIB;
		assert_int_equal(oom_evidence(&f, line), OOM_LIKELY);
		has("a process of it");
		f.peak_bytes = 5 * MIB;
		assert_int_equal(oom_evidence(&f, line), OOM_NO);
	}
}

static void test_lines_of_the_kernel(void **state)
{
	const char *text;

	(void)state;
	assert_int_equal(kmsg_parse("3,1021,5000,-;Out of memory: Killed process 4711 (quern gguf) "
				    "total-vm:1kB\n SUBSYSTEM=x\n",
				    &text),
			 4711);
	assert_int_equal(strncmp(text, "Out of memory: Killed", 21), 0);
	assert_int_equal(
		kmsg_parse("3,1,5,-;Memory cgroup out of memory: Killed process 9 (a) total",
			   &text),
		9);
	assert_int_equal(kmsg_parse("3,1,5,-;systemd: Killed process 9 (a) by hand", &text), 0);
	assert_int_equal(kmsg_parse("3,1,5,-;Out of memory: Killed process (a)", &text), 0);
	assert_int_equal(kmsg_parse("Out of memory: Killed process 3", &text), 0);
	assert_int_equal(kmsg_parse("", &text), 0);
}

static void test_kills_are_found_by_process(void **state)
{
	const pid_t pids[] = { 5, 77 }, others[] = { 6 };
	struct kmsg k = { .fd = -1 };

	(void)state;
	assert_null(kmsg_killed(&k, pids, 2));
	for (int i = 0; i < KMSG_KEPT + 3; i++) {
		k.v[k.n % KMSG_KEPT].pid = 1000 + i;
		k.n++;
	}
	k.v[k.n % KMSG_KEPT].pid = 77;
	strcpy(k.v[k.n++ % KMSG_KEPT].line, "killed 77");
	assert_string_equal(kmsg_killed(&k, pids, 2), "killed 77");
	assert_null(kmsg_killed(&k, others, 1));
	kmsg_poll(&k); /* not readable: nothing happens */
}

/* Words in the log, of whom we do not know, against what the end says. */
static void test_words_that_are_not_the_last(void **state)
{
	const uint64_t gib = 1ull << 30;

	(void)state;
	assert_true(oom_words_count("failed", 2 * gib - gib / 8, 2 * gib));
	assert_true(oom_words_count("crash", 2 * gib, 2 * gib));
	assert_false(oom_words_count("failed", gib, 2 * gib));
	assert_false(oom_words_count("failed", gib, 0)); /* no limit that is known */
	assert_false(oom_words_count("bad output", 2 * gib, 2 * gib));
	assert_true(oom_words_count("environment", 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_that_are_not_the_last),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_what_was_seen),
		cmocka_unit_test(test_its_own_words),
		cmocka_unit_test(test_the_whole_line_is_shown),
		cmocka_unit_test(test_ended_by_us_for_another_reason),
		cmocka_unit_test(test_sigkill_alone_is_no_proof),
		cmocka_unit_test(test_a_child_was_hit),
		cmocka_unit_test(test_lines_of_the_kernel),
		cmocka_unit_test(test_kills_are_found_by_process),
	};

	return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
