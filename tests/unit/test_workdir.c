/* tests/unit/test_workdir.c -- where things lie, who holds the folder, how it is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/path.h"
#include "orchestrator/cli.h"
#include "orchestrator/host/workdir.h"

const struct command commands[] = { { .name = NULL } };

struct place {
	struct arena *a;
	char dir[64];
	const char *work;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->a = arena_new();
	strcpy(p->dir, "/tmp/quern-workdir-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	p->work = arena_printf(p->a, "%s/work", p->dir);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	int rc = path_remove_tree(p->dir, &e);

	arena_free(p->a);
	free(p);
	return rc;
}

static void paths(void **state)
{
	struct place *p = *state;
	uint8_t key[SHA256_LEN] = { 0xab, 0x01 };
	char hex[SHA256_HEX];

	hex_encode(key, sizeof(key), hex);
	assert_string_equal(workdir_db(p->a, "/w"), "/w/state.db");
	assert_string_equal(workdir_job(p->a, "/w", key, 3),
			    arena_printf(p->a, "/w/jobs/%s/3", hex));
	assert_string_equal(workdir_artifact(p->a, "/w", key),
			    arena_printf(p->a, "/w/artifacts/%s", hex));
	assert_string_not_equal(workdir_source(p->a, "/w", "fake-1", "a"),
				workdir_source(p->a, "/w", "fake-1", "b"));
	assert_string_not_equal(workdir_source(p->a, "/w", "fake-1", "a"),
				workdir_source(p->a, "/w", "fake-2", "a"));
}

static void created_twice_is_fine(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct stat st;

	assert_int_equal(workdir_create(p->work, &e), 0);
	assert_int_equal(workdir_create(p->work, &e), 0);
	assert_int_equal(stat(arena_printf(p->a, "%s/artifacts", p->work), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
}

static void a_file_in_its_place_is_said(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	assert_int_equal(path_write(p->work, "x", 1, 0644, &e), 0);
	assert_int_equal(workdir_create(p->work, &e), ERR_IO);
	assert_non_null(strstr(e.msg, p->work));
	assert_non_null(strstr(e.msg, "set `work`"));
}

static void one_at_a_time(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	int64_t pid = -1;
	int first, second;

	assert_int_equal(workdir_create(p->work, &e), 0);
	assert_int_equal(workdir_holder(p->work, &pid, &e), 0);
	first = workdir_lock(p->work, "run -f jobs.yaml", &e);
	assert_true(first >= 0);
	assert_int_equal(workdir_holder(p->work, &pid, &e), 1);
	assert_int_equal(pid, getpid());
	second = workdir_lock(p->work, "run", &e);
	assert_int_equal(second, ERR_BUSY);
	assert_non_null(strstr(e.msg, "run -f jobs.yaml"));
	assert_non_null(strstr(e.msg, arena_printf(p->a, "process %ld", (long)getpid())));
	close(first);
	second = workdir_lock(p->work, "run", &e);
	assert_true(second >= 0);
	close(second);
}

static void rubbish_in_the_lock_harms_nobody(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	int64_t pid = -1;
	int fd;

	assert_int_equal(workdir_create(p->work, &e), 0);
	fd = workdir_lock(p->work, "run", &e);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, "not a \033 line", 12, 0), 12);
	assert_int_equal(workdir_holder(p->work, &pid, &e), 1);
	assert_int_equal(pid, 0);
	assert_int_equal(workdir_lock(p->work, "run", &e), ERR_BUSY);
	assert_null(strchr(e.msg, '\033'));
	close(fd);
}

static void found_by_option_file_or_habit(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	const char *work, *text = "version: 1\nwork: mill\nmodels: [{path: m}]\n"
				  "targets: [{engine: gguf, quant: [Q8_0]}]\n";

	assert_int_equal(chdir(p->dir), 0);
	assert_int_equal(workdir_find(p->a, "there///", NULL, &work, &e), 0);
	assert_string_equal(work, arena_printf(p->a, "%s/there", p->dir));
	assert_int_equal(workdir_find(p->a, "/", NULL, &work, &e), 0);
	assert_string_equal(work, "/");
	assert_int_equal(workdir_find(p->a, NULL, NULL, &work, &e), 0);
	assert_string_equal(work, arena_printf(p->a, "%s/.quern", p->dir));
	assert_int_equal(path_write("jobs.yaml", text, strlen(text), 0644, &e), 0);
	assert_int_equal(workdir_find(p->a, NULL, NULL, &work, &e), 0);
	assert_string_equal(work, arena_printf(p->a, "%s/mill", p->dir));
	assert_int_equal(workdir_find(p->a, NULL, "absent.yaml", &work, &e), ERR_NOTFOUND);
	assert_int_equal(workdir_find(p->a, "", NULL, &work, &e), ERR_INVALID);
}

static void a_broken_file_matters_only_without_work(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	const char *work = NULL;

	assert_int_equal(chdir(p->dir), 0);
	assert_int_equal(path_write("jobs.yaml", "version: [\n", 11, 0644, &e), 0);
	assert_int_equal(workdir_find(p->a, NULL, NULL, &work, &e), ERR_INVALID);
	assert_null(work);
	assert_non_null(strstr(e.msg, "jobs.yaml:"));
	assert_int_equal(workdir_find(p->a, "w", NULL, &work, &e), 0);
}

static void no_store_is_said(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct store *s = NULL;
	const char *work = NULL;

	assert_int_equal(workdir_open_store(p->a, p->work, NULL, 0, &work, &s, &e), ERR_NOTFOUND);
	assert_null(s);
	assert_null(work);
	assert_non_null(strstr(e.msg, "nothing has run here yet"));
	assert_int_not_equal(access(p->work, F_OK), 0); /* looking made nothing */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(paths),
		TEST(created_twice_is_fine),
		TEST(a_file_in_its_place_is_said),
		TEST(one_at_a_time),
		TEST(rubbish_in_the_lock_harms_nobody),
		TEST(found_by_option_file_or_habit),
		TEST(a_broken_file_matters_only_without_work),
		TEST(no_store_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
