/* The batch API of Git LFS: what is asked, and answers of every kind, also hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/mem.h"
#include "upload/base64.h"
#include "upload/http.h"
#include "upload/lfs_batch.h"

#define OID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void make_files(struct hub_file files[2])
{
	memset(files, 0, 2 * sizeof(*files));
	files[0] = (struct hub_file){ .path = "b.bin", .size_bytes = 50, .lfs = 1 };
	files[1] = (struct hub_file){ .path = "a.bin", .size_bytes = 7, .lfs = 1 };
	memset(files[0].sha256, 0xbb, SHA256_LEN);
	memset(files[1].sha256, 0xaa, SHA256_LEN);
}

static int parse(struct arena *a, enum lfs_operation op, const char *text, struct lfs_answer out[2],
		 struct err *e)
{
	struct hub_file files[2];

	make_files(files);
	*e = (struct err)ERR_INIT;
	return lfs_batch_parse(a, op, text, strlen(text), files, 2, out, e);
}

static void a_request_names_every_object(void **state)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct hub_file files[2];
	const struct json *objects;
	struct json *v;
	struct buf b;

	(void)state;
	make_files(files);
	buf_init(&b, 65536);
	lfs_batch_write(&b, LFS_UPLOAD, files, 2);
	assert_int_equal(json_parse(a, buf_str(&b), b.len, &v, &e), 0);
	assert_string_equal(json_str(v, "operation", ""), "upload");
	assert_string_equal(json_str(v, "hash_algo", ""), "sha256");
	assert_int_equal(json_get(v, "transfers")->count, 2);
	objects = json_get(v, "objects");
	assert_int_equal(objects->count, 2);
	assert_string_equal(json_str(objects->members[0].value, "oid", ""), OID_B);
	assert_int_equal(json_int(objects->members[1].value, "size", 0), 7);
	buf_clear(&b);
	lfs_batch_write(&b, LFS_DOWNLOAD, files, 1);
	assert_non_null(strstr(buf_str(&b), "\"transfers\":[\"basic\"]"));
	buf_release(&b);
	arena_free(a);
}

/* In another order, one stored and one to be sent in one piece. */
static void stored_and_basic_are_told_apart(void **state)
{
	static const char text[] =
		"{\"transfer\":\"basic\",\"objects\":[{\"oid\":\"" OID_A "\",\"size\":7},"
		"{\"oid\":\"" OID_B "\",\"size\":50,\"authenticated\":true,\"actions\":{"
		"\"upload\":{\"href\":\"https://s3/x?sig=1\",\"header\":{\"X-Amz\":\"v\"}},"
		"\"verify\":{\"href\":\"/verify\",\"header\":{}}}}]}";
	struct arena *a = arena_new();
	struct lfs_answer out[2];
	struct err e;

	(void)state;
	assert_int_equal(parse(a, LFS_UPLOAD, text, out, &e), 0);
	assert_int_equal(out[0].way, LFS_BASIC);
	assert_string_equal(out[0].upload.href, "https://s3/x?sig=1");
	assert_int_equal(out[0].upload.n_headers, 1);
	assert_string_equal(out[0].upload.headers[0].name, "X-Amz");
	assert_string_equal(out[0].verify.href, "/verify");
	assert_int_equal(out[1].way, LFS_STORED);
	arena_free(a);
}

static void parts_come_in_their_order(void **state)
{
	static const char text[] =
		"{\"objects\":[{\"oid\":\"" OID_A "\",\"size\":7,\"error\":{\"code\":422,"
		"\"message\":\"no\"}},{\"oid\":\"" OID_B "\",\"size\":50,\"actions\":{\"upload\":"
		"{\"href\":\"/done?uploadId=1\",\"header\":{\"00003\":\"u3\",\"chunk_size\":\"20\","
		"\"00001\":\"u1\",\"00002\":\"u2\"}}}}]}";
	struct arena *a = arena_new();
	struct lfs_answer out[2];
	struct err e;

	(void)state;
	assert_int_equal(parse(a, LFS_UPLOAD, text, out, &e), 0);
	assert_int_equal(out[0].way, LFS_MULTIPART);
	assert_int_equal(out[0].chunk_bytes, 20);
	assert_int_equal(out[0].n_parts, 3);
	assert_string_equal(out[0].parts[0], "u1");
	assert_string_equal(out[0].parts[2], "u3");
	assert_string_equal(out[0].upload.href, "/done?uploadId=1");
	assert_int_equal(out[1].way, LFS_REFUSED);
	assert_int_equal(out[1].error_code, 422);
	assert_string_equal(out[1].error, "no");
	arena_free(a);
}

static void a_download_tells_what_is_there(void **state)
{
	static const char text[] =
		"{\"objects\":[{\"oid\":\"" OID_A "\",\"size\":7,\"actions\":{\"download\":{"
		"\"href\":\"/x\"}}},{\"oid\":\"" OID_B "\",\"size\":50,\"error\":{\"code\":404}}]}";
	struct arena *a = arena_new();
	struct lfs_answer out[2];
	struct err e;

	(void)state;
	assert_int_equal(parse(a, LFS_DOWNLOAD, text, out, &e), 0);
	assert_int_equal(out[0].way, LFS_REFUSED);
	assert_int_equal(out[1].way, LFS_STORED);
	assert_string_equal(out[1].download.href, "/x");
	assert_null(out[0].download.href);
	arena_free(a);
}

#define REST ",{\"oid\":\"" OID_A "\",\"size\":7}]}"
#define UPLOAD(action)                                                                             \
	"{\"objects\":[{\"oid\":\"" OID_B "\",\"actions\":{\"upload\":" action "}}" REST

static void answers_that_do_not_fit_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"<html>",
		"[]",
		"{}",
		"{\"objects\":{}}",
		"{\"objects\":[]}",
		"{\"objects\":[{\"oid\":\"" OID_A "\"}]}",
		"{\"objects\":[{\"oid\":\"" OID_A "\"},{\"oid\":\"" OID_A "\"}]}",
		"{\"objects\":[{\"oid\":\"cc\"}" REST,
		"{\"objects\":[7" REST,
		"{\"objects\":[{\"oid\":\"" OID_B "\",\"size\":51}" REST,
		"{\"objects\":[{\"oid\":\"" OID_B "\",\"size\":-50}" REST,
		"{\"objects\":[{\"oid\":\"" OID_B "\",\"size\":\"50\"}" REST,
		UPLOAD("{}"),
		UPLOAD("{\"href\":7}"),
		UPLOAD("{\"href\":\"\"}"),
		UPLOAD("{\"href\":\"a\\nb\"}"),
		UPLOAD("{\"href\":\"a\",\"header\":[1]}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"a b\":\"c\"}}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"a\":\"c\\r\\nEvil: 1\"}}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"a\":5}}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"chunk_size\":\"0\",\"1\":\"u\"}}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"chunk_size\":\"-1\",\"1\":\"u\"}}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"chunk_size\":\"1\",\"1\":\"u\"}}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"chunk_size\":\"25\",\"1\":\"u\",\"01\":\"v\"}"
		       "}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"chunk_size\":\"25\",\"1\":\"u\",\"3\":\"v\"}"
		       "}"),
		UPLOAD("{\"href\":\"a\",\"header\":{\"chunk_size\":\"25\",\"1\":\"u\",\"2\":2}}"),
		UPLOAD("{\"header\":{\"chunk_size\":\"25\",\"1\":\"u\",\"2\":\"v\"}}"),
	};
	struct arena *a = arena_new();
	struct lfs_answer out[2];
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (parse(a, LFS_UPLOAD, texts[i], out, &e) != ERR_IO)
			fail_msg("answer %zu is taken: %s", i, texts[i]);
		assert_non_null(strstr(e.msg, "answer cannot be used"));
	}
	arena_free(a);
}

static void bodies_are_what_the_hub_reads(void **state)
{
	static const char *const etags[] = { "\"one\"", "\"two\"" };
	struct hub_file files[2];
	struct buf b;

	(void)state;
	make_files(files);
	buf_init(&b, 65536);
	lfs_complete_write(&b, &files[1], etags, 2);
	assert_string_equal(buf_str(&b),
			    "{\"oid\":\"" OID_A "\",\"parts\":[{\"partNumber\":1,\"etag\":"
			    "\"\\\"one\\\"\"},{\"partNumber\":2,\"etag\":\"\\\"two\\\"\"}]}");
	buf_clear(&b);
	lfs_verify_write(&b, &files[1]);
	assert_string_equal(buf_str(&b), "{\"oid\":\"" OID_A "\",\"size\":7}");
	buf_release(&b);
}

/* RFC 4648 section 10. */
static void base64_is_that_of_the_rfc(void **state)
{
	static const char *const pairs[][2] = { { "", "" },
						{ "f", "Zg==" },
						{ "fo", "Zm8=" },
						{ "foo", "Zm9v" },
						{ "foob", "Zm9vYg==" },
						{ "fooba", "Zm9vYmE=" },
						{ "foobar", "Zm9vYmFy" } };
	char large[10000];
	struct buf b, parts;

	(void)state;
	buf_init(&b, 65536);
	buf_init(&parts, 65536);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		buf_clear(&b);
		assert_int_equal(base64_add(&b, pairs[i][0], strlen(pairs[i][0])), 0);
		assert_string_equal(buf_str(&b), pairs[i][1]);
	}
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)(i * 7);
	buf_clear(&b);
	assert_int_equal(base64_add(&b, large, sizeof(large)), 0);
	for (size_t i = 0; i < sizeof(large); i += 300)
		assert_int_equal(base64_add(&parts, large + i,
					    sizeof(large) - i < 300 ? sizeof(large) - i : 300),
				 0);
	assert_string_equal(buf_str(&b), buf_str(&parts));
	assert_int_equal(b.len, (sizeof(large) + 2) / 3 * 4);
	buf_release(&parts);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_names_every_object),
		cmocka_unit_test(stored_and_basic_are_told_apart),
		cmocka_unit_test(parts_come_in_their_order),
		cmocka_unit_test(a_download_tells_what_is_there),
		cmocka_unit_test(answers_that_do_not_fit_are_refused),
		cmocka_unit_test(bodies_are_what_the_hub_reads),
		cmocka_unit_test(base64_is_that_of_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
