/* The validity table of the RKLLM toolkit: each rule of the shipped manifest, from metadata alone.
 * A case is a point, a model and the versions of the environments; what is said must begin as
 * written, and end with the rule's number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "db/job.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/plan/matrix.h"
#include "orchestrator/plan/preflight.h"

struct fixture {
	struct arena *a;
	struct engines es;
	const struct engine *en;
};

static int setup(void **state)
{
	static const char *const dirs[] = { SOURCE_DIR "/workers/engines" };
	struct fixture *x = mem_zalloc(sizeof(*x));
	struct faults f = { 0 };
	struct err e = ERR_INIT;

	x->a = f.a = arena_new();
	assert_int_equal(engines_load_from(x->a, dirs, 1, &x->es, &f, &e), 0);
	assert_int_equal(f.n, 0);
	x->en = engine_find(&x->es, "rkllm");
	assert_non_null(x->en);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	arena_free(x->a);
	free(x);
	return 0;
}

enum sort {
	LLAMA,	 /* outputs 896 and 128 */
	GEMMA3N, /* has an output of 24 */
	MAMBA,
	QWEN3,
	REMOTE,
	TRUSTED,
	GPTQ_128,
	GPTQ_ASYMMETRIC,
	AWQ,
	BNB,
	GGUF_Q4_0,
	GGUF_F16,
	GGUF_MIX,
	GGUF_MAMBA,
	RWKV7,
	FINISHED
};

static const struct source_matrix plain[] = { { "k_proj", 1024, 2048, 2 },
					      { "q_proj", 2048, 2048, 1 } };
static const struct source_matrix narrow[] = { { "altup", 24, 2048, 2 },
					       { "q_proj", 2048, 2048, 1 } };
static const struct source_matrix middle[] = { { "k_proj", 128, 896, 2 },
					       { "q_proj", 896, 896, 1 } };

static void describe(enum sort m, struct source_facts *f)
{
	*f = (struct source_facts){ .architecture = "LlamaForCausalLM",
				    .format = "safetensors",
				    .quant_symmetric = -1,
				    .matrices = plain,
				    .n_matrices = 2 };
	switch (m) {
	case LLAMA:
		f->matrices = middle;
		break;
	case GEMMA3N:
		f->architecture = "Gemma3nForConditionalGeneration";
		f->matrices = narrow;
		break;
	case MAMBA:
		f->architecture = "MambaForCausalLM";
		break;
	case QWEN3:
		f->architecture = "Qwen3ForCausalLM";
		break;
	case RWKV7:
		f->architecture = "RWKV7ForCausalLM";
		break;
	case FINISHED:
		*f = (struct source_facts){ .format = "rkllm",
					    .file = "old.rkllm",
					    .size_bytes = 1000 };
		break;
	case REMOTE:
	case TRUSTED:
		f->remote_code = 1;
		break;
	case GPTQ_128:
	case GPTQ_ASYMMETRIC:
		f->quant_form = "gptq-4bit";
		f->quant_text = "GPTQ, 4 bits, groups of 128";
		f->quant_group = 128;
		f->quant_symmetric = m == GPTQ_128;
		break;
	case AWQ:
		f->quant_form = "awq-4bit";
		f->quant_text = "AWQ, 4 bits, groups of 128";
		break;
	case BNB:
		f->quant_form = "bitsandbytes-4bit";
		f->quant_text = "bitsandbytes, 4 bits";
		break;
	case GGUF_Q4_0:
	case GGUF_F16:
	case GGUF_MIX:
	case GGUF_MAMBA:
		f->format = "gguf";
		f->architecture = m == GGUF_MAMBA ? "mamba" : "llama";
		f->dtype = m == GGUF_F16 ? "F16" : "Q4_0";
		f->quant_form = m == GGUF_F16 ? NULL : "gguf";
		f->tensor_types = m == GGUF_MIX ? "F32 Q4_0 Q6_K" : "F32 F16 Q4_0";
	}
}

struct point {
	const char *versions; /* of the environments, in order; "" for none */
	const char *platform, *quant;
	double hybrid;
	int opt;
	const char *with;
	enum sort model;
	int lora, gpu, allow;
};

/* "1.2.3", "1.2.3-rwkv", "1.2.3-rwkv:RWKV7*": version, name, the architecture that it is for. */
static struct environment new_environment(struct fixture *x, const char *v, size_t n)
{
	char *text = arena_strndup(x->a, v, n), *colon = strchr(text, ':'), *dash;
	struct environment env = { .path = "/env", .version = text };

	if (colon) {
		*colon = '\0';
		env.architectures.v = arena_array(x->a, 1, sizeof(const char *));
		env.architectures.v[env.architectures.n++] = colon + 1;
	}
	dash = strchr(text, '-');
	if (dash) {
		*dash = '\0';
		env.name = dash + 1;
	}
	return env;
}

/* What is said of a point: "" legal, "warning: ..." or the refusal. *version: what does it. */
static const char *judge(struct fixture *x, const struct point *q, const char **version)
{
	struct environment envs[4] = { 0 };
	struct engine_settings settings = { .engine = "rkllm", .environments = envs };
	struct config c = { .engines = &settings, .n_engines = 1 };
	struct model model = { .name = "m", .trust_remote_code = q->model == TRUSTED };
	struct resolved source = { .model = &model };
	struct target target = { .allow = { (int[]){ q->allow }, q->allow != 0 } };
	struct job_spec spec = { .engine = "rkllm",
				 .platform = q->platform,
				 .quant = q->quant,
				 .hybrid = q->hybrid,
				 .opt = q->opt,
				 .lora = q->lora ? "org/adapter" : NULL,
				 .with = q->with };
	struct preflight in = {
		.cfg = &c, .engine = x->en, .target = &target, .spec = &spec, .source = &source
	};
	struct preflight_result r;
	struct err e = ERR_INIT;
	struct json *with = NULL;

	describe(q->model, &source.facts);
	for (const char *v = q->versions; *v; v += *v == ' ') {
		size_t n = strcspn(v, " ");

		envs[settings.n_environments] = new_environment(x, v, n);
		envs[settings.n_environments++].gpu = q->gpu;
		v += n;
	}
	assert_int_equal(json_parse(x->a, q->with, strlen(q->with), &with, &e), 0);
	in.with = with;
	*version = "";
	if (engine_check(x->en, &spec, &e) < 0)
		return arena_strdup(x->a, e.msg);
	preflight(x->a, &in, &r);
	if (r.refusal)
		return r.refusal;
	if (r.environment)
		*version = environment_id(x->a, r.environment);
	return r.warning ? arena_printf(x->a, "warning: %s", r.warning) : "";
}

#define NO_SET "\"dataset\": \"sha256:0\""
#define CAL "{" NO_SET "}"

/* clang-format off */
static const struct {
	int rule; /* 0: legal */
	struct point q;
	const char *said; /* how it begins; of a legal point, the version that does it */
} cases[] = {
	/* what is legal on each platform */
	{ 0, { "1.1.4", "rk3588", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 }, "1.1.4" },
	{ 0, { "1.1.4", "rk3588", "w8a8_g128", 0.5, 1, CAL, LLAMA, 0, 0, 0 }, "1.1.4" },
	{ 0, { "1.1.4", "rk3576", "w4a16_g32", 0.25, 1, CAL, LLAMA, 1, 0, 0 }, "1.1.4" },
	{ 0, { "1.2.0", "rk3562", "w4a8_g32", 0, 0, CAL, LLAMA, 0, 0, 0 }, "1.2.0" },
	{ 0, { "1.2.1", "rv1126b", "w4a16_g64", 0.25, 0, CAL, LLAMA, 0, 0, 0 }, "1.2.1" },
	/* 1: the platform's row */
	{ 1, { "1.3.0", "rk3588", "w4a16", 0, 0, CAL, LLAMA, 0, 0, 0 },
	  "quant w4a16 is not legal for platform rk3588 in engine rkllm 0.1.0; legal: w8a8, "
	  "w8a8_g128, w8a8_g256, w8a8_g512; nearest: w8a8" },
	{ 1, { "1.3.0", "rk3576", "w8a8_g128", 0, 0, CAL, LLAMA, 0, 0, 0 },
	  "quant w8a8_g128 is not legal for platform rk3576" },
	{ 1, { "1.3.0", "rk3562", "w4a16", 0, 0, CAL, LLAMA, 0, 0, 0 }, "quant w4a16 is not legal" },
	/* 2: newer than the toolkit */
	{ 2, { "1.1.4", "rk3562", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 },
	  "platform rk3562 needs version 1.2.0 of the toolkit, and the environment has 1.1.4" },
	{ 2, { "1.2.0", "rv1126b", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 },
	  "platform rv1126b needs version 1.2.1" },
	{ 2, { "1.1.4", "rk3588", "w8a8", 0, 0, "{" NO_SET ",\"max_context\":8192}", LLAMA, 0, 0, 0 },
	  "parameter max_context needs version 1.2.0" },
	{ 2, { "1.1.4", "rk3588", "w8a8", 0, 0, "{" NO_SET ",\"dtype\":\"float16\"}", LLAMA, 0, 0, 0 },
	  "parameter dtype needs version 1.2.0" },
	{ 2, { "1.1.4", "rk3588", "w8a8", 0, 0, "{\"custom_config\":\"sha256:1\"," NO_SET "}", LLAMA, 0, 0, 0 },
	  "parameter custom_config needs version 1.2.0" },
	/* 3: cores */
	{ 3, { "1.2.3", "rk3588", "w8a8", 0, 0, "{" NO_SET ",\"num_npu_core\":4}", LLAMA, 0, 0, 0 },
	  "num_npu_core is 4; legal for platform rk3588: 1, 2, 3" },
	{ 3, { "1.2.3", "rk3562", "w8a8", 0, 0, "{" NO_SET ",\"num_npu_core\":2}", LLAMA, 0, 0, 0 },
	  "num_npu_core is 2; legal for platform rk3562: 1" },
	{ 0, { "1.2.3", "rk3576", "w8a8", 0, 0, "{" NO_SET ",\"num_npu_core\":2}", LLAMA, 0, 0, 0 }, "1.2.3" },
	/* 4: hybrid below 1 */
	{ 4, { "1.2.3", "rk3588", "w8a8", 1, 0, CAL, LLAMA, 0, 0, 0 },
	  "hybrid 1 is not legal in engine rkllm 0.1.0; legal: 0 to below 1" },
	/* 5: no sibling to mix with */
	{ 5, { "1.2.3", "rk3562", "w8a8", 0.5, 0, CAL, LLAMA, 0, 0, 0 },
	  "hybrid above 0 on rk3562, which has no quant with the same bits and another grouping to "
	  "mix with; instead: hybrid: 0" },
	{ 5, { "1.2.3", "rk3562", "w8a8", 0.5, 0, CAL, LLAMA, 0, 0, 5 },
	  "warning: hybrid above 0 on rk3562" },
	{ 5, { "1.2.3", "rk3576", "w8a8", 0.25, 0, CAL, LLAMA, 0, 0, 0 },
	  "warning: hybrid above 0 with w8a8 is not in the vendor's manual" },
	{ -1, { "1.2.3", "rk3588", "w8a8", 0.5, 0, "{\"do_quantization\":false}", LLAMA, 0, 0, 0 },
	  "hybrid above 0 where nothing is quantized (do_quantization false); instead: hybrid: 0" },
	/* 7: optimization levels */
	{ 7, { "1.2.3", "rk3588", "w8a8", 0, 2, CAL, LLAMA, 0, 0, 0 },
	  "opt 2 is not legal in engine rkllm 0.1.0; legal: 0, 1" },
	/* 8: grq and gdq */
	{ 8, { "1.2.3", "rk3588", "w8a8", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"grq\"}", LLAMA, 0, 1, 0 },
	  "grq and gdq are for w4a16 and its groups; instead: quantized_algorithm: normal" },
	{ 8, { "1.2.3", "rk3562", "w4a8_g32", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"gdq_r2\"}", LLAMA, 0, 1, 0 },
	  "grq and gdq are for w4a16" },
	{ 8, { "1.2.3", "rk3576", "w4a16", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"grq\"}", LLAMA, 0, 0, 0 },
	  "grq and gdq need a GPU, and this machine has none" },
	{ 8, { "1.2.3", "rk3576", "w4a16", 0, 0, "{" NO_SET ",\"device\":\"cuda\"}", LLAMA, 0, 0, 0 },
	  "device cuda needs a GPU" },
	{ 0, { "1.2.3", "rk3576", "w4a16", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"grq\"}", LLAMA, 0, 1, 0 }, "1.2.3" },
	/* 9: algorithms by version, ranks, adapters */
	{ 9, { "1.1.4", "rk3576", "w4a16", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"grq\"}", LLAMA, 0, 1, 0 },
	  "quantized_algorithm grq needs version 1.2.0" },
	{ 9, { "1.3.0", "rk3576", "w4a16", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"gdq\"}", LLAMA, 0, 1, 0 },
	  "gdq is gone from toolkit 1.3.0; instead: quantized_algorithm: grq" },
	{ 9, { "1.2.0", "rk3576", "w4a16", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"grq_r8\"}", LLAMA, 0, 1, 0 },
	  "quantized_algorithm grq_r8 needs version 1.2.1" },
	{ 9, { "1.2.3", "rk3576", "w4a16", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"grq_r8\"}", LLAMA, 1, 1, 0 },
	  "a correcting adapter (_rN) cannot be made beside another adapter" },
	{ 0, { "1.2.3", "rk3576", "w4a16", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"normal_r64\"}", LLAMA, 0, 0, 0 }, "1.2.3" },
	/* 11: groups and outputs */
	{ 11, { "1.2.3", "rk3588", "w8a8_g512", 0, 0, CAL, LLAMA, 0, 0, 0 },
	  "quant w8a8_g512 needs layers whose outputs are a multiple of 512, and k_proj has 128; "
	  "nearest: w8a8_g128" },
	{ 11, { "1.2.3", "rk3576", "w4a16_g32", 0, 0, CAL, GEMMA3N, 0, 0, 0 },
	  "quant w4a16_g32 needs layers whose outputs are a multiple of 32, and altup has 24; "
	  "nearest: w4a16" },
	{ 0, { "1.2.3", "rk3576", "w4a16", 0, 0, CAL, GEMMA3N, 0, 0, 0 }, "1.2.3" },
	/* 12: quantized already */
	{ 12, { "1.2.3", "rk3588", "w8a8", 0, 0, CAL, BNB, 0, 0, 0 },
	  "the checkpoint is quantized already (bitsandbytes, 4 bits), and engine rkllm does not "
	  "read that form; name the original checkpoint in float" },
	{ 12, { "1.2.3", "rk3576", "w4a16", 0, 0, CAL, AWQ, 0, 0, 0 },
	  "the checkpoint is quantized already (AWQ, 4 bits, groups of 128)" },
	{ 12, { "1.2.3", "rk3576", "w4a16_g128", 0, 0, CAL, GPTQ_ASYMMETRIC, 0, 0, 0 },
	  "the checkpoint is quantized already (GPTQ, 4 bits, groups of 128, not symmetric)" },
	{ 12, { "1.2.3", "rk3576", "w4a16_g32", 0, 0, CAL, GPTQ_128, 0, 0, 0 },
	  "the checkpoint is quantized already (GPTQ, 4 bits, groups of 128) and can become "
	  "w4a16_g128 only" },
	{ 12, { "1.1.3", "rk3576", "w4a16_g128", 0, 0, CAL, GPTQ_128, 0, 0, 0 },
	  "a checkpoint of GPTQ, 4 bits, groups of 128 needs version 1.1.4 of the toolkit" },
	{ 12, { "1.2.3", "rk3576", "w4a16_g128", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"grq\"}", GPTQ_128, 0, 1, 0 },
	  "a GPTQ checkpoint is taken as it is" },
	{ 0, { "1.2.3", "rk3576", "w4a16_g128", 0, 0, CAL, GPTQ_128, 0, 0, 0 }, "1.2.3" },
	/* 13: code of the checkpoint */
	{ 13, { "1.2.3", "rk3588", "w8a8", 0, 0, CAL, REMOTE, 0, 0, 0 },
	  "the checkpoint brings Python code (auto_map in its configuration)" },
	{ 0, { "1.2.3", "rk3588", "w8a8", 0, 0, CAL, TRUSTED, 0, 0, 0 }, "1.2.3" },
	/* 14: architectures by version */
	{ 14, { "1.3.0", "rk3588", "w8a8", 0, 0, CAL, MAMBA, 0, 0, 0 },
	  "engine rkllm 0.1.0 does not know the architecture MambaForCausalLM" },
	{ 14, { "1.2.0", "rk3588", "w8a8", 0, 0, CAL, QWEN3, 0, 0, 0 },
	  "architecture Qwen3ForCausalLM needs version 1.2.1 of the toolkit, and the environment has "
	  "1.2.0; add an environment of 1.2.1 or newer" },
	/* 15: a calibration set */
	{ 15, { "1.2.3", "rk3588", "w8a8", 0, 0, "{}", LLAMA, 0, 0, 0 },
	  "warning: no calibration set (`with: {dataset: FILE}`)" },
	/* 17: GGUF */
	{ 17, { "1.2.3", "rk3576", "w4a16_g32", 0, 0, CAL, GGUF_MIX, 0, 0, 0 },
	  "the GGUF file has tensors of type Q6_K, which engine rkllm does not read" },
	{ 17, { "1.2.3", "rk3576", "w4a16_g32", 0, 0, CAL, GGUF_MAMBA, 0, 0, 0 },
	  "engine rkllm 0.1.0 does not know the architecture mamba" },
	{ 17, { "1.2.3", "rk3576", "w4a16", 0, 0, CAL, GGUF_F16, 0, 0, 0 },
	  "the toolkit does not quantize a GGUF file of F16" },
	{ 17, { "1.2.3", "rk3576", "w4a16", 0, 0, CAL, GGUF_Q4_0, 0, 0, 0 },
	  "a GGUF file of Q4_0 has groups of 32 already; instead: quant: w4a16_g32" },
	{ 0, { "1.2.3", "rk3576", "w4a16_g32", 0, 0, CAL, GGUF_Q4_0, 0, 0, 0 }, "1.2.3" },
	{ 0, { "1.2.3", "rk3576", "w4a16", 0, 0, "{\"do_quantization\":false}", GGUF_F16, 0, 0, 0 }, "1.2.3" },
	/* the first environment that can do it */
	{ 0, { "1.1.4 1.2.3", "rk3588", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 }, "1.1.4" },
	{ 0, { "1.1.4 1.2.3", "rk3562", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 }, "1.2.3" },
	{ 0, { "1.2.3 1.1.4", "rk3588", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 }, "1.2.3" },
	{ 9, { "1.1.4 1.3.0", "rk3562", "w4a16_g32", 0, 0, "{" NO_SET ",\"quantized_algorithm\":\"gdq\"}", LLAMA, 0, 1, 0 },
	  "1.1.4: platform rk3562 needs version 1.2.0" },
	/* one that names the architecture goes first, one for others is not asked */
	{ 0, { "1.2.3 1.2.3-rwkv:RWKV7*", "rk3588", "w8a8", 0, 0, CAL, RWKV7, 0, 0, 0 }, "1.2.3-rwkv" },
	{ 0, { "1.2.3 1.2.3-rwkv:RWKV7*", "rk3588", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 }, "1.2.3" },
	{ 0, { "1.2.3-rwkv:RWKV7* 1.2.3", "rk3588", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 }, "1.2.3" },
	{ 0, { "1.2.3 1.1.4-rwkv:RWKV7*", "rk3588", "w8a8", 0, 0, CAL, RWKV7, 0, 0, 0 }, "1.2.3" },
	{ -1, { "1.2.3-rwkv:RWKV7*", "rk3588", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 },
	  "the environment is not for the architecture LlamaForCausalLM; add it to its `architectures`" },
	/* finished files, from 1.1.4 on, as they are */
	{ 0, { "1.1.3 1.1.4", "rk3588", "keep", 0, 0, "{}", FINISHED, 0, 0, 0 }, "1.1.4" },
	{ 0, { "1.2.3", "", "keep", 0, 0, "{}", FINISHED, 0, 0, 0 }, "1.2.3" },
	{ 2, { "1.1.3", "rk3588", "keep", 0, 0, "{}", FINISHED, 0, 0, 0 },
	  "renewing a file of format rkllm needs version 1.1.4 of the toolkit" },
	{ -1, { "1.2.3", "rk3588", "w8a8", 0, 0, "{}", FINISHED, 0, 0, 0 },
	  "an .rkllm file is finished and keeps its quant; it can be renewed for newer runtimes: quant: keep" },
	{ -1, { "1.2.3", "rk3588", "keep", 0, 0, "{}", LLAMA, 0, 0, 0 },
	  "quant keep renews finished .rkllm files, and this source is safetensors" },
	{ -1, { "1.2.3", "rk3588", "keep", 0.5, 0, "{}", FINISHED, 0, 0, 0 },
	  "quant keep: a finished file is renewed as it is, hybrid 0.5 cannot be given to it; hybrid: 0" },
	{ -1, { "1.2.3", "rk3588", "keep", 0, 1, "{}", FINISHED, 0, 0, 0 },
	  "quant keep: a finished file is renewed as it is, opt 1 cannot be given to it; opt: 0" },
	{ -1, { "1.2.3", "rk3588", "keep", 0, 0, "{}", FINISHED, 1, 0, 0 },
	  "quant keep: a finished file is renewed as it is; a model without `lora` is wanted" },
	{ -1, { "1.2.3", "rk3588", "keep", 0, 0, "{\"max_context\":4096}", FINISHED, 0, 0, 0 },
	  "quant keep: a finished file is renewed as it is; remove `with` (max_context)" },
	{ -1, { "1.2.3", "rk3568", "keep", 0, 0, "{}", FINISHED, 0, 0, 0 }, "platform rk3568 is not legal" },
	{ -1, { "", "rk3588", "w8a8", 0, 0, CAL, LLAMA, 0, 0, 0 },
	  "engine rkllm needs an environment that holds rkllm_toolkit" },
};
/* clang-format on */

static void test_rules(void **state)
{
	struct fixture *x = *state;
	int seen[32] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *version, *said = judge(x, &cases[i].q, &version);
		char number[32];

		if (cases[i].rule == 0) {
			if (*said || strcmp(version, cases[i].said) != 0)
				fail_msg("case %zu: \"%s\" by \"%s\"", i, said, version);
			continue;
		}
		if (strncmp(said, cases[i].said, strlen(cases[i].said)) != 0)
			fail_msg("case %zu: \"%s\"", i, said);
		if (cases[i].rule < 0)
			continue;
		(void)snprintf(number, sizeof(number), "(rule %d)", cases[i].rule);
		if (!strstr(said, number))
			fail_msg("case %zu without %s: \"%s\"", i, number, said);
		seen[cases[i].rule] = 1;
	}
	/* 6, 10, 16 and 18 are below; of the whole table none is forgotten. */
	for (int rule = 1; rule <= 18; rule++) {
		if (rule != 6 && rule != 10 && rule != 16 && rule != 18)
			assert_true(seen[rule]);
	}
}

/* Each number of the table has a line in the manifest. */
static void test_table(void **state)
{
	struct fixture *x = *state;

	for (int rule = 1; rule <= 18; rule++) {
		int found = 0;

		for (size_t i = 0; i < x->en->n_rules; i++)
			found |= x->en->rules[i].number == rule;
		assert_true(found);
	}
}

/* What the file itself says wrong; dir: of files that it names. */
static const char *faults_of(struct fixture *x, const char *with)
{
	char *text = arena_printf(x->a,
				  "version: 1\nmodels: [{path: m}]\ntargets:\n- engine: rkllm\n  "
				  "platform: rk3588\n  quant: w8a8\n  with: {%s}\n",
				  with);
	struct faults f = { .a = x->a };
	struct config *c = NULL;
	struct err e = ERR_INIT;
	struct buf b;
	const char *said;

	if (config_parse(x->a, "jobs.yaml", ".", text, strlen(text), NULL, &f, &c, &e) == 0) {
		matrix_check(c, &x->es, &f);
		files_look(x->a, c, &x->es, &f);
	}
	buf_init(&b, 1u << 16);
	faults_print(&f, &b);
	said = arena_strdup(x->a, buf_str(&b));
	buf_release(&b);
	return said;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* 10, 9 and 15: values and files that are wrong wherever they stand. */
static void test_file(void **state)
{
	struct fixture *x = *state;

	assert_string_equal(faults_of(x, "max_context: 4096"), "");
	assert_string_equal(faults_of(x, "max_context: 5000"),
			    "jobs.yaml:7:23: max_context is 5000; a multiple of 32 is wanted, like "
			    "4992 or 5024 (rule 10)\n");
	assert_string_equal(
		faults_of(x, "max_context: 32768"),
		"jobs.yaml:7:23: max_context is 32768; it goes from 32 to 16384 (rule 10)\n");
	assert_non_null(strstr(faults_of(x, "quantized_algorithm: grq_r65"), "grq_r65"));
	assert_non_null(strstr(faults_of(x, "quantized_algorithm: normal_r0"), "normal_r0"));
	assert_string_equal(faults_of(x, "quantized_algorithm: normal_r1"), "");
	put("good.json", "[{\"input\": \"a\", \"target\": \"b\"}]");
	put("empty.json", "[]");
	put("other.json", "[{\"input\": \"a\"}, {\"target\": \"b\"}]");
	put("text.json", "hello");
	assert_string_equal(faults_of(x, "dataset: good.json"), "");
	assert_non_null(strstr(faults_of(x, "dataset: none.json"), "there is no file ./none.json"));
	assert_non_null(strstr(faults_of(x, "dataset: none.json"), "(rule 15)"));
	assert_non_null(strstr(faults_of(x, "dataset: empty.json"), "the list is empty"));
	assert_non_null(strstr(faults_of(x, "dataset: other.json"), "entry 2 has no \"input\""));
	assert_non_null(strstr(faults_of(x, "dataset: text.json"), "quern calib"));
	assert_non_null(strstr(faults_of(x, "dataset: text.json"), "(rule 15)"));
}

/* 16: peak = weights * bytes * 1.1 + 2 GiB, a quarter more with an adapter; scratch 4 bytes a
 * weight; without quantization 16 bits a weight (issue 305 of rknn-llm). */
static void test_needs(void **state)
{
	struct fixture *x = *state;
	struct job_spec s = { .engine = "rkllm", .platform = "rk3588", .quant = "w8a8" };
	struct source_facts f = { .params = 8000000000u, .matrix_params = 8000000000u };
	const double gib = 1024.0 * 1024 * 1024;
	struct estimate need;
	struct err e = ERR_INIT;
	struct json *with;

	engine_estimate(x->en, &s, NULL, &f, 8, &need);
	assert_int_equal(need.memory_bytes, (uint64_t)(8e9 * 4.4 + 2 * gib));
	assert_int_equal(need.scratch_bytes, 32000000000u);
	assert_int_equal(need.output_bytes, 9000000000u);
	assert_int_equal(json_parse(x->a, "{\"do_quantization\":false}", 25, &with, &e), 0);
	engine_estimate(x->en, &s, with, &f, 8, &need);
	assert_int_equal(need.output_bytes, 16000000000u);
	assert_int_equal(json_parse(x->a, "{\"do_quantization\":true}", 24, &with, &e), 0);
	engine_estimate(x->en, &s, with, &f, 8, &need);
	assert_int_equal(need.output_bytes, 9000000000u);
	s.lora = "org/adapter";
	engine_estimate(x->en, &s, NULL, &f, 8, &need);
	assert_int_equal(need.memory_bytes, (uint64_t)((8e9 * 4.4 + 2 * gib) * 1.25));
	s.lora = NULL;
	assert_int_equal(json_parse(x->a, "{\"dtype\":\"float16\"}", 19, &with, &e), 0);
	engine_estimate(x->en, &s, with, &f, 8, &need);
	assert_int_equal(need.memory_bytes, (uint64_t)(8e9 * 2.2 + 2 * gib));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_needs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
