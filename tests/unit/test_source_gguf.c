/* GGUF models in a folder: which file is meant, parts of split ones, and the facts of their heads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/gguf.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/source.h"

static int setup(void **state)
{
	struct err e = ERR_INIT;

	*state = arena_new();
	return path_remove_tree("g", &e) < 0 || path_mkdirs("g", 0755, &e) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

/* ---- a writer of heads, by hand: core has none */

struct tensor {
	const char *name;
	uint64_t in, out; /* out 0: a vector */
	uint32_t type;
};

static void put(struct buf *b, const void *p, size_t n)
{
	(void)buf_add(b, p, n);
}

static void put_u32(struct buf *b, uint32_t v)
{
	put(b, &v, 4);
}

static void put_u64(struct buf *b, uint64_t v)
{
	put(b, &v, 8);
}

static void put_text(struct buf *b, const char *s)
{
	put_u64(b, strlen(s));
	put(b, s, strlen(s));
}

static void put_key_text(struct buf *b, const char *key, const char *value)
{
	put_text(b, key);
	put_u32(b, GGUF_STRING);
	put_text(b, value);
}

static void put_key_number(struct buf *b, const char *key, enum gguf_value type, uint32_t v)
{
	put_text(b, key);
	put_u32(b, type);
	put(b, &v, type == GGUF_U16 ? 2 : 4);
}

static void pad(struct buf *b)
{
	while (b->len % GGUF_ALIGNMENT)
		buf_addc(b, 0);
}

/* part 0: not split, and all metadata. */
static void put_gguf(const char *path, const struct tensor *t, size_t n, const char *architecture,
		     unsigned part, unsigned parts, uint32_t total)
{
	uint64_t offset = 0, kvs = (architecture ? 4 : 0) + (part ? 3 : 0);
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, 1u << 20);
	put(&b, "GGUF", 4);
	put_u32(&b, 3);
	put_u64(&b, n);
	put_u64(&b, kvs);
	if (architecture) {
		put_key_text(&b, "general.architecture", architecture);
		put_key_text(&b, "general.type", "model");
		put_key_text(&b, "general.license", "mit");
		put_key_text(&b, "tokenizer.ggml.model", "gpt2");
	}
	if (part) {
		put_key_number(&b, "split.no", GGUF_U16, part - 1);
		put_key_number(&b, "split.count", GGUF_U16, parts);
		put_key_number(&b, "split.tensors.count", GGUF_I32, total);
	}
	for (size_t i = 0; i < n; i++) {
		const struct gguf_block_type *type = gguf_type_by_id(t[i].type);
		uint64_t elements = t[i].in * (t[i].out ? t[i].out : 1);

		put_text(&b, t[i].name);
		put_u32(&b, t[i].out ? 2 : 1);
		put_u64(&b, t[i].in);
		if (t[i].out)
			put_u64(&b, t[i].out);
		put_u32(&b, t[i].type);
		put_u64(&b, offset);
		offset += (gguf_type_bytes(type, elements) + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT *
			  GGUF_ALIGNMENT;
	}
	pad(&b);
	for (uint64_t i = 0; i < offset; i++)
		buf_addc(&b, 0);
	assert_false(b.overflow);
	if (path_write(path, b.data, b.len, 0644, &e) < 0)
		fail_msg("%s", e.msg);
	buf_release(&b);
}

static const struct tensor model[] = {
	{ "token_embd.weight", 64, 10, 8 },	    { "blk.0.attn_q.weight", 64, 64, 2 },
	{ "blk.0.attn_k.weight", 64, 32, 2 },	    { "blk.0.attn_v.weight", 64, 32, 8 },
	{ "blk.0.ffn_gate_inp.weight", 64, 32, 0 }, { "output_norm.weight", 64, 0, 0 },
};

static int read_it(struct arena *a, const char *file, struct source_facts *f, struct err *e)
{
	return source_read_file_facts(a, "g", file, f, e);
}

static void check_facts(const struct source_facts *f)
{
	assert_string_equal(f->format, "gguf");
	assert_string_equal(f->architecture, "llama");
	assert_string_equal(f->dtype, "Q4_0");
	assert_string_equal(f->quant_form, "gguf");
	assert_string_equal(f->license, "mit");
	assert_int_equal(f->n_tensors, 6);
	assert_int_equal(f->matrix_params, 640 + 4096 + 3 * 2048);
	assert_int_equal(f->vector_params, 64);
	assert_int_equal(f->size_bytes, 680 + 2304 + 1152 + 2176 + 8192 + 256);
	assert_int_equal(f->max_row, 64);
	assert_int_equal(f->tokenizer_bytes, 12);
	assert_int_equal(f->n_matrices, 2); /* neither the embedding nor the router */
	assert_int_equal(f->matrices[0].out, 32);
	assert_int_equal(f->matrices[0].count, 2);
	assert_string_equal(f->matrices[0].name, "blk.0.attn_k.weight");
	assert_int_equal(f->matrices[1].out, 64);
	assert_int_equal(f->matrices[1].in, 64);
}

static void test_facts(void **state)
{
	struct source_facts f;
	struct err e = ERR_INIT;

	put_gguf("g/m.gguf", model, ARRAY_LEN(model), "llama", 0, 0, 0);
	put_gguf("g/mmproj-m.gguf", model, 1, "clip", 0, 0, 0);
	if (read_it(*state, NULL, &f, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(f.file, "m.gguf");
	check_facts(&f);
}

static void test_choice(void **state)
{
	static const struct tensor plain[] = { { "output.weight", 64, 10, 30 } };
	struct source_facts f;
	struct err e = ERR_INIT;

	assert_int_equal(read_it(*state, "m.gguf", &f, &e), ERR_NOTFOUND);
	put_gguf("g/b.gguf", model, ARRAY_LEN(model), "llama", 0, 0, 0);
	put_gguf("g/a.gguf", plain, 1, "llama", 0, 0, 0);
	assert_int_equal(read_it(*state, NULL, &f, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "(a.gguf, b.gguf)"));
	assert_non_null(strstr(e.msg, "`file:`"));
	assert_int_equal(read_it(*state, "a.gguf", &f, &e), 0);
	assert_string_equal(f.dtype, "BF16");
	assert_null(f.quant_form);
	assert_int_equal(read_it(*state, "../g/a.gguf", &f, &e), ERR_NOTFOUND);
}

static void test_split(void **state)
{
	struct source_facts f;
	struct err e = ERR_INIT;

	put_gguf("g/m-00001-of-00002.gguf", model, 4, "llama", 1, 2, 6);
	assert_int_equal(read_it(*state, NULL, &f, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "m-00002-of-00002.gguf: missing"));
	put_gguf("g/m-00002-of-00002.gguf", model + 4, 2, NULL, 2, 2, 6);
	if (read_it(*state, NULL, &f, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(f.file, "m-00001-of-00002.gguf");
	check_facts(&f);
	assert_int_equal(read_it(*state, "m-00002-of-00002.gguf", &f, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "name the first"));
}

static void test_bad_splits(void **state)
{
	static const struct {
		size_t from, n;
		unsigned part, parts;
		uint32_t total;
		const char *error;
	} second[] = {
		{ 4, 2, 0, 0, 0, "split.no" },
		{ 4, 2, 1, 2, 6, "part 1 of 2" },
		{ 4, 2, 2, 3, 6, "part 2 of 3" },
		{ 4, 1, 2, 2, 6, "split.tensors.count is 6" },
		{ 3, 3, 2, 2, 6, "attn_v.weight is in two parts" },
	};

	put_gguf("g/m-00001-of-00002.gguf", model, 4, "llama", 1, 2, 6);
	for (size_t i = 0; i < ARRAY_LEN(second); i++) {
		struct source_facts f;
		struct err e = ERR_INIT;

		put_gguf("g/m-00002-of-00002.gguf", model + second[i].from, second[i].n, NULL,
			 second[i].part, second[i].parts, second[i].total);
		assert_int_equal(read_it(*state, NULL, &f, &e), ERR_INVALID);
		if (!strstr(e.msg, second[i].error))
			fail_msg("%zu: %s", i, e.msg);
	}
}

static void test_no_models(void **state)
{
	struct source_facts f;
	struct err e = ERR_INIT;

	put_gguf("g/m.gguf", model, ARRAY_LEN(model), NULL, 0, 0, 0);
	assert_int_equal(read_it(*state, NULL, &f, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "general.architecture"));
	put_gguf("g/m.gguf", model, 0, "llama", 0, 0, 0);
	assert_int_equal(read_it(*state, NULL, &f, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "no tensor"));
}

static void test_part_numbers(void **state)
{
	static const char *const no[] = { "a-00001-of-00002.ggu",
					  "-00001-of-00002.gguf",
					  "a-0001-of-00002.gguf",
					  "a-00003-of-00002.gguf",
					  "a-00000-of-00002.gguf",
					  "a-00001-of-0000x.gguf",
					  "" };
	unsigned part = 0, parts = 0;

	(void)state;
	assert_int_equal(gguf_part_numbers("a-00002-of-00013.gguf", &part, &parts), 1);
	assert_true(part == 2 && parts == 13);
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_int_equal(gguf_part_numbers(no[i], &part, &parts), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_facts),	    T(test_choice),    T(test_split),
		T(test_bad_splits), T(test_no_models), T(test_part_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
