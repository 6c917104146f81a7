/* Names that cannot escape, and files that are whole or absent: path_write() and its relatives are
 * ended at each of their crash points in turn, and the folder is looked at afterwards. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"

/* Each test works in an empty folder "t". */
static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	return path_remove_tree("t", &e) < 0 || path_mkdirs("t", 0755, &e) < 0 ? -1 : 0;
}

static void put(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	if (path_write(path, text, strlen(text), 0644, &e) < 0)
		fail_msg("%s", e.msg);
}

static void assert_content(const char *path, const char *text)
{
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, SIZE_MAX);
	if (path_read(path, (size_t)1 << 20, &b, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(buf_str(&b), text);
	buf_release(&b);
}

static int count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = -2; /* . and .. */

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_names(void **state)
{
	static const char *const joins[][3] = {
		{ "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "a", "/b", "/b" },
		{ "/", "b", "/b" },  { "", "b", "b" },	   { "a//", "b/c", "a/b/c" },
	};
	static const char *const dirs[][3] = {
		{ "a/b", "a", "b" }, { "b", ".", "b" },	       { "/b", "/", "b" },
		{ "//b", "/", "b" }, { "a/b//c", "a/b", "c" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(joins); i++) {
		char *s = path_join(joins[i][0], joins[i][1]);

		assert_string_equal(s, joins[i][2]);
		free(s);
	}
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		char *s = path_dirname(dirs[i][0]);

		assert_string_equal(s, dirs[i][1]);
		assert_string_equal(path_basename(dirs[i][0]), dirs[i][2]);
		free(s);
	}
}

static void test_foreign_names(void **state)
{
	static const char *const good[] = { "a", "...", ".a", "a b", "\xc3\xa9", "-" };
	static const char *const bad[] = { "",	  ".",	   "..",       "a/b",  "/",
					   "a\n", "a\x7f", "\xc2\x85", "\xff", "\xc0\xaf" };
	static const char *const good_paths[] = { "a", "a/b", "a/.b/c" };
	static const char *const bad_paths[] = { "",	 "/a",	"a/",	  "a//b",  "../a",
						 "a/..", "./a", "a/../b", "a/\x01" };
	char longest[257];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(path_component_ok(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(path_component_ok(bad[i]));
	for (size_t i = 0; i < ARRAY_LEN(good_paths); i++)
		assert_true(path_relative_ok(good_paths[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad_paths); i++)
		assert_false(path_relative_ok(bad_paths[i]));
	memset(longest, 'a', 256);
	longest[256] = '\0';
	assert_false(path_component_ok(longest));
	assert_true(path_component_ok(longest + 1));
}

static void test_read(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	put("t/f", "0123456789");
	buf_init(&b, 100);
	(void)buf_adds(&b, "<");
	assert_int_equal(path_read("t/f", 10, &b, &e), 0);
	assert_string_equal(buf_str(&b), "<0123456789");
	assert_int_equal(path_read("t/f", 9, &b, &e), ERR_INVALID);
	assert_int_equal(path_read("t/none", 9, &b, &e), ERR_NOTFOUND);
	assert_int_equal(path_read("t", 9, &b, &e), ERR_INVALID);
	assert_int_equal(mkfifo("t/pipe", 0600), 0);
	assert_int_equal(path_read("t/pipe", 9, &b, &e), ERR_INVALID); /* and does not wait */
	assert_string_equal(buf_str(&b), "<0123456789");
	/* a file that says it is empty and is not */
	assert_int_equal(path_read("/proc/self/status", 5, &b, &e), ERR_INVALID);
	assert_string_equal(buf_str(&b), "<0123456789");
	buf_release(&b);
}

static void test_write(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;
	char name[300] = "t/";

	(void)state;
	put("t/f", "one");
	put("t/f", "two, longer");
	assert_content("t/f", "two, longer");
	assert_int_equal(path_write("t/secret", "s", 1, 0600, &e), 0);
	assert_int_equal(stat("t/secret", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	memset(name + 2, 'n', 255);
	name[257] = '\0';
	put(name, "the longest name there can be");
	assert_int_equal(path_write("t/none/f", "x", 1, 0644, &e), ERR_NOTFOUND);
	assert_int_equal(mkdir("t/dir", 0755), 0);
	assert_true(path_write("t/dir", "x", 1, 0644, &e) < 0);
	assert_int_equal(path_write("/dev/full/f", "x", 1, 0644, &e), ERR_IO);
	assert_int_equal(count_entries("t"), 4); /* nothing temporary is left */
}

static void test_copy(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	put("t/a", "content");
	put("t/b", "old");
	assert_int_equal(path_copy("t/a", "t/b", 0640, &e), 0);
	assert_content("t/b", "content");
	assert_int_equal(stat("t/b", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	put("t/empty", "");
	assert_int_equal(path_copy("t/empty", "t/c", 0644, &e), 0);
	assert_content("t/c", "");
	assert_int_equal(path_copy("/proc/sys/kernel/ostype", "t/comm", 0644, &e), 0);
	assert_content("t/comm", "Linux\n"); /* by hand: /proc knows no other way */
	assert_int_equal(path_copy("t/none", "t/d", 0644, &e), ERR_NOTFOUND);
	assert_int_equal(path_copy("t", "t/d", 0644, &e), ERR_INVALID);
	assert_int_equal(count_entries("t"), 5);
}

static void test_mkdirs(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(path_mkdirs("t/a/b//c/", 0755, &e), 0);
	assert_int_equal(path_mkdirs("t/a/b/c", 0755, &e), 0);
	assert_int_equal(count_entries("t/a/b/c"), 0);
	put("t/f", "");
	assert_int_equal(path_mkdirs("t/f", 0755, &e), ERR_IO);
	assert_true(path_mkdirs("t/f/g", 0755, &e) < 0);
}

static void test_sync_tree(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(path_mkdirs("t/a/b", 0755, &e), 0);
	put("t/a/b/f", "x");
	assert_int_equal(path_sync_tree("t", &e), 0);
	assert_int_equal(symlink("f", "t/a/b/link"), 0);
	assert_int_equal(path_sync_tree("t", &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "b/link: neither"));
	assert_int_equal(unlink("t/a/b/link"), 0);
	assert_int_equal(mkfifo("t/a/pipe", 0600), 0);
	assert_int_equal(path_sync_tree("t", &e), ERR_INVALID);
	assert_int_equal(path_sync_tree("t/a/b/f", &e), ERR_INVALID);
	assert_int_equal(path_sync_tree("t/none", &e), ERR_NOTFOUND);
}

static void test_remove_tree(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(path_mkdirs("t/keep", 0755, &e), 0);
	put("t/keep/precious", "x");
	assert_int_equal(path_mkdirs("t/gone/a/b", 0755, &e), 0);
	put("t/gone/a/b/f", "x");
	assert_int_equal(symlink("../keep", "t/gone/link"), 0);
	assert_int_equal(symlink("nowhere", "t/gone/a/broken"), 0);
	assert_int_equal(chmod("t/gone/a/b", 0), 0);
	assert_int_equal(chmod("t/gone/a", 0555), 0);
	assert_int_equal(path_remove_tree("t/gone", &e), 0);
	assert_int_equal(access("t/gone", F_OK), -1);
	assert_int_equal(path_remove_tree("t/gone", &e), 0); /* absent is fine */
	assert_int_equal(symlink("keep", "t/link"), 0);
	assert_int_equal(path_remove_tree("t/link", &e), 0); /* the link, not what it means */
	assert_content("t/keep/precious", "x");
	assert_int_equal(count_entries("t"), 1);
}

/* Deeper than a process has descriptors, and than a path may be long. */
static void test_remove_deep(void **state)
{
	struct err e = ERR_INIT;
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(mkdir("t/deep", 0755), 0);
	assert_int_equal(chdir("t/deep"), 0);
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(mkdir("d", 0755), 0);
		assert_int_equal(chdir("d"), 0);
	}
	assert_int_equal(fchdir(here), 0);
	close(here);
	if (path_remove_tree("t/deep", &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(count_entries("t"), 0);
}

#ifdef QUERN_CRASH_TESTS

static int do_write(void)
{
	return path_write("t/f", "new", 3, 0644, NULL);
}

static int do_copy(void)
{
	return path_copy("t/new", "t/f", 0644, NULL);
}

static int do_rename(void)
{
	return path_rename("t/new", "t/f", NULL);
}

/* Run f in a child that ends at crash point n; returns its exit code. */
static int crash_at(int (*f)(void), int n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char at[16];

		(void)snprintf(at, sizeof(at), "%d", n);
		(void)setenv("QUERN_CRASH_AT", at, 1);
		_exit(f() == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* At every point the file has its old content or its new one, and a second try succeeds. */
static void test_crash_points(void **state)
{
	static const struct {
		int (*run)(void);
		int points;
	} ways[] = { { do_write, 4 }, { do_copy, 4 }, { do_rename, 3 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		for (int n = 1; n <= ways[i].points + 1; n++) {
			struct err e = ERR_INIT;
			struct buf b;
			int code;

			put("t/f", "old");
			put("t/new", "new");
			code = crash_at(ways[i].run, n);
			assert_int_equal(code, n <= ways[i].points ? 99 : 0);
			buf_init(&b, 100);
			assert_int_equal(path_read("t/f", 100, &b, &e), 0);
			if (n == 1)
				assert_string_equal(buf_str(&b), "old");
			else if (n >= ways[i].points)
				assert_string_equal(buf_str(&b), "new");
			else
				assert_true(strcmp(buf_str(&b), "old") == 0 ||
					    strcmp(buf_str(&b), "new") == 0);
			buf_release(&b);
			put("t/new", "new");
			assert_int_equal(ways[i].run(), 0);
			assert_content("t/f", "new");
		}
	}
}

static void test_crash_log(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		(void)setenv("QUERN_CRASH_LOG", "t/points", 1);
		_exit(do_write() == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_content("t/points", "path_write:created\npath_write:synced\n"
				   "path_write:renamed\npath_write:done\n");
}

#endif

static void test_other(void **state)
{
	struct err e = ERR_INIT;
	uint64_t bytes = 0;
	char *dir = path_program_dir();
	char *real;

	(void)state;
	assert_int_equal(path_free_space("t", &bytes, &e), 0);
	assert_true(bytes > 0);
	assert_int_equal(path_free_space("t/none", &bytes, &e), ERR_NOTFOUND);
	assert_non_null(dir);
	assert_int_equal(dir[0], '/');
	free(dir);
	put("t/f", "");
	assert_int_equal(symlink("f", "t/l"), 0);
	real = path_real("t/l", &e);
	assert_non_null(real);
	assert_string_equal(path_basename(real), "f");
	free(real);
	assert_null(path_real("t/none", &e));
	assert_int_equal(e.code, ERR_NOTFOUND);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_names),	      T(test_foreign_names), T(test_read),	T(test_write),
		T(test_copy),	      T(test_mkdirs),	     T(test_sync_tree), T(test_remove_tree),
		T(test_remove_deep),  T(test_other),
#ifdef QUERN_CRASH_TESTS
		T(test_crash_points), T(test_crash_log),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
