/* Which files are taken, the journal of a file on its way, and the layout of the cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_settle.h"

#define SHA1_OF_HELLO "ce013625030ba8dba906f756967f9e9ca394464a" /* git hash-object: "hello\n" */
#define ETAG SHA1_OF_HELLO
#define COMMIT "0123456789012345678901234567890123456789"

/* ---- choosing */

static int choose(const char *const *names, bool adapter, struct arena *a, struct fetch_model *m,
		  struct err *e)
{
	const struct fetch_options o = { .repo = "org/name", .adapter = adapter };
	struct fetch_file files[16];
	size_t n = 0;

	for (; names[n]; n++)
		files[n] = (struct fetch_file){ .name = names[n], .etag = ETAG, .size_bytes = 10 };
	return fetch_choose(&o, a, files, n, m, e);
}

static void safetensors_and_what_describes_them_are_taken(void **state)
{
	static const char *const names[] = {
		"vocab.json",  "model.safetensors",	   "pytorch_model.bin",
		"model.gguf",  "training_args.bin",	   ".gitattributes",
		"config.json", "consolidated.safetensors", NULL
	};
	static const char *const want[] = { "config.json", "model.safetensors", "vocab.json" };
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct fetch_model m;

	(void)state;
	assert_int_equal(choose(names, false, a, &m, &e), 0);
	assert_int_equal(m.n_files, ARRAY_LEN(want));
	assert_int_equal(m.size_bytes, 30);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_string_equal(m.files[i].name, want[i]);
	arena_free(a);
}

static void what_is_no_model_is_said(void **state)
{
	static const struct {
		const char *names[4];
		bool adapter;
		const char *says;
	} cases[] = {
		{ { "config.json", "pytorch_model.bin" }, false, "pickles only" },
		{ { "a.gguf", "b.gguf" },
		  false,
		  "choose one of its 2 with `file:` (a.gguf, b.gguf)" },
		{ { "config.json", "data.csv" }, false, "no weights" },
		{ { "adapter_config.json", "adapter_model.bin" }, true, "no adapter" },
		{ { "adapter_model.safetensors" }, true, "adapter_config.json" },
		{ { "model.safetensors", "config.json", "config.json" }, false, "twice" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new();
		struct err e = ERR_INIT;
		struct fetch_model m;

		assert_int_equal(choose(cases[i].names, cases[i].adapter, a, &m, &e), ERR_INVALID);
		if (!strstr(e.msg, cases[i].says))
			fail_msg("%s", e.msg);
		arena_free(a);
	}
}

static void names_that_could_lead_away_are_refused(void **state)
{
	static const char *const hostile[] = {
		"..\\x.safetensors", "C:x.safetensors",	 "\\\\h\\s.safetensors",
		"a\nb.safetensors",  "\xff.safetensors", "a/../x.gguf.safetensors",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		const char *const names[] = { "model.safetensors", hostile[i], NULL };
		struct arena *a = arena_new();
		struct err e = ERR_INIT;
		struct fetch_model m;

		assert_int_equal(choose(names, false, a, &m, &e), ERR_INVALID);
		assert_non_null(strstr(e.msg, "out of its folder"));
		arena_free(a);
	}
}

static void impossible_sizes_and_hashes_are_refused(void **state)
{
	static const struct fetch_file bad[] = {
		{ "model.safetensors", "../../x", 10 },
		{ "model.safetensors", "", 10 },
		{ "model.safetensors", ETAG, UINT64_MAX },
	};
	const struct fetch_options o = { .repo = "org/name" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena *a = arena_new();
		struct err e = ERR_INIT;
		struct fetch_model m;

		assert_int_equal(fetch_choose(&o, a, &bad[i], 1, &m, &e), ERR_INVALID);
		arena_free(a);
	}
}

/* ---- the cache */

struct place {
	struct fetch_options o;
	struct fetch_cache c;
	char *cache;
};

static int place_open(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	struct err e = ERR_INIT;
	char cwd[1024];

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	p->cache = path_join(cwd, "hub");
	assert_int_equal(path_remove_tree(p->cache, &e), 0);
	p->o = (struct fetch_options){ .cache = p->cache, .repo = "org/name", .revision = "main" };
	assert_int_equal(fetch_cache_open(&p->c, &p->o, COMMIT, &e), 0);
	*state = p;
	return 0;
}

static int place_close(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	fetch_cache_close(&p->c);
	assert_int_equal(path_remove_tree(p->cache, &e), 0);
	free(p->cache);
	free(p);
	return 0;
}

static void a_file_with_the_right_hash_becomes_a_blob_and_a_link(void **state)
{
	struct place *p = *state;
	const struct fetch_file f = { "a.txt", SHA1_OF_HELLO, 6 };
	uint64_t chunk, first, bytes;
	struct fetch_part part;
	struct err e = ERR_INIT;
	char target[128];
	char *path;
	ssize_t n;

	assert_false(fetch_cache_has(&p->c, &f));
	assert_int_equal(fetch_part_open(&part, &p->c, &f, -1, &e), 0);
	assert_int_equal(fetch_part_next(&part, &chunk, &first, &bytes), 1);
	assert_int_equal(bytes, 6);
	assert_int_equal(fetch_part_write(&part, 0, "hello\n", 6, &e), 0);
	assert_int_equal(fetch_part_write(&part, 6, "x", 1, &e), ERR_IO); /* more than told */
	assert_int_equal(fetch_part_chunk_done(&part, chunk, &e), 0);
	assert_int_equal(fetch_part_finish(&part, &e), 1);
	fetch_part_close(&part);
	assert_true(fetch_cache_has(&p->c, &f));
	assert_true(fetch_cache_has_blob(&p->c, &f));
	path = path_join(p->c.snapshot, "a.txt");
	n = readlink(path, target, sizeof(target) - 1);
	assert_true(n > 0);
	target[n] = '\0';
	assert_string_equal(target, "../../blobs/" SHA1_OF_HELLO);
	free(path);
}

static void wrong_bytes_are_thrown_away(void **state)
{
	struct place *p = *state;
	const struct fetch_file f = { "a.txt", SHA1_OF_HELLO, 6 };
	uint64_t chunk, first, bytes;
	struct fetch_part part;
	struct err e = ERR_INIT;

	assert_int_equal(fetch_part_open(&part, &p->c, &f, -1, &e), 0);
	assert_int_equal(fetch_part_next(&part, &chunk, &first, &bytes), 1);
	assert_int_equal(fetch_part_write(&part, 0, "hellO\n", 6, &e), 0);
	assert_int_equal(fetch_part_chunk_done(&part, chunk, &e), 0);
	assert_int_equal(fetch_part_finish(&part, &e), 0);
	assert_int_equal(fetch_part_next(&part, &chunk, &first, &bytes), 1); /* once more */
	assert_false(fetch_cache_has(&p->c, &f));
	fetch_part_close(&part);
}

static void count_up(void *ctx)
{
	atomic_fetch_add((atomic_int *)ctx, 1);
}

static void part_with(struct fetch_part *part, struct place *p, const struct fetch_file *f,
		      const char *text)
{
	uint64_t chunk, first, bytes;
	struct err e = ERR_INIT;

	assert_int_equal(fetch_part_open(part, &p->c, f, -1, &e), 0);
	assert_int_equal(fetch_part_next(part, &chunk, &first, &bytes), 1);
	assert_int_equal(fetch_part_write(part, 0, text, strlen(text), &e), 0);
	assert_int_equal(fetch_part_chunk_done(part, chunk, &e), 0);
	assert_int_equal(fetch_part_ready(part), 1);
}

static void threads_give_files_their_names(void **state)
{
	struct place *p = *state;
	const struct fetch_file good = { "good.txt", SHA1_OF_HELLO, 6 };
	const struct fetch_file bad = { "bad.txt", "ffffffffffffffffffffffffffffffffffffffff", 6 };
	struct fetch_part parts[2];
	struct fetch_settling todo[2] = { { .part = &parts[0] }, { .part = &parts[1] } };
	struct fetch_settler *s;
	struct err e = ERR_INIT;
	atomic_int ended = 0;

	part_with(&parts[0], p, &good, "hello\n");
	part_with(&parts[1], p, &bad, "hello\n");
	assert_int_equal(fetch_settler_new(count_up, &ended, &s, &e), 0);
	fetch_settle(s, &todo[0], 1, false); /* hashed, and nothing ends by that */
	for (size_t i = 0; i < 2; i++)
		fetch_settle(s, &todo[i], 1, true);
	while (atomic_load(&ended) < 2)
		usleep(1000);
	for (size_t i = 0; i < 2; i++)
		assert_non_null(fetch_settled(s));
	assert_null(fetch_settled(s));
	assert_int_equal(todo[0].rc, 1);
	assert_int_equal(todo[1].rc, 0);
	fetch_settler_free(s);
	assert_true(fetch_cache_has(&p->c, &good));
	assert_false(fetch_cache_has(&p->c, &bad));
	assert_int_equal(parts[1].n_done, 0); /* begun anew */
	for (size_t i = 0; i < 2; i++)
		fetch_part_close(&parts[i]);
}

static void finished_ranges_are_remembered(void **state)
{
	struct place *p = *state;
	const struct fetch_file f = { "a.safetensors", ETAG, 3 * FETCH_CHUNK + 5 };
	uint64_t chunk, first, bytes;
	struct fetch_part part;
	struct err e = ERR_INIT;

	assert_int_equal(fetch_part_open(&part, &p->c, &f, -1, &e), 0);
	assert_int_equal(part.n_chunks, 4);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fetch_part_next(&part, &chunk, &first, &bytes), 1);
	assert_int_equal(fetch_part_chunk_done(&part, 1, &e), 0);
	fetch_part_close(&part); /* as a kill would: chunk 0 was asked for, chunk 1 is there */

	assert_int_equal(fetch_part_open(&part, &p->c, &f, -1, &e), 0);
	assert_int_equal(fetch_part_done_bytes(&part), FETCH_CHUNK);
	assert_int_equal(fetch_part_next(&part, &chunk, &first, &bytes), 1);
	assert_int_equal(chunk, 0);
	assert_int_equal(fetch_part_next(&part, &chunk, &first, &bytes), 1);
	assert_int_equal(chunk, 2);
	assert_int_equal(fetch_part_next(&part, &chunk, &first, &bytes), 1);
	assert_int_equal(first, 3 * FETCH_CHUNK);
	assert_int_equal(bytes, 5);
	assert_int_equal(fetch_part_next(&part, &chunk, &first, &bytes), 0);
	/* A file that does not fit its journal is begun anew. */
	assert_int_equal(truncate(part.path, 100), 0);
	fetch_part_close(&part);
	assert_int_equal(fetch_part_open(&part, &p->c, &f, -1, &e), 0);
	assert_int_equal(fetch_part_done_bytes(&part), 0);
	fetch_part_close(&part);
}

static void a_full_disk_is_one_clear_error(void **state)
{
	struct place *p = *state;
	const struct fetch_file f = { "a.safetensors", ETAG, (uint64_t)1 << 44 };
	struct fetch_part part;
	struct err e = ERR_INIT;

	assert_int_equal(fetch_part_open(&part, &p->c, &f, -1, &e), ERR_NOSPACE);
	assert_non_null(strstr(e.msg, "HF_HUB_CACHE"));
}

static void a_lock_is_one_holders(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	int fd, other;

	assert_int_equal(fetch_cache_lock(&p->c, ETAG, false, &fd, &e), 0);
	assert_int_equal(fetch_cache_lock(&p->c, ETAG, false, &other, &e), ERR_BUSY);
	close(fd);
	assert_int_equal(fetch_cache_lock(&p->c, ETAG, true, &fd, &e), 0);
	close(fd);
}

static void refs_have_no_newline(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	char commit[41];
	struct stat st;
	char *path;

	assert_int_equal(fetch_cache_read_ref(&p->o, commit), 0);
	assert_int_equal(fetch_cache_ref(&p->o, COMMIT, &e), 0);
	assert_int_equal(fetch_cache_read_ref(&p->o, commit), 1);
	assert_string_equal(commit, COMMIT);
	path = path_join(p->c.root, "refs/main");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 40);
	free(path);
	p->o.revision = COMMIT;
	assert_int_equal(fetch_cache_ref(&p->o, COMMIT, &e), 0);
	path = path_join(p->c.root, "refs/" COMMIT);
	assert_int_not_equal(access(path, F_OK), 0);
	free(path);
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_open, place_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(safetensors_and_what_describes_them_are_taken),
		cmocka_unit_test(what_is_no_model_is_said),
		cmocka_unit_test(names_that_could_lead_away_are_refused),
		cmocka_unit_test(impossible_sizes_and_hashes_are_refused),
		WITH_PLACE(a_file_with_the_right_hash_becomes_a_blob_and_a_link),
		WITH_PLACE(wrong_bytes_are_thrown_away),
		WITH_PLACE(threads_give_files_their_names),
		WITH_PLACE(finished_ranges_are_remembered),
		WITH_PLACE(a_full_disk_is_one_clear_error),
		WITH_PLACE(a_lock_is_one_holders),
		WITH_PLACE(refs_have_no_newline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
