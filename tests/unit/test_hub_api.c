/* The JSON of the Hub's API and the NDJSON of its commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/scratch.h"
#include "upload/commit_body.h"
#include "upload/hub_api.h"

#define SHA "0123456789abcdef0123456789abcdef01234567"
#define OID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void a_head_is_a_commit_or_none(void **state)
{
	char head[HUB_BLOB_ID] = "x";
	struct err e = ERR_INIT;
	bool is_private = false;
	const char *good = "{\"sha\":\"" SHA "\",\"private\":true}";
	const char *empty = "{\"sha\":null}", *bad = "{\"sha\":\"../../etc\"}";

	(void)state;
	assert_int_equal(hub_api_head(good, strlen(good), head, &is_private, &e), 0);
	assert_string_equal(head, SHA);
	assert_true(is_private);
	assert_int_equal(hub_api_head(empty, strlen(empty), head, &is_private, &e), 0);
	assert_string_equal(head, "");
	assert_false(is_private);
	assert_int_equal(hub_api_head(bad, strlen(bad), head, &is_private, &e), ERR_IO);
	assert_int_equal(hub_api_head("<html>", 6, head, &is_private, &e), ERR_IO);
}

static void a_tree_lists_plain_and_lfs_files(void **state)
{
	static const char text[] =
		"[{\"type\":\"directory\",\"path\":\"d\",\"oid\":\"" SHA "\",\"size\":0},"
		"{\"type\":\"file\",\"path\":\"d/a.txt\",\"oid\":\"" SHA "\",\"size\":3},"
		"{\"type\":\"file\",\"path\":\"b.bin\",\"oid\":\"" SHA "\",\"size\":9,\"lfs\":"
		"{\"oid\":\"" OID "\",\"size\":9,\"pointerSize\":127}},"
		"{\"type\":\"file\",\"path\":\"../evil\",\"oid\":\"" SHA "\",\"size\":3},"
		"{\"type\":\"file\",\"path\":\".git/config\",\"oid\":\"" SHA "\",\"size\":3}]";
	struct hub_api_files files = { 0 };
	struct arena *a = arena_new();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(hub_api_tree(a, text, strlen(text), &files, &e), 0);
	assert_int_equal(files.n, 2);
	assert_string_equal(files.v[0].path, "d/a.txt");
	assert_string_equal(files.v[0].blob, SHA);
	assert_int_equal(files.v[0].lfs, 0);
	assert_null(files.v[1].blob);
	assert_int_equal(files.v[1].lfs, 1);
	assert_int_equal(files.v[1].sha256[0], 0xaa);
	free(files.v);
	arena_free(a);
}

static void a_tree_that_is_none_is_refused(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[",
		"{\"error\":\"x\"}",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"zz\",\"size\":3}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" SHA "\",\"size\":-3}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" SHA "\",\"size\":1.5}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" SHA "\",\"size\":1,\"lfs\":{}}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" SHA "\",\"size\":1,\"lfs\":"
		"{\"oid\":\"" OID "\",\"size\":-1}}]",
	};
	struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct hub_api_files files = { 0 };
		struct err e = ERR_INIT;

		assert_int_equal(hub_api_tree(a, texts[i], strlen(texts[i]), &files, &e), ERR_IO);
		free(files.v);
	}
	arena_free(a);
}

static void preupload_sets_how_files_go(void **state)
{
	static const char text[] =
		"{\"files\":[{\"path\":\"b\",\"uploadMode\":\"lfs\",\"shouldIgnore\":false},"
		"{\"path\":\"a\",\"uploadMode\":\"regular\",\"shouldIgnore\":true},"
		"{\"path\":\"empty\",\"uploadMode\":\"lfs\",\"shouldIgnore\":false}]}";
	static const char half[] = "{\"files\":[{\"path\":\"a\",\"uploadMode\":\"regular\"}]}";
	static const char odd[] = "{\"files\":[{\"path\":\"a\",\"uploadMode\":\"magic\"}]}";
	struct hub_file files[3] = { { .path = "a", .size_bytes = 5 },
				     { .path = "b", .size_bytes = 5 },
				     { .path = "empty" } };
	struct hub_api_sample samples[3] = { { .bytes = "hello", .n = 5 }, { .n = 0 }, { .n = 0 } };
	bool ignored[3] = { false };
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	hub_api_preupload_write(&b, files, samples, 1);
	assert_string_equal(buf_str(&b),
			    "{\"files\":[{\"path\":\"a\",\"size\":5,\"sample\":\"aGVsbG8=\"}]}");
	assert_int_equal(hub_api_preupload(a, text, strlen(text), files, 3, ignored, &e), 0);
	assert_int_equal(files[0].lfs, 0);
	assert_true(ignored[0]);
	assert_int_equal(files[1].lfs, 1);
	assert_false(ignored[1]);
	assert_int_equal(files[2].lfs, 0);
	assert_int_equal(hub_api_preupload(a, half, strlen(half), files, 2, ignored, &e), ERR_IO);
	assert_int_equal(hub_api_preupload(a, odd, strlen(odd), files, 1, ignored, &e), ERR_IO);
	buf_release(&b);
	arena_free(a);
}

static void a_card_with_errors_is_refused_in_the_hubs_words(void **state)
{
	static const char good[] = "{\"errors\":[],\"warnings\":[{\"message\":\"w\"}]}";
	static const char bad[] = "{\"errors\":[{\"message\":\"license is \\u001b[31mred\"}]}";
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(hub_api_card(good, strlen(good), &e), 0);
	assert_int_equal(hub_api_card(bad, strlen(bad), &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "license is"));
	assert_null(strchr(e.msg, 27));
}

static void a_commit_has_an_id(void **state)
{
	static const char good[] = "{\"success\":true,\"commitOid\":\"" SHA
				   "\",\"pullRequestUrl\":\"https://h/r/discussions/3\"}";
	char id[HUB_BLOB_ID];
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	const char *pull = NULL;

	(void)state;
	assert_int_equal(hub_api_commit(a, good, strlen(good), id, &pull, &e), 0);
	assert_string_equal(id, SHA);
	assert_string_equal(pull, "https://h/r/discussions/3");
	assert_int_equal(hub_api_commit(a, "{}", 2, id, &pull, &e), ERR_IO);
	arena_free(a);
}

/* ---- NDJSON */

static char *body_of(const struct hub_commit *c, int *rc, struct err *e)
{
	int fd = scratch_open(".", e);
	uint64_t size = 0;
	char *text = NULL;

	assert_true(fd >= 0);
	*rc = commit_body_write(fd, c, &size, e);
	if (*rc >= 0) {
		text = mem_zalloc(size + 1);
		assert_int_equal(pread(fd, text, size, 0), size);
	}
	close(fd);
	return text;
}

static void a_commit_is_a_line_for_each_change(void **state)
{
	static const char *const gone[] = { "old \"x\".bin" };
	struct hub_file files[2] = { { .path = "a.txt", .data = "hi", .size_bytes = 2 },
				     { .path = "m.gguf", .size_bytes = 123, .lfs = 1 } };
	struct hub_commit c = { .parent = SHA,
				.message = "Publish\n\nadd a\nadd b\n",
				.files = files,
				.n = 2,
				.gone = gone,
				.n_gone = 1 };
	struct err e = ERR_INIT;
	char *text;
	int rc;

	(void)state;
	sha256_bytes("hi", 2, files[0].sha256);
	memset(files[1].sha256, 0xaa, SHA256_LEN);
	text = body_of(&c, &rc, &e);
	assert_int_equal(rc, 0);
	assert_string_equal(text,
			    "{\"key\":\"header\",\"value\":{\"summary\":\"Publish\","
			    "\"description\":\"add a\\nadd "
			    "b\",\"parentCommit\":\"" SHA "\"}}\n"
			    "{\"key\":\"deletedFile\",\"value\":{\"path\":\"old \\\"x\\\".bin\"}}\n"
			    "{\"key\":\"file\",\"value\":{\"path\":\"a.txt\",\"encoding\":"
			    "\"base64\",\"content\":"
			    "\"aGk=\"}}\n"
			    "{\"key\":\"lfsFile\",\"value\":{\"path\":\"m.gguf\",\"algo\":"
			    "\"sha256\",\"oid\":\"" OID "\",\"size\":123}}\n");
	free(text);
	c.parent = "";
	text = body_of(&c, &rc, &e);
	assert_null(strstr(text, "parentCommit"));
	free(text);
}

/* Longer than a piece, from a file: it reads back as JSON whose content has the right length. */
static void contents_of_files_are_streamed(void **state)
{
	enum { N = 200001 };
	struct arena *a = arena_new();
	char *data = arena_alloc(a, N), *text, *line;
	struct hub_file f = { .path = "a.txt", .local = "large.txt", .size_bytes = N };
	struct hub_commit c = { .parent = "", .message = "x", .files = &f, .n = 1 };
	struct err e = ERR_INIT;
	struct json *v;
	int rc;

	(void)state;
	for (size_t i = 0; i < N; i++)
		data[i] = (char)(i % 251);
	assert_int_equal(path_write("large.txt", data, N, 0644, &e), 0);
	sha256_bytes(data, N, f.sha256);
	text = body_of(&c, &rc, &e);
	assert_int_equal(rc, 0);
	line = strchr(text, '\n') + 1;
	assert_int_equal(json_parse(a, line, strlen(line), &v, &e), 0);
	assert_int_equal(json_get(json_get(v, "value"), "content")->len, (N + 2) / 3 * 4);
	free(text);
	f.size_bytes = N + 1;
	text = body_of(&c, &rc, &e);
	assert_int_equal(rc, ERR_CORRUPT);
	assert_null(text);
	f.size_bytes = N;
	f.sha256[0] ^= 1;
	text = body_of(&c, &rc, &e);
	assert_int_equal(rc, ERR_CORRUPT);
	assert_null(text);
	unlink("large.txt");
	arena_free(a);
}

static void names_that_no_repository_takes_are_refused(void **state)
{
	static const char *const gone[] = { "../x" };
	struct hub_file f = { .path = ".git/config", .data = "", .size_bytes = 0 };
	struct hub_commit bad_file = { .parent = "", .message = "x", .files = &f, .n = 1 };
	struct hub_commit bad_gone = { .parent = "", .message = "x", .gone = gone, .n_gone = 1 };
	struct err e = ERR_INIT;
	int rc;

	(void)state;
	assert_null(body_of(&bad_file, &rc, &e));
	assert_int_equal(rc, ERR_INVALID);
	assert_null(body_of(&bad_gone, &rc, &e));
	assert_int_equal(rc, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_a_commit_or_none),
		cmocka_unit_test(a_tree_lists_plain_and_lfs_files),
		cmocka_unit_test(a_tree_that_is_none_is_refused),
		cmocka_unit_test(preupload_sets_how_files_go),
		cmocka_unit_test(a_card_with_errors_is_refused_in_the_hubs_words),
		cmocka_unit_test(a_commit_has_an_id),
		cmocka_unit_test(a_commit_is_a_line_for_each_change),
		cmocka_unit_test(contents_of_files_are_streamed),
		cmocka_unit_test(names_that_no_repository_takes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
