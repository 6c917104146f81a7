/* Headers and folders of safetensors: each rule is broken once, and the sentence must name what is
 * wrong; a model that keeps them all is read in full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/safetensors.h"

#define A(bytes) "\"a\":{\"dtype\":\"U8\",\"shape\":[" #bytes "],\"data_offsets\":[0," #bytes "]}"

static int setup(void **state)
{
	struct err e = ERR_INIT;

	*state = arena_new();
	return path_remove_tree("m", &e) < 0 || path_mkdirs("m", 0755, &e) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static void put(const char *name, const void *data, size_t len)
{
	struct err e = ERR_INIT;
	char *path = path_join("m", name);

	if (path_write(path, data, len, 0644, &e) < 0)
		fail_msg("%s", e.msg);
	free(path);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

/* A file of this header and as many zero bytes. */
static void put_tensors(const char *name, const char *header, size_t data_bytes)
{
	char *zeros = mem_zalloc(data_bytes + 1);
	uint64_t n = strlen(header);
	struct buf b;

	buf_init(&b, SIZE_MAX);
	for (int i = 0; i < 8; i++)
		(void)buf_addc(&b, (char)(n >> (8 * i)));
	(void)buf_adds(&b, header);
	(void)buf_add(&b, zeros, data_bytes);
	put(name, b.data, b.len);
	buf_release(&b);
	free(zeros);
}

static void test_header(void **state)
{
	static const char header[] =
		"{\"__metadata__\":{\"format\":\"pt\"},"
		"\"late\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
		"\"scalar\":{\"shape\":[],\"dtype\":\"F64\",\"data_offsets\":[0,8]},"
		"\"none\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[20,20]},"
		"\"half\":{\"dtype\":\"F4\",\"shape\":[2,3],\"data_offsets\":[20,23]}}   ";
	const uint64_t start = 8 + sizeof(header) - 1;
	struct err e = ERR_INIT;
	struct st_header h;

	if (st_parse_header(*state, header, sizeof(header) - 1, start + 23, &h, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(h.count, 4);
	assert_int_equal(h.data_offset, start);
	assert_string_equal(h.tensors[0].name, "scalar");
	assert_int_equal(h.tensors[0].n_dims, 0);
	assert_int_equal(h.tensors[0].n_elements, 1);
	assert_int_equal(h.tensors[0].offset, start);
	assert_string_equal(h.tensors[1].name, "late");
	assert_int_equal(h.tensors[1].dtype, ST_BF16);
	assert_string_equal(h.tensors[1].dtype_name, "BF16");
	assert_int_equal(h.tensors[1].shape[0], 2);
	assert_int_equal(h.tensors[1].shape[1], 3);
	assert_int_equal(h.tensors[1].offset, start + 8);
	assert_int_equal(h.tensors[1].size_bytes, 12);
	assert_string_equal(h.tensors[2].name, "none");
	assert_string_equal(h.tensors[3].name, "half");
	assert_int_equal(h.tensors[3].dtype, ST_OTHER);
}

#define ENTRY(dtype, shape, offsets)                                                               \
	"{\"t\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_refused_headers(void **state)
{
	static const struct {
		const char *header;
		size_t data_bytes;
		const char *error; /* part of the sentence */
	} cases[] = {
		{ "", 0, "does not begin with '{'" },
		{ " {}", 0, "does not begin with '{'" },
		{ "[]", 0, "does not begin with '{'" },
		{ "{", 0, "no valid JSON: 1:2" },
		{ "{" A(1) "," A(1) "}", 1, "has the key \"a\" twice" },
		{ "{\"__metadata__\":[]}", 0, "\"__metadata__\" is no object" },
		{ "{\"__metadata__\":{\"n\":1}}", 0, "the value of \"n\" is no string" },
		{ "{\"\":{}}", 0, "tensor name \"\"" },
		{ "{\"x\\u001b[2J\":{}}", 0, "tensor name \"x\\x1b[2J\"" },
		{ "{\"t\":[]}", 0, "tensor \"t\": its entry is no object" },
		{ "{\"t\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "\"dtype\" is missing" },
		{ ENTRY("Q4", "[1]", "[0,1]"), 1, "unknown dtype \"Q4\"" },
		{ ENTRY("U8", "1", "[0,1]"), 1, "\"shape\" is missing or no array" },
		{ ENTRY("U8", "[-1]", "[0,1]"), 1, "dimension 0 of \"shape\"" },
		{ ENTRY("U8", "[1,1.0]", "[0,1]"), 1, "dimension 1 of \"shape\"" },
		{ ENTRY("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "9 dimensions" },
		{ ENTRY("U8", "[4294967296,4294967296]", "[0,0]"), 0, "fit in 64 bits" },
		{ ENTRY("F64", "[1152921504606846976]", "[0,0]"), 0, "in bits does not fit" },
		{ ENTRY("F4", "[3]", "[0,2]"), 2, "no whole bytes" },
		{ ENTRY("U8", "[1]", "[0,1,1]"), 1, "not [begin, end]" },
		{ ENTRY("U8", "[1000]", "[0,1e3]"), 1000, "two whole numbers" },
		{ ENTRY("U8", "[1]", "[-1,0]"), 1, "two whole numbers" },
		{ ENTRY("U8", "[0]", "[5,2]"), 5, "end (2) before they begin (5)" },
		{ ENTRY("F32", "[2,3]", "[0,20]"), 20,
		  "need 24 bytes, \"data_offsets\" give it 20" },
		{ ENTRY("U8", "[1]", "[1,2]"), 2, "begins at 1 of the data" },
		{ ENTRY("U8", "[9]", "[0,9]"), 8, "the file is cut short: tensor \"t\" ends at 9" },
		{ ENTRY("U8", "[9]", "[0,9]"), 10, "1 bytes behind the last tensor" },
		{ "{" A(2) ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3,
		  "tensor \"b\" begins at 1 of the data, but the one before it ends at 2 (they "
		  "overlap)" },
		{ "{" A(2) ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}", 5,
		  "(a hole)" },
		{ "{}", 1, "1 bytes behind the last tensor" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = strlen(cases[i].header);
		struct st_header h = { .count = 77 };
		struct err e = ERR_INIT;

		assert_int_equal(st_parse_header(*state, cases[i].header, n,
						 8 + n + cases[i].data_bytes, &h, &e),
				 ERR_INVALID);
		assert_int_equal(h.count, 77);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("%s gives \"%s\", without \"%s\"", cases[i].header, e.msg,
				 cases[i].error);
	}
}

static void test_refused_files(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *error;
	} cases[] = {
		{ "", 0, "too few" },
		{ "\x02\0\0\0\0\0\0", 7, "too few" },
		{ "\x03\0\0\0\0\0\0\0{}", 10, "the header claims 3 bytes" },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "claims 18446744073709551615 bytes" },
		{ "\x01\xe1\xf5\x05\0\0\0\0{}", 10, "claims 100000001 bytes" },
	};
	struct st_header h;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		put("f", cases[i].bytes, cases[i].len);
		assert_int_equal(st_read_header(*state, "m/f", &h, &e), ERR_INVALID);
		assert_memory_equal(e.msg, "m/f: ", 5);
		assert_non_null(strstr(e.msg, cases[i].error));
	}
	assert_int_equal(st_read_header(*state, "m/none", &h, &e), ERR_NOTFOUND);
	assert_int_equal(st_read_header(*state, "m", &h, &e), ERR_INVALID);
	assert_int_equal(mkfifo("m/pipe", 0600), 0);
	assert_int_equal(st_read_header(*state, "m/pipe", &h, &e), ERR_INVALID);
}

/* ----------------------------------------------------------------- folders */

#define ONE(name) "{\"" name "\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}"
#define INDEX "model.safetensors.index.json"
#define S1 "model-00001-of-00002.safetensors"
#define S2 "model-00002-of-00002.safetensors"

static void assert_refused(struct arena *a, int code, const char *part)
{
	struct err e = ERR_INIT;
	struct st_model m = { .n_files = 77 };

	if (st_open_model(a, "m", &m, &e) != code || !strstr(e.msg, part))
		fail_msg("%d \"%s\", without \"%s\"", e.code, e.msg, part);
	assert_int_equal(m.n_files, 77);
}

static void test_shards(void **state)
{
	struct err e = ERR_INIT;
	const struct st_tensor *t;
	struct st_model m;

	put_tensors(S1, ONE("z"), 4);
	put_tensors(S2, ONE("a"), 4);
	put_tensors("consolidated.safetensors", ONE("a"), 4);
	for (int with_index = 0; with_index < 2; with_index++) {
		if (with_index)
			put_text(INDEX, "{\"weight_map\":{\"z\":\"" S1 "\",\"a\":\"" S2 "\"}}");
		if (st_open_model(*state, "m", &m, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(m.n_files, 2);
		assert_int_equal(m.n_tensors, 2);
		assert_int_equal(m.total_bytes, 8);
		assert_string_equal(m.tensors[0].name, "a");
		t = st_find(&m, "z");
		assert_non_null(t);
		assert_string_equal(m.files[t->file].name, S1);
		assert_string_equal(m.files[t->file].path, "m/" S1);
		assert_int_equal(m.files[t->file].size_bytes, t->offset + t->size_bytes);
		assert_null(st_find(&m, "b"));
	}
}

static void test_single(void **state)
{
	struct err e = ERR_INIT;
	struct st_model m;

	assert_refused(*state, ERR_NOTFOUND, "no model.safetensors");
	put_tensors("consolidated.safetensors", ONE("a"), 4);
	assert_refused(*state, ERR_NOTFOUND, "under other names");
	put_tensors("model.safetensors", ONE("a"), 4);
	assert_int_equal(st_open_model(*state, "m", &m, &e), 0);
	assert_int_equal(m.n_files, 1);
	assert_string_equal(m.files[0].name, "model.safetensors");
	assert_int_equal(st_open_model(*state, "none", &m, &e), ERR_NOTFOUND);
}

static void test_incomplete(void **state)
{
	put_tensors(S2, ONE("a"), 4);
	assert_refused(*state, ERR_INVALID, "only 1 of 2 parts");
	put_tensors("model-00001-of-00003.safetensors", ONE("b"), 4);
	assert_refused(*state, ERR_INVALID, "parts of two models");
	put_text(INDEX, "{\"weight_map\":{\"z\":\"" S1 "\",\"a\":\"" S2 "\"}}");
	assert_refused(*state, ERR_INVALID, "m/" S1 ": missing");
	put_tensors(S1, ONE("z"), 3);
	assert_refused(*state, ERR_INVALID, "m/" S1 ": the file is cut short");
}

static void test_bad_index(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "{", INDEX ": 1:2: the text ends" },
		{ "{}", "\"weight_map\" is missing" },
		{ "{\"weight_map\":{}}", "\"weight_map\" is missing, empty" },
		{ "{\"weight_map\":{\"z\":1}}", "\"z\" is not mapped to the plain name" },
		{ "{\"weight_map\":{\"z\":\"../" S1 "\"}}",
		  "\"z\" is not mapped to the plain name" },
		{ "{\"weight_map\":{\"z\":\"/etc/x.safetensors\"}}",
		  "is not mapped to the plain name" },
		{ "{\"weight_map\":{\"z\":\"" S1 "\\u0000.safetensors\"}}", "is not mapped" },
		{ "{\"weight_map\":{\"z\":\"pytorch_model.bin\"}}", "is not mapped" },
		{ "{\"weight_map\":{\"z\":\"" S1 "\"}}", NULL },
		{ "{\"weight_map\":{\"y\":\"" S1 "\"}}", S1 ": tensor \"z\" is not in " INDEX },
		{ "{\"weight_map\":{\"z\":\"" S1 "\",\"y\":\"" S1 "\"}}",
		  S1 ": tensor \"y\", which " INDEX " promises, is not there" },
		{ "{\"weight_map\":{\"z\":\"" S2 "\",\"a\":\"" S1 "\"}}", "but " INDEX " says" },
	};

	put_tensors(S1, ONE("z"), 4);
	put_tensors(S2, ONE("a"), 4);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct st_model m;

		put_text(INDEX, cases[i].text);
		if (cases[i].error)
			assert_refused(*state, ERR_INVALID, cases[i].error);
		else
			assert_int_equal(st_open_model(*state, "m", &m, &e), 0);
	}
}

static void test_same_tensor_twice(void **state)
{
	put_tensors(S1, ONE("a"), 4);
	put_tensors(S2, ONE("a"), 4);
	assert_refused(*state, ERR_INVALID, "tensor \"a\" is both in " S1 " and in " S2);
}

static void test_shipped_model(void **state)
{
	struct err e = ERR_INIT;
	const struct st_tensor *t;
	struct st_model m;

	if (st_open_model(*state, TEST_DATA "/kjv-llama", &m, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(m.n_files, 1);
	t = st_find(&m, "model.embed_tokens.weight");
	assert_non_null(t);
	assert_int_equal(t->n_dims, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_header),	       T(test_refused_headers),
		T(test_refused_files), T(test_shards),
		T(test_single),	       T(test_incomplete),
		T(test_bad_index),     T(test_same_tensor_twice),
		T(test_shipped_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
