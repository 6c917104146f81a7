/* tokenizer.model as foreign bytes: what is right is read, and any cut or lie about a length is an
 * error, never a read beyond the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "workers/gguf/sentencepiece.h"

/* Fields by hand: tag, length, bytes. Two pieces: "ab" with score 1.5, and a control "<s>"; a
 * trainer of type BPE with eos 7; a normalizer without a space in front. */
static const unsigned char good[] = {
	0x0a, 0x09, 0x0a, 0x02, 'a',  'b',  0x15, 0x00, 0x00, 0xc0, 0x3f,
	0x0a, 0x07, 0x0a, 0x03, '<',  's',  '>',  0x18, 0x03, 0x12, 0x05,
	0x18, 0x02, 0xd0, 0x02, 0x07, 0x1a, 0x04, 0x18, 0x00, 0x20, 0x00,
};

/* On the heap at its exact size, so that the sanitizer sees a byte too many. */
static int parse(const unsigned char *p, size_t n, struct spm_model *m, struct err *e)
{
	unsigned char *copy = mem_alloc(n + 1);
	struct arena *a = arena_new();
	int rc;

	memcpy(copy, p, n);
	copy = mem_resize(copy, n ? n : 1, 1);
	rc = spm_parse(a, copy, n, m, e);
	if (rc == 0 && m->n) {
		assert_memory_equal(m->pieces[0].text, "ab", 3);
		assert_true(m->pieces[0].score == 1.5f);
	}
	free(copy);
	arena_free(a);
	return rc;
}

static void test_good(void **state)
{
	struct err e = ERR_INIT;
	struct spm_model m;

	(void)state;
	assert_int_equal(parse(good, sizeof(good), &m, &e), 0);
	assert_int_equal(m.n, 2);
	assert_int_equal(m.kind, SPM_BPE);
	assert_int_equal(m.eos, 7);
	assert_int_equal(m.bos, 1);
	assert_int_equal(m.pad, -1);
	assert_false(m.space_in_front);
	assert_false(m.merge_spaces);
	assert_false(m.normalizes);
}

/* After 11 and 20 bytes a whole message ends: that is a shorter model. */
static void test_every_cut(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(good); n++) {
		int whole = n == 11 || n == 20 || n == 27;
		struct err e = ERR_INIT;
		struct spm_model m;

		assert_int_equal(parse(good, n, &m, &e), whole ? 0 : ERR_INVALID);
		if (!whole)
			assert_non_null(strstr(e.msg, "tokenizer.model: byte"));
	}
}

static void test_lies(void **state)
{
	static const struct {
		size_t at;
		unsigned char byte;
		const char *says;
	} lies[] = {
		{ 1, 0xff, "is no number that" }, { 3, 0x7f, "longer than what is left" },
		{ 0, 0x0b, "no known form" },	  { 0, 0x02, "no valid number" },
		{ 4, 0xff, "not UTF-8" },	  { 19, 0x07, "unknown type" },
		{ 23, 0x09, "unknown type" },	  { 10, 0x7f, "not a finite number" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		unsigned char bytes[sizeof(good)];
		struct err e = ERR_INIT;
		struct spm_model m = { .n = 0 };

		memcpy(bytes, good, sizeof(good));
		bytes[lies[i].at] = lies[i].byte;
		if (lies[i].at == 10) /* with the bit below: the exponent is full */
			bytes[9] = 0x80;
		assert_int_equal(parse(bytes, sizeof(bytes), &m, &e), ERR_INVALID);
		if (i && !strstr(e.msg, lies[i].says))
			fail_msg("lie %zu: %s", i, e.msg);
	}
}

static void test_numbers_of_64_bits(void **state)
{
	/* Eleven bytes, ten with a bit too many, ten that are just right: field 9 is skipped. */
	unsigned char eleven[] = { 0x48, 0x80, 0x80, 0x80, 0x80, 0x80,
				   0x80, 0x80, 0x80, 0x80, 0x80, 0x01 };
	unsigned char ten[11];
	struct err e = ERR_INIT;
	struct spm_model m;

	(void)state;
	assert_int_equal(parse(eleven, sizeof(eleven), &m, &e), ERR_INVALID);
	memcpy(ten, eleven, sizeof(ten));
	ten[10] = 0x02;
	assert_int_equal(parse(ten, sizeof(ten), &m, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "64 bits"));
	ten[10] = 0x01;
	assert_int_equal(parse(ten, sizeof(ten), &m, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "no pieces"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_numbers_of_64_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
