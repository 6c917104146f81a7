/* Taking models out of the cache: what is ours and what is not, and a kill at every step. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_drop.h"
#include "upload/fetch_private.h"

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ETAG_1 "1111111111111111111111111111111111111111"
#define ETAG_2 "2222222222222222222222222222222222222222"
#define ETAG_3 "3333333333333333333333333333333333333333"
#define BLOB_BYTES 8192

struct place {
	char *cache, *root;
};

static int place_open(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	char temp[] = "drop-XXXXXX";
	struct err e = ERR_INIT;

	assert_non_null(mkdtemp(temp));
	p->cache = path_real(temp, &e);
	p->root = path_join(p->cache, "models--org--name");
	*state = p;
	return 0;
}

static int place_close(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	(void)path_remove_tree(p->cache, &e);
	free(p->cache);
	free(p->root);
	free(p);
	return 0;
}

static void open_cache(struct place *p, const char *commit, struct fetch_cache *c)
{
	const struct fetch_options o = { .cache = p->cache,
					 .repo = "org/name",
					 .revision = "main" };
	struct err e = ERR_INIT;

	assert_int_equal(fetch_cache_open(c, &o, commit, &e), 0);
	assert_int_equal(fetch_cache_ref(&o, commit, &e), 0);
}

/* A blob, which is ours or is not. */
static void put_blob(const struct fetch_cache *c, const char *etag, bool ours)
{
	char data[BLOB_BYTES] = { 1 }, *path = path_join(c->blobs, etag);
	struct err e = ERR_INIT;
	struct stat st;

	assert_int_equal(path_write(path, data, sizeof(data), 0644, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	if (ours)
		fetch_owned_add_blob(c, etag, &st);
	free(path);
}

static void put_link(const struct fetch_cache *c, const char *name, const char *etag, bool ours)
{
	const struct fetch_file f = { name, etag, BLOB_BYTES };
	char *target = mem_printf("../../blobs/%s", etag), *path = path_join(c->snapshot, name);
	struct err e = ERR_INIT;

	if (ours)
		assert_int_equal(fetch_cache_link(c, &f, &e), 0);
	else
		assert_int_equal(symlink(target, path), 0);
	free(target);
	free(path);
}

/* A snapshot of ours: x and y. */
static void put_snapshot(struct place *p, const char *commit, const char *x, const char *y)
{
	struct fetch_cache c;

	open_cache(p, commit, &c);
	put_blob(&c, x, true);
	put_link(&c, "x", x, true);
	put_blob(&c, y, true);
	put_link(&c, "y", y, true);
	fetch_cache_close(&c);
}

static bool is_there(const struct place *p, const char *name)
{
	char *path = path_join(p->root, name);
	bool there = access(path, F_OK) == 0; /* through links: a dangling one is not there */

	free(path);
	return there;
}

static uint64_t drop_but(struct place *p, const char *keep, uint64_t need)
{
	const char *const kept[] = { keep };
	const struct fetch_drop o = {
		.cache = p->cache, .need_bytes = need, .keep = kept, .n_keep = keep ? 1 : 0
	};
	struct err e = ERR_INIT;
	uint64_t freed = 0;

	assert_int_equal(fetch_drop(&o, &freed, &e), 0);
	return freed;
}

static uint64_t drop(struct place *p)
{
	return drop_but(p, NULL, UINT64_MAX);
}

/* ---- tests */

static void all_of_ours_goes(void **state)
{
	struct place *p = *state;

	put_snapshot(p, COMMIT_A, ETAG_1, ETAG_2);
	assert_true(is_there(p, "snapshots/" COMMIT_A "/x"));
	assert_int_equal(drop(p), 2 * BLOB_BYTES);
	assert_false(is_there(p, "snapshots/" COMMIT_A));
	assert_false(is_there(p, "refs/main"));
	assert_false(is_there(p, "blobs/" ETAG_1));
	assert_int_equal(drop(p), 0);
}

static void what_is_kept_or_in_use_stays(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	char *dir;
	int fd;

	put_snapshot(p, COMMIT_A, ETAG_1, ETAG_2);
	dir = path_join(p->root, "snapshots/" COMMIT_A);
	assert_int_equal(drop_but(p, dir, UINT64_MAX), 0);
	free(dir);
	assert_int_equal(fetch_use(p->cache, "org/name", COMMIT_A, false, &fd, &e), 0);
	assert_int_equal(drop(p), 0);
	close(fd);
	fd = fetch_use_alone(p->cache, "models--org--name", COMMIT_A);
	assert_true(fd >= 0);
	assert_int_equal(fetch_use(p->cache, "org/name", COMMIT_A, false, &(int){ -1 }, &e),
			 ERR_BUSY);
	close(fd);
	assert_int_equal(drop(p), 2 * BLOB_BYTES);
}

static void only_as_much_goes_as_is_needed(void **state)
{
	struct place *p = *state;

	put_snapshot(p, COMMIT_A, ETAG_1, ETAG_1);
	put_snapshot(p, COMMIT_B, ETAG_2, ETAG_2);
	assert_int_equal(drop_but(p, NULL, 1), BLOB_BYTES);
	assert_false(is_there(p, "snapshots/" COMMIT_A)); /* its use began, and so ended, earlier */
	assert_true(is_there(p, "snapshots/" COMMIT_B "/x"));
	assert_true(is_there(p, "refs/main"));
}

static void blobs_of_another_revision_stay(void **state)
{
	struct place *p = *state;
	struct fetch_cache c;
	char *dir;

	put_snapshot(p, COMMIT_A, ETAG_1, ETAG_2);
	open_cache(p, COMMIT_B, &c);
	put_link(&c, "x", ETAG_2, true);
	fetch_cache_close(&c);
	dir = path_join(p->root, "snapshots/" COMMIT_B);
	assert_int_equal(drop_but(p, dir, UINT64_MAX), BLOB_BYTES);
	free(dir);
	assert_true(is_there(p, "snapshots/" COMMIT_B "/x"));
	assert_false(is_there(p, "blobs/" ETAG_1));
	assert_int_equal(drop(p), BLOB_BYTES); /* fetched for A, linked for B: ours all the same */
}

static void what_others_put_there_stays(void **state)
{
	struct place *p = *state;
	struct fetch_cache c;

	put_snapshot(p, COMMIT_A, ETAG_1, ETAG_2);
	open_cache(p, COMMIT_A, &c);
	put_blob(&c, ETAG_3, false);
	put_link(&c, "theirs", ETAG_3, false);
	fetch_cache_close(&c);
	assert_int_equal(drop(p), 2 * BLOB_BYTES);
	assert_true(is_there(p, "snapshots/" COMMIT_A "/theirs"));
	assert_true(is_there(p, "refs/main"));
	assert_false(is_there(p, "snapshots/" COMMIT_A "/x"));
}

/* Removed and fetched again by somebody else: the same names, no file of ours. */
static void names_alone_prove_nothing(void **state)
{
	struct place *p = *state;
	struct fetch_cache c;

	put_snapshot(p, COMMIT_A, ETAG_1, ETAG_2);
	open_cache(p, COMMIT_A, &c);
	put_blob(&c, ETAG_1, false);
	put_blob(&c, ETAG_2, false);
	fetch_cache_close(&c);
	assert_int_equal(drop(p), 0);
	assert_true(is_there(p, "snapshots/" COMMIT_A "/x"));
}

static void a_repository_that_somebody_fetches_into_stays(void **state)
{
	struct place *p = *state;
	struct fetch_cache c;
	struct err e = ERR_INIT;
	int fd;

	put_snapshot(p, COMMIT_A, ETAG_1, ETAG_2);
	open_cache(p, COMMIT_B, &c);
	assert_int_equal(fetch_cache_lock(&c, ETAG_3, false, &fd, &e), 0);
	assert_int_equal(drop(p), 0);
	assert_true(is_there(p, "snapshots/" COMMIT_A "/x"));
	close(fd);
	fetch_cache_close(&c);
	assert_int_equal(drop(p), 2 * BLOB_BYTES);
}

static void parts_go_when_nothing_of_the_repository_is_kept(void **state)
{
	struct place *p = *state;
	struct fetch_cache c;
	char *path, *dir;
	struct err e = ERR_INIT;

	put_snapshot(p, COMMIT_A, ETAG_1, ETAG_2);
	open_cache(p, COMMIT_B, &c);
	path = path_join(c.blobs, ETAG_3 ".quern-part");
	assert_int_equal(path_write(path, "1234", 4, 0644, &e), 0);
	free(path);
	path = path_join(c.blobs, ETAG_3 ".abcdef01.incomplete");
	assert_int_equal(path_write(path, "1234", 4, 0644, &e), 0);
	free(path);
	fetch_cache_close(&c);
	dir = path_join(p->root, "snapshots/" COMMIT_A);
	assert_int_equal(drop_but(p, dir, UINT64_MAX), 0);
	assert_true(is_there(p, "blobs/" ETAG_3 ".quern-part"));
	free(dir);
	assert_true(drop(p) > 2 * BLOB_BYTES);
	assert_false(is_there(p, "blobs/" ETAG_3 ".quern-part"));
	assert_true(is_there(p, "blobs/" ETAG_3 ".abcdef01.incomplete"));
}

static void rubbish_in_the_record_is_left_out(void **state)
{
	static const char rubbish[] = "blob\nlink \nblob x\nblob " ETAG_1 " 1\nblob " ETAG_1
				      " -1 99999999999999999999999 z\nlink a b c d\n\n\0blob q 1 1";
	struct place *p = *state;
	struct fetch_cache c;
	struct err e = ERR_INIT;
	char *path;

	open_cache(p, COMMIT_A, &c);
	path = path_join(c.root, FETCH_OWNED_FILE);
	assert_int_equal(path_write(path, rubbish, sizeof(rubbish) - 1, 0644, &e), 0);
	free(path);
	put_blob(&c, ETAG_1, true);
	put_link(&c, "x", ETAG_1, true);
	fetch_cache_close(&c);
	assert_int_equal(drop(p), BLOB_BYTES);
}

/* In a child that dies at the nth point: true when it did. */
static bool drop_until(struct place *p, int n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char at[16];

		snprintf(at, sizeof(at), "%d", n);
		setenv("QUERN_CRASH_AT", at, 1);
		(void)drop(p);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 99));
	return WEXITSTATUS(status) == 99;
}

/* Whole or gone, for who looks at the snapshot; never a branch that names what is not there. */
static void killed_at_any_step_no_half_is_left(void **state)
{
	struct place *p = *state;
	int n = 1;

	for (bool died = true; died; n++) {
		bool x, y;

		put_snapshot(p, COMMIT_A, ETAG_1, ETAG_2);
		put_snapshot(p, COMMIT_B, ETAG_2, ETAG_3);
		died = drop_until(p, n);
		for (const char *const *c = (const char *const[]){ COMMIT_A, COMMIT_B, NULL }; *c;
		     c++) {
			char *at_x = mem_printf("snapshots/%s/x", *c);
			char *at_y = mem_printf("snapshots/%s/y", *c);
			char *folder = mem_printf("snapshots/%s", *c);

			x = is_there(p, at_x);
			y = is_there(p, at_y);
			assert_true(x == y && x == is_there(p, folder));
			free(at_x);
			free(at_y);
			free(folder);
		}
		assert_true(!is_there(p, "refs/main") || is_there(p, "snapshots/" COMMIT_B));
		(void)drop(p);
		assert_false(is_there(p, "blobs/" ETAG_1) || is_there(p, "blobs/" ETAG_2) ||
			     is_there(p, "blobs/" ETAG_3));
		assert_false(is_there(p, ".quern-drop-" COMMIT_A) ||
			     is_there(p, ".quern-drop-" COMMIT_B));
	}
	assert_true(n > 7); /* two of refs, two of folders, three of blobs */
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_open, place_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PLACE(all_of_ours_goes),
		WITH_PLACE(what_is_kept_or_in_use_stays),
		WITH_PLACE(only_as_much_goes_as_is_needed),
		WITH_PLACE(blobs_of_another_revision_stay),
		WITH_PLACE(what_others_put_there_stays),
		WITH_PLACE(names_alone_prove_nothing),
		WITH_PLACE(a_repository_that_somebody_fetches_into_stays),
		WITH_PLACE(parts_go_when_nothing_of_the_repository_is_kept),
		WITH_PLACE(rubbish_in_the_record_is_left_out),
		WITH_PLACE(killed_at_any_step_no_half_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
