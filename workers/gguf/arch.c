#include "workers/gguf/arch.h"

#include <math.h>
#include <string.h>

#include "core/err.h"
#include "core/json.h"

/* clang-format off */
static const struct tensor_rule decoder_globals[] = {
	{ "model.embed_tokens.weight", "token_embd.weight",  DIM_VOCAB, DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "model.norm.weight",         "output_norm.weight", DIM_NONE,  DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "lm_head.weight",            "output.weight",      DIM_VOCAB, DIM_EMBD, PERMUTE_NO, UNLESS_TIED },
	{ NULL, NULL, DIM_NONE, DIM_NONE, PERMUTE_NO, OPTIONAL },
};

static const struct tensor_rule llama_layers[] = {
	{ "input_layernorm.weight",          "attn_norm.weight",   DIM_NONE, DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "self_attn.q_proj.weight",         "attn_q.weight",      DIM_Q,    DIM_EMBD, PERMUTE_Q,  REQUIRED },
	{ "self_attn.k_proj.weight",         "attn_k.weight",      DIM_KV,   DIM_EMBD, PERMUTE_KV, REQUIRED },
	{ "self_attn.v_proj.weight",         "attn_v.weight",      DIM_KV,   DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "self_attn.o_proj.weight",         "attn_output.weight", DIM_EMBD, DIM_Q,    PERMUTE_NO, REQUIRED },
	{ "self_attn.q_proj.bias",           "attn_q.bias",        DIM_NONE, DIM_Q,    PERMUTE_Q,  OPTIONAL },
	{ "self_attn.k_proj.bias",           "attn_k.bias",        DIM_NONE, DIM_KV,   PERMUTE_KV, OPTIONAL },
	{ "self_attn.v_proj.bias",           "attn_v.bias",        DIM_NONE, DIM_KV,   PERMUTE_NO, OPTIONAL },
	{ "self_attn.o_proj.bias",           "attn_output.bias",   DIM_NONE, DIM_EMBD, PERMUTE_NO, OPTIONAL },
	{ "post_attention_layernorm.weight", "ffn_norm.weight",    DIM_NONE, DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "mlp.gate_proj.weight",            "ffn_gate.weight",    DIM_FFN,  DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "mlp.up_proj.weight",              "ffn_up.weight",      DIM_FFN,  DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "mlp.down_proj.weight",            "ffn_down.weight",    DIM_EMBD, DIM_FFN,  PERMUTE_NO, REQUIRED },
	{ "mlp.gate_proj.bias",              "ffn_gate.bias",      DIM_NONE, DIM_FFN,  PERMUTE_NO, OPTIONAL },
	{ "mlp.up_proj.bias",                "ffn_up.bias",        DIM_NONE, DIM_FFN,  PERMUTE_NO, OPTIONAL },
	{ "mlp.down_proj.bias",              "ffn_down.bias",      DIM_NONE, DIM_EMBD, PERMUTE_NO, OPTIONAL },
	{ NULL, NULL, DIM_NONE, DIM_NONE, PERMUTE_NO, OPTIONAL },
};

static const struct tensor_rule qwen2_layers[] = {
	{ "input_layernorm.weight",          "attn_norm.weight",   DIM_NONE, DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "self_attn.q_proj.weight",         "attn_q.weight",      DIM_Q,    DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "self_attn.k_proj.weight",         "attn_k.weight",      DIM_KV,   DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "self_attn.v_proj.weight",         "attn_v.weight",      DIM_KV,   DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "self_attn.o_proj.weight",         "attn_output.weight", DIM_EMBD, DIM_Q,    PERMUTE_NO, REQUIRED },
	{ "self_attn.q_proj.bias",           "attn_q.bias",        DIM_NONE, DIM_Q,    PERMUTE_NO, REQUIRED },
	{ "self_attn.k_proj.bias",           "attn_k.bias",        DIM_NONE, DIM_KV,   PERMUTE_NO, REQUIRED },
	{ "self_attn.v_proj.bias",           "attn_v.bias",        DIM_NONE, DIM_KV,   PERMUTE_NO, REQUIRED },
	{ "post_attention_layernorm.weight", "ffn_norm.weight",    DIM_NONE, DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "mlp.gate_proj.weight",            "ffn_gate.weight",    DIM_FFN,  DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "mlp.up_proj.weight",              "ffn_up.weight",      DIM_FFN,  DIM_EMBD, PERMUTE_NO, REQUIRED },
	{ "mlp.down_proj.weight",            "ffn_down.weight",    DIM_EMBD, DIM_FFN,  PERMUTE_NO, REQUIRED },
	{ NULL, NULL, DIM_NONE, DIM_NONE, PERMUTE_NO, OPTIONAL },
};

static const struct arch archs[] = {
	{ "LlamaForCausalLM", "llama", "model.layers.", decoder_globals, llama_layers,  0,  2048, 1e-6, 10000, 1 },
	{ "Qwen2ForCausalLM", "qwen2", "model.layers.", decoder_globals, qwen2_layers, 32, 32768, 1e-6, 10000, 0 },
};
/* clang-format on */

const struct arch *arch_by_class(const char *hf_class)
{
	for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
		if (strcmp(archs[i].hf_class, hf_class) == 0)
			return &archs[i];
	}
	return NULL;
}

const char *arch_names(void)
{
	return "LlamaForCausalLM, Qwen2ForCausalLM";
}

uint64_t dim_value(const struct hparams *h, enum dim d)
{
	switch (d) {
	case DIM_EMBD:
		return h->embd;
	case DIM_FFN:
		return h->ffn;
	case DIM_VOCAB:
		return h->vocab;
	case DIM_Q:
		return (uint64_t)h->heads * h->head_dim;
	case DIM_KV:
		return (uint64_t)h->kv_heads * h->head_dim;
	default:
		return 0;
	}
}

/* A whole number from 1 to max; dflt when absent or null (0: there must be one). */
static int count(const struct json *c, const char *name, int64_t max, int64_t dflt, uint64_t *out,
		 struct err *e)
{
	const struct json *v = json_get(c, name);

	if (!v || v->type == JSON_NULL) {
		if (dflt == 0)
			return err_set(e, ERR_INVALID,
				       "config.json lacks \"%s\"; take the file from the model's "
				       "repository",
				       name);
		*out = (uint64_t)dflt;
		return 0;
	}
	if (v->type != JSON_NUMBER || !v->is_integer || v->integer < 1 || v->integer > max)
		return err_set(e, ERR_INVALID,
			       "config.json: \"%s\" is not a whole number from 1 to %lld", name,
			       (long long)max);
	*out = (uint64_t)v->integer;
	return 0;
}

static int real(const struct json *c, const char *name, double dflt, double *out, struct err *e)
{
	const struct json *v = json_get(c, name);

	*out = dflt;
	if (!v || v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_NUMBER || !(v->number > 0) || !(v->number < 1e12))
		return err_set(e, ERR_INVALID, "config.json: \"%s\" is not a positive number",
			       name);
	*out = v->number;
	return 0;
}

/* rope_scaling, or rope_parameters of transformers 5, which also holds rope_theta. */
static int rope(const struct json *c, const struct arch *arch, struct hparams *h, struct err *e)
{
	const struct json *s = json_get(c, "rope_parameters");
	const char *type;
	uint64_t original = 0;

	if (!s || s->type != JSON_OBJECT)
		s = json_get(c, "rope_scaling");
	if (real(c, "rope_theta", arch->default_rope_theta, &h->rope_theta, e) < 0)
		return e->code;
	if (!s || s->type != JSON_OBJECT)
		return 0;
	if (real(s, "rope_theta", h->rope_theta, &h->rope_theta, e) < 0)
		return e->code;
	type = json_str(s, "rope_type", json_str(s, "type", "default"));
	if (strcmp(type, "default") == 0)
		return 0;
	if (strcmp(type, "linear") != 0 && strcmp(type, "yarn") != 0 && strcmp(type, "llama3") != 0)
		return err_set(e, ERR_INVALID,
			       "config.json: rope scaling \"%.60s\" is not supported; linear, yarn "
			       "and llama3 are",
			       type);
	h->rope_type = type[0] == 'y' ? "yarn" : strcmp(type, "linear") == 0 ? "linear" : "llama3";
	if (real(s, "factor", type[0] == 'l' && type[1] == 'l' ? 8 : 0, &h->rope_factor, e) < 0 ||
	    real(s, "low_freq_factor", 1, &h->rope_low, e) < 0 ||
	    real(s, "high_freq_factor", 4, &h->rope_high, e) < 0)
		return e->code;
	if (!(h->rope_factor > 0))
		return err_set(e, ERR_INVALID, "config.json: rope scaling has no \"factor\"");
	if (strcmp(h->rope_type, "llama3") == 0 && !(h->rope_high > h->rope_low))
		return err_set(e, ERR_INVALID,
			       "config.json: high_freq_factor is not above low_freq_factor");
	if (count(s, "original_max_position_embeddings", INT32_MAX,
		  strcmp(h->rope_type, "llama3") == 0 ? 8192 : h->context, &original, e) < 0)
		return e->code;
	h->rope_original_context = (uint32_t)original;
	return 0;
}

int hparams_read(const struct arch *arch, const struct json *c, struct hparams *h, struct err *e)
{
	uint64_t layers = 0, heads = 1, kv = 1, head_dim = 0, context = 0;

	memset(h, 0, sizeof(*h));
	if (count(c, "num_hidden_layers", 512, 0, &layers, e) < 0 || /* 512: LLAMA_MAX_LAYERS */
	    count(c, "hidden_size", 1 << 20, 0, &h->embd, e) < 0 ||
	    count(c, "intermediate_size", 1 << 24, 0, &h->ffn, e) < 0 ||
	    count(c, "num_attention_heads", 1 << 16, 0, &heads, e) < 0 ||
	    count(c, "num_key_value_heads", 1 << 16,
		  arch->default_kv_heads ? arch->default_kv_heads : (int64_t)heads, &kv, e) < 0 ||
	    count(c, "vocab_size", 1 << 24, 0, &h->vocab, e) < 0 ||
	    count(c, "max_position_embeddings", INT32_MAX, arch->default_context, &context, e) <
		    0 ||
	    real(c, "rms_norm_eps", arch->default_rms_eps, &h->rms_eps, e) < 0)
		return e->code;
	if (count(c, "head_dim", 1 << 16, (int64_t)(h->embd / heads), &head_dim, e) < 0)
		return e->code;
	if (heads % kv != 0)
		return err_set(e, ERR_INVALID,
			       "config.json: %llu attention heads are not a multiple of %llu "
			       "key/value heads",
			       (unsigned long long)heads, (unsigned long long)kv);
	if (head_dim % 2 != 0)
		return err_set(e, ERR_INVALID, "config.json: head size %llu is odd",
			       (unsigned long long)head_dim);
	h->layers = (uint32_t)layers;
	h->heads = (uint32_t)heads;
	h->kv_heads = (uint32_t)kv;
	h->head_dim = (uint32_t)head_dim;
	h->context = (uint32_t)context;
	h->tied = json_bool(c, "tie_word_embeddings", 0);
	return rope(c, arch, h, e);
}

void llama3_factors(const struct hparams *h, float *out)
{
	const double pi = 3.14159265358979323846;
	double low = h->rope_original_context / h->rope_low,
	       high = h->rope_original_context / h->rope_high;

	for (uint32_t i = 0; i < h->head_dim / 2; i++) {
		double wavelength = 2 * pi * pow(h->rope_theta, 2.0 * i / h->head_dim), s;

		if (wavelength < high) {
			out[i] = 1;
		} else if (wavelength > low) {
			out[i] = (float)h->rope_factor;
		} else {
			s = (h->rope_original_context / wavelength - h->rope_low) /
			    (h->rope_high - h->rope_low);
			out[i] = (float)(1 / ((1 - s) / h->rope_factor + s));
		}
	}
}
