/* Counting tokens: patterns, and vocabularies that are small, broken or hostile. That the counts
 * are those of published libraries is tests/peer/test_token_count.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "orchestrator/tokens/pattern.h"
#include "orchestrator/tokens/token_count.h"

/* ---- patterns */

/* "2-5" of characters, "none", or the sentence. */
static const char *found(struct arena *a, const char *pattern, const char *text)
{
	uint32_t chars[256];
	struct pattern *p;
	struct err e = ERR_INIT;
	size_t n = 0, start = 0, end = 0;
	int rc;

	for (size_t i = 0; text[i]; n++)
		i += (size_t)utf8_next(text + i, strlen(text + i), &chars[n]);
	if (pattern_compile(pattern, &p, &e) < 0)
		return arena_strdup(a, e.msg);
	rc = pattern_find(p, chars, n, 0, &start, &end, &e);
	pattern_free(p);
	return rc < 0	? arena_strdup(a, e.msg)
	       : rc > 0 ? arena_printf(a, "%zu-%zu", start, end)
			: "none";
}

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *text, *says;
	} cases[] = {
		{ "b+", "abbbc", "1-4" },
		{ "b+?", "abbbc", "1-2" },
		{ "b{2}", "abbbc", "1-3" },
		{ "b{2,}", "abbbc", "1-4" },
		{ "b{1,2}", "abbbc", "1-3" },
		{ "b{,2}c", "abbbc", "2-5" },
		{ "a|bc|b", "xbc", "1-3" },
		{ "(?:ab)*c", "xababc", "1-6" },
		{ "(a|b)?+b", "b", "none" }, /* possessive: nothing is given back */
		{ "(a|b)?b", "b", "0-1" },
		{ "(?>a+)ab", "aaab", "none" },
		{ "\\s+(?!\\S)|x", "   a", "0-2" },
		{ "a(?=b)", "aab", "1-2" },
		{ "(?i:'S|'re)", "it'RE", "2-5" },
		{ "(?i:s)", "\xc5\xbf", "0-1" }, /* U+017F folds to s */
		{ "[^\\s\\p{L}\\p{N}]+", "a1 !?\xc3\xa9", "3-5" },
		{ "[a-c\\-\\]]+", "xb-]c", "1-5" },
		{ "[^(\\s|[.,])]+", "., ab.", "3-5" },
		{ "[[:;]a]", "a", "0-1" },
		{ "\\p{Lu}\\p{Ll}+", "aBcd", "1-4" },
		{ "\\P{L}\\p{^L}", "a12", "1-3" },
		{ "\\u00e9", "A\xc3\xa9", "1-2" },
		{ ".$", "a\nb", "0-1" },
		{ "a(?:a*a*)+cb", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaxcb",
		  "the pattern that splits text takes too long" },
		{ "a)", "", "the pattern that splits text: unmatched close parenthesis" },
		{ "\\p{Nonsense}", "",
		  "the pattern that splits text: invalid character property name {Nonsense}" },
		{ "\\1", "", "the pattern that splits text: invalid backref number/name" },
		{ "[b-a]", "", "the pattern that splits text: empty range in char class" },
	};
	struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(found(a, cases[i].pattern, cases[i].text), cases[i].says);
	arena_free(a);
}

static void test_patterns_have_bounds(void **state)
{
	char deep[1000], *large = mem_alloc(70000);
	struct arena *a = arena_new();

	(void)state;
	memset(deep, '(', sizeof(deep) - 1);
	memset(deep + 500, ')', sizeof(deep) - 1 - 500);
	deep[sizeof(deep) - 1] = '\0';
	assert_non_null(strstr(found(a, deep, ""), "parse depth limit over"));
	memset(deep, '[', 500);
	memset(deep + 500, ']', sizeof(deep) - 1 - 500);
	assert_non_null(strstr(found(a, deep, ""), "parse depth limit over"));
	memset(large, 'a', 69999);
	large[69999] = '\0';
	assert_non_null(strstr(found(a, large, ""), "longer than 64 KiB"));
	assert_string_equal(found(a, "(?:a{1000}){1000}", "aaaa"), "none");
	free(large);
	arena_free(a);
}

/* ---- counting */

static void write_file(const char *name, const void *data, size_t n)
{
	FILE *f = fopen(name, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static int64_t counted(const char *json, const char *text)
{
	struct token_counter *c = NULL;
	struct err e = ERR_INIT;
	int64_t n;

	write_file("tokenizer.json", json, strlen(json));
	if (token_counter_open(".", &c, &e) < 0)
		return e.code;
	n = token_count(c, text, strlen(text), &e);
	token_counter_close(c);
	return n;
}

#define BYTES "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define MARKS                                                                                      \
	"\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":"         \
	"\"\xe2\x96\x81\"}"

static void test_merges_go_by_rank(void **state)
{
	/* bc is merged before ab: a bc, not ab c. */
	static const char json[] =
		"{" BYTES ",\"added_tokens\":[{\"content\":\"<s>\"}],\"model\":{\"type\":\"BPE\","
		"\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"\\u0120\":5},"
		"\"merges\":[\"b c\",[\"a\",\"b\"]]}}";

	(void)state;
	assert_int_equal(counted(json, ""), 0);
	assert_int_equal(counted(json, "abc"), 2);
	assert_int_equal(counted(json, "ab"), 1);
	assert_int_equal(counted(json, "aaab bc"), 3 + 2);
	assert_int_equal(counted(json, "ab<s>bc<s><s>"), 5);
	assert_int_equal(counted(json, "\xff"), 3); /* U+FFFD */
}

static void test_what_no_token_covers(void **state)
{
	static const char spelled[] =
		"{" MARKS ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"byte_fallback\":true}}";
	static const char joined[] =
		"{" MARKS ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"fuse_unk\":true}}";

	(void)state;
	assert_int_equal(counted(spelled, "a\xc3\xa9 "), 1 + 2 + 3);
	assert_int_equal(counted(joined, "a\xc3\xa9 a"), 3);
}

static void test_broken_vocabularies(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"model\":{\"type\":\"Unigram\"}}",
		"{" MARKS ",\"model\":{\"vocab\":[],\"merges\":[]}}",
		"{" MARKS ",\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}",
		"{" MARKS ",\"model\":{\"vocab\":{\"a\":99999999999},\"merges\":[]}}",
		"{" MARKS ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[5]}}",
		"{" MARKS ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}",
		"{\"normalizer\":{\"type\":\"Lowercase\"}," BYTES ",\"model\":{}}",
	};
	struct token_counter *c;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(counted(bad[i], "a"), ERR_INVALID);
	assert_int_equal(token_counter_open("nowhere", &c, &e), ERR_NOTFOUND);
	remove("tokenizer.json");
	assert_int_equal(token_counter_open(".", &c, &e), ERR_NOTFOUND);
}

/* ---- GGUF */

struct gguf {
	char data[4096];
	size_t n;
};

static void put(struct gguf *g, const void *p, size_t n)
{
	assert_true(g->n + n <= sizeof(g->data));
	memcpy(g->data + g->n, p, n);
	g->n += n;
}

static void put_number(struct gguf *g, uint64_t v, size_t n)
{
	put(g, &v, n); /* little-endian, as every machine of the tests is */
}

static void put_text(struct gguf *g, const char *text)
{
	put_number(g, strlen(text), 8);
	put(g, text, strlen(text));
}

static void put_pair(struct gguf *g, const char *key, const char *value)
{
	put_text(g, key);
	put_number(g, 8, 4);
	put_text(g, value);
}

static void put_texts(struct gguf *g, const char *key, const char *const *v, size_t n)
{
	put_text(g, key);
	put_number(g, 9, 4);
	put_number(g, 8, 4);
	put_number(g, n, 8);
	for (size_t i = 0; i < n; i++)
		put_text(g, v[i]);
}

static void put_head(struct gguf *g, uint64_t pairs)
{
	g->n = 0;
	put(g, "GGUF", 4);
	put_number(g, 3, 4);
	put_number(g, 0, 8);
	put_number(g, pairs, 8);
}

static int64_t counted_gguf(const struct gguf *g, const char *text, struct err *e)
{
	struct token_counter *c = NULL;
	int64_t n;

	*e = (struct err)ERR_INIT;
	write_file("m.gguf", g->data, g->n);
	n = token_counter_open("m.gguf", &c, e);
	if (n >= 0)
		n = token_count(c, text, strlen(text), e);
	token_counter_close(c);
	return n;
}

static void test_gguf(void **state)
{
	static const char *const tokens[] = { "a", "b", "c", "ab", "bc" };
	static const char *const merges[] = { "b c", "a b" };
	struct err e = ERR_INIT;
	struct gguf g;

	(void)state;
	put_head(&g, 4);
	put_pair(&g, "tokenizer.ggml.model", "gpt2");
	put_pair(&g, "tokenizer.ggml.pre", "qwen2");
	put_texts(&g, "tokenizer.ggml.tokens", tokens, 5);
	put_texts(&g, "tokenizer.ggml.merges", merges, 2);
	assert_int_equal(counted_gguf(&g, "abc ab", &e), 2 + 2);
	for (size_t n = g.n; n-- > 0;) { /* cut anywhere, it is refused */
		struct gguf cut = g;

		cut.n = n;
		assert_true(counted_gguf(&cut, "abc", &e) < 0);
	}
}

static void test_gguf_that_is_not_known(void **state)
{
	static const char *const tokens[] = { "a" };
	struct err e = ERR_INIT;
	struct gguf g;

	(void)state;
	put_head(&g, 1);
	put_pair(&g, "general.architecture", "llama");
	assert_int_equal(counted_gguf(&g, "a", &e), ERR_NOTFOUND);
	put_head(&g, 3);
	put_pair(&g, "tokenizer.ggml.model", "gpt2");
	put_pair(&g, "tokenizer.ggml.pre", "tomorrow");
	put_texts(&g, "tokenizer.ggml.tokens", tokens, 1);
	assert_int_equal(counted_gguf(&g, "a", &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "the pre-tokenizer \"tomorrow\" is not known"));
	put_head(&g, 2);
	put_pair(&g, "tokenizer.ggml.model", "bert");
	put_texts(&g, "tokenizer.ggml.tokens", tokens, 1);
	assert_int_equal(counted_gguf(&g, "a", &e), ERR_INVALID);
	put_head(&g, 2);
	put_pair(&g, "tokenizer.ggml.model", "llama");
	put_texts(&g, "tokenizer.ggml.tokens", tokens, 1);
	assert_int_equal(counted_gguf(&g, "a", &e), ERR_INVALID); /* without scores */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_patterns_have_bounds),
		cmocka_unit_test(test_merges_go_by_rank),
		cmocka_unit_test(test_what_no_token_covers),
		cmocka_unit_test(test_broken_vocabularies),
		cmocka_unit_test(test_gguf),
		cmocka_unit_test(test_gguf_that_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
