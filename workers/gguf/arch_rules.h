/* workers/gguf/arch_rules.h -- lists of rules that several architectures share, and
 * what their classes ask of config.json beyond the common numbers. arch.c puts
 * them together. Each list ends with END. */
#ifndef QUERN_WORKERS_GGUF_ARCH_RULES_H
#define QUERN_WORKERS_GGUF_ARCH_RULES_H

#include "workers/gguf/arch.h"

/* clang-format off */
#define END { NULL, NULL, DIM_NONE, DIM_NONE, AS_IS, OPTIONAL }

/* ---- the whole model */

static const struct tensor_rule decoder[] = {
	{ "*embed_tokens.weight", "token_embd.weight",  DIM_VOCAB, DIM_EMBD, AS_IS, REQUIRED },
	{ "*norm.weight",         "output_norm.weight", DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "lm_head.weight",       "output.weight",      DIM_VOCAB, DIM_EMBD, AS_IS, UNLESS_TIED },
	END,
};

/* llama.cpp asks these for an output matrix in any case. */
static const struct tensor_rule decoder_untied[] = {
	{ "*embed_tokens.weight", "token_embd.weight",  DIM_VOCAB, DIM_EMBD, AS_IS, REQUIRED },
	{ "*norm.weight",         "output_norm.weight", DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "*norm.bias",           "output_norm.bias",   DIM_NONE,  DIM_EMBD, AS_IS, OPTIONAL },
	{ "lm_head.weight",       "output.weight",      DIM_VOCAB, DIM_EMBD, AS_IS, OR_EMBEDDING },
	END,
};

static const struct tensor_rule gemma_globals[] = {
	{ "*embed_tokens.weight", "token_embd.weight",  DIM_VOCAB, DIM_EMBD, CUT_TO_TOKENS, REQUIRED },
	{ "*norm.weight",         "output_norm.weight", DIM_NONE,  DIM_EMBD, PLUS_ONE,      REQUIRED },
	{ "lm_head.weight",       NULL,                 DIM_VOCAB, DIM_EMBD, AS_IS,         DROPPED },
	END,
};

static const struct tensor_rule phi2_globals[] = {
	{ "*embed_tokens.weight",    "token_embd.weight",  DIM_VOCAB, DIM_EMBD,  AS_IS, REQUIRED },
	{ "*final_layernorm.weight", "output_norm.weight", DIM_NONE,  DIM_EMBD,  AS_IS, REQUIRED },
	{ "*final_layernorm.bias",   "output_norm.bias",   DIM_NONE,  DIM_EMBD,  AS_IS, REQUIRED },
	{ "lm_head.weight",          "output.weight",      DIM_VOCAB, DIM_EMBD,  AS_IS, OR_EMBEDDING },
	{ "lm_head.bias",            "output.bias",        DIM_NONE,  DIM_VOCAB, AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule internlm2_globals[] = {
	{ "*tok_embeddings.weight", "token_embd.weight",  DIM_VOCAB, DIM_EMBD, AS_IS, REQUIRED },
	{ "*norm.weight",           "output_norm.weight", DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "output.weight",          "output.weight",      DIM_VOCAB, DIM_EMBD, AS_IS, OR_EMBEDDING },
	END,
};

static const struct tensor_rule chatglm_globals[] = {
	{ "*embedding.word_embeddings.weight", "token_embd.weight",  DIM_VOCAB, DIM_EMBD, AS_IS, REQUIRED },
	{ "*encoder.final_layernorm.weight",   "output_norm.weight", DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "*output_layer.weight",              "output.weight",      DIM_VOCAB, DIM_EMBD, AS_IS, UNLESS_TIED },
	{ "*rotary_pos_emb.inv_freq",          NULL,                 DIM_NONE,  DIM_NONE, AS_IS, DROPPED },
	END,
};

static const struct tensor_rule gpt2_globals[] = {
	{ "*wte.weight",    "token_embd.weight",    DIM_VOCAB,   DIM_EMBD, AS_IS, REQUIRED },
	{ "*wpe.weight",    "position_embd.weight", DIM_CONTEXT, DIM_EMBD, AS_IS, REQUIRED },
	{ "*ln_f.weight",   "output_norm.weight",   DIM_NONE,    DIM_EMBD, AS_IS, REQUIRED },
	{ "*ln_f.bias",     "output_norm.bias",     DIM_NONE,    DIM_EMBD, AS_IS, REQUIRED },
	{ "lm_head.weight", "output.weight",        DIM_VOCAB,   DIM_EMBD, AS_IS, UNLESS_TIED },
	END,
};

static const struct tensor_rule falcon_globals[] = {
	{ "*word_embeddings.weight", "token_embd.weight",  DIM_VOCAB, DIM_EMBD, AS_IS, REQUIRED },
	{ "*ln_f.weight",            "output_norm.weight", DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "*ln_f.bias",              "output_norm.bias",   DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "lm_head.weight",          "output.weight",      DIM_VOCAB, DIM_EMBD, AS_IS, UNLESS_TIED },
	END,
};

static const struct tensor_rule telechat_globals[] = {
	{ "*word_embeddings.weight", "token_embd.weight",  DIM_VOCAB, DIM_EMBD, AS_IS, REQUIRED },
	{ "*ln_f.weight",            "output_norm.weight", DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "lm_head.weight",          "output.weight",      DIM_VOCAB, DIM_EMBD, AS_IS, UNLESS_TIED },
	END,
};

/* ---- parts of a layer: norms */

static const struct tensor_rule two_norms[] = {
	{ "input_layernorm.weight",          "attn_norm.weight", DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	{ "post_attention_layernorm.weight", "ffn_norm.weight",  DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule two_shifted_norms[] = {
	{ "input_layernorm.weight",          "attn_norm.weight", DIM_NONE, DIM_EMBD, PLUS_ONE, REQUIRED },
	{ "post_attention_layernorm.weight", "ffn_norm.weight",  DIM_NONE, DIM_EMBD, PLUS_ONE, REQUIRED },
	END,
};

static const struct tensor_rule four_shifted_norms[] = {
	{ "input_layernorm.weight",            "attn_norm.weight",           DIM_NONE, DIM_EMBD, PLUS_ONE, REQUIRED },
	{ "post_attention_layernorm.weight",   "post_attention_norm.weight", DIM_NONE, DIM_EMBD, PLUS_ONE, REQUIRED },
	{ "pre_feedforward_layernorm.weight",  "ffn_norm.weight",            DIM_NONE, DIM_EMBD, PLUS_ONE, REQUIRED },
	{ "post_feedforward_layernorm.weight", "post_ffw_norm.weight",       DIM_NONE, DIM_EMBD, PLUS_ONE, REQUIRED },
	END,
};

static const struct tensor_rule norms_behind[] = {
	{ "post_attention_layernorm.weight",   "post_attention_norm.weight", DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	{ "post_feedforward_layernorm.weight", "post_ffw_norm.weight",       DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	END,
};

/* Absent where attention and feed-forward read one norm. */
static const struct tensor_rule stablelm_norms[] = {
	{ "input_layernorm.weight",          "attn_norm.weight", DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	{ "input_layernorm.bias",            "attn_norm.bias",   DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	{ "post_attention_layernorm.weight", "ffn_norm.weight",  DIM_NONE, DIM_EMBD, AS_IS, OPTIONAL },
	{ "post_attention_layernorm.bias",   "ffn_norm.bias",    DIM_NONE, DIM_EMBD, AS_IS, OPTIONAL },
	END,
};

/* ---- attention */

static const struct tensor_rule attention[] = {
	{ "self_attn.q_proj.weight", "attn_q.weight",      DIM_Q,    DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attn.k_proj.weight", "attn_k.weight",      DIM_KV,   DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attn.v_proj.weight", "attn_v.weight",      DIM_KV,   DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attn.o_proj.weight", "attn_output.weight", DIM_EMBD, DIM_Q,    AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule qkv_biases[] = {
	{ "self_attn.q_proj.bias", "attn_q.bias", DIM_NONE, DIM_Q,  AS_IS, REQUIRED },
	{ "self_attn.k_proj.bias", "attn_k.bias", DIM_NONE, DIM_KV, AS_IS, REQUIRED },
	{ "self_attn.v_proj.bias", "attn_v.bias", DIM_NONE, DIM_KV, AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule qkv_biases_maybe[] = {
	{ "self_attn.q_proj.bias", "attn_q.bias", DIM_NONE, DIM_Q,  AS_IS, OPTIONAL },
	{ "self_attn.k_proj.bias", "attn_k.bias", DIM_NONE, DIM_KV, AS_IS, OPTIONAL },
	{ "self_attn.v_proj.bias", "attn_v.bias", DIM_NONE, DIM_KV, AS_IS, OPTIONAL },
	END,
};

static const struct tensor_rule turned_attention[] = {
	{ "self_attn.q_proj.weight", "attn_q.weight",      DIM_Q,    DIM_EMBD, HALVES, REQUIRED },
	{ "self_attn.k_proj.weight", "attn_k.weight",      DIM_KV,   DIM_EMBD, HALVES, REQUIRED },
	{ "self_attn.v_proj.weight", "attn_v.weight",      DIM_KV,   DIM_EMBD, AS_IS,  REQUIRED },
	{ "self_attn.o_proj.weight", "attn_output.weight", DIM_EMBD, DIM_Q,    AS_IS,  REQUIRED },
	{ "self_attn.q_proj.bias",   "attn_q.bias",        DIM_NONE, DIM_Q,    HALVES, OPTIONAL },
	{ "self_attn.k_proj.bias",   "attn_k.bias",        DIM_NONE, DIM_KV,   HALVES, OPTIONAL },
	{ "self_attn.v_proj.bias",   "attn_v.bias",        DIM_NONE, DIM_KV,   AS_IS,  OPTIONAL },
	{ "self_attn.o_proj.bias",   "attn_output.bias",   DIM_NONE, DIM_EMBD, AS_IS,  OPTIONAL },
	END,
};

static const struct tensor_rule head_norms[] = {
	{ "self_attn.q_norm.weight", "attn_q_norm.weight", DIM_NONE, DIM_HEAD, AS_IS, REQUIRED },
	{ "self_attn.k_norm.weight", "attn_k_norm.weight", DIM_NONE, DIM_HEAD, AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule shifted_head_norms[] = {
	{ "self_attn.q_norm.weight", "attn_q_norm.weight", DIM_NONE, DIM_HEAD, PLUS_ONE, REQUIRED },
	{ "self_attn.k_norm.weight", "attn_k_norm.weight", DIM_NONE, DIM_HEAD, PLUS_ONE, REQUIRED },
	END,
};

static const struct tensor_rule whole_norms[] = {
	{ "self_attn.q_norm.weight", "attn_q_norm.weight", DIM_NONE, DIM_Q,  AS_IS, REQUIRED },
	{ "self_attn.k_norm.weight", "attn_k_norm.weight", DIM_NONE, DIM_KV, AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule own_head_norms[] = {
	{ "self_attn.q_layernorm.norms.%u.weight", "attn_q_norm.weight", DIM_HEADS,    DIM_HEAD, HEAD_NORMS, OPTIONAL },
	{ "self_attn.k_layernorm.norms.%u.weight", "attn_k_norm.weight", DIM_KV_HEADS, DIM_HEAD, HEAD_NORMS, OPTIONAL },
	END,
};

static const struct tensor_rule phi2_layer[] = {
	{ "input_layernorm.weight",  "attn_norm.weight",   DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	{ "input_layernorm.bias",    "attn_norm.bias",     DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attn.q_proj.weight", "attn_q.weight",      DIM_Q,    DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attn.k_proj.weight", "attn_k.weight",      DIM_KV,   DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attn.v_proj.weight", "attn_v.weight",      DIM_KV,   DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attn.dense.weight",  "attn_output.weight", DIM_EMBD, DIM_Q,    AS_IS, REQUIRED },
	{ "self_attn.dense.bias",    "attn_output.bias",   DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	{ "mlp.fc1.weight",          "ffn_up.weight",      DIM_FFN,  DIM_EMBD, AS_IS, REQUIRED },
	{ "mlp.fc1.bias",            "ffn_up.bias",        DIM_NONE, DIM_FFN,  AS_IS, REQUIRED },
	{ "mlp.fc2.weight",          "ffn_down.weight",    DIM_EMBD, DIM_FFN,  AS_IS, REQUIRED },
	{ "mlp.fc2.bias",            "ffn_down.bias",      DIM_NONE, DIM_EMBD, AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule phi3_layer[] = {
	{ "self_attn.qkv_proj.weight", "attn_qkv.weight",    DIM_QKV,   DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attn.o_proj.weight",   "attn_output.weight", DIM_EMBD,  DIM_Q,    AS_IS, REQUIRED },
	{ "mlp.gate_up_proj.weight",   "ffn_up.weight",      DIM_2_FFN, DIM_EMBD, AS_IS, REQUIRED },
	{ "mlp.down_proj.weight",      "ffn_down.weight",    DIM_EMBD,  DIM_FFN,  AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule internlm2_layer[] = {
	{ "attention_norm.weight",  "attn_norm.weight",   DIM_NONE, DIM_EMBD, AS_IS,     REQUIRED },
	{ "attention.wqkv.weight",  "attn_q.weight",      DIM_QKV,  DIM_EMBD, GROUPED_Q, REQUIRED },
	{ "attention.wqkv.weight",  "attn_k.weight",      DIM_QKV,  DIM_EMBD, GROUPED_K, REQUIRED },
	{ "attention.wqkv.weight",  "attn_v.weight",      DIM_QKV,  DIM_EMBD, GROUPED_V, REQUIRED },
	{ "attention.wo.weight",    "attn_output.weight", DIM_EMBD, DIM_Q,    AS_IS,     REQUIRED },
	{ "ffn_norm.weight",        "ffn_norm.weight",    DIM_NONE, DIM_EMBD, AS_IS,     REQUIRED },
	{ "feed_forward.w1.weight", "ffn_gate.weight",    DIM_FFN,  DIM_EMBD, AS_IS,     REQUIRED },
	{ "feed_forward.w3.weight", "ffn_up.weight",      DIM_FFN,  DIM_EMBD, AS_IS,     REQUIRED },
	{ "feed_forward.w2.weight", "ffn_down.weight",    DIM_EMBD, DIM_FFN,  AS_IS,     REQUIRED },
	END,
};

static const struct tensor_rule chatglm_layer[] = {
	{ "input_layernorm.weight",                "attn_norm.weight",   DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attention.query_key_value.weight", "attn_qkv.weight",    DIM_QKV,   DIM_EMBD, AS_IS, REQUIRED },
	{ "self_attention.query_key_value.bias",   "attn_qkv.bias",      DIM_NONE,  DIM_QKV,  AS_IS, OPTIONAL },
	{ "self_attention.dense.weight",           "attn_output.weight", DIM_EMBD,  DIM_Q,    AS_IS, REQUIRED },
	{ "post_attention_layernorm.weight",       "ffn_norm.weight",    DIM_NONE,  DIM_EMBD, AS_IS, REQUIRED },
	{ "mlp.dense_h_to_4h.weight",              "ffn_up.weight",      DIM_2_FFN, DIM_EMBD, AS_IS, REQUIRED },
	{ "mlp.dense_4h_to_h.weight",              "ffn_down.weight",    DIM_EMBD,  DIM_FFN,  AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule gpt2_layer[] = {
	{ "ln_1.weight",        "attn_norm.weight",   DIM_NONE, DIM_EMBD,   AS_IS,      REQUIRED },
	{ "ln_1.bias",          "attn_norm.bias",     DIM_NONE, DIM_EMBD,   AS_IS,      REQUIRED },
	{ "attn.c_attn.weight", "attn_qkv.weight",    DIM_EMBD, DIM_3_EMBD, TRANSPOSED, REQUIRED },
	{ "attn.c_attn.bias",   "attn_qkv.bias",      DIM_NONE, DIM_3_EMBD, AS_IS,      REQUIRED },
	{ "attn.c_proj.weight", "attn_output.weight", DIM_EMBD, DIM_EMBD,   TRANSPOSED, REQUIRED },
	{ "attn.c_proj.bias",   "attn_output.bias",   DIM_NONE, DIM_EMBD,   AS_IS,      REQUIRED },
	{ "ln_2.weight",        "ffn_norm.weight",    DIM_NONE, DIM_EMBD,   AS_IS,      REQUIRED },
	{ "ln_2.bias",          "ffn_norm.bias",      DIM_NONE, DIM_EMBD,   AS_IS,      REQUIRED },
	{ "mlp.c_fc.weight",    "ffn_up.weight",      DIM_EMBD, DIM_FFN,    TRANSPOSED, REQUIRED },
	{ "mlp.c_fc.bias",      "ffn_up.bias",        DIM_NONE, DIM_FFN,    AS_IS,      REQUIRED },
	{ "mlp.c_proj.weight",  "ffn_down.weight",    DIM_FFN,  DIM_EMBD,   TRANSPOSED, REQUIRED },
	{ "mlp.c_proj.bias",    "ffn_down.bias",      DIM_NONE, DIM_EMBD,   AS_IS,      REQUIRED },
	/* The causal mask, which old checkpoints carry. */
	{ "attn.bias",          NULL,                 DIM_NONE, DIM_NONE,   AS_IS,      DROPPED },
	END,
};

/* Falcon 7B and 2 have one norm, 40B and 180B one for each half. */
static const struct tensor_rule falcon_layer[] = {
	{ "ln_mlp.weight",                         "attn_norm.weight",   DIM_NONE, DIM_EMBD, AS_IS,       ONE_OF },
	{ "input_layernorm.weight",                "attn_norm.weight",   DIM_NONE, DIM_EMBD, AS_IS,       ONE_OF },
	{ "ln_mlp.bias",                           "attn_norm.bias",     DIM_NONE, DIM_EMBD, AS_IS,       ONE_OF },
	{ "input_layernorm.bias",                  "attn_norm.bias",     DIM_NONE, DIM_EMBD, AS_IS,       ONE_OF },
	{ "ln_attn.weight",                        "attn_norm_2.weight", DIM_NONE, DIM_EMBD, AS_IS,       OPTIONAL },
	{ "ln_attn.bias",                          "attn_norm_2.bias",   DIM_NONE, DIM_EMBD, AS_IS,       OPTIONAL },
	{ "self_attention.query_key_value.weight", "attn_qkv.weight",    DIM_QKV,  DIM_EMBD, GROUPED_QKV, REQUIRED },
	{ "self_attention.dense.weight",           "attn_output.weight", DIM_EMBD, DIM_Q,    AS_IS,       REQUIRED },
	{ "mlp.dense_h_to_4h.weight",              "ffn_up.weight",      DIM_FFN,  DIM_EMBD, AS_IS,       REQUIRED },
	{ "mlp.dense_4h_to_h.weight",              "ffn_down.weight",    DIM_EMBD, DIM_FFN,  AS_IS,       REQUIRED },
	END,
};

/* Names as in vLLM's vllm/model_executor/models/telechat2.py; it is a llama otherwise. */
static const struct tensor_rule telechat_layer[] = {
	{ "input_layernorm.weight",          "attn_norm.weight",   DIM_NONE, DIM_EMBD, AS_IS,    REQUIRED },
	{ "self_attention.query.weight",     "attn_q.weight",      DIM_Q,    DIM_EMBD, HALVES,   REQUIRED },
	{ "self_attention.key_value.weight", "attn_k.weight",      DIM_2_KV, DIM_EMBD, PAIRED_K, REQUIRED },
	{ "self_attention.key_value.weight", "attn_v.weight",      DIM_2_KV, DIM_EMBD, PAIRED_V, REQUIRED },
	{ "self_attention.dense.weight",     "attn_output.weight", DIM_EMBD, DIM_Q,    AS_IS,    REQUIRED },
	{ "self_attention.dense.bias",       "attn_output.bias",   DIM_NONE, DIM_EMBD, AS_IS,    OPTIONAL },
	{ "post_attention_layernorm.weight", "ffn_norm.weight",    DIM_NONE, DIM_EMBD, AS_IS,    REQUIRED },
	END,
};

static const struct tensor_rule latent_attention[] = {
	{ "self_attn.q_proj.weight",             "attn_q.weight",         DIM_Q_MLA,  DIM_EMBD,    AS_IS, OPTIONAL },
	{ "self_attn.q_a_proj.weight",           "attn_q_a.weight",       DIM_Q_RANK, DIM_EMBD,    AS_IS, OPTIONAL },
	{ "self_attn.q_a_layernorm.weight",      "attn_q_a_norm.weight",  DIM_NONE,   DIM_Q_RANK,  AS_IS, OPTIONAL },
	{ "self_attn.q_b_proj.weight",           "attn_q_b.weight",       DIM_Q_MLA,  DIM_Q_RANK,  AS_IS, OPTIONAL },
	{ "self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight",  DIM_KV_A,   DIM_EMBD,    AS_IS, REQUIRED },
	{ "self_attn.kv_a_layernorm.weight",     "attn_kv_a_norm.weight", DIM_NONE,   DIM_KV_RANK, AS_IS, REQUIRED },
	{ "self_attn.o_proj.weight",             "attn_output.weight",    DIM_EMBD,   DIM_O_MLA,   AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule latent_whole[] = {
	{ "self_attn.kv_b_proj.weight", "attn_kv_b.weight", DIM_KV_B, DIM_KV_RANK, AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule latent_split[] = {
	{ "self_attn.kv_b_proj.weight", "attn_k_b.weight", DIM_KV_B, DIM_KV_RANK, LATENT_K, REQUIRED },
	{ "self_attn.kv_b_proj.weight", "attn_v_b.weight", DIM_KV_B, DIM_KV_RANK, LATENT_V, REQUIRED },
	END,
};

/* ---- feed-forward */

static const struct tensor_rule gated[] = {
	{ "mlp.gate_proj.weight", "ffn_gate.weight", DIM_FFN,  DIM_EMBD, AS_IS, REQUIRED },
	{ "mlp.up_proj.weight",   "ffn_up.weight",   DIM_FFN,  DIM_EMBD, AS_IS, REQUIRED },
	{ "mlp.down_proj.weight", "ffn_down.weight", DIM_EMBD, DIM_FFN,  AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule gated_biases[] = {
	{ "mlp.gate_proj.bias", "ffn_gate.bias", DIM_NONE, DIM_FFN,  AS_IS, OPTIONAL },
	{ "mlp.up_proj.bias",   "ffn_up.bias",   DIM_NONE, DIM_FFN,  AS_IS, OPTIONAL },
	{ "mlp.down_proj.bias", "ffn_down.bias", DIM_NONE, DIM_EMBD, AS_IS, OPTIONAL },
	END,
};

static const struct tensor_rule mixtral_experts[] = {
	{ "block_sparse_moe.gate.weight",          "ffn_gate_inp.weight",  DIM_EXPERTS, DIM_EMBD, AS_IS,   REQUIRED },
	{ "block_sparse_moe.experts.%u.w1.weight", "ffn_gate_exps.weight", DIM_FFN,     DIM_EMBD, EXPERTS, REQUIRED },
	{ "block_sparse_moe.experts.%u.w2.weight", "ffn_down_exps.weight", DIM_EMBD,    DIM_FFN,  EXPERTS, REQUIRED },
	{ "block_sparse_moe.experts.%u.w3.weight", "ffn_up_exps.weight",   DIM_FFN,     DIM_EMBD, EXPERTS, REQUIRED },
	END,
};

/* Written expert by expert, or all in one by transformers 5. */
static const struct tensor_rule qwen_experts[] = {
	{ "mlp.gate.weight",                 "ffn_gate_inp.weight",  DIM_EXPERTS,      DIM_EMBD,       AS_IS,         REQUIRED },
	{ "mlp.experts.%u.gate_proj.weight", "ffn_gate_exps.weight", DIM_EXPERT_FFN,   DIM_EMBD,       EXPERTS,       ONE_OF },
	{ "mlp.experts.gate_up_proj",        "ffn_gate_exps.weight", DIM_2_EXPERT_FFN, DIM_EMBD,       FUSED_GATE,    ONE_OF },
	{ "mlp.experts.%u.up_proj.weight",   "ffn_up_exps.weight",   DIM_EXPERT_FFN,   DIM_EMBD,       EXPERTS,       ONE_OF },
	{ "mlp.experts.gate_up_proj",        "ffn_up_exps.weight",   DIM_2_EXPERT_FFN, DIM_EMBD,       FUSED_UP,      ONE_OF },
	{ "mlp.experts.%u.down_proj.weight", "ffn_down_exps.weight", DIM_EMBD,         DIM_EXPERT_FFN, EXPERTS,       ONE_OF },
	{ "mlp.experts.down_proj",           "ffn_down_exps.weight", DIM_EMBD,         DIM_EXPERT_FFN, FUSED_EXPERTS, ONE_OF },
	END,
};

static const struct tensor_rule qwen2_shared_expert[] = {
	{ "mlp.shared_expert_gate.weight",      "ffn_gate_inp_shexp.weight", DIM_ONE,        DIM_EMBD,       AS_IS, REQUIRED },
	{ "mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight",     DIM_SHARED_FFN, DIM_EMBD,       AS_IS, REQUIRED },
	{ "mlp.shared_expert.up_proj.weight",   "ffn_up_shexp.weight",       DIM_SHARED_FFN, DIM_EMBD,       AS_IS, REQUIRED },
	{ "mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight",     DIM_EMBD,       DIM_SHARED_FFN, AS_IS, REQUIRED },
	END,
};

static const struct tensor_rule deepseek_feed_forward[] = {
	{ "mlp.gate_proj.weight",                "ffn_gate.weight",       DIM_FFN,        DIM_EMBD,       AS_IS,   DENSE_LAYER },
	{ "mlp.up_proj.weight",                  "ffn_up.weight",         DIM_FFN,        DIM_EMBD,       AS_IS,   DENSE_LAYER },
	{ "mlp.down_proj.weight",                "ffn_down.weight",       DIM_EMBD,       DIM_FFN,        AS_IS,   DENSE_LAYER },
	{ "mlp.gate.weight",                     "ffn_gate_inp.weight",   DIM_EXPERTS,    DIM_EMBD,       AS_IS,   EXPERT_LAYER },
	{ "mlp.gate.e_score_correction_bias",    "exp_probs_b.bias",      DIM_NONE,       DIM_EXPERTS,    AS_IS,   OPTIONAL },
	{ "mlp.experts.%u.gate_proj.weight",     "ffn_gate_exps.weight",  DIM_EXPERT_FFN, DIM_EMBD,       EXPERTS, EXPERT_LAYER },
	{ "mlp.experts.%u.up_proj.weight",       "ffn_up_exps.weight",    DIM_EXPERT_FFN, DIM_EMBD,       EXPERTS, EXPERT_LAYER },
	{ "mlp.experts.%u.down_proj.weight",     "ffn_down_exps.weight",  DIM_EMBD,       DIM_EXPERT_FFN, EXPERTS, EXPERT_LAYER },
	{ "mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight", DIM_SHARED_FFN, DIM_EMBD,       AS_IS,   WITH_SHARED },
	{ "mlp.shared_experts.up_proj.weight",   "ffn_up_shexp.weight",   DIM_SHARED_FFN, DIM_EMBD,       AS_IS,   WITH_SHARED },
	{ "mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight", DIM_EMBD,       DIM_SHARED_FFN, AS_IS,   WITH_SHARED },
	END,
};
/* clang-format on */

#endif
