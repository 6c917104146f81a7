/* Members of config.json: configuration_*.py of the transformers library, and of the models' own
 * repositories where that has none. */
#include "workers/fake/family_config.h"
#include "core/json.h"
#include "workers/fake/shape.h"

void fake_config_llama(struct json_out *w, const struct fake_spec *s)
{
	(void)s;
	jw_kbool(w, "attention_bias", 0);
	jw_kbool(w, "mlp_bias", 0);
	jw_kint(w, "pretraining_tp", 1);
	jw_knum(w, "rms_norm_eps", 1e-5);
}

void fake_config_qwen2(struct json_out *w, const struct fake_spec *s)
{
	jw_kint(w, "max_window_layers", (int64_t)s->layers);
	jw_knum(w, "rms_norm_eps", 1e-6);
	jw_kint(w, "sliding_window", (int64_t)s->ctx);
	jw_kbool(w, "use_sliding_window", 0);
}

void fake_config_rms(struct json_out *w, const struct fake_spec *s)
{
	(void)s;
	jw_knum(w, "rms_norm_eps", 1e-5);
}

void fake_config_mixtral(struct json_out *w, const struct fake_spec *s)
{
	jw_kint(w, "num_experts_per_tok", (int64_t)s->more.experts_used);
	jw_kint(w, "num_local_experts", (int64_t)s->more.experts);
	jw_knum(w, "rms_norm_eps", 1e-5);
	jw_knum(w, "router_aux_loss_coef", 0.02);
}

void fake_config_qwen_moe(struct json_out *w, const struct fake_spec *s)
{
	jw_kint(w, "decoder_sparse_step", 1);
	jw_kint(w, "moe_intermediate_size", (int64_t)s->more.expert_ffn);
	jw_kbool(w, "norm_topk_prob", s->more.shared_ffn == 0);
	jw_kint(w, "num_experts", (int64_t)s->more.experts);
	jw_kint(w, "num_experts_per_tok", (int64_t)s->more.experts_used);
	if (s->more.shared_ffn)
		jw_kint(w, "shared_expert_intermediate_size", (int64_t)s->more.shared_ffn);
	jw_knum(w, "rms_norm_eps", 1e-6);
	jw_kbool(w, "use_sliding_window", 0);
}

void fake_config_gemma(struct json_out *w, const struct fake_spec *s)
{
	jw_kstr(w, "hidden_activation", "gelu_pytorch_tanh");
	jw_knum(w, "rms_norm_eps", 1e-6);
	if (s->more.window) {
		jw_kint(w, "query_pre_attn_scalar", (int64_t)s->head_dim);
		jw_kint(w, "sliding_window", (int64_t)s->more.window);
	}
}

void fake_config_gemma2(struct json_out *w, const struct fake_spec *s)
{
	fake_config_gemma(w, s);
	jw_knum(w, "attn_logit_softcapping", 50);
	jw_knum(w, "final_logit_softcapping", 30);
}

void fake_config_gemma3(struct json_out *w, const struct fake_spec *s)
{
	fake_config_gemma(w, s);
	jw_knum(w, "rope_local_base_freq", 10000);
	jw_kint(w, "sliding_window_pattern", 6);
}

void fake_config_phi2(struct json_out *w, const struct fake_spec *s)
{
	jw_knum(w, "layer_norm_eps", 1e-5);
	jw_knum(w, "partial_rotary_factor", s->more.partial);
	jw_kbool(w, "qk_layernorm", 0);
}

void fake_config_phi3(struct json_out *w, const struct fake_spec *s)
{
	jw_kint(w, "original_max_position_embeddings", (int64_t)s->ctx);
	jw_knum(w, "rms_norm_eps", 1e-5);
	jw_key(w, "sliding_window");
	if (s->more.window)
		jw_int(w, (int64_t)s->more.window);
	else
		jw_null(w);
}

void fake_config_minicpm(struct json_out *w, const struct fake_spec *s)
{
	(void)s;
	jw_kint(w, "dim_model_base", 256);
	jw_knum(w, "rms_norm_eps", 1e-5);
	jw_knum(w, "scale_depth", 1.4);
	jw_kint(w, "scale_emb", 12);
}

static void fake_config_latent(struct json_out *w, const struct fake_spec *s)
{
	jw_kint(w, "kv_lora_rank", (int64_t)s->more.kv_rank);
	jw_key(w, "q_lora_rank");
	if (s->more.q_rank)
		jw_int(w, (int64_t)s->more.q_rank);
	else
		jw_null(w);
	jw_kint(w, "qk_nope_head_dim", (int64_t)s->more.nope);
	jw_kint(w, "qk_rope_head_dim", (int64_t)s->more.rope);
	jw_kint(w, "v_head_dim", (int64_t)s->more.value);
}

void fake_config_minicpm3(struct json_out *w, const struct fake_spec *s)
{
	fake_config_minicpm(w, s);
	fake_config_latent(w, s);
}

void fake_config_deepseek(struct json_out *w, const struct fake_spec *s)
{
	int v3 = s->more.groups > 1;

	fake_config_latent(w, s);
	jw_kint(w, "first_k_dense_replace", (int64_t)s->more.dense_layers);
	jw_kint(w, "moe_intermediate_size", (int64_t)s->more.expert_ffn);
	jw_kint(w, "moe_layer_freq", 1);
	jw_kint(w, "n_group", (int64_t)s->more.groups);
	jw_kint(w, "n_routed_experts", (int64_t)s->more.experts);
	jw_kint(w, "n_shared_experts", (int64_t)s->more.shared_experts);
	jw_kbool(w, "norm_topk_prob", v3);
	jw_kint(w, "num_experts_per_tok", (int64_t)s->more.experts_used);
	jw_knum(w, "rms_norm_eps", 1e-6);
	jw_knum(w, "routed_scaling_factor", v3 ? 2.5 : 1);
	jw_kstr(w, "scoring_func", v3 ? "sigmoid" : "softmax");
	jw_kint(w, "topk_group", (int64_t)s->more.groups_used);
	jw_kstr(w, "topk_method", v3 ? "noaux_tc" : "greedy");
}

void fake_config_granite(struct json_out *w, const struct fake_spec *s)
{
	(void)s;
	jw_kbool(w, "attention_bias", 0);
	jw_knum(w, "attention_multiplier", 0.015625);
	jw_knum(w, "embedding_multiplier", 12);
	jw_knum(w, "logits_scaling", 8);
	jw_kbool(w, "mlp_bias", 0);
	jw_knum(w, "residual_multiplier", 0.22);
	jw_knum(w, "rms_norm_eps", 1e-5);
}

void fake_config_smollm3(struct json_out *w, const struct fake_spec *s)
{
	(void)s;
	jw_kbool(w, "attention_bias", 0);
	jw_kbool(w, "mlp_bias", 0);
	jw_kint(w, "no_rope_layer_interval", 4);
	jw_knum(w, "rms_norm_eps", 1e-6);
	jw_kbool(w, "use_sliding_window", 0);
}

void fake_config_stablelm(struct json_out *w, const struct fake_spec *s)
{
	jw_knum(w, "layer_norm_eps", 1e-5);
	jw_knum(w, "partial_rotary_factor", s->more.partial);
	jw_kbool(w, "use_parallel_residual", 0);
	jw_kbool(w, "use_qkv_bias", 1);
}

void fake_config_chatglm(struct json_out *w, const struct fake_spec *s)
{
	jw_kbool(w, "add_bias_linear", 0);
	jw_kbool(w, "add_qkv_bias", 1);
	jw_kbool(w, "apply_residual_connection_post_layernorm", 0);
	jw_kint(w, "ffn_hidden_size", (int64_t)s->ffn);
	jw_kint(w, "hidden_size", (int64_t)s->hidden);
	jw_kint(w, "kv_channels", (int64_t)s->head_dim);
	jw_knum(w, "layernorm_epsilon", 1e-5);
	jw_kbool(w, "multi_query_attention", 1);
	jw_kint(w, "multi_query_group_num", (int64_t)s->kv_heads);
	jw_kint(w, "num_attention_heads", (int64_t)s->heads);
	jw_kint(w, "num_layers", (int64_t)s->layers);
	jw_kint(w, "padded_vocab_size", (int64_t)s->vocab);
	jw_kbool(w, "post_layer_norm", 1);
	jw_kbool(w, "rmsnorm", 1);
	jw_kint(w, "seq_length", (int64_t)s->ctx);
}

void fake_config_gpt2(struct json_out *w, const struct fake_spec *s)
{
	jw_kstr(w, "activation_function", "gelu_new");
	jw_knum(w, "layer_norm_epsilon", 1e-5);
	jw_kint(w, "n_ctx", (int64_t)s->ctx);
	jw_kint(w, "n_embd", (int64_t)s->hidden);
	jw_kint(w, "n_head", (int64_t)s->heads);
	jw_kint(w, "n_inner", (int64_t)s->ffn);
	jw_kint(w, "n_layer", (int64_t)s->layers);
	jw_kint(w, "n_positions", (int64_t)s->ctx);
	jw_kint(w, "vocab_size", (int64_t)s->vocab);
}

void fake_config_falcon(struct json_out *w, const struct fake_spec *s)
{
	jw_kbool(w, "alibi", 0);
	jw_kbool(w, "bias", 0);
	jw_kint(w, "ffn_hidden_size", (int64_t)s->ffn);
	jw_kint(w, "hidden_size", (int64_t)s->hidden);
	jw_knum(w, "layer_norm_epsilon", 1e-5);
	jw_kint(w, "max_position_embeddings", (int64_t)s->ctx);
	jw_kbool(w, "multi_query", 1);
	jw_kbool(w, "new_decoder_architecture", s->kv_heads > 1);
	jw_kint(w, "num_attention_heads", (int64_t)s->heads);
	jw_kint(w, "num_hidden_layers", (int64_t)s->layers);
	jw_kint(w, "num_kv_heads", (int64_t)s->kv_heads);
	jw_kint(w, "num_ln_in_parallel_attn", 1);
	jw_kbool(w, "parallel_attn", 1);
	jw_knum(w, "rope_theta", s->rope_theta);
	jw_kint(w, "vocab_size", (int64_t)s->vocab);
}

void fake_config_telechat(struct json_out *w, const struct fake_spec *s)
{
	jw_kint(w, "ffn_hidden_size", (int64_t)s->ffn);
	jw_kint(w, "hidden_size", (int64_t)s->hidden);
	jw_knum(w, "layer_norm_epsilon", 1e-5);
	jw_kint(w, "n_head", (int64_t)s->heads);
	jw_kint(w, "n_layer", (int64_t)s->layers);
	jw_kint(w, "num_key_value_heads", (int64_t)s->kv_heads);
	jw_kint(w, "seq_length", (int64_t)s->ctx);
	jw_kint(w, "vocab_size", (int64_t)s->vocab);
}
