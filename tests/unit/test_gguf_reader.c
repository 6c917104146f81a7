/* Files that break one rule each: ggml refuses them, and so do we, in one sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/gguf.h"
#include "workers/gguf/writer.h"

static int read_buf(void *ctx, void *out, size_t n, uint64_t at, struct err *e)
{
	struct buf *b = ctx;

	(void)e;
	assert_true(at <= b->len && n <= b->len - at);
	memcpy(out, b->data + at, n);
	return 0;
}

static void make(struct buf *b)
{
	const uint64_t ne[2] = { 32, 2 };
	struct gguf_writer w;
	struct err e = ERR_INIT;

	gguf_init(&w);
	gguf_str(&w, "general.architecture", "llama");
	gguf_u32(&w, "llama.block_count", 1);
	gguf_f32(&w, "eps", 0.5f);
	gguf_bool(&w, "flag", 1);
	gguf_array(&w, "list", GGUF_STRING, 2);
	gguf_put_str(&w, "a", 1);
	gguf_put_str(&w, "bc", 2);
	(void)gguf_tensor(&w, "t.weight", ne, 2, type_by_id(TYPE_Q8_0));
	(void)gguf_tensor(&w, "u.weight", ne, 1, type_by_id(TYPE_F32));
	buf_init(b, 1u << 20);
	assert_int_equal(gguf_head(&w, b, &e), 0);
	for (uint64_t i = 0; i < w.data_bytes; i++)
		buf_addc(b, 0);
	gguf_release(&w);
}

static int parse(struct buf *b, struct err *e)
{
	struct gguf_source src = { read_buf, b, b->len };
	struct arena *a = arena_new();
	struct gguf_file f;
	int rc = gguf_read(a, &src, &f, e);

	if (rc == 0) {
		assert_int_equal(f.n_kv, 5);
		assert_int_equal(f.n_tensors, 2);
		assert_string_equal(gguf_find(&f, "general.architecture")->str, "llama");
		assert_true(gguf_find(&f, "eps")->f == 0.5);
		assert_int_equal(gguf_find(&f, "list")->count, 2);
		assert_int_equal(f.tensors[0].size_bytes, 68);
	}
	arena_free(a);
	return rc;
}

static size_t find(const struct buf *b, const char *text)
{
	const char *p = memmem(b->data, b->len, text, strlen(text));

	assert_non_null(p);
	return (size_t)(p - b->data);
}

static void refused(struct buf *b, const char *words)
{
	struct err e = ERR_INIT;

	assert_int_equal(parse(b, &e), ERR_INVALID);
	if (!strstr(e.msg, words))
		fail_msg("\"%s\" does not say \"%s\"", e.msg, words);
	buf_release(b);
}

static void what_we_write_we_read(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	make(&b);
	assert_int_equal(parse(&b, &e), 0);
	buf_release(&b);
}

static void every_cut_is_refused(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;
	size_t whole;

	(void)state;
	make(&b);
	whole = b.len;
	/* The last tensor's padding may be missing in files of others; its bytes may not. */
	for (size_t n = 0; n + 32 < whole; n++) {
		b.len = n;
		assert_int_equal(parse(&b, &e), ERR_INVALID);
	}
	buf_release(&b);
}

static void each_rule_has_its_sentence(void **state)
{
	struct buf b;

	(void)state;
	make(&b);
	b.data[0] = 'X';
	refused(&b, "does not begin with");
	make(&b);
	b.data[4] = 1;
	refused(&b, "version 1");
	make(&b);
	memset(b.data + 4, 0, 4);
	b.data[7] = 3;
	refused(&b, "big-endian");
	make(&b);
	memset(b.data + 8, 0xff, 8);
	refused(&b, "more than any model");
	make(&b);
	memcpy(b.data + find(&b, "flag"), "eps\0", 4);
	refused(&b, "no text");
	make(&b);
	b.data[find(&b, "flag") + 8] = 2;
	refused(&b, "neither 0 nor 1");
	make(&b);
	memcpy(b.data + find(&b, "u.weight"), "t.weight", 8);
	refused(&b, "there twice");
	make(&b);
	b.data[find(&b, "t.weight") + 8] = 5;
	refused(&b, "5 dimensions");
	make(&b);
	b.data[find(&b, "t.weight") + 12] = 31;
	refused(&b, "do not fit blocks");
	make(&b);
	memset(b.data + find(&b, "t.weight") + 12, 0x7f, 16);
	refused(&b, "too large");
	make(&b);
	b.data[find(&b, "t.weight") + 28] = 4;
	refused(&b, "type 4, which is not known");
	make(&b);
	b.data[find(&b, "u.weight") + 24] ^= 32;
	refused(&b, "no gaps and no overlaps");
	make(&b);
	b.data[find(&b, "list") + 4] = 9;
	b.data[find(&b, "list") + 8] = 9;
	refused(&b, "array of type 9");
}

/* core/ knows the sizes, the engine the codecs too. */
static void core_has_the_same_types(void **state)
{
	(void)state;
	for (uint32_t id = 0; id < 256; id++) {
		const struct gguf_block_type *c = gguf_type_by_id(id);
		const struct type *t = type_by_id(id);

		assert_int_equal(!c, !t);
		assert_true(!c || id <= GGUF_TYPE_MAX);
		if (!c)
			continue;
		assert_string_equal(c->name, t->name);
		assert_int_equal(c->block, t->block);
		assert_int_equal(c->bytes, t->bytes);
	}
	assert_int_equal(GGUF_TYPE_MAX, TYPE_ID_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_we_write_we_read),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(each_rule_has_its_sentence),
		cmocka_unit_test(core_has_the_same_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
