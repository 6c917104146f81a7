#include "workers/gguf/arch.h"

#include <string.h>

#include "core/mem.h"
#include "workers/gguf/arch_derive.h"
#include "workers/gguf/arch_rules.h"

#define COUNT(names, field, max)                                                                   \
	{                                                                                          \
		names, FIELD_COUNT, offsetof(struct hparams, field), max                           \
	}
#define REAL(names, field)                                                                         \
	{                                                                                          \
		names, FIELD_REAL, offsetof(struct hparams, field), 0                              \
	}
#define CHOICE(names, field)                                                                       \
	{                                                                                          \
		names, FIELD_CHOICE, offsetof(struct hparams, field), 0                            \
	}
#define NO_MORE                                                                                    \
	{                                                                                          \
		NULL, FIELD_COUNT, 0, 0                                                            \
	}

/* clang-format off */
static const struct field mixtral_fields[] = {
	COUNT("num_local_experts",   experts,      4096),
	COUNT("num_experts_per_tok", experts_used, 4096),
	NO_MORE,
};

static const struct field qwen_moe_fields[] = {
	COUNT("num_experts|num_local_experts",   experts,      4096),
	COUNT("num_experts_per_tok",             experts_used, 4096),
	COUNT("moe_intermediate_size",           expert_ffn,   1 << 24),
	COUNT("shared_expert_intermediate_size", shared_ffn,   1 << 24),
	NO_MORE,
};

static const struct field gemma2_fields[] = {
	COUNT("sliding_window",         window, 1 << 30),
	REAL("attn_logit_softcapping",  attn_softcap),
	REAL("final_logit_softcapping", final_softcap),
	NO_MORE,
};

static const struct field gemma3_fields[] = {
	COUNT("sliding_window",         window, 1 << 30),
	REAL("final_logit_softcapping", final_softcap),
	NO_MORE,
};

static const struct field phi3_fields[] = {
	COUNT("sliding_window",                   window,                1 << 30),
	COUNT("original_max_position_embeddings", rope_original_context, INT32_MAX),
	NO_MORE,
};

static const struct field minicpm_fields[] = {
	REAL("scale_emb",      embedding_scale),
	REAL("scale_depth",    residual_scale),
	REAL("dim_model_base", logit_scale),
	NO_MORE,
};

static const struct field granite_fields[] = {
	REAL("embedding_multiplier", embedding_scale),
	REAL("residual_multiplier",  residual_scale),
	REAL("attention_multiplier", attention_scale),
	REAL("logits_scaling",       logit_scale),
	NO_MORE,
};

#define LATENT_FIELDS \
	COUNT("q_lora_rank",      q_rank,   1 << 20), \
	COUNT("kv_lora_rank",     kv_rank,  1 << 20), \
	COUNT("qk_nope_head_dim", nope_dim, 1 << 16), \
	COUNT("qk_rope_head_dim", rope_dim, 1 << 16), \
	COUNT("v_head_dim",       v_dim,    1 << 16)

static const struct field minicpm3_fields[] = { LATENT_FIELDS, NO_MORE };

static const struct field deepseek_fields[] = {
	LATENT_FIELDS,
	COUNT("n_routed_experts",      experts,            4096),
	COUNT("num_experts_per_tok",   experts_used,       4096),
	COUNT("moe_intermediate_size", expert_ffn,         1 << 24),
	COUNT("n_shared_experts",      shared_experts,     4096),
	COUNT("first_k_dense_replace", dense_layers,       512),
	COUNT("n_group",               expert_groups,      4096),
	COUNT("topk_group",            expert_groups_used, 4096),
	REAL("routed_scaling_factor",  expert_scale),
	CHOICE("norm_topk_prob",       expert_norm),
	NO_MORE,
};

static const struct field chatglm_fields[] = {
	REAL("layernorm_epsilon", rms_eps),
	NO_MORE,
};

static const struct field stablelm_fields[] = {
	CHOICE("use_parallel_residual", parallel_residual),
	NO_MORE,
};

#define MODEL { "model." }
#define LAYERS "*layers.%u."

static const struct arch archs[] = {
	/* ---- as llama */
	{ .hf_class = "LlamaForCausalLM", .name = "llama", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, turned_attention, gated, gated_biases },
	  .defaults = { .context = 2048, .rms_eps = 1e-6, .rope_theta = 1e4 },
	  .activation = "silu|swish", .derive = derive_llama },
	{ .hf_class = "MistralForCausalLM", .name = "llama", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, turned_attention, gated },
	  .defaults = { .context = 131072, .kv_heads = 8, .rms_eps = 1e-6, .rope_theta = 1e4 },
	  .activation = "silu", .derive = derive_llama },
	{ .hf_class = "MixtralForCausalLM", .name = "llama", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, turned_attention, mixtral_experts },
	  .defaults = { .context = 131072, .kv_heads = 8, .rms_eps = 1e-5, .rope_theta = 1e6,
			.experts = 8, .experts_used = 2 },
	  .activation = "silu", .fields = mixtral_fields, .derive = derive_llama },
	{ .hf_class = "InternLM3ForCausalLM", .name = "llama", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, turned_attention, gated, gated_biases },
	  .defaults = { .context = 32768, .rms_eps = 1e-6, .rope_theta = 1e4 },
	  .activation = "silu", .derive = derive_llama },
	{ .hf_class = "TeleChat2ForCausalLM", .name = "llama", .bases = { "transformer.", "" }, .layer = "*h.%u.",
	  .globals = telechat_globals, .layers = { telechat_layer, gated, gated_biases },
	  .defaults = { .context = 8192, .ln_eps = 1e-5, .rope_theta = 1e4 },
	  .derive = derive_telechat },
	{ .hf_class = "SmolLM3ForCausalLM", .name = "smollm3", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, turned_attention, gated, gated_biases },
	  .defaults = { .context = 32768, .kv_heads = 4, .rms_eps = 1e-6, .rope_theta = 2e6, .tied = 1 },
	  .activation = "silu", .derive = derive_smollm3 },
	{ .hf_class = "GraniteForCausalLM", .name = "granite", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, turned_attention, gated, gated_biases },
	  .defaults = { .context = 2048, .rms_eps = 1e-6, .rope_theta = 1e4, .embedding_scale = 1,
			.residual_scale = 1, .attention_scale = 1, .logit_scale = 1 },
	  .activation = "silu", .fields = granite_fields, .derive = derive_llama },
	{ .hf_class = "MiniCPMForCausalLM", .name = "minicpm", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, turned_attention, gated },
	  .defaults = { .context = 2048, .rms_eps = 1e-6, .rope_theta = 1e4, .tied = 1 },
	  .activation = "silu", .fields = minicpm_fields, .derive = derive_minicpm },
	{ .hf_class = "InternLM2ForCausalLM", .name = "internlm2", .bases = MODEL, .layer = LAYERS,
	  .globals = internlm2_globals, .layers = { internlm2_layer },
	  .defaults = { .context = 2048, .rms_eps = 1e-6, .rope_theta = 1e4 },
	  .activation = "silu", .derive = derive_qwen },

	/* ---- qwen */
	{ .hf_class = "Qwen2ForCausalLM", .name = "qwen2", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, attention, qkv_biases, gated },
	  .defaults = { .context = 32768, .kv_heads = 32, .rms_eps = 1e-6, .rope_theta = 1e4 },
	  .activation = "silu", .derive = derive_qwen },
	{ .hf_class = "Qwen3ForCausalLM", .name = "qwen3", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, attention, head_norms, gated },
	  .defaults = { .context = 32768, .kv_heads = 32, .head_dim = 128, .rms_eps = 1e-6, .rope_theta = 1e4 },
	  .activation = "silu", .derive = derive_qwen },
	{ .hf_class = "Qwen2MoeForCausalLM", .name = "qwen2moe", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder_untied,
	  .layers = { two_norms, attention, qkv_biases, qwen_experts, qwen2_shared_expert },
	  .defaults = { .context = 32768, .kv_heads = 16, .ffn = 5632, .rms_eps = 1e-6, .rope_theta = 1e4,
			.experts = 60, .experts_used = 4, .expert_ffn = 1408, .shared_ffn = 5632 },
	  .activation = "silu", .fields = qwen_moe_fields, .derive = derive_qwen2moe },
	{ .hf_class = "Qwen3MoeForCausalLM", .name = "qwen3moe", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, attention, head_norms, qwen_experts },
	  .defaults = { .context = 32768, .kv_heads = 4, .ffn = 6144, .rms_eps = 1e-6, .rope_theta = 1e4,
			.experts = 128, .experts_used = 8, .expert_ffn = 768 },
	  .activation = "silu", .fields = qwen_moe_fields, .derive = derive_qwen3moe },

	/* ---- gemma */
	{ .hf_class = "GemmaForCausalLM", .name = "gemma", .bases = MODEL, .layer = LAYERS,
	  .globals = gemma_globals, .layers = { two_shifted_norms, attention, gated },
	  .defaults = { .context = 8192, .kv_heads = 16, .head_dim = 256, .rms_eps = 1e-6, .rope_theta = 1e4 },
	  .activation = "gelu_pytorch_tanh|gelu", .derive = derive_gemma },
	{ .hf_class = "Gemma2ForCausalLM", .name = "gemma2", .bases = MODEL, .layer = LAYERS,
	  .globals = gemma_globals, .layers = { four_shifted_norms, attention, gated },
	  .defaults = { .context = 8192, .kv_heads = 4, .head_dim = 256, .rms_eps = 1e-6, .rope_theta = 1e4,
			.window = 4096, .attn_softcap = 50, .final_softcap = 30 },
	  .activation = "gelu_pytorch_tanh", .fields = gemma2_fields, .derive = derive_gemma2 },
	{ .hf_class = "Gemma3ForCausalLM", .name = "gemma3", .bases = MODEL, .layer = LAYERS,
	  .globals = gemma_globals, .layers = { four_shifted_norms, attention, shifted_head_norms, gated },
	  .defaults = { .context = 131072, .heads = 8, .kv_heads = 4, .head_dim = 256, .rms_eps = 1e-6,
			.rope_theta = 1e6, .rope_theta_local = 1e4, .window = 4096, .vocab = 262208 },
	  .activation = "gelu_pytorch_tanh", .fields = gemma3_fields, .derive = derive_gemma3 },
	{ .hf_class = "Gemma3ForConditionalGeneration", .name = "gemma3", .layer = LAYERS,
	  .bases = { "language_model.model.", "model.language_model." },
	  .globals = gemma_globals, .layers = { four_shifted_norms, attention, shifted_head_norms, gated },
	  .defaults = { .context = 131072, .heads = 8, .kv_heads = 4, .head_dim = 256, .rms_eps = 1e-6,
			.rope_theta = 1e6, .rope_theta_local = 1e4, .window = 4096, .vocab = 262208 },
	  .activation = "gelu_pytorch_tanh", .fields = gemma3_fields, .derive = derive_gemma3,
	  .dropped = { "vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector." } },

	/* ---- phi */
	{ .hf_class = "PhiForCausalLM", .name = "phi2", .bases = MODEL, .layer = LAYERS,
	  .globals = phi2_globals, .layers = { phi2_layer, qkv_biases },
	  .defaults = { .context = 2048, .ffn = 8192, .ln_eps = 1e-5, .rope_theta = 1e4, .rope_partial = 0.5 },
	  .activation = "gelu_new", .derive = derive_partial },
	{ .hf_class = "Phi3ForCausalLM", .name = "phi3", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, phi3_layer },
	  .defaults = { .context = 4096, .rms_eps = 1e-5, .rope_theta = 1e4, .rope_partial = 1,
			.rope_original_context = 4096 },
	  .activation = "silu", .fields = phi3_fields, .derive = derive_phi3 },

	/* ---- latent attention */
	{ .hf_class = "MiniCPM3ForCausalLM", .name = "minicpm3", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, latent_attention, latent_whole, gated },
	  .defaults = { .context = 32768, .rms_eps = 1e-6, .rope_theta = 1e4, .tied = 1 },
	  .activation = "silu", .fields = minicpm3_fields, .derive = derive_minicpm3 },
	{ .hf_class = "DeepseekV2ForCausalLM", .name = "deepseek2", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, latent_attention, latent_split, deepseek_feed_forward },
	  .defaults = { .context = 2048, .rms_eps = 1e-6, .rope_theta = 1e4, .expert_scale = 1,
			.gating = GATING_SOFTMAX },
	  .activation = "silu", .fields = deepseek_fields, .derive = derive_deepseek },
	{ .hf_class = "DeepseekV3ForCausalLM", .name = "deepseek2", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { two_norms, latent_attention, latent_split, deepseek_feed_forward },
	  .defaults = { .context = 4096, .rms_eps = 1e-6, .rope_theta = 1e4, .expert_scale = 2.5,
			.expert_norm = CHOICE_YES, .gating = GATING_SIGMOID },
	  .activation = "silu", .fields = deepseek_fields, .derive = derive_deepseek, .more_layers = 1 },

	/* ---- others */
	{ .hf_class = "ChatGLMModel", .name = "chatglm", .bases = { "transformer." }, .layer = "*encoder.layers.%u.",
	  .globals = chatglm_globals, .layers = { chatglm_layer },
	  .defaults = { .context = 2048, .kv_heads = 1, .rms_eps = 1e-5, .rope_theta = 1e4 },
	  .fields = chatglm_fields, .derive = derive_chatglm },
	{ .hf_class = "StableLmForCausalLM", .name = "stablelm", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder_untied,
	  .layers = { stablelm_norms, attention, qkv_biases_maybe, own_head_norms, gated },
	  .defaults = { .context = 4096, .kv_heads = 32, .ln_eps = 1e-5, .rope_theta = 1e4, .rope_partial = 0.25,
			.parallel_residual = CHOICE_NO },
	  .activation = "silu", .fields = stablelm_fields, .derive = derive_partial },
	{ .hf_class = "GPT2LMHeadModel", .name = "gpt2", .bases = { "transformer.", "" }, .layer = "*h.%u.",
	  .globals = gpt2_globals, .layers = { gpt2_layer },
	  .defaults = { .context = 1024, .ln_eps = 1e-5, .tied = 1 },
	  .activation = "gelu_new", .derive = derive_gpt2 },
	{ .hf_class = "FalconForCausalLM", .name = "falcon", .bases = { "transformer." }, .layer = "*h.%u.",
	  .globals = falcon_globals, .layers = { falcon_layer },
	  .defaults = { .context = 2048, .ln_eps = 1e-5, .rope_theta = 1e4, .tied = 1 },
	  .activation = "gelu", .derive = derive_falcon },
	{ .hf_class = "Olmo2ForCausalLM", .name = "olmo2", .bases = MODEL, .layer = LAYERS,
	  .globals = decoder, .layers = { norms_behind, attention, whole_norms, gated },
	  .defaults = { .context = 2048, .rms_eps = 1e-5, .rope_theta = 1e4 },
	  .activation = "silu", .derive = derive_qwen },
};
/* clang-format on */

const struct arch *arch_by_class(const char *hf_class)
{
	for (size_t i = 0; i < ARRAY_LEN(archs); i++) {
		if (strcmp(archs[i].hf_class, hf_class) == 0)
			return &archs[i];
	}
	return NULL;
}

const struct arch *arch_get(size_t i)
{
	return i < ARRAY_LEN(archs) ? &archs[i] : NULL;
}

int arch_list_has(const char *names, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = names; *p; p += *p == '|') {
		size_t n = strcspn(p, "|");

		if (n == len && memcmp(p, word, n) == 0)
			return 1;
		p += n;
	}
	return 0;
}

uint64_t dim_value(const struct hparams *h, enum dim d)
{
	switch (d) {
	case DIM_NONE:
		return 0;
	case DIM_ONE:
		return 1;
	case DIM_EMBD:
		return h->embd;
	case DIM_3_EMBD:
		return 3 * h->embd;
	case DIM_FFN:
		return h->ffn;
	case DIM_2_FFN:
		return 2 * h->ffn;
	case DIM_VOCAB:
		return h->vocab;
	case DIM_CONTEXT:
		return h->context;
	case DIM_HEAD:
		return h->head_dim;
	case DIM_HEADS:
		return h->heads;
	case DIM_KV_HEADS:
		return h->kv_heads;
	case DIM_Q:
		return h->heads * h->head_dim;
	case DIM_KV:
		return h->kv_heads * h->head_dim;
	case DIM_2_KV:
		return 2 * h->kv_heads * h->head_dim;
	case DIM_QKV:
		return (h->heads + 2 * h->kv_heads) * h->head_dim;
	case DIM_EXPERTS:
		return h->experts;
	case DIM_EXPERT_FFN:
		return h->expert_ffn;
	case DIM_2_EXPERT_FFN:
		return 2 * h->expert_ffn;
	case DIM_SHARED_FFN:
		return h->shared_ffn;
	case DIM_Q_RANK:
		return h->q_rank;
	case DIM_KV_RANK:
		return h->kv_rank;
	case DIM_KV_A:
		return h->kv_rank + h->rope_dim;
	case DIM_Q_MLA:
		return h->heads * (h->nope_dim + h->rope_dim);
	case DIM_KV_B:
		return h->heads * (h->nope_dim + h->v_dim);
	case DIM_O_MLA:
		return h->heads * h->v_dim;
	}
	return 0;
}
