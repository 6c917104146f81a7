/* Names and shapes: modeling_*.py of the transformers library, and of the models' own repositories
 * where that has none (InternLM2, MiniCPM, MiniCPM3, ChatGLM, TeleChat2). */
#include "workers/fake/family.h"

#include <stddef.h>

#include "workers/fake/family_config.h"

/* clang-format off */
#define NORM(name)         { name, LEN_HIDDEN, LEN_NONE, WHEN_ALWAYS, 1 }
#define NORM_OF(name, len) { name, len, LEN_NONE, WHEN_ALWAYS, 1 }
#define BIAS(name, len)    { name, len, LEN_NONE, WHEN_ALWAYS, 0 }
#define MATRIX(name, r, c) { name, r, c, WHEN_ALWAYS, 0 }
#define END                { NULL, LEN_NONE, LEN_NONE, WHEN_ALWAYS, 0 }

/* ---- before and after the layers */

static const struct fake_kind embed[] = { MATRIX("model.embed_tokens.weight", LEN_VOCAB, LEN_HIDDEN), END };
static const struct fake_kind head[] = {
	NORM("model.norm.weight"),
	{ "lm_head.weight", LEN_VOCAB, LEN_HIDDEN, WHEN_UNTIED, 0 },
	END,
};
static const struct fake_kind head_with_bias[] = {
	NORM("model.norm.weight"), BIAS("model.norm.bias", LEN_HIDDEN),
	{ "lm_head.weight", LEN_VOCAB, LEN_HIDDEN, WHEN_UNTIED, 0 },
	END,
};
static const struct fake_kind embed_gemma3_vision[] = {
	MATRIX("language_model.model.embed_tokens.weight", LEN_VOCAB, LEN_HIDDEN),
	NORM("multi_modal_projector.mm_soft_emb_norm.weight"),
	MATRIX("vision_tower.vision_model.head.weight", LEN_HIDDEN, LEN_HIDDEN),
	END,
};
static const struct fake_kind head_gemma3_vision[] = { NORM("language_model.model.norm.weight"), END };
static const struct fake_kind head_phi2[] = {
	NORM("model.final_layernorm.weight"), BIAS("model.final_layernorm.bias", LEN_HIDDEN),
	{ "lm_head.weight", LEN_VOCAB, LEN_HIDDEN, WHEN_UNTIED, 0 },
	BIAS("lm_head.bias", LEN_VOCAB),
	END,
};
static const struct fake_kind embed_internlm2[] = { MATRIX("model.tok_embeddings.weight", LEN_VOCAB, LEN_HIDDEN), END };
static const struct fake_kind head_internlm2[] = {
	NORM("model.norm.weight"),
	{ "output.weight", LEN_VOCAB, LEN_HIDDEN, WHEN_UNTIED, 0 },
	END,
};
static const struct fake_kind embed_chatglm[] = {
	MATRIX("transformer.embedding.word_embeddings.weight", LEN_VOCAB, LEN_HIDDEN), END,
};
static const struct fake_kind head_chatglm[] = {
	NORM("transformer.encoder.final_layernorm.weight"),
	{ "transformer.output_layer.weight", LEN_VOCAB, LEN_HIDDEN, WHEN_UNTIED, 0 },
	END,
};
static const struct fake_kind embed_gpt2[] = {
	MATRIX("transformer.wte.weight", LEN_VOCAB, LEN_HIDDEN), MATRIX("transformer.wpe.weight", LEN_CTX, LEN_HIDDEN), END,
};
static const struct fake_kind embed_word[] = {
	MATRIX("transformer.word_embeddings.weight", LEN_VOCAB, LEN_HIDDEN), END,
};
static const struct fake_kind head_ln_f[] = {
	NORM("transformer.ln_f.weight"), BIAS("transformer.ln_f.bias", LEN_HIDDEN),
	{ "lm_head.weight", LEN_VOCAB, LEN_HIDDEN, WHEN_UNTIED, 0 },
	END,
};
static const struct fake_kind head_telechat[] = {
	NORM("transformer.ln_f.weight"),
	{ "lm_head.weight", LEN_VOCAB, LEN_HIDDEN, WHEN_UNTIED, 0 },
	END,
};

/* ---- layers */

/* The order of this one list is that of format version 1, and so it stays. */
static const struct fake_kind llama_layer[] = {
	NORM("input_layernorm.weight"),
	MATRIX("self_attn.q_proj.weight", LEN_QUERY, LEN_HIDDEN),
	MATRIX("self_attn.k_proj.weight", LEN_KEY, LEN_HIDDEN),
	MATRIX("self_attn.v_proj.weight", LEN_KEY, LEN_HIDDEN),
	MATRIX("self_attn.o_proj.weight", LEN_HIDDEN, LEN_QUERY),
	NORM("post_attention_layernorm.weight"),
	MATRIX("mlp.gate_proj.weight", LEN_FFN, LEN_HIDDEN),
	MATRIX("mlp.up_proj.weight", LEN_FFN, LEN_HIDDEN),
	MATRIX("mlp.down_proj.weight", LEN_HIDDEN, LEN_FFN),
	END,
};
static const struct fake_kind qkv_biases[] = {
	BIAS("self_attn.q_proj.bias", LEN_QUERY), BIAS("self_attn.k_proj.bias", LEN_KEY),
	BIAS("self_attn.v_proj.bias", LEN_KEY), END,
};
static const struct fake_kind head_norms[] = {
	NORM_OF("self_attn.q_norm.weight", LEN_HEAD), NORM_OF("self_attn.k_norm.weight", LEN_HEAD), END,
};
static const struct fake_kind attention[] = {
	NORM("input_layernorm.weight"),
	MATRIX("self_attn.q_proj.weight", LEN_QUERY, LEN_HIDDEN),
	MATRIX("self_attn.k_proj.weight", LEN_KEY, LEN_HIDDEN),
	MATRIX("self_attn.v_proj.weight", LEN_KEY, LEN_HIDDEN),
	MATRIX("self_attn.o_proj.weight", LEN_HIDDEN, LEN_QUERY),
	NORM("post_attention_layernorm.weight"),
	END,
};
static const struct fake_kind mixtral_experts[] = {
	{ "block_sparse_moe.gate.weight", LEN_EXPERTS, LEN_HIDDEN, WHEN_EXPERTS, 0 },
	{ "block_sparse_moe.experts.%u.w1.weight", LEN_FFN, LEN_HIDDEN, WHEN_EACH, 0 },
	{ "block_sparse_moe.experts.%u.w2.weight", LEN_HIDDEN, LEN_FFN, WHEN_EACH, 0 },
	{ "block_sparse_moe.experts.%u.w3.weight", LEN_FFN, LEN_HIDDEN, WHEN_EACH, 0 },
	END,
};
static const struct fake_kind qwen_experts[] = {
	{ "mlp.gate.weight", LEN_EXPERTS, LEN_HIDDEN, WHEN_EXPERTS, 0 },
	{ "mlp.experts.%u.gate_proj.weight", LEN_EXPERT_FFN, LEN_HIDDEN, WHEN_EACH, 0 },
	{ "mlp.experts.%u.up_proj.weight", LEN_EXPERT_FFN, LEN_HIDDEN, WHEN_EACH, 0 },
	{ "mlp.experts.%u.down_proj.weight", LEN_HIDDEN, LEN_EXPERT_FFN, WHEN_EACH, 0 },
	END,
};
static const struct fake_kind qwen2_shared[] = {
	BIAS("self_attn.q_proj.bias", LEN_QUERY), BIAS("self_attn.k_proj.bias", LEN_KEY),
	BIAS("self_attn.v_proj.bias", LEN_KEY),
	MATRIX("mlp.shared_expert_gate.weight", LEN_ONE, LEN_HIDDEN),
	MATRIX("mlp.shared_expert.gate_proj.weight", LEN_SHARED_FFN, LEN_HIDDEN),
	MATRIX("mlp.shared_expert.up_proj.weight", LEN_SHARED_FFN, LEN_HIDDEN),
	MATRIX("mlp.shared_expert.down_proj.weight", LEN_HIDDEN, LEN_SHARED_FFN),
	END,
};
static const struct fake_kind four_norms[] = {
	NORM("pre_feedforward_layernorm.weight"), NORM("post_feedforward_layernorm.weight"), END,
};
static const struct fake_kind phi2_layer[] = {
	NORM("input_layernorm.weight"), BIAS("input_layernorm.bias", LEN_HIDDEN),
	MATRIX("self_attn.q_proj.weight", LEN_QUERY, LEN_HIDDEN), BIAS("self_attn.q_proj.bias", LEN_QUERY),
	MATRIX("self_attn.k_proj.weight", LEN_KEY, LEN_HIDDEN), BIAS("self_attn.k_proj.bias", LEN_KEY),
	MATRIX("self_attn.v_proj.weight", LEN_KEY, LEN_HIDDEN), BIAS("self_attn.v_proj.bias", LEN_KEY),
	MATRIX("self_attn.dense.weight", LEN_HIDDEN, LEN_QUERY), BIAS("self_attn.dense.bias", LEN_HIDDEN),
	MATRIX("mlp.fc1.weight", LEN_FFN, LEN_HIDDEN), BIAS("mlp.fc1.bias", LEN_FFN),
	MATRIX("mlp.fc2.weight", LEN_HIDDEN, LEN_FFN), BIAS("mlp.fc2.bias", LEN_HIDDEN),
	END,
};
static const struct fake_kind phi3_layer[] = {
	NORM("input_layernorm.weight"),
	MATRIX("self_attn.qkv_proj.weight", LEN_QKV, LEN_HIDDEN),
	MATRIX("self_attn.o_proj.weight", LEN_HIDDEN, LEN_QUERY),
	NORM("post_attention_layernorm.weight"),
	MATRIX("mlp.gate_up_proj.weight", LEN_2_FFN, LEN_HIDDEN),
	MATRIX("mlp.down_proj.weight", LEN_HIDDEN, LEN_FFN),
	END,
};
static const struct fake_kind internlm2_layer[] = {
	NORM("attention_norm.weight"),
	MATRIX("attention.wqkv.weight", LEN_QKV, LEN_HIDDEN), MATRIX("attention.wo.weight", LEN_HIDDEN, LEN_QUERY),
	NORM("ffn_norm.weight"),
	MATRIX("feed_forward.w1.weight", LEN_FFN, LEN_HIDDEN), MATRIX("feed_forward.w2.weight", LEN_HIDDEN, LEN_FFN),
	MATRIX("feed_forward.w3.weight", LEN_FFN, LEN_HIDDEN),
	END,
};
static const struct fake_kind latent_layer[] = {
	NORM("input_layernorm.weight"),
	{ "self_attn.q_proj.weight", LEN_Q_LATENT, LEN_HIDDEN, WHEN_NO_Q_RANK, 0 },
	{ "self_attn.q_a_proj.weight", LEN_Q_RANK, LEN_HIDDEN, WHEN_Q_RANK, 0 },
	{ "self_attn.q_a_layernorm.weight", LEN_Q_RANK, LEN_NONE, WHEN_Q_RANK, 1 },
	{ "self_attn.q_b_proj.weight", LEN_Q_LATENT, LEN_Q_RANK, WHEN_Q_RANK, 0 },
	MATRIX("self_attn.kv_a_proj_with_mqa.weight", LEN_KV_A, LEN_HIDDEN),
	NORM_OF("self_attn.kv_a_layernorm.weight", LEN_KV_RANK),
	MATRIX("self_attn.kv_b_proj.weight", LEN_KV_B, LEN_KV_RANK),
	MATRIX("self_attn.o_proj.weight", LEN_HIDDEN, LEN_O_LATENT),
	NORM("post_attention_layernorm.weight"),
	{ "mlp.gate_proj.weight", LEN_FFN, LEN_HIDDEN, WHEN_DENSE, 0 },
	{ "mlp.up_proj.weight", LEN_FFN, LEN_HIDDEN, WHEN_DENSE, 0 },
	{ "mlp.down_proj.weight", LEN_HIDDEN, LEN_FFN, WHEN_DENSE, 0 },
	END,
};
static const struct fake_kind deepseek_shared[] = {
	{ "mlp.shared_experts.gate_proj.weight", LEN_SHARED_FFN, LEN_HIDDEN, WHEN_EXPERTS, 0 },
	{ "mlp.shared_experts.up_proj.weight", LEN_SHARED_FFN, LEN_HIDDEN, WHEN_EXPERTS, 0 },
	{ "mlp.shared_experts.down_proj.weight", LEN_HIDDEN, LEN_SHARED_FFN, WHEN_EXPERTS, 0 },
	END,
};
static const struct fake_kind deepseek_v3_bias[] = {
	{ "mlp.gate.e_score_correction_bias", LEN_EXPERTS, LEN_NONE, WHEN_EXPERTS, 0 }, END,
};
static const struct fake_kind chatglm_layer[] = {
	NORM("input_layernorm.weight"),
	MATRIX("self_attention.query_key_value.weight", LEN_QKV, LEN_HIDDEN),
	BIAS("self_attention.query_key_value.bias", LEN_QKV),
	MATRIX("self_attention.dense.weight", LEN_HIDDEN, LEN_QUERY),
	NORM("post_attention_layernorm.weight"),
	MATRIX("mlp.dense_h_to_4h.weight", LEN_2_FFN, LEN_HIDDEN),
	MATRIX("mlp.dense_4h_to_h.weight", LEN_HIDDEN, LEN_FFN),
	END,
};
static const struct fake_kind stablelm_biases[] = {
	BIAS("input_layernorm.bias", LEN_HIDDEN), BIAS("post_attention_layernorm.bias", LEN_HIDDEN), END,
};
static const struct fake_kind gpt2_layer[] = {
	NORM("ln_1.weight"), BIAS("ln_1.bias", LEN_HIDDEN),
	MATRIX("attn.c_attn.weight", LEN_HIDDEN, LEN_3_HIDDEN), BIAS("attn.c_attn.bias", LEN_3_HIDDEN),
	MATRIX("attn.c_proj.weight", LEN_HIDDEN, LEN_HIDDEN), BIAS("attn.c_proj.bias", LEN_HIDDEN),
	NORM("ln_2.weight"), BIAS("ln_2.bias", LEN_HIDDEN),
	MATRIX("mlp.c_fc.weight", LEN_HIDDEN, LEN_FFN), BIAS("mlp.c_fc.bias", LEN_FFN),
	MATRIX("mlp.c_proj.weight", LEN_FFN, LEN_HIDDEN), BIAS("mlp.c_proj.bias", LEN_HIDDEN),
	END,
};
static const struct fake_kind falcon_layer[] = {
	NORM("input_layernorm.weight"), BIAS("input_layernorm.bias", LEN_HIDDEN),
	MATRIX("self_attention.query_key_value.weight", LEN_QKV, LEN_HIDDEN),
	MATRIX("self_attention.dense.weight", LEN_HIDDEN, LEN_QUERY),
	MATRIX("mlp.dense_h_to_4h.weight", LEN_FFN, LEN_HIDDEN), MATRIX("mlp.dense_4h_to_h.weight", LEN_HIDDEN, LEN_FFN),
	END,
};
static const struct fake_kind olmo2_layer[] = {
	MATRIX("self_attn.q_proj.weight", LEN_QUERY, LEN_HIDDEN), NORM_OF("self_attn.q_norm.weight", LEN_QUERY),
	MATRIX("self_attn.k_proj.weight", LEN_KEY, LEN_HIDDEN), NORM_OF("self_attn.k_norm.weight", LEN_KEY),
	MATRIX("self_attn.v_proj.weight", LEN_KEY, LEN_HIDDEN), MATRIX("self_attn.o_proj.weight", LEN_HIDDEN, LEN_QUERY),
	NORM("post_attention_layernorm.weight"), NORM("post_feedforward_layernorm.weight"),
	MATRIX("mlp.gate_proj.weight", LEN_FFN, LEN_HIDDEN), MATRIX("mlp.up_proj.weight", LEN_FFN, LEN_HIDDEN),
	MATRIX("mlp.down_proj.weight", LEN_HIDDEN, LEN_FFN),
	END,
};
static const struct fake_kind telechat_layer[] = {
	NORM("input_layernorm.weight"),
	MATRIX("self_attention.query.weight", LEN_QUERY, LEN_HIDDEN),
	MATRIX("self_attention.key_value.weight", LEN_2_KEY, LEN_HIDDEN),
	MATRIX("self_attention.dense.weight", LEN_HIDDEN, LEN_QUERY), BIAS("self_attention.dense.bias", LEN_HIDDEN),
	NORM("post_attention_layernorm.weight"),
	MATRIX("mlp.gate_proj.weight", LEN_FFN, LEN_HIDDEN), MATRIX("mlp.up_proj.weight", LEN_FFN, LEN_HIDDEN),
	MATRIX("mlp.down_proj.weight", LEN_HIDDEN, LEN_FFN), BIAS("mlp.down_proj.bias", LEN_HIDDEN),
	END,
};

/* ---- the table */

#define BYTE_LEVEL(regex) \
	"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" regex "}"
#define DIGITS "{\"type\":\"Digits\",\"individual_digits\":true}"
#define SPLIT(regex) \
	"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define SEQUENCE(steps) "{\"type\":\"Sequence\",\"pretokenizers\":[" steps "]}"

#define PRE_GPT2 BYTE_LEVEL("true")
#define PRE_STARCODER SEQUENCE(DIGITS "," BYTE_LEVEL("true"))
#define PRE_FALCON \
	SEQUENCE("{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}," BYTE_LEVEL("true") "," \
		 "{\"type\":\"Digits\",\"individual_digits\":false}," SPLIT("[0-9][0-9][0-9]"))
#define PRE_DEEPSEEK_V3 \
	SEQUENCE(SPLIT("\\\\p{N}{1,3}") "," SPLIT("[一-龥぀-ゟ゠-ヿ]+") "," \
		 SPLIT("[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^\\\\r\\\\n\\\\p{L}\\\\p{P}\\\\p{S}]?" \
		       "[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+") \
		 "," BYTE_LEVEL("false"))

#define CAUSAL_LM "ForCausalLM"
#define MODEL_LAYERS "model.layers.%u."

const struct fake_family fake_families[] = {
	[FAMILY_LLAMA] =
	{ "llama", "Llama" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer }, head, TOK_LLAMA3, 0, "silu", NULL, NULL, fake_config_llama, CONFIG_COMMON },
	[FAMILY_QWEN2] =
	{ "qwen2", "Qwen2" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer, qkv_biases }, head, TOK_QWEN2, 0, "silu", NULL, NULL,
	  fake_config_qwen2, CONFIG_COMMON },
	[FAMILY_MISTRAL] =
	{ "mistral", "Mistral" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer }, head, TOK_SENTENCEPIECE, 0, "silu", NULL, NULL, fake_config_rms, CONFIG_COMMON },
	[FAMILY_MIXTRAL] =
	{ "mixtral", "Mixtral" CAUSAL_LM, MODEL_LAYERS, embed, { attention, mixtral_experts }, head, TOK_SENTENCEPIECE, 0, "silu", NULL,
	  NULL, fake_config_mixtral, CONFIG_COMMON },
	[FAMILY_INTERNLM3] =
	{ "internlm3", "InternLM3" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer }, head, TOK_SENTENCEPIECE, 0, "silu", NULL, NULL,
	  fake_config_rms, CONFIG_COMMON },
	[FAMILY_TELECHAT] =
	{ "telechat", "TeleChat2" CAUSAL_LM, "transformer.h.%u.", embed_word, { telechat_layer }, head_telechat, TOK_SENTENCEPIECE, 0, "silu", NULL, NULL, fake_config_telechat, CONFIG_OWN },
	[FAMILY_SMOLLM3] =
	{ "smollm3", "SmolLM3" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer }, head, TOK_LLAMA3, 0, "silu", NULL, NULL, fake_config_smollm3, CONFIG_COMMON },
	[FAMILY_GRANITE] =
	{ "granite", "Granite" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer }, head, TOK_PLAIN, 0, "silu", PRE_STARCODER, "null",
	  fake_config_granite, CONFIG_COMMON },
	[FAMILY_MINICPM] =
	{ "minicpm", "MiniCPM" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer }, head, TOK_SENTENCEPIECE, 0, "silu", NULL, NULL,
	  fake_config_minicpm, CONFIG_COMMON },
	[FAMILY_INTERNLM2] =
	{ "internlm2", "InternLM2" CAUSAL_LM, MODEL_LAYERS, embed_internlm2, { internlm2_layer }, head_internlm2,
	  TOK_SENTENCEPIECE, 0, "silu", NULL, NULL, fake_config_rms, CONFIG_COMMON },
	[FAMILY_QWEN3] =
	{ "qwen3", "Qwen3" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer, head_norms }, head, TOK_QWEN2, 0, "silu", NULL, NULL,
	  fake_config_rms, CONFIG_COMMON },
	[FAMILY_QWEN2_MOE] =
	{ "qwen2_moe", "Qwen2Moe" CAUSAL_LM, MODEL_LAYERS, embed, { attention, qwen_experts, qwen2_shared }, head, TOK_QWEN2, 0, "silu",
	  NULL, NULL, fake_config_qwen_moe, CONFIG_COMMON },
	[FAMILY_QWEN3_MOE] =
	{ "qwen3_moe", "Qwen3Moe" CAUSAL_LM, MODEL_LAYERS, embed, { attention, head_norms, qwen_experts }, head, TOK_QWEN2, 0, "silu",
	  NULL, NULL, fake_config_qwen_moe, CONFIG_COMMON },
	[FAMILY_GEMMA] =
	{ "gemma", "Gemma" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer }, head, TOK_GEMMA, 1, "gelu_pytorch_tanh", NULL, NULL,
	  fake_config_gemma, CONFIG_COMMON },
	[FAMILY_GEMMA2] =
	{ "gemma2", "Gemma2" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer, four_norms }, head, TOK_GEMMA, 1, "gelu_pytorch_tanh", NULL, NULL,
	  fake_config_gemma2, CONFIG_COMMON },
	[FAMILY_GEMMA3_TEXT] =
	{ "gemma3_text", "Gemma3" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer, four_norms, head_norms }, head,
	  TOK_GEMMA, 1, "gelu_pytorch_tanh", NULL, NULL, fake_config_gemma3, CONFIG_COMMON },
	[FAMILY_GEMMA3] =
	{ "gemma3", "Gemma3ForConditionalGeneration", "language_model.model.layers.%u.", embed_gemma3_vision,
	  { llama_layer, four_norms, head_norms }, head_gemma3_vision, TOK_GEMMA, 1, "gelu_pytorch_tanh", NULL, NULL, fake_config_gemma3, CONFIG_NESTED },
	[FAMILY_PHI] =
	{ "phi", "Phi" CAUSAL_LM, MODEL_LAYERS, embed, { phi2_layer }, head_phi2, TOK_PLAIN, 0, "gelu_new", PRE_GPT2, "null", fake_config_phi2, CONFIG_COMMON },
	[FAMILY_PHI3] =
	{ "phi3", "Phi3" CAUSAL_LM, MODEL_LAYERS, embed, { phi3_layer }, head, TOK_SENTENCEPIECE, 0, "silu", NULL, NULL, fake_config_phi3, CONFIG_COMMON },
	[FAMILY_MINICPM3] =
	{ "minicpm3", "MiniCPM3" CAUSAL_LM, MODEL_LAYERS, embed, { latent_layer }, head, TOK_SENTENCEPIECE, 0, "silu", NULL, NULL,
	  fake_config_minicpm3, CONFIG_COMMON },
	[FAMILY_DEEPSEEK_V2] =
	{ "deepseek_v2", "DeepseekV2" CAUSAL_LM, MODEL_LAYERS, embed, { latent_layer, qwen_experts, deepseek_shared }, head,
	  TOK_PLAIN, 0, "silu", PRE_DEEPSEEK_V3, "null", fake_config_deepseek, CONFIG_COMMON },
	[FAMILY_DEEPSEEK_V3] =
	{ "deepseek_v3", "DeepseekV3" CAUSAL_LM, MODEL_LAYERS, embed,
	  { latent_layer, qwen_experts, deepseek_shared, deepseek_v3_bias }, head, TOK_PLAIN, 0, "silu", PRE_DEEPSEEK_V3, "null",
	  fake_config_deepseek, CONFIG_COMMON },
	[FAMILY_CHATGLM] =
	{ "chatglm", "ChatGLMModel", "transformer.encoder.layers.%u.", embed_chatglm, { chatglm_layer }, head_chatglm,
	  TOK_SENTENCEPIECE, 0, "silu", NULL, NULL, fake_config_chatglm, CONFIG_OWN },
	[FAMILY_STABLELM] =
	{ "stablelm", "StableLm" CAUSAL_LM, MODEL_LAYERS, embed, { llama_layer, qkv_biases, stablelm_biases }, head_with_bias,
	  TOK_QWEN2, 0, "silu", NULL, NULL, fake_config_stablelm, CONFIG_COMMON },
	[FAMILY_GPT2] =
	{ "gpt2", "GPT2LMHeadModel", "transformer.h.%u.", embed_gpt2, { gpt2_layer }, head_ln_f, TOK_PLAIN, 0, "silu", PRE_GPT2, "null",
	  fake_config_gpt2, CONFIG_OWN },
	[FAMILY_FALCON] =
	{ "falcon", "Falcon" CAUSAL_LM, "transformer.h.%u.", embed_word, { falcon_layer }, head_ln_f, TOK_PLAIN, 0, "silu", PRE_FALCON,
	  "null", fake_config_falcon, CONFIG_OWN },
	[FAMILY_OLMO2] =
	{ "olmo2", "Olmo2" CAUSAL_LM, MODEL_LAYERS, embed, { olmo2_layer }, head, TOK_PLAIN, 0, "silu", PRE_GPT2, "null", fake_config_rms, CONFIG_COMMON },
};
/* clang-format on */
