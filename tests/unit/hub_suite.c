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
	struct hub_commit c = { .parent = parent, .message = "Test\n", .files = files, .n = n };

	return f->h->ops->commit(f->h, repo, &c, f->a, id, &f->e);
}

/* What put() said of up to 1000 files. */
struct said {
	int stored[1000], sent[1000], changed[1000];
};

static int on_stored(void *ctx, size_t i, bool sent, struct err *e)
{
	struct said *s = ctx;

	(void)e;
	s->stored[i]++;
	s->sent[i] += sent;
	return 0;
}

static int on_changed(void *ctx, size_t i, const char *why, struct err *e)
{
	struct said *s = ctx;

	(void)e;
	assert_non_null(why);
	s->changed[i]++;
	return 0;
}

static int put(struct fixture *f, const char *repo, const struct hub_file *files, size_t n,
	       struct said *said)
{
	struct hub_put report = { .stored = on_stored, .changed = on_changed, .ctx = said };

	memset(said, 0, sizeof(*said));
	return f->h->ops->put(f->h, repo, files, n, &report, &f->e);
}

static void put_all(struct fixture *f, const char *repo, const struct hub_file *files, size_t n)
{
	static struct said said;

	assert_int_equal(put(f, repo, files, n, &said), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(said.stored[i], 1);
}

static bool have(struct fixture *f, const char *repo, const struct hub_file *file)
{
	bool have = false;

	assert_int_equal(f->h->ops->have(f->h, repo, file, 1, &have, &f->e), 0);
	return have;
}

/* The listing shows this content, by its hash or by git's id of it. */
static void assert_content(const struct hub_file *listed, const struct hub_file *sent)
{
	char blob[HUB_BLOB_ID];

	assert_int_equal(listed->size_bytes, sent->size_bytes);
	if (!listed->blob) {
		assert_memory_equal(listed->sha256, sent->sha256, SHA256_LEN);
		return;
	}
	assert_false(listed->lfs);
	hub_blob_id(sent->data, sent->size_bytes, blob);
	assert_string_equal(listed->blob, blob);
}

static size_t list(struct fixture *f, const char *repo, struct hub_file **files, const char **head)
{
	size_t n = 0;

	assert_int_equal(f->h->ops->list(f->h, repo, f->a, files, &n, head, &f->e), 0);
	return n;
}

/* A new repository, with its head: some hubs begin one with a commit. */
static const char *begin(struct fixture *f, const char *repo)
{
	struct hub_file *files;
	const char *head = NULL;

	assert_int_equal(f->h->ops->create(f->h, repo, 0, &f->e), 0);
	(void)list(f, repo, &files, &head);
	return head;
}

/* The file of that path in a listing; NULL when there is none. */
static const struct hub_file *find(const struct hub_file *files, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(i == 0 || strcmp(files[i - 1].path, files[i].path) < 0);
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	}
	return NULL;
}

static void assert_listed(struct fixture *f, const char *repo, const struct hub_file *sent)
{
	struct hub_file *files;
	const char *head;
	size_t n = list(f, repo, &files, &head);
	const struct hub_file *there = find(files, n, sent->path);

	assert_non_null(there);
	assert_int_equal(there->lfs, sent->lfs);
	assert_content(there, sent);
}

static void an_absent_repository_is_empty(void **state)
{
	struct fixture *f = *state;
	struct hub_file *files;
	const char *head, *data;
	struct hub_file none = { .path = "x.bin", .size_bytes = 5, .lfs = 1 };
	size_t len;

	assert_int_equal(list(f, "suite/absent", &files, &head), 0);
	assert_string_equal(head, "");
	assert_false(have(f, "suite/absent", &none));
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
	const char *parent = begin(f, "suite/list");
	size_t len;

	assert_int_equal(f->h->ops->create(f->h, "suite/list", 0, &f->e), 0);
	put_all(f, "suite/list", &sent[0], 1);
	put_all(f, "suite/list", &sent[0], 1);
	put_all(f, "suite/list", &sent[2], 1);
	assert_int_equal(commit(f, "suite/list", parent, sent, 3, &id), 0);
	(void)list(f, "suite/list", &files, &head);
	assert_string_equal(head, id);
	for (size_t i = 0; i < ARRAY_LEN(sent); i++)
		assert_listed(f, "suite/list", &sent[i]);
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
	const char *head, *id, *parent;
	char data[100];
	size_t got;

	parent = begin(f, "suite/range");
	put_all(f, "suite/range", sent, 1);
	assert_int_equal(commit(f, "suite/range", parent, sent, 2, &id), 0);
	(void)list(f, "suite/range", &files, &head);
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		size_t k = i / 2;

		assert_int_equal(f->h->ops->read_at(f->h, "suite/range", &sent[i % 2],
						    cases[k].offset, data, cases[k].len, &got,
						    &f->e),
				 0);
		assert_int_equal(got, strlen(cases[k].bytes));
		assert_memory_equal(data, cases[k].bytes, got);
	}
	sent[0].sha256[0] ^= 1;
	sent[0].path = sent[1].path = "absent.txt";
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
			f->h->ops->read_at(f->h, "suite/range", &sent[i], 0, data, 1, &got, &f->e),
			ERR_NOTFOUND);
}

static void the_hub_knows_what_it_has(void **state)
{
	struct fixture *f = *state;
	struct hub_file file = lfs_file(f, "x.gguf", "known", 0444);

	assert_int_equal(f->h->ops->create(f->h, "suite/have", 0, &f->e), 0);
	assert_false(have(f, "suite/have", &file));
	put_all(f, "suite/have", &file, 1);
	assert_true(have(f, "suite/have", &file));
}

/* More than one batch of 256; the second time only what is new is sent. */
static void many_objects_are_put_at_once(void **state)
{
	enum { N = 300, FIRST = 40 };
	struct fixture *f = *state;
	struct hub_file *files = arena_array(f->a, N, sizeof(*files)), *listed;
	const char *head = NULL, *id = NULL;
	static struct said said;
	bool known[N];
	size_t n;

	for (size_t i = 0; i < N; i++)
		files[i] = lfs_file(f, arena_printf(f->a, "part-%03zu.bin", i),
				    arena_printf(f->a, "content %zu", i), 0444);
	assert_int_equal(f->h->ops->create(f->h, "suite/many", 0, &f->e), 0);
	assert_int_equal(put(f, "suite/many", files, FIRST, &said), 0);
	assert_int_equal(put(f, "suite/many", files, N, &said), 0);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(said.stored[i], 1);
		assert_int_equal(said.sent[i], i >= FIRST);
		assert_int_equal(said.changed[i], 0);
	}
	assert_int_equal(f->h->ops->have(f->h, "suite/many", files, N, known, &f->e), 0);
	for (size_t i = 0; i < N; i++)
		assert_true(known[i]);
	n = list(f, "suite/many", &listed, &head);
	assert_int_equal(commit(f, "suite/many", head, files, N, &id), 0);
	assert_int_equal(list(f, "suite/many", &listed, &head), n + N);
	assert_listed(f, "suite/many", &files[N - 1]);
}

static void unchanged_content_is_no_commit(void **state)
{
	struct fixture *f = *state;
	struct hub_file file = text_file("a.txt", "same");
	const char *one = NULL, *two = NULL, *parent = begin(f, "suite/same");

	assert_int_equal(commit(f, "suite/same", parent, &file, 1, &one), 0);
	assert_string_equal(begin(f, "suite/same"), one);
	assert_int_equal(commit(f, "suite/same", one, &file, 1, &two), 0);
	if (!target->may_commit_nothing)
		assert_string_equal(one, two);
	assert_string_equal(begin(f, "suite/same"), two);
	assert_listed(f, "suite/same", &file);
}

static void a_moved_branch_is_a_conflict(void **state)
{
	struct fixture *f = *state;
	struct hub_file one = text_file("a.txt", "1"), two = text_file("a.txt", "2");
	const char *id = NULL, *lost = NULL, *parent = begin(f, "suite/race");

	assert_int_equal(commit(f, "suite/race", parent, &one, 1, &id), 0);
	assert_int_equal(commit(f, "suite/race", parent, &two, 1, &lost), ERR_CONFLICT);
	assert_string_equal(begin(f, "suite/race"), id);
	assert_listed(f, "suite/race", &one);
}

static void files_go_and_the_rest_stays(void **state)
{
	struct fixture *f = *state;
	struct hub_file both[2] = { text_file("a.txt", "a"), text_file("b.txt", "b") };
	static const char *const gone[] = { "a.txt" };
	struct hub_commit c = { .message = "Less\n\nand why\n", .gone = gone, .n_gone = 1 };
	const char *id = NULL, *head, *parent = begin(f, "suite/gone");
	struct hub_file *files;
	size_t n;

	assert_int_equal(commit(f, "suite/gone", parent, both, 2, &id), 0);
	c.parent = id;
	assert_int_equal(f->h->ops->commit(f->h, "suite/gone", &c, f->a, &id, &f->e), 0);
	n = list(f, "suite/gone", &files, &head);
	assert_string_equal(head, id);
	assert_null(find(files, n, "a.txt"));
	assert_non_null(find(files, n, "b.txt"));
}

static void a_pointer_without_its_object_is_refused(void **state)
{
	struct fixture *f = *state;
	struct hub_file file = lfs_file(f, "x.gguf", "never put", 0444);
	const char *id = NULL, *parent = begin(f, "suite/dangling");

	assert_int_equal(commit(f, "suite/dangling", parent, &file, 1, &id), ERR_INVALID);
	assert_string_equal(begin(f, "suite/dangling"), parent);
}

static void wrong_bytes_are_refused(void **state)
{
	struct fixture *f = *state;
	struct hub_file object = lfs_file(f, "x.gguf", "good bytes", 0600);
	struct hub_file both[2] = { object, lfs_file(f, "y.gguf", "other bytes", 0600) };
	struct hub_file plain = text_file("a.txt", "good");
	static struct said said;
	const char *id = NULL, *parent = begin(f, "suite/wrong");

	assert_int_equal(path_write(object.local, "evil bytes", 10, 0600, &f->e), 0);
	assert_int_equal(put(f, "suite/wrong", both, 2, &said), 0);
	assert_int_equal(said.changed[0], 1);
	assert_int_equal(said.stored[0], 0);
	assert_int_equal(said.stored[1], 1);
	assert_false(have(f, "suite/wrong", &object));
	plain.data = "evil";
	assert_int_equal(commit(f, "suite/wrong", parent, &plain, 1, &id), ERR_CORRUPT);
}

static void hostile_names_are_refused(void **state)
{
	static const char *const paths[] = { "../x", "/etc/x", ".git/config", "a/.GIT/x", "" };
	struct fixture *f = *state;
	const char *id = NULL, *parent = begin(f, "suite/names");

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct hub_file file = text_file(paths[i], "x");

		assert_int_equal(commit(f, "suite/names", parent, &file, 1, &id), ERR_INVALID);
	}
	assert_int_equal(f->h->ops->create(f->h, "../escape", 0, &f->e), ERR_INVALID);
	assert_int_equal(f->h->ops->create(f->h, "suite/../../escape", 0, &f->e), ERR_INVALID);
}

int hub_suite_run(const struct hub_suite_target *t)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_absent_repository_is_empty),
		TEST(files_are_listed_as_they_were_sent),
		TEST(a_range_of_a_file_is_read),
		TEST(the_hub_knows_what_it_has),
		TEST(many_objects_are_put_at_once),
		TEST(unchanged_content_is_no_commit),
		TEST(a_moved_branch_is_a_conflict),
		TEST(files_go_and_the_rest_stays),
		TEST(a_pointer_without_its_object_is_refused),
		TEST(wrong_bytes_are_refused),
		TEST(hostile_names_are_refused),
	};

	target = t;
	return cmocka_run_group_tests_name(t->name, tests, NULL, NULL);
}
