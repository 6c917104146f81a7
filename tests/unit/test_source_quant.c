/* quantization_config: what makers write of it, and what nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/source_quant.h"

static int setup(void **state)
{
	*state = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static int read_text(struct arena *a, const char *text, struct source_quant *q, struct err *e)
{
	struct json *root;

	if (json_parse(a, text, strlen(text), &root, e) < 0)
		fail_msg("%s", e->msg);
	return source_quant_read(a, root, q, e);
}

#define CONFIG(members) "{\"quantization_config\":{" members "}}"
#define GROUP(members)                                                                             \
	"\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":{" members "}}}"

static void test_forms(void **state)
{
	static const struct {
		const char *config, *form, *text;
		int bits;
		int64_t group;
	} cases[] = {
		{ "{}", NULL, "", 0, 0 },
		{ "{\"quantization_config\":null}", NULL, "", 0, 0 },
		{ CONFIG("\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"sym\":true"),
		  "gptq-4bit", "GPTQ, 4 bits, groups of 128", 4, 128 },
		{ CONFIG("\"quant_method\":\"gptq\",\"bits\":8,\"group_size\":-1"), "gptq-8bit",
		  "GPTQ, 8 bits", 8, -1 },
		{ CONFIG("\"quant_method\":\"gptq\",\"bits\":4,\"checkpoint_format\":\"marlin\""),
		  "gptq-marlin", "GPTQ, 4 bits", 4, 0 },
		{ CONFIG("\"quant_method\":\"awq\",\"bits\":4,\"group_size\":64,"
			 "\"version\":\"gemm\",\"modules_to_not_convert\":null"),
		  "awq-4bit", "AWQ, 4 bits, groups of 64", 4, 64 },
		{ CONFIG("\"quant_method\":\"awq\",\"w_bit\":4,\"q_group_size\":128"), "awq-4bit",
		  "AWQ, 4 bits, groups of 128", 4, 128 },
		{ CONFIG("\"quant_method\":\"awq\",\"bits\":4,\"version\":\"gemv\""), "awq-gemv",
		  "AWQ, 4 bits", 4, 0 },
		{ CONFIG("\"quant_method\":\"fp8\",\"weight_block_size\":[128,64]"), "fp8",
		  "FP8, 8 bits, blocks of 128 x 64", 8, 0 },
		{ CONFIG("\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true"),
		  "bitsandbytes-4bit", "bitsandbytes, 4 bits", 4, 0 },
		{ CONFIG("\"quant_method\":\"mxfp4\""), "mxfp4", "MXFP4, 4 bits, groups of 32", 4,
		  32 },
		{ CONFIG("\"quant_method\":\"hqq\""), "hqq", "hqq", 0, 0 },
		{ "{\"quantization\":{},\"quantization_config\":{\"bits\":4,\"group_size\":64}}",
		  "mlx-4bit", "MLX, 4 bits, groups of 64", 4, 64 },
		{ CONFIG("\"quant_method\":\"compressed-tensors\",\"format\":\"pack-"
			 "quantized\"," GROUP(
				 "\"num_bits\":4,\"group_size\":32,\"strategy\":\"group\"")),
		  "compressed-tensors-pack-quantized-4bit",
		  "compressed-tensors, 4 bits, groups of 32", 4, 32 },
		{ CONFIG("\"quant_method\":\"compressed-tensors\",\"format\":\"int-"
			 "quantized\"," GROUP(
				 "\"num_bits\":8,\"group_size\":null,\"strategy\":\"channel\"")),
		  "compressed-tensors-int-quantized", "compressed-tensors, 8 bits", 8, -1 },
		{ CONFIG("\"quant_method\":\"compressed-tensors\",\"format\":\"x\","
			 "\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}"),
		  "compressed-tensors-sparse", "compressed-tensors", 0, 0 },
		{ CONFIG("\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\","
			 "\"transform_config\":{\"config_groups\":{}}"),
		  "compressed-tensors-transformed", "compressed-tensors", 0, 0 },
		{ "{\"text_config\":" CONFIG("\"quant_method\":\"fp8\"") "}", "fp8", "FP8, 8 bits",
		  8, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct source_quant q;
		struct err e = ERR_INIT;

		if (read_text(*state, cases[i].config, &q, &e) < 0)
			fail_msg("%s: %s", cases[i].config, e.msg);
		if (!cases[i].form)
			assert_null(q.form);
		else
			assert_string_equal(q.form, cases[i].form);
		assert_string_equal(source_quant_text(*state, &q), cases[i].text);
		assert_int_equal(q.bits, cases[i].bits);
		assert_int_equal(q.group_size, cases[i].group);
	}
}

static void test_details(void **state)
{
	struct source_quant q;
	struct err e = ERR_INIT;

	assert_int_equal(
		read_text(*state,
			  CONFIG("\"quant_method\":\"gptq\",\"bits\":4,\"sym\":false,\"desc_act\":"
				 "true,\"checkpoint_format\":\"gptq_v2\""),
			  &q, &e),
		0);
	assert_true(q.symmetric == 0 && q.desc_act == 1 && q.zero_is_stored == 1);
	assert_int_equal(
		read_text(*state,
			  CONFIG("\"quant_method\":\"compressed-tensors\",\"format\":"
				 "\"pack-quantized\",\"ignore\":[\"lm_head\",\"re:.*gate$\"],"
				 "\"config_groups\":{\"a\":{\"weights\":{\"num_bits\":4,"
				 "\"group_size\":32,\"symmetric\":false}},\"b\":{\"weights\":{"
				 "\"num_bits\":8,\"group_size\":32,\"symmetric\":true}}}"),
			  &q, &e),
		0);
	assert_int_equal(q.bits, 0); /* two numbers are none */
	assert_int_equal(q.group_size, 32);
	assert_int_equal(q.symmetric, -1);
	assert_int_equal(q.n_ignore, 2);
	assert_string_equal(q.ignore[1], "re:.*gate$");
}

static void test_nonsense(void **state)
{
	static const struct {
		const char *config, *error;
	} cases[] = {
		{ "{\"quantization_config\":[]}", "no object" },
		{ CONFIG(""), "quant_method" },
		{ CONFIG("\"quant_method\":4"), "quant_method" },
		{ CONFIG("\"quant_method\":\"../x\""), "quant_method" },
		{ CONFIG("\"quant_method\":\"gptq\""), "bits" },
		{ CONFIG("\"quant_method\":\"gptq\",\"bits\":0"), "bits" },
		{ CONFIG("\"quant_method\":\"gptq\",\"bits\":4.5"), "bits" },
		{ CONFIG("\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":-2"), "group_size" },
		{ CONFIG("\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":1e99"),
		  "group_size" },
		{ CONFIG("\"quant_method\":\"gptq\",\"bits\":4,\"sym\":1"), "sym" },
		{ CONFIG("\"quant_method\":\"fp8\",\"weight_block_size\":[128]"),
		  "weight_block_size" },
		{ CONFIG("\"quant_method\":\"fp8\",\"weight_block_size\":[0,1]"),
		  "weight_block_size" },
		{ CONFIG("\"quant_method\":\"awq\",\"bits\":4,\"modules_to_not_convert\":[1]"),
		  "modules_to_not_convert" },
		{ CONFIG("\"quant_method\":\"compressed-tensors\",\"config_groups\":[]"),
		  "config_groups" },
		{ CONFIG("\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"a\":{}}"),
		  "config_groups" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct source_quant q = { .bits = 77 };
		struct err e = ERR_INIT;

		if (read_text(*state, cases[i].config, &q, &e) != ERR_INVALID)
			fail_msg("%s is taken", cases[i].config);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("%s: %s", cases[i].config, e.msg);
		assert_int_equal(q.bits, 77); /* untouched */
	}
}

static void test_parts(void **state)
{
	static const struct {
		enum quant_method method;
		struct st_tensor t;
		enum quant_part part;
		uint64_t rows, cols;
	} cases[] = {
		{ QUANT_GPTQ,
		  { .name = "p.qweight", .dtype = ST_I32, .n_dims = 2, .shape = { 16, 64 } },
		  PART_CODES,
		  64,
		  128 },
		{ QUANT_AWQ,
		  { .name = "p.qweight", .dtype = ST_I32, .n_dims = 2, .shape = { 128, 8 } },
		  PART_CODES,
		  64,
		  128 },
		{ QUANT_COMPRESSED_TENSORS,
		  { .name = "p.weight_packed", .dtype = ST_I32, .n_dims = 2, .shape = { 64, 16 } },
		  PART_CODES,
		  64,
		  128 },
		{ QUANT_GPTQ,
		  { .name = "p.qzeros", .dtype = ST_I32, .n_dims = 2, .shape = { 1, 8 } },
		  PART_HELPER,
		  0,
		  0 },
		{ QUANT_NONE,
		  { .name = "p.qweight", .dtype = ST_I32, .n_dims = 2, .shape = { 16, 64 } },
		  PART_PLAIN,
		  0,
		  0 },
		{ QUANT_GPTQ,
		  { .name = "norm.weight", .dtype = ST_F16, .n_dims = 1, .shape = { 64 } },
		  PART_PLAIN,
		  0,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct source_quant q = { .method = cases[i].method, .bits = 4 };
		uint64_t rows = 0, cols = 0;

		assert_int_equal(source_quant_part(&q, &cases[i].t, &rows, &cols), cases[i].part);
		assert_true(rows == cases[i].rows && cols == cases[i].cols);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_forms),
		T(test_details),
		T(test_nonsense),
		T(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
