#include "workers/gguf/file_type.h"

#include <string.h>

#include "core/mem.h"
#include "workers/gguf/mix.h"

/* What is not said is never better than the base. */
/* clang-format off */
#define F(type) TYPE_##type
static const struct file_type file_types[] = {
	{ .name = "F32", .number = 0, .base = F(F32) },
	{ .name = "F16", .number = 1, .base = F(F16) },
	{ .name = "BF16", .number = 32, .base = F(BF16) },
	{ .name = "Q8_0", .number = 7, .base = F(Q8_0) },
	{ .name = "Q4_0", .number = 2, .base = F(Q4_0), .down = { { IMATRIX_8TH, F(Q4_1) } } },
	{ .name = "Q4_1", .number = 3, .base = F(Q4_1) },
	{ .name = "Q5_0", .number = 8, .base = F(Q5_0), .down = { { IMATRIX_8TH, F(Q5_1) } } },
	{ .name = "Q5_1", .number = 9, .base = F(Q5_1) },
	{ .name = "Q2_K", .number = 10, .base = F(Q2_K),
	  .value = { { GROUPED, F(Q4_K) }, { ALWAYS, F(Q3_K) } },
	  .attn_output = { { ALWAYS, F(Q3_K) } }, .down = { { ALWAYS, F(Q3_K) } },
	  .eight_experts = 1 },
	{ .name = "Q2_K_S", .number = 21, .base = F(Q2_K), .value = { { GROUPED, F(Q4_K) } },
	  .down = { { FIRST_8TH, F(Q4_K) } }, .needs_imatrix = 1 },
	{ .name = "Q3_K_S", .number = 11, .base = F(Q3_K), .eight_experts = 1 },
	{ .name = "Q3_K_M", .number = 12, .base = F(Q3_K),
	  .value = { { FIRST_2, F(Q5_K) }, { ALWAYS, F(Q4_K) } },
	  .attn_output = { { ALWAYS, F(Q4_K) } },
	  .down = { { FIRST_16TH, F(Q5_K) }, { ALWAYS, F(Q4_K) } }, .eight_experts = 1,
	  .falcon_down = { { FIRST_16TH, F(Q5_K) }, { MORE, F(Q4_K) } } },
	{ .name = "Q3_K_L", .number = 13, .base = F(Q3_K), .value = { { ALWAYS, F(Q5_K) } },
	  .attn_output = { { ALWAYS, F(Q5_K) } }, .down = { { ALWAYS, F(Q5_K) } },
	  .falcon_output = F(Q4_K), .falcon_down = { { ALWAYS, F(Q4_K) } } },
	{ .name = "Q4_K_S", .number = 14, .base = F(Q4_K), .value = { { FIRST_4, F(Q5_K) } },
	  .down = { { FIRST_8TH, F(Q5_K) } }, .eight_experts = 1,
	  .falcon_down = { { ALWAYS, F(Q4_K) } } },
	{ .name = "Q4_K_M", .number = 15, .base = F(Q4_K), .value = { { MORE, F(Q6_K) } },
	  .down = { { MORE, F(Q6_K) } }, .eight_experts = 1,
	  .falcon_down = { { FIRST_16TH, F(Q6_K) }, { MORE, F(Q5_K) } } },
	{ .name = "Q5_K_S", .number = 16, .base = F(Q5_K) },
	{ .name = "Q5_K_M", .number = 17, .base = F(Q5_K), .value = { { MORE, F(Q6_K) } },
	  .down = { { MORE, F(Q6_K) } } },
	{ .name = "Q6_K", .number = 18, .base = F(Q6_K) },
	{ .name = "IQ4_NL", .number = 25, .base = F(IQ4_NL), .value = { { GROUPED, F(Q5_K) } },
	  .down = { { PLAIN_8TH, F(Q5_K) } }, .eight_experts = 1 },
	{ .name = "IQ4_XS", .number = 30, .base = F(IQ4_XS), .value = { { GROUPED, F(Q5_K) } },
	  .down = { { PLAIN_8TH, F(Q5_K) } }, .eight_experts = 1 },
	{ .name = "IQ3_M", .number = 27, .base = F(IQ3_S), .value = { { ALWAYS, F(Q4_K) } },
	  .attn_output = { { ALWAYS, F(Q4_K) } },
	  .down = { { FIRST_8TH, F(Q4_K) }, { EIGHT_MORE, F(Q4_K) } }, .eight_experts = 1 },
	{ .name = "IQ3_S", .number = 26, .base = F(IQ3_S), .value = { { GROUPED, F(Q4_K) } },
	  .eight_experts = 1 },
	{ .name = "IQ3_XS", .number = 22, .base = F(IQ3_S), .value = { { GROUPED, F(Q4_K) } },
	  .eight_experts = 1, .needs_imatrix = 1,
	  .query_key = F(IQ3_XXS), .gate_up = { MIDDLE, F(IQ3_XXS) } },
	{ .name = "IQ3_XXS", .number = 23, .base = F(IQ3_XXS),
	  .value = { { GROUPED, F(Q4_K) }, { PLAIN, F(IQ3_S) } },
	  .attn_output = { { ALWAYS, F(IQ3_S) } },
	  .down = { { PLAIN_8TH, F(Q4_K) }, { PLAIN, F(Q3_K) } }, .eight_experts = 1,
	  .needs_imatrix = 1, .output = F(Q5_K), .embedding = F(IQ3_S), .query_key = F(IQ2_S) },
	{ .name = "IQ2_M", .number = 29, .base = F(IQ2_S),
	  .value = { { GROUPED_OR_EXPERTS, F(Q4_K) }, { ALWAYS, F(IQ3_S) } },
	  .attn_output = { { ALWAYS, F(IQ3_S) } }, .down = { { FIRST_8TH, F(IQ3_S) } },
	  .eight_experts = 1, .needs_imatrix = 1,
	  .output = F(Q5_K), .embedding = F(IQ3_S), .lowest = 1 },
	{ .name = "IQ2_S", .number = 28, .base = F(IQ2_XS),
	  .value = { { GROUPED_OR_EXPERTS, F(Q4_K) }, { ALWAYS, F(IQ3_S) } },
	  .attn_output = { { ALWAYS, F(IQ3_S) } }, .down = { { FIRST_8TH, F(IQ3_S) } },
	  .eight_experts = 1, .needs_imatrix = 1,
	  .output = F(Q5_K), .embedding = F(IQ3_S), .lowest = 1 },
	{ .name = "IQ2_XS", .number = 20, .base = F(IQ2_XS),
	  .value = { { GROUPED_OR_EXPERTS, F(Q4_K) }, { ALWAYS, F(Q2_K) } },
	  .down = { { FIRST_8TH, F(Q2_K) } }, .eight_experts = 1, .needs_imatrix = 1,
	  .output = F(Q5_K), .embedding = F(Q2_K), .lowest = 1 },
	{ .name = "IQ2_XXS", .number = 19, .base = F(IQ2_XXS),
	  .value = { { GROUPED_OR_EXPERTS, F(Q4_K) }, { ALWAYS, F(Q2_K) } },
	  .down = { { FIRST_8TH, F(Q2_K) } }, .eight_experts = 1, .needs_imatrix = 1,
	  .output = F(Q5_K), .embedding = F(Q2_K), .lowest = 1 },
	{ .name = "IQ1_M", .number = 31, .base = F(IQ1_M),
	  .value = { { GROUPED_OR_EXPERTS, F(Q4_K) }, { ALWAYS, F(Q2_K) } },
	  .attn_output = { { ALWAYS, F(IQ2_XXS) } }, .down = { { FIRST_8TH, F(Q2_K) } },
	  .eight_experts = 1, .needs_imatrix = 1,
	  .output = F(Q5_K), .embedding = F(Q2_K), .lowest = 1 },
	{ .name = "IQ1_S", .number = 24, .base = F(IQ1_S),
	  .value = { { GROUPED_OR_EXPERTS, F(Q4_K) }, { ALWAYS, F(Q2_K) } },
	  .attn_output = { { ALWAYS, F(IQ2_XXS) } }, .down = { { FIRST_8TH, F(Q2_K) } },
	  .eight_experts = 1, .needs_imatrix = 1,
	  .output = F(Q5_K), .embedding = F(Q2_K), .lowest = 1 },
	{ .name = "TQ1_0", .number = 36, .base = F(TQ1_0), .embedding = F(Q4_K) },
	{ .name = "TQ2_0", .number = 37, .base = F(TQ2_0), .embedding = F(Q4_K) },
	{ .name = "Q2_0", .number = 41, .base = F(Q2_0), .embedding = F(Q4_K) },
	{ .name = "Q1_0", .number = 40, .base = F(Q1_0) },
	{ .name = "MXFP4_MOE", .number = 38, .base = F(MXFP4) },
};
#undef F
/* clang-format on */

const struct file_type *file_type_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(file_types); i++) {
		if (strcmp(file_types[i].name, name) == 0)
			return &file_types[i];
	}
	return NULL;
}

const struct file_type *file_type_by_number(uint64_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(file_types); i++) {
		if (file_types[i].number == number)
			return &file_types[i];
	}
	return NULL;
}

const char *file_type_name(const struct file_type *f)
{
	return f->name;
}

uint32_t file_type_number(const struct file_type *f)
{
	return f->number;
}

const struct type *file_type_base(const struct file_type *f)
{
	return type_by_id(f->base);
}

int file_type_needs_imatrix(const struct file_type *f)
{
	return f->needs_imatrix;
}
