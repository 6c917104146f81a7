/* What names of converted files claim, in the conventions that are in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "orchestrator/start/file_name.h"

static void expect(const char *name, const char *want)
{
	struct arena *a = arena_new();
	struct name_claims c;
	struct json_out w;
	struct buf b;

	buf_init(&b, 1u << 16);
	jw_init(&w, &b, 0);
	jw_object(&w);
	if (file_name_claims(a, name, &c))
		file_name_json(&w, &c);
	jw_end_object(&w);
	if (strcmp(buf_str(&b), want) != 0)
		print_message("%s\n", name);
	assert_string_equal(buf_str(&b), want);
	buf_release(&b);
	arena_free(a);
}

static void test_the_conventions(void **state)
{
	(void)state;
	expect("Qwen2.5-1.5B-rk3588-w8a8_g128-opt-1-hybrid-ratio-0.5.rkllm",
	       "{\"model\":\"Qwen2.5-1.5B\",\"platform\":\"rk3588\",\"quant\":\"w8a8_g128\","
	       "\"hybrid\":0.5,\"opt\":1}");
	expect("/a/b/base-tuned-rk3576-w4a16-opt-0-hybrid-ratio-0.0.rkllm",
	       "{\"model\":\"base-tuned\",\"platform\":\"rk3576\",\"quant\":\"w4a16\","
	       "\"hybrid\":0,\"opt\":0}");
	expect("Qwen3-4B-rk3588-w8a8-opt-1-hybrid-ratio-1.0-16k-npu3.rkllm",
	       "{\"model\":\"Qwen3-4B\",\"platform\":\"rk3588\",\"quant\":\"w8a8\",\"hybrid\":1,"
	       "\"opt\":1,\"max_context\":16384,\"num_npu_core\":3}");
	expect("Qwen2-VL-2B_W8A8_RK3588.rkllm",
	       "{\"model\":\"Qwen2-VL-2B\",\"platform\":\"rk3588\",\"quant\":\"w8a8\"}");
	expect("internvl3-1b_w4a16_g128_rk3576.rkllm",
	       "{\"model\":\"internvl3-1b\",\"platform\":\"rk3576\",\"quant\":\"w4a16_g128\"}");
	expect("Qwen_Qwen3-0.6B-w8a8-opt1-hybrid0.25-npu3-ctx4096-rk3588.rkllm",
	       "{\"model\":\"Qwen_Qwen3-0.6B\",\"platform\":\"rk3588\",\"quant\":\"w8a8\","
	       "\"hybrid\":0.25,\"opt\":1,\"max_context\":4096,\"num_npu_core\":3}");
	expect("Phi-3-16k-w8a8-rk3588.rkllm",
	       "{\"model\":\"Phi-3\",\"platform\":\"rk3588\",\"quant\":\"w8a8\","
	       "\"max_context\":16384}");
	expect("m-w8a8-rk3588.rkllm",
	       "{\"model\":\"m\",\"platform\":\"rk3588\",\"quant\":\"w8a8\"}");
	expect("m-rv1126b-w4a8_g32.rkllm",
	       "{\"model\":\"m\",\"platform\":\"rv1126b\",\"quant\":\"w4a8_g32\"}");
}

static void test_what_is_the_models(void **state)
{
	(void)state;
	/* Above the toolkit's limit, or with a word of the model behind it. */
	expect("chatglm3-6b-128k-rk3588-w8a8.rkllm",
	       "{\"model\":\"chatglm3-6b-128k\",\"platform\":\"rk3588\",\"quant\":\"w8a8\"}");
	expect("Phi-3-mini-4k-instruct-rk3588-w8a8.rkllm",
	       "{\"model\":\"Phi-3-mini-4k-instruct\",\"platform\":\"rk3588\",\"quant\":\"w8a8\"}");
	expect("opt-1.3b-rk3588.rkllm", "{\"model\":\"opt-1.3b\",\"platform\":\"rk3588\"}");
	expect("gptq-w4a16-tuned-rk3588-w8a8.rkllm",
	       "{\"model\":\"gptq-w4a16-tuned\",\"platform\":\"rk3588\",\"quant\":\"w8a8\"}");
}

static void test_nothing_is_guessed(void **state)
{
	static const char *const names[] = {
		"",
		".rkllm",
		"model.rkllm",
		"-.rkllm",
		"rk3588.rkllm",
		"w8a8-rk3588.rkllm",
		"opt-1-rk3588.rkllm",
		"m-opt-1.rkllm",
		"m-rk3588-w8a8-final.rkllm",
		"m-rk3588-w8a8-rk3576.rkllm",
		"m-rk3588-w8a8-w4a16.rkllm",
		"m-rk3588-w8a8-opt-1-opt-0.rkllm",
		"m-rk3588-w8a8-hybrid-ratio-2.rkllm",
		"m-rk3588-w8a8-hybrid-ratio-.rkllm",
		"m-rk3588-w8a8-hybrid-ratio-0.5.0.rkllm",
		"m-rk3588-w8a8-hybrid-ratio.rkllm",
		"m-rk3588-w8a8-opt.rkllm",
		"m-rk3588-w8a8-opt-99.rkllm",
		"m-rk3588-w8a8-npu9.rkllm",
		"m-rk3588-w8a8-ctx999999999999.rkllm",
		"m-rk9999-w123a8.rkllm",
		"m-rk3588-.rkllm",
	};
	char long_name[5000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		expect(names[i], "{}");
	memset(long_name, '-', sizeof(long_name));
	memcpy(long_name + sizeof(long_name) - 13, "-rk3588-w8a8", 13);
	expect(long_name, "{}");
	long_name[sizeof(long_name) - 200] = '\0';
	expect(long_name + sizeof(long_name) - 350, "{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_conventions),
		cmocka_unit_test(test_what_is_the_models),
		cmocka_unit_test(test_nothing_is_guessed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
