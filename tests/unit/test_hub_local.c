/* The suite of all hubs over the local one, and what only a folder has: links, locks, objects. */
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
#include "core/proc.h"
#include "hub_suite.h"
#include "upload/lfs.h"

static char root[64];

static int open_local(void *ctx, struct hub **out, struct err *e)
{
	char *folder = path_join(ctx, "hub");
	int rc = hub_local_open(folder, out, e);

	free(folder);
	return rc;
}

static struct hub_file object(struct arena *a, const char *name, const char *text, mode_t mode)
{
	struct hub_file f = { .path = name, .size_bytes = strlen(text), .lfs = 1 };
	struct err e = ERR_INIT;

	sha256_bytes(text, strlen(text), f.sha256);
	f.local = arena_printf(a, "%s/%s", root, name);
	assert_int_equal(path_write(f.local, text, strlen(text), 0600, &e), 0);
	assert_int_equal(chmod(f.local, mode), 0);
	return f;
}

static int on_stored(void *ctx, size_t i, bool sent, struct err *e)
{
	(void)ctx;
	(void)i;
	(void)sent;
	(void)e;
	return 0;
}

static int on_changed(void *ctx, size_t i, const char *why, struct err *e)
{
	(void)ctx;
	(void)i;
	return err_set(e, ERR_CORRUPT, "%s", why);
}

static int put(struct hub *h, const char *repo, const struct hub_file *f, struct err *e)
{
	static const struct hub_put report = { .stored = on_stored, .changed = on_changed };

	return h->ops->put(h, repo, f, 1, &report, e);
}

static bool have(struct hub *h, const char *repo, const struct hub_file *f)
{
	struct err e = ERR_INIT;
	bool have = false;

	assert_int_equal(h->ops->have(h, repo, f, 1, &have, &e), 0);
	return have;
}

static const char *object_path(struct arena *a, const char *repo, const struct hub_file *f)
{
	return arena_printf(a, "%s/hub/%s.git/lfs/objects/%s", root, repo,
			    lfs_object_path(a, f->sha256));
}

static void read_only_files_are_linked_and_others_copied(void **state)
{
	struct arena *a = arena_new();
	struct hub_file fixed = object(a, "fixed.gguf", "fixed", 0444);
	struct hub_file open = object(a, "open.gguf", "open!", 0644);
	struct stat from, to;
	struct err e = ERR_INIT;
	struct hub *h = NULL;

	(void)state;
	assert_int_equal(open_local(root, &h, &e), 0);
	assert_int_equal(h->ops->create(h, "ns/links", 0, &e), 0);
	assert_int_equal(put(h, "ns/links", &fixed, &e), 0);
	assert_int_equal(put(h, "ns/links", &open, &e), 0);
	assert_int_equal(stat(fixed.local, &from), 0);
	assert_int_equal(stat(object_path(a, "ns/links", &fixed), &to), 0);
	assert_int_equal(from.st_ino, to.st_ino);
	assert_int_equal(stat(open.local, &from), 0);
	assert_int_equal(stat(object_path(a, "ns/links", &open), &to), 0);
	assert_int_not_equal(from.st_ino, to.st_ino);
	assert_int_equal(to.st_mode & 0777, 0444);
	hub_close(h);
	arena_free(a);
}

static void a_cut_object_is_replaced(void **state)
{
	struct arena *a = arena_new();
	struct hub_file f = object(a, "cut.gguf", "whole object", 0444);
	struct err e = ERR_INIT;
	const char *path;
	struct hub *h = NULL;

	(void)state;
	assert_int_equal(open_local(root, &h, &e), 0);
	assert_int_equal(h->ops->create(h, "ns/cut", 0, &e), 0);
	assert_int_equal(put(h, "ns/cut", &f, &e), 0);
	path = object_path(a, "ns/cut", &f);
	assert_int_equal(path_write(path, "whole", 5, 0444, &e), 0);
	assert_false(have(h, "ns/cut", &f));
	assert_int_equal(put(h, "ns/cut", &f, &e), 0);
	assert_true(have(h, "ns/cut", &f));
	hub_close(h);
	arena_free(a);
}

/* A clone would get the pointer's text, so that is what the listing says. */
static void a_lost_object_is_not_listed(void **state)
{
	struct arena *a = arena_new();
	struct hub_file f = object(a, "lost.gguf", "lost object", 0444), *files;
	struct hub_commit c = { .parent = "", .message = "x\n", .files = &f, .n = 1 };
	struct err e = ERR_INIT;
	struct hub *h = NULL;
	const char *id, *head;
	size_t n;

	(void)state;
	assert_int_equal(open_local(root, &h, &e), 0);
	assert_int_equal(h->ops->create(h, "ns/lost", 0, &e), 0);
	assert_int_equal(put(h, "ns/lost", &f, &e), 0);
	assert_int_equal(h->ops->commit(h, "ns/lost", &c, a, &id, &e), 0);
	assert_int_equal(unlink(object_path(a, "ns/lost", &f)), 0);
	assert_int_equal(h->ops->list(h, "ns/lost", a, &files, &n, &head, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(files[0].lfs, 0);
	assert_memory_not_equal(files[0].sha256, f.sha256, SHA256_LEN);
	hub_close(h);
	arena_free(a);
}

static void a_second_writer_waits_and_is_told(void **state)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct hub *h = NULL;
	int fd;

	(void)state;
	assert_int_equal(open_local(root, &h, &e), 0);
	assert_int_equal(h->ops->create(h, "ns/busy", 0, &e), 0);
	fd = lock_take(arena_printf(a, "%s/hub/ns/.busy.lock", root), &e);
	assert_true(fd >= 0);
	assert_int_equal(h->ops->create(h, "ns/busy", 0, &e), ERR_BUSY);
	assert_non_null(strstr(e.msg, "another process"));
	close(fd);
	assert_int_equal(h->ops->create(h, "ns/busy", 0, &e), 0);
	hub_close(h);
	arena_free(a);
}

static void what_a_crash_left_half_written_goes(void **state)
{
	static const char *const junk[] = { "objects/tmp_object_git2_0123456789abcdef",
					    "lfs/tmp/quern/half" };
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct hub *h = NULL;

	(void)state;
	assert_int_equal(open_local(root, &h, &e), 0);
	assert_int_equal(h->ops->create(h, "ns/junk", 0, &e), 0);
	assert_int_equal(
		path_mkdirs(arena_printf(a, "%s/hub/ns/junk.git/lfs/tmp/quern", root), 0755, &e),
		0);
	for (size_t i = 0; i < ARRAY_LEN(junk); i++)
		assert_int_equal(path_write(arena_printf(a, "%s/hub/ns/junk.git/%s", root, junk[i]),
					    "x", 1, 0444, &e),
				 0);
	assert_int_equal(h->ops->create(h, "ns/junk", 0, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(junk); i++)
		assert_int_equal(
			access(arena_printf(a, "%s/hub/ns/junk.git/%s", root, junk[i]), F_OK), -1);
	hub_close(h);
	arena_free(a);
}

static void urls_are_escaped(void **state)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct hub *h = NULL;

	(void)state;
	assert_int_equal(hub_local_open("/a b/\xc3\xa9", &h, &e), 0);
	assert_string_equal(h->ops->url(h, "ns/r", a), "file:///a%20b/%C3%A9/ns/r.git");
	hub_close(h);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_only_files_are_linked_and_others_copied),
		cmocka_unit_test(a_cut_object_is_replaced),
		cmocka_unit_test(a_lost_object_is_not_listed),
		cmocka_unit_test(a_second_writer_waits_and_is_told),
		cmocka_unit_test(what_a_crash_left_half_written_goes),
		cmocka_unit_test(urls_are_escaped),
	};
	struct hub_suite_target target = {
		.name = "local", .open = open_local, .scratch = root, .ctx = root
	};
	struct err e = ERR_INIT;
	int failed;

	strcpy(root, "/tmp/quern-hub-XXXXXX");
	if (!mkdtemp(root))
		return 1;
	failed = hub_suite_run(&target);
	failed += cmocka_run_group_tests(tests, NULL, NULL);
	if (path_remove_tree(root, &e) < 0)
		failed++;
	return failed;
}
