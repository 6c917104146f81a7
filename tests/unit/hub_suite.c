#include "hub_suite.h"

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

static const struct hub_suite_target *target;

struct fixture {
	struct hub *h;
	struct arena *a;
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));

	assert_int_equal(target->open(target->ctx, &f->h, &f->e), 0);
	f->a = arena_new();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hub_close(f->h);
	arena_free(f->a);
	free(f);
	return 0;
}

static struct hub_file text_file(const char *path, const char *text)
{
	struct hub_file f = { .path = path, .data = text, .size_bytes = strlen(text) };

	sha256_bytes(text, strlen(text), f.sha256);
	return f;
}

/* A file in the scratch folder with this mode, as an LFS object. */
static struct hub_file lfs_file(struct fixture *f, const char *path, const char *text, mode_t mode)
{
	struct hub_file h = text_file(path, text);

	h.local = arena_printf(f->a, "%s/%02x%02x%02x-%o", target->scratch, h.sha256[0],
			       h.sha256[1], h.sha256[2], (unsigned)mode);
	assert_int_equal(path_write(h.local, text, strlen(text), 0600, &f->e), 0);
	assert_int_equal(chmod(h.local, mode), 0);
	h.data = NULL;
	h.lfs = 1;
	return h;
}

static int commit(struct fixture *f, const char *repo, const char *parent,
		  const struct hub_file *files, size_t n, const char **id)
{
	return f->h->ops->commit(f->h, repo, parent, "Test\n", files, n, NULL, 0, f->a, id, &f->e);
}

static size_t list(struct fixture *f, const char *repo, struct hub_file **files, const char **head)
{
	size_t n = 0;

	assert_int_equal(f->h->ops->list(f->h, repo, f->a, files, &n, head, &f->e), 0);
	return n;
}

static void an_absent_repository_is_empty(void **state)
{
	struct fixture *f = *state;
	struct hub_file *files;
	const char *head, *data;
	uint8_t none[SHA256_LEN] = { 0 };
	size_t len;

	assert_int_equal(list(f, "suite/absent", &files, &head), 0);
	assert_string_equal(head, "");
	assert_int_equal(f->h->ops->have(f->h, "suite/absent", none, 5, &f->e), 0);
	assert_int_equal(
		f->h->ops->read(f->h, "suite/absent", "README.md", 100, f->a, &data, &len, &f->e),
		ERR_NOTFOUND);
}

static void files_are_listed_as_they_were_sent(void **state)
{
	struct fixture *f = *state;
	struct hub_file *files;
	struct hub_file sent[3] = { lfs_file(f, "b.gguf", "weights", 0444),
				    text_file("a.txt", "text"),
				    lfs_file(f, "dir/c.bin", "other weights", 0644) };
	const char *head, *id = NULL, *data;
	size_t len;

	assert_int_equal(f->h->ops->create(f->h, "suite/list", 0, &f->e), 0);
	assert_int_equal(f->h->ops->create(f->h, "suite/list", 0, &f->e), 0);
	assert_int_equal(f->h->ops->put(f->h, "suite/list", &sent[0], &f->e), 0);
	assert_int_equal(f->h->ops->put(f->h, "suite/list", &sent[0], &f->e), 0);
	assert_int_equal(f->h->ops->put(f->h, "suite/list", &sent[2], &f->e), 0);
	assert_int_equal(commit(f, "suite/list", "", sent, 3, &id), 0);
	assert_int_equal(list(f, "suite/list", &files, &head), 3);
	assert_string_equal(head, id);
	assert_string_equal(files[0].path, "a.txt");
	assert_string_equal(files[1].path, "b.gguf");
	assert_string_equal(files[2].path, "dir/c.bin");
	assert_int_equal(files[0].lfs, 0);
	assert_int_equal(files[1].lfs, 1);
	assert_int_equal(files[1].size_bytes, 7);
	assert_memory_equal(files[1].sha256, sent[0].sha256, SHA256_LEN);
	assert_memory_equal(files[0].sha256, sent[1].sha256, SHA256_LEN);
	assert_int_equal(
		f->h->ops->read(f->h, "suite/list", "a.txt", 100, f->a, &data, &len, &f->e), 0);
	assert_int_equal(len, 4);
	assert_string_equal(data, "text");
	assert_int_equal(f->h->ops->read(f->h, "suite/list", "a.txt", 3, f->a, &data, &len, &f->e),
			 ERR_NOSPACE);
	assert_int_equal(f->h->ops->read(f->h, "suite/list", "no.txt", 3, f->a, &data, &len, &f->e),
			 ERR_NOTFOUND);
}

static void a_range_of_a_file_is_read(void **state)
{
	static const struct {
		uint64_t offset;
		size_t len;
		const char *bytes;
	} cases[] = { { 0, 100, "0123456789" },
		      { 0, 4, "0123" },
		      { 3, 4, "3456" },
		      { 8, 4, "89" },
		      { 10, 4, "" },
		      { 1ull << 40, 4, "" },
		      { 5, 0, "" } };
	struct fixture *f = *state;
	struct hub_file sent[2] = { lfs_file(f, "b.gguf", "0123456789", 0444),
				    text_file("a.txt", "0123456789") };
	struct hub_file *files;
	const char *head, *id;
	char data[100];
	size_t got;

	assert_int_equal(f->h->ops->create(f->h, "suite/range", 0, &f->e), 0);
	assert_int_equal(f->h->ops->put(f->h, "suite/range", &sent[0], &f->e), 0);
	assert_int_equal(commit(f, "suite/range", "", sent, 2, &id), 0);
	assert_int_equal(list(f, "suite/range", &files, &head), 2);
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		size_t k = i / 2;

		assert_int_equal(f->h->ops->read_at(f->h, "suite/range", &files[i % 2],
						    cases[k].offset, data, cases[k].len, &got,
						    &f->e),
				 0);
		assert_int_equal(got, strlen(cases[k].bytes));
		assert_memory_equal(data, cases[k].bytes, got);
	}
	files[1].sha256[0] ^= 1;
	assert_int_equal(
		f->h->ops->read_at(f->h, "suite/range", &files[1], 0, data, 1, &got, &f->e),
		ERR_NOTFOUND);
	files[0].path = "absent.txt";
	assert_int_equal(
		f->h->ops->read_at(f->h, "suite/range", &files[0], 0, data, 1, &got, &f->e),
		ERR_NOTFOUND);
}

static void the_hub_knows_what_it_has(void **state)
{
	struct fixture *f = *state;
	struct hub_file file = lfs_file(f, "x.gguf", "known", 0444);

	assert_int_equal(f->h->ops->create(f->h, "suite/have", 0, &f->e), 0);
	assert_int_equal(f->h->ops->have(f->h, "suite/have", file.sha256, 5, &f->e), 0);
	assert_int_equal(f->h->ops->put(f->h, "suite/have", &file, &f->e), 0);
	assert_int_equal(f->h->ops->have(f->h, "suite/have", file.sha256, 5, &f->e), 1);
}

static void unchanged_content_is_no_commit(void **state)
{
	struct fixture *f = *state;
	struct hub_file file = text_file("a.txt", "same");
	const char *one = NULL, *two = NULL;

	assert_int_equal(f->h->ops->create(f->h, "suite/same", 0, &f->e), 0);
	assert_int_equal(commit(f, "suite/same", "", &file, 1, &one), 0);
	assert_int_equal(commit(f, "suite/same", one, &file, 1, &two), 0);
	assert_string_equal(one, two);
}

static void a_moved_branch_is_a_conflict(void **state)
{
	struct fixture *f = *state;
	struct hub_file one = text_file("a.txt", "1"), two = text_file("a.txt", "2");
	struct hub_file *files;
	const char *id = NULL, *head, *lost = NULL;

	assert_int_equal(f->h->ops->create(f->h, "suite/race", 0, &f->e), 0);
	assert_int_equal(commit(f, "suite/race", "", &one, 1, &id), 0);
	assert_int_equal(commit(f, "suite/race", "", &two, 1, &lost), ERR_CONFLICT);
	assert_int_equal(list(f, "suite/race", &files, &head), 1);
	assert_string_equal(head, id);
	assert_memory_equal(files[0].sha256, one.sha256, SHA256_LEN);
}

static void files_go_and_the_rest_stays(void **state)
{
	struct fixture *f = *state;
	struct hub_file both[2] = { text_file("a.txt", "a"), text_file("b.txt", "b") };
	static const char *const gone[] = { "a.txt" };
	struct hub_file *files;
	const char *id = NULL, *head;

	assert_int_equal(f->h->ops->create(f->h, "suite/gone", 0, &f->e), 0);
	assert_int_equal(commit(f, "suite/gone", "", both, 2, &id), 0);
	assert_int_equal(f->h->ops->commit(f->h, "suite/gone", id, "Less\n", NULL, 0, gone, 1, f->a,
					   &id, &f->e),
			 0);
	assert_int_equal(list(f, "suite/gone", &files, &head), 1);
	assert_string_equal(files[0].path, "b.txt");
}

static void a_pointer_without_its_object_is_refused(void **state)
{
	struct fixture *f = *state;
	struct hub_file file = lfs_file(f, "x.gguf", "never put", 0444);
	struct hub_file *files;
	const char *id = NULL, *head;

	assert_int_equal(f->h->ops->create(f->h, "suite/dangling", 0, &f->e), 0);
	assert_int_equal(commit(f, "suite/dangling", "", &file, 1, &id), ERR_INVALID);
	assert_int_equal(list(f, "suite/dangling", &files, &head), 0);
}

static void wrong_bytes_are_refused(void **state)
{
	struct fixture *f = *state;
	struct hub_file object = lfs_file(f, "x.gguf", "good bytes", 0600);
	struct hub_file plain = text_file("a.txt", "good");
	const char *id = NULL;

	assert_int_equal(f->h->ops->create(f->h, "suite/wrong", 0, &f->e), 0);
	assert_int_equal(path_write(object.local, "evil bytes", 10, 0600, &f->e), 0);
	assert_int_equal(f->h->ops->put(f->h, "suite/wrong", &object, &f->e), ERR_CORRUPT);
	assert_int_equal(f->h->ops->have(f->h, "suite/wrong", object.sha256, 10, &f->e), 0);
	plain.data = "evil";
	assert_int_equal(commit(f, "suite/wrong", "", &plain, 1, &id), ERR_CORRUPT);
}

static void hostile_names_are_refused(void **state)
{
	static const char *const paths[] = { "../x", "/etc/x", ".git/config", "a/.GIT/x", "" };
	struct fixture *f = *state;
	const char *id = NULL;

	assert_int_equal(f->h->ops->create(f->h, "suite/names", 0, &f->e), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct hub_file file = text_file(paths[i], "x");

		assert_int_equal(commit(f, "suite/names", "", &file, 1, &id), ERR_INVALID);
	}
	assert_int_equal(f->h->ops->create(f->h, "../escape", 0, &f->e), ERR_INVALID);
	assert_int_equal(f->h->ops->create(f->h, "suite/../../escape", 0, &f->e), ERR_INVALID);
}

int hub_suite_run(const struct hub_suite_target *t)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_absent_repository_is_empty),  TEST(files_are_listed_as_they_were_sent),
		TEST(a_range_of_a_file_is_read),      TEST(the_hub_knows_what_it_has),
		TEST(unchanged_content_is_no_commit), TEST(a_moved_branch_is_a_conflict),
		TEST(files_go_and_the_rest_stays),    TEST(a_pointer_without_its_object_is_refused),
		TEST(wrong_bytes_are_refused),	      TEST(hostile_names_are_refused),
	};

	target = t;
	return cmocka_run_group_tests_name(t->name, tests, NULL, NULL);
}
