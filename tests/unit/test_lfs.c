/* Pointers, places of objects, .gitattributes; names of repositories and files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "upload/hub.h"
#include "upload/lfs.h"

#define OID "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
#define POINTER                                                                                    \
	"version https://git-lfs.github.com/spec/v1\n"                                             \
	"oid sha256:" OID "\nsize 12345\n"

static void pointer_is_the_one_of_the_specification(void **state)
{
	uint8_t sha256[SHA256_LEN], back[SHA256_LEN];
	uint64_t size = 0;
	struct buf b;

	(void)state;
	assert_int_equal(hex_decode(OID, sha256, SHA256_LEN), 0);
	buf_init(&b, 1024);
	lfs_pointer_write(&b, sha256, 12345);
	assert_string_equal(buf_str(&b), POINTER);
	assert_int_equal(lfs_pointer_parse(buf_str(&b), b.len, back, &size), 1);
	assert_memory_equal(sha256, back, SHA256_LEN);
	assert_int_equal(size, 12345);
	buf_release(&b);
}

static void what_is_no_pointer_is_a_file(void **state)
{
	static const char *const bad[] = {
		"",
		"version https://git-lfs.github.com/spec/v1\n",
		"version https://git-lfs.github.com/spec/v1\noid sha256:" OID "\n",
		"version https://git-lfs.github.com/spec/v1\noid sha256:" OID "\nsize 12",
		"version https://git-lfs.github.com/spec/v1\noid sha256:" OID "\nsize 012\n",
		"version https://git-lfs.github.com/spec/v1\noid sha256:" OID "\nsize -1\n",
		"version https://git-lfs.github.com/spec/v1\noid sha256:" OID "\nsize \n",
		"version https://git-lfs.github.com/spec/v1\noid sha256:" OID
		"\nsize 99999999999999999999999\n",
		"version https://git-lfs.github.com/spec/v1\noid sha1:" OID "\nsize 12\n",
		"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n",
		"version https://git-lfs.github.com/spec/v1\noid sha256:"
		"4D7A214614AB2935C943F9E0FF69D22EADBB8F32B1258DAAA5E2CA24D17E2393\nsize 12\n",
		POINTER "more\n",
		"x" POINTER,
		"version https://git-lfs.github.com/spec/v1\next-0-foo sha256:1",
	};
	uint8_t sha256[SHA256_LEN];
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(lfs_pointer_parse(bad[i], strlen(bad[i]), sha256, &size), 0);
}

static void extension_lines_are_allowed(void **state)
{
	static const char text[] = "version https://git-lfs.github.com/spec/v1\n"
				   "ext-0-foo sha256:" OID "\noid sha256:" OID "\nsize 7\n";
	uint8_t sha256[SHA256_LEN];
	uint64_t size = 0;

	(void)state;
	assert_int_equal(lfs_pointer_parse(text, sizeof(text) - 1, sha256, &size), 1);
	assert_int_equal(size, 7);
}

static void binary_types_and_large_files_are_lfs(void **state)
{
	(void)state;
	assert_int_equal(lfs_wanted("a.gguf", 1), 1);
	assert_int_equal(lfs_wanted("dir/model.safetensors", 1), 1);
	assert_int_equal(lfs_wanted("x.rkllm", 1), 1);
	assert_int_equal(lfs_wanted("a.gguf", 0), 0);
	assert_int_equal(lfs_wanted("a.gguf/readme.txt", 5), 0);
	assert_int_equal(lfs_wanted("config.json", LFS_MIN_BYTES - 1), 0);
	assert_int_equal(lfs_wanted("config.json", LFS_MIN_BYTES), 1);
}

static void objects_lie_where_git_lfs_looks(void **state)
{
	struct arena *a = arena_new();
	uint8_t sha256[SHA256_LEN];

	(void)state;
	assert_int_equal(hex_decode(OID, sha256, SHA256_LEN), 0);
	assert_string_equal(lfs_object_path(a, sha256), "4d/7a/" OID);
	arena_free(a);
}

static void attributes_grow_and_keep_what_is_there(void **state)
{
	static const char *const paths[] = { "a.gguf", "big file.txt", "x[1]*?\"\\.txt", "plain" };
	struct buf one, two;

	(void)state;
	buf_init(&one, 65536);
	buf_init(&two, 65536);
	lfs_attributes(&one, "# mine\n*.txt text", paths, ARRAY_LEN(paths));
	assert_true(strncmp(buf_str(&one), "# mine\n*.txt text\n", 18) == 0);
	assert_non_null(strstr(buf_str(&one), "*.gguf filter=lfs diff=lfs merge=lfs -text\n"));
	assert_non_null(strstr(buf_str(&one), "\"/big file.txt\" filter=lfs"));
	assert_non_null(
		strstr(buf_str(&one), "\"/x\\\\[1]\\\\*\\\\?\\\"\\\\\\\\.txt\" filter=lfs"));
	assert_non_null(strstr(buf_str(&one), "\n/plain filter=lfs"));
	assert_null(strstr(buf_str(&one), "/a.gguf"));
	lfs_attributes(&two, buf_str(&one), paths, ARRAY_LEN(paths));
	assert_string_equal(buf_str(&one), buf_str(&two));
	buf_release(&one);
	buf_release(&two);
}

static void hostile_repositories_are_refused(void **state)
{
	static const char *const good[] = { "a/b", "my-org/Qwen2.5-0.5B_x", "local/m", "_a/_b" };
	static const char *const bad[] = {
		"",	  "a",	   "/a",    "a/",     "a/b/c",	 "../a",    "a/..",
		"a/../b", ".a/b",  "a/.b",  "a/-b",   "a/b.git", "a/b.GIT", "a/b.lock",
		"a/b.",	  "a/b c", "a/b\n", "a/b\\c", "a//b",	 "a..b/c",  "a/\xc3\xa9",
	};
	struct err e = ERR_INIT;
	char longer[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(hub_repo_check(good[i], &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(hub_repo_check(bad[i], &e), ERR_INVALID);
	memset(longer, 'x', sizeof(longer));
	longer[1] = '/';
	longer[96] = '\0';
	assert_int_equal(hub_repo_check(longer, &e), 0);
	longer[96] = 'x';
	longer[97] = '\0';
	assert_int_equal(hub_repo_check(longer, &e), ERR_INVALID);
}

static void hostile_paths_are_refused(void **state)
{
	static const char *const good[] = { "a", "a/b", ".gitattributes", "a.git", "x y" };
	static const char *const bad[] = {
		"",	 "/a",	    "../a", "a/../b", ".git",	  ".GIT/x", "a/.Git",	  ".git.",
		".git ", "git~1/x", "a\\b", "a//b",   ".cache/x", "a\nb",   ".gitmodules"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(hub_path_ok(good[i]), 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(hub_path_ok(bad[i]), 0);
}

static void hubs_are_chosen_by_name(void **state)
{
	const struct hub_options options = { .work = "/nowhere" };
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct hub *h = NULL;

	(void)state;
	assert_int_equal(hub_open("local", &options, &h, &e), 0);
	assert_string_equal(h->ops->kind, "local");
	hub_close(h);
	assert_int_equal(hub_open("https://huggingface.co", &options, &h, &e), 0);
	assert_string_equal(h->ops->kind, "http");
	assert_string_equal(h->ops->url(h, "ns/r", a), "https://huggingface.co/ns/r");
	hub_close(h);
	assert_int_equal(hub_open("git+https://host/x", &options, &h, &e), 0);
	assert_string_equal(h->ops->kind, "git");
	assert_string_equal(h->ops->url(h, "ns/r", a), "https://host/x/ns/r.git");
	hub_close(h);
	assert_int_equal(hub_open("git+ssh://host/x", &options, &h, &e), ERR_INVALID);
	assert_int_equal(hub_open("lokal", &options, &h, &e), ERR_INVALID);
	assert_int_equal(hub_local_open("relative", &h, &e), ERR_INVALID);
	arena_free(a);
}

/* A mirror is where HF_ENDPOINT says, and nothing else moves. */
static void the_endpoint_of_the_environment_is_obeyed(void **state)
{
	const struct hub_options options = { .work = "/nowhere" };
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct hub *h = NULL;

	(void)state;
	setenv("HF_ENDPOINT", "http://mirror:1/", 1);
	assert_int_equal(hub_open("https://huggingface.co/", &options, &h, &e), 0);
	assert_string_equal(h->ops->url(h, "ns/r", a), "http://mirror:1/ns/r");
	hub_close(h);
	assert_int_equal(hub_open("https://hub.example", &options, &h, &e), 0);
	assert_string_equal(h->ops->url(h, "ns/r", a), "https://hub.example/ns/r");
	hub_close(h);
	unsetenv("HF_ENDPOINT");
	arena_free(a);
}

static void a_missing_token_is_known_before_work_begins(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(hub_check_token("local", &e), 0);
	assert_int_equal(hub_check_token("https://huggingface.co", &e), ERR_ENV);
	assert_non_null(strstr(e.msg, "hf auth login"));
	assert_int_equal(hub_check_token("git+https://host/x", &e), ERR_ENV);
	assert_non_null(strstr(e.msg, "QUERN_GIT_TOKEN"));
	setenv("HF_TOKEN", "hf_x", 1);
	assert_int_equal(hub_check_token("https://huggingface.co", &e), 0);
	assert_int_equal(hub_check_token("git+https://huggingface.co", &e), 0);
	assert_int_equal(hub_check_token("git+https://host/x", &e), ERR_ENV);
	setenv("QUERN_GIT_TOKEN", "t", 1);
	assert_int_equal(hub_check_token("git+https://host/x", &e), 0);
	setenv("HF_HUB_OFFLINE", "1", 1);
	assert_int_equal(hub_check_token("https://huggingface.co", &e), ERR_ENV);
	assert_non_null(strstr(e.msg, "HF_HUB_OFFLINE"));
	unsetenv("HF_HUB_OFFLINE");
	unsetenv("QUERN_GIT_TOKEN");
	unsetenv("HF_TOKEN");
}

/* Nothing of whoever runs the test. */
static void clear_environment(void)
{
	static const char *const names[] = { "HF_ENDPOINT",    "HF_TOKEN",
					     "HF_TOKEN_PATH",  "HUGGING_FACE_HUB_TOKEN",
					     "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
					     "QUERN_GIT_TOKEN" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	setenv("HF_HOME", "/nonexistent", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointer_is_the_one_of_the_specification),
		cmocka_unit_test(what_is_no_pointer_is_a_file),
		cmocka_unit_test(extension_lines_are_allowed),
		cmocka_unit_test(binary_types_and_large_files_are_lfs),
		cmocka_unit_test(objects_lie_where_git_lfs_looks),
		cmocka_unit_test(attributes_grow_and_keep_what_is_there),
		cmocka_unit_test(hostile_repositories_are_refused),
		cmocka_unit_test(hostile_paths_are_refused),
		cmocka_unit_test(hubs_are_chosen_by_name),
		cmocka_unit_test(the_endpoint_of_the_environment_is_obeyed),
		cmocka_unit_test(a_missing_token_is_known_before_work_begins),
	};

	clear_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
