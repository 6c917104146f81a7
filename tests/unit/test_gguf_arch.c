/* The table of architectures: the manifest says the same, and each row is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/path.h"
#include "workers/gguf/arch.h"

/* How often word stands in text, by itself. */
static size_t times(const char *text, const char *word)
{
	size_t n = 0, len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += len) {
		int before = at > text && at[-1] != ' ' && at[-1] != '[';

		n += !before && (at[len] == ',' || at[len] == ']');
	}
	return n;
}

static void test_manifest_lists_every_class(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;
	size_t n = 0, commas = 0;
	const char *list, *end;

	(void)state;
	buf_init(&b, 1u << 20);
	assert_int_equal(path_read(TEST_DATA "/../../workers/engines/gguf.yaml", 1u << 20, &b, &e),
			 0);
	list = strstr(buf_str(&b), "architectures: [");
	assert_non_null(list);
	end = strchr(list, ']');
	for (const char *p = list; p < end; p++)
		commas += *p == ',';
	for (; arch_get(n); n++) {
		if (times(list, arch_get(n)->hf_class) != 1)
			fail_msg("workers/engines/gguf.yaml lacks %s", arch_get(n)->hf_class);
		assert_ptr_equal(arch_by_class(arch_get(n)->hf_class), arch_get(n));
	}
	assert_int_equal(n, commas + 1);
	assert_null(arch_by_class("NobodyForCausalLM"));
	buf_release(&b);
}

static void check_rules(const struct arch *a, const struct tensor_rule *r)
{
	for (; r->hf; r++) {
		int dropped = r->presence == DROPPED;
		int numbered = strstr(r->hf, "%u") != NULL;

		if ((r->gguf == NULL) != dropped)
			fail_msg("%s: %s has no name in the file", a->hf_class, r->hf);
		if (!dropped && r->cols == DIM_NONE)
			fail_msg("%s: %s has no shape", a->hf_class, r->hf);
		if (numbered != (r->how == EXPERTS || r->how == HEAD_NORMS))
			fail_msg("%s: %s: a number, but not one for each part", a->hf_class, r->hf);
		/* "blk.511." and the name fit what ggml has for it. */
		if (!dropped && strlen(r->gguf) + strlen("blk.511.") > 63)
			fail_msg("%s: %s is too long", a->hf_class, r->gguf);
	}
}

static void test_rules_are_whole(void **state)
{
	(void)state;
	for (size_t i = 0; arch_get(i); i++) {
		const struct arch *a = arch_get(i);
		int lists = 0;

		assert_non_null(strstr(a->layer, "%u"));
		assert_non_null(a->bases[0]);
		assert_string_equal(a->globals[0].gguf, "token_embd.weight");
		check_rules(a, a->globals);
		for (; lists < RULE_LISTS_MAX && a->layers[lists]; lists++)
			check_rules(a, a->layers[lists]);
		assert_true(lists > 0);
	}
}

static void test_word_lists(void **state)
{
	(void)state;
	assert_true(arch_list_has("silu|swish", "silu"));
	assert_true(arch_list_has("silu|swish", "swish"));
	assert_false(arch_list_has("silu|swish", "sil"));
	assert_false(arch_list_has("silu|swish", "silus"));
	assert_false(arch_list_has("silu|swish", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest_lists_every_class),
		cmocka_unit_test(test_rules_are_whole),
		cmocka_unit_test(test_word_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
