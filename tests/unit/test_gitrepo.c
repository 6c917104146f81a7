/* Commits over commits, the branch's compare-and-swap, locks that the dead leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/gitrepo.h"

struct fixture {
	char dir[64], path[96];
	struct gitrepo *g;
	struct arena *a;
};

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct err e = ERR_INIT;
	char scratch[96];

	strcpy(f->dir, "/tmp/quern-gitrepo-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/r.git", f->dir);
	snprintf(scratch, sizeof(scratch), "%s/.r.new", f->dir);
	assert_int_equal(gitrepo_create(f->path, scratch, &e), 0);
	assert_int_equal(access(scratch, F_OK), -1);
	assert_int_equal(gitrepo_open(f->path, &f->g, &e), 0);
	f->a = arena_new();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	gitrepo_close(f->g);
	arena_free(f->a);
	assert_int_equal(path_remove_tree(f->dir, &e), 0);
	free(f);
	return 0;
}

static int give(void *ctx, size_t i, struct gitrepo_change *out, struct err *e)
{
	(void)e;
	*out = ((const struct gitrepo_change *)ctx)[i];
	return 0;
}

static int put(struct fixture *f, const char *parent, const char *path, const char *text,
	       char id[GITREPO_ID])
{
	struct gitrepo_change c = { path, text, text ? strlen(text) : 0, text == NULL };
	struct err e = ERR_INIT;

	return gitrepo_commit(f->g, parent, "test\n", 1, give, &c, id, &e);
}

static void commits_keep_the_rest_of_the_tree(void **state)
{
	struct fixture *f = *state;
	char one[GITREPO_ID], two[GITREPO_ID], head[GITREPO_ID];
	struct gitrepo_file *files;
	struct err e = ERR_INIT;
	const char *data;
	size_t n, len;

	assert_int_equal(gitrepo_head(f->g, head, &e), 0);
	assert_string_equal(head, "");
	assert_int_equal(put(f, "", "dir/a", "A", one), 0);
	assert_int_equal(put(f, one, "dir.txt", "B", two), 0);
	assert_int_equal(gitrepo_files(f->g, two, f->a, &files, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(files[0].path, "dir.txt"); /* '.' sorts before '/' */
	assert_string_equal(files[1].path, "dir/a");
	assert_int_equal(gitrepo_read(f->g, files[1].blob, 10, f->a, &data, &len, &e), 0);
	assert_string_equal(data, "A");
	assert_int_equal(gitrepo_read(f->g, files[1].blob, 0, f->a, &data, &len, &e), ERR_NOSPACE);
	assert_int_equal(put(f, two, "dir/a", NULL, one), 0);
	assert_int_equal(gitrepo_files(f->g, one, f->a, &files, &n, &e), 0);
	assert_int_equal(n, 1);
}

static void the_same_tree_is_no_commit(void **state)
{
	struct fixture *f = *state;
	char one[GITREPO_ID], two[GITREPO_ID];

	assert_int_equal(put(f, "", "a", "A", one), 0);
	assert_int_equal(put(f, one, "a", "A", two), 0);
	assert_string_equal(one, two);
	assert_int_equal(put(f, one, "not there", NULL, two), 0);
	assert_string_equal(one, two);
}

static void the_second_of_two_writers_is_told(void **state)
{
	struct fixture *f = *state;
	char one[GITREPO_ID], two[GITREPO_ID], head[GITREPO_ID];
	struct err e = ERR_INIT;

	assert_int_equal(put(f, "", "a", "A", one), 0);
	assert_int_equal(put(f, "", "a", "B", two), ERR_CONFLICT);
	assert_int_equal(put(f, one, "a", "B", two), 0);
	assert_int_equal(put(f, one, "a", "C", head), ERR_CONFLICT);
	assert_int_equal(gitrepo_head(f->g, head, &e), 0);
	assert_string_equal(head, two);
}

struct race {
	struct fixture *f;
	char other[GITREPO_ID];
};

/* Another writer commits after our look at the head and before our swap. */
static int give_late(void *ctx, size_t i, struct gitrepo_change *out, struct err *e)
{
	struct race *r = ctx;

	(void)i;
	(void)e;
	assert_int_equal(put(r->f, "", "theirs", "T", r->other), 0);
	*out = (struct gitrepo_change){ .path = "ours", .data = "O", .len = 1 };
	return 0;
}

static void the_swap_sees_a_late_writer(void **state)
{
	struct race r = { .f = *state };
	char id[GITREPO_ID], head[GITREPO_ID];
	struct err e = ERR_INIT;

	assert_int_equal(gitrepo_commit(r.f->g, "", "x\n", 1, give_late, &r, id, &e), ERR_CONFLICT);
	assert_int_equal(gitrepo_head(r.f->g, head, &e), 0);
	assert_string_equal(head, r.other);
}

static void a_dead_writers_lock_is_removed(void **state)
{
	struct fixture *f = *state;
	char one[GITREPO_ID], two[GITREPO_ID], lock[160];
	FILE *file;

	assert_int_equal(put(f, "", "a", "A", one), 0);
	snprintf(lock, sizeof(lock), "%s/" GITREPO_BRANCH ".lock", f->path);
	file = fopen(lock, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(put(f, one, "a", "B", two), 0);
	assert_int_equal(access(lock, F_OK), -1);
}

static void what_is_no_repository_is_said(void **state)
{
	struct fixture *f = *state;
	struct gitrepo *g = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(gitrepo_open("/nowhere/at/all", &g, &e), ERR_NOTFOUND);
	assert_int_equal(gitrepo_open(f->dir, &g, &e), ERR_CORRUPT);
}

static void a_half_made_repository_is_made_anew(void **state)
{
	struct fixture *f = *state;
	char path[96], scratch[96], junk[160];
	struct gitrepo *g = NULL;
	struct err e = ERR_INIT;

	snprintf(path, sizeof(path), "%s/s.git", f->dir);
	snprintf(scratch, sizeof(scratch), "%s/.s.new", f->dir);
	snprintf(junk, sizeof(junk), "%s/HEAD", scratch);
	assert_int_equal(mkdir(scratch, 0755), 0);
	assert_int_equal(path_write(junk, "rubbish", 7, 0644, &e), 0);
	assert_int_equal(gitrepo_create(path, scratch, &e), 0);
	assert_int_equal(gitrepo_open(path, &g, &e), 0);
	gitrepo_close(g);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(commits_keep_the_rest_of_the_tree),   TEST(the_same_tree_is_no_commit),
		TEST(the_second_of_two_writers_is_told),   TEST(the_swap_sees_a_late_writer),
		TEST(a_dead_writers_lock_is_removed),	   TEST(what_is_no_repository_is_said),
		TEST(a_half_made_repository_is_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
