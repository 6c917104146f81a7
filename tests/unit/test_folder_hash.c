/* The version of a folder: by content, read once, by several threads; or by a look at its files. */
#include "store_helper.h"

#include <sys/stat.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/path.h"
#include "orchestrator/plan/folder_hash.h"
#include "read_bytes.h"

#define FILES 9 /* more than are read at a time */
#define BYTES 70000

static char dir[] = "/tmp/quern-folder-XXXXXX";
static unsigned char content[FILES][BYTES];

static void write_file(const char *folder, int i)
{
	struct err e = ERR_INIT;
	char name[512];

	snprintf(name, sizeof(name), "%s/model-%d.safetensors", folder, i);
	OK(path_write(name, content[i], BYTES - (size_t)i, 0644, &e));
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < FILES; i++) {
		memset(content[i], 'a' + i, BYTES);
		write_file(dir, i);
	}
	return 0;
}

static int teardown(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	return path_remove_tree(dir, &e);
}

static const char *version_of(struct arena *a, const char *folder, enum folder_hash how,
			      struct store *store)
{
	struct err e = ERR_INIT;
	struct source_files files;
	const char *version = NULL;

	OK(source_list(a, folder, &files, &e));
	assert_int_equal(files.n, FILES);
	OK(folder_hash(a, how, store, &files, NULL, &version, &e));
	return version;
}

/* ADR 0007, written down once more. */
static void by_content(void **state)
{
	char hex[SHA256_HEX], line[512];
	struct arena *a = arena_new();
	uint8_t sha[SHA256_LEN];
	struct buf list;

	(void)state;
	buf_init(&list, 1u << 20);
	for (int i = 0; i < FILES; i++) {
		int n;

		sha256_bytes(content[i], BYTES - (size_t)i, sha);
		hex_encode(sha, SHA256_LEN, hex);
		n = snprintf(line, sizeof(line), "model-%d.safetensors%c%d%c%s\n", i, 0, BYTES - i,
			     0, hex);
		buf_add(&list, line, (size_t)n);
	}
	sha256_bytes(list.data, list.len, sha);
	hex_encode(sha, SHA256_LEN, hex);
	assert_string_equal(version_of(a, dir, FOLDER_BY_CONTENT, NULL), hex);
	buf_release(&list);
	arena_free(a);
}

static void what_is_known_is_not_read_again(void **state)
{
	struct store *s = new_store("folder_hash.db");
	struct arena *a = arena_new();
	const char *first = version_of(a, dir, FOLDER_BY_CONTENT, s), *second;
	long long before = read_bytes();

	(void)state;
	second = version_of(a, dir, FOLDER_BY_CONTENT, s);
	assert_string_equal(second, first);
	assert_true(read_bytes() - before < BYTES);
	content[4][7] = 'X';
	write_file(dir, 4);
	before = read_bytes();
	second = version_of(a, dir, FOLDER_BY_CONTENT, s);
	assert_string_not_equal(second, first);
	assert_in_range(read_bytes() - before, BYTES - 4, 2 * BYTES);
	store_close(s);
	arena_free(a);
}

static void by_a_look(void **state)
{
	char copy[] = "/tmp/quern-folder-XXXXXX";
	struct arena *a = arena_new();
	const char *one, *other;
	struct err e = ERR_INIT;
	long long before;

	(void)state;
	assert_non_null(mkdtemp(copy));
	for (int i = 0; i < FILES; i++)
		write_file(copy, i);
	before = read_bytes();
	one = version_of(a, dir, FOLDER_BY_LOOK, NULL);
	other = version_of(a, copy, FOLDER_BY_LOOK, NULL);
	assert_true(read_bytes() - before < BYTES);
	assert_int_equal(strlen(one), 64);
	assert_string_not_equal(one, other);
	assert_string_equal(version_of(a, dir, FOLDER_BY_LOOK, NULL), one);
	write_file(dir, 3);
	assert_string_not_equal(version_of(a, dir, FOLDER_BY_LOOK, NULL), one);
	OK(path_remove_tree(copy, &e));
	arena_free(a);
}

static void a_file_that_is_gone(void **state)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct source_files files;
	const char *version = NULL;

	(void)state;
	OK(source_list(a, dir, &files, &e));
	assert_int_equal(unlink(files.v[5].path), 0);
	assert_int_equal(folder_hash(a, FOLDER_BY_CONTENT, NULL, &files, NULL, &version, &e),
			 ERR_NOTFOUND);
	assert_non_null(strstr(e.msg, "model-5.safetensors"));
	assert_null(version);
	write_file(dir, 5);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_content),
		cmocka_unit_test(what_is_known_is_not_read_again),
		cmocka_unit_test(by_a_look),
		cmocka_unit_test(a_file_that_is_gone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
