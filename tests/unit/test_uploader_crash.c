/* A crash at any point of the uploader changes nothing of the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload_test.h"

#ifdef QUERN_CRASH_TESTS

/* What a crash is tried on: this program with the argument WORK. */
static int upload_only(const char *work)
{
	struct uploader_result res;
	struct upload_fixture f;
	int rc;

	fixture_open(&f, work);
	f.opt.run_id = 1;
	rc = fixture_upload(&f, &res);
	if (rc < 0)
		(void)fprintf(stderr, "%s\n", f.e.msg);
	fixture_close(&f);
	return rc < 0 ? 1 : 0;
}

/* Upload in a new process, so that points are counted from its start, that dies at its nth point.
 * Returns its exit status. */
static int upload_and_crash(const char *work, int nth)
{
	pid_t pid = fork();
	char at[16];
	int status;

	if (pid == 0) {
		(void)snprintf(at, sizeof(at), "%d", nth);
		setenv("QUERN_CRASH_AT", at, 1);
		execl("/proc/self/exe", "test_uploader", work, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int count_commits(const char *work)
{
	char command[256], text[32] = "";
	FILE *p;

	snprintf(command, sizeof(command),
		 "git -C %s/hub/" FIXTURE_REPO ".git rev-list --count main", work);
	p = popen(command, "r"); // NOLINT(cert-env33-c)
	assert_non_null(p);
	assert_non_null(fgets(text, sizeof(text), p));
	assert_int_equal(pclose(p), 0);
	return atoi(text);
}

/* A repository that is there, even after a crash, is one that git can clone. */
static void assert_clonable(const char *work)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "cd %s && { ! test -e hub/" FIXTURE_REPO ".git ||"
		 " GIT_LFS_SKIP_SMUDGE=1 git clone -q hub/" FIXTURE_REPO ".git clone 2>/dev/null; }"
		 " && rm -rf clone",
		 work);
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
}

/* The end is the same whatever the point of the crash: all done, one commit, all bytes there. */
static void a_crash_at_any_point_changes_nothing(void **state)
{
	int n, code = 99;

	(void)state;
	for (n = 1; code != 0; n++) {
		struct uploader_result res;
		struct upload_fixture f;
		char work[64] = "/tmp/quern-crash-XXXXXX";
		int64_t ids[3];

		assert_non_null(mkdtemp(work));
		fixture_open(&f, work);
		ids[0] = fixture_job(&f, &fixture_q8);
		ids[1] = fixture_job(&f, &fixture_q4);
		ids[2] = fixture_job(&f, &fixture_folder);
		fixture_close(&f);

		code = upload_and_crash(work, n);
		assert_true(code == 99 || code == 0);
		assert_clonable(work);
		fixture_open(&f, work);
		f.opt.run_id = 1;
		assert_int_equal(fixture_upload(&f, &res), 0);
		for (int i = 0; i < 3; i++)
			assert_int_equal(fixture_state(&f, ids[i]), JOB_DONE);
		assert_int_equal(count_commits(work), 1);
		fixture_published(&f, "kjv-Q8_0.gguf", "eight");
		fixture_published(&f, "kjv-Q4_0.gguf", "four!");
		fixture_published(&f, "kjv-w8a8/model.safetensors", "tensors");
		fixture_close(&f);
		assert_int_equal(path_remove_tree(work, &(struct err)ERR_INIT), 0);
	}
	assert_true(n > 20); /* the points of this module alone are more */
}

#endif

int main(int argc, char **argv)
{
#ifdef QUERN_CRASH_TESTS
	const struct CMUnitTest tests[] = { cmocka_unit_test(
		a_crash_at_any_point_changes_nothing) };

	if (argc == 2)
		return upload_only(argv[1]);
	return argc == 1 ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
#else
	(void)argv;
	return argc == 1 ? 0 : 2;
#endif
}
