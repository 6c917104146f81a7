#include "workers/gguf/arch_derive.h"

#include <math.h>
#include <string.h>

#include "core/err.h"
#include "core/json.h"
#include "workers/common/protocol.h"
#include "workers/gguf/hparams.h"

/* ---- questions to config.json */

/* -1 when config.json does not say. */
static int flag(const struct json *config, const char *name)
{
	const struct json *v = config_get(config, name);

	return v && v->type == JSON_BOOL ? v->boolean : -1;
}

static double number(const struct json *config, const char *name, double dflt)
{
	const struct json *v = config_get(config, name);

	return v && v->type == JSON_NUMBER ? v->number : dflt;
}

static int is_text(const struct json *config, const char *name, const char *text)
{
	const struct json *v = config_get(config, name);

	return v && v->type == JSON_STRING && strcmp(v->str, text) == 0;
}

static int must_be(const struct json *config, const char *name, int want, struct err *e)
{
	int v = flag(config, name);

	if (v < 0 || v == want)
		return 0;
	return err_set(e, ERR_INVALID,
		       "config.json: \"%s\" is %s; llama.cpp computes this architecture only with "
		       "%s",
		       name, v ? "true" : "false", want ? "true" : "false");
}

/* v: what config.json says, or the class's default. */
static int equal(const char *name, double v, double want, struct err *e)
{
	if (fabs(v - want) <= 1e-6 * fabs(want))
		return 0;
	return err_set(e, ERR_INVALID,
		       "config.json: \"%s\" is %g; llama.cpp computes this model only with %g",
		       name, v, want);
}

static int must_equal(const struct json *config, const char *name, double want, struct err *e)
{
	return equal(name, number(config, name, want), want, e);
}

static void head_keys(struct hparams *h)
{
	h->key_length = h->value_length = h->head_dim;
}

/* ---- llama and what runs as it */

int derive_llama(const struct json *config, struct hparams *h, struct err *e)
{
	(void)config;
	if (h->scaling == ROPE_LONG)
		return err_set(
			e, ERR_INVALID,
			"config.json: rope scaling longrope is not supported for this class");
	head_keys(h);
	h->rope_dims = h->head_dim;
	h->vocab_key = h->vocab;
	return 0;
}

/* Every fourth layer turns nothing: src/models/smollm3.cpp, n_no_rope_layer_step. */
int derive_smollm3(const struct json *config, struct hparams *h, struct err *e)
{
	const struct json *layers = config_get(config, "no_rope_layers");

	if (must_equal(config, "no_rope_layer_interval", 4, e) < 0)
		return e->code;
	for (size_t i = 0; layers && layers->type == JSON_ARRAY && i < layers->count; i++) {
		const struct json *v = layers->members[i].value;

		if (v->type != JSON_NUMBER || (v->number != 0) != ((i + 1) % 4 != 0))
			return err_set(e, ERR_INVALID,
				       "config.json: no_rope_layers is not every fourth layer, "
				       "which is all that llama.cpp computes");
	}
	return derive_llama(config, h, e);
}

int derive_telechat(const struct json *config, struct hparams *h, struct err *e)
{
	h->rms_eps = h->ln_eps; /* so named, but its norm is RMSNorm */
	h->ln_eps = 0;
	return derive_llama(config, h, e);
}

/* Source of the formulas: modeling_minicpm.py of openbmb/MiniCPM-2B. */
int derive_minicpm(const struct json *config, struct hparams *h, struct err *e)
{
	(void)config;
	if (h->embedding_scale == 0 || h->residual_scale == 0 || h->logit_scale == 0)
		return err_set(e, ERR_INVALID,
			       "config.json lacks \"scale_emb\", \"scale_depth\" or "
			       "\"dim_model_base\"; take the file from the model's repository");
	h->residual_scale /= sqrt((double)h->layers);
	h->logit_scale = (double)h->embd / h->logit_scale;
	if (h->n_factors && h->n_factors != h->head_dim / 2)
		return err_set(e, ERR_INVALID,
			       "config.json: rope scaling has %llu factors, a head has %llu pairs",
			       (unsigned long long)h->n_factors,
			       (unsigned long long)h->head_dim / 2);
	head_keys(h);
	h->rope_dims = h->head_dim;
	return 0;
}

/* ---- qwen */

int derive_qwen(const struct json *config, struct hparams *h, struct err *e)
{
	(void)config;
	if (h->scaling == ROPE_LONG || h->scaling == ROPE_LLAMA3)
		return err_set(
			e, ERR_INVALID,
			"config.json: rope scaling llama3 and longrope are not supported for "
			"this class");
	if (h->head_dim != h->embd / h->heads)
		head_keys(h);
	return 0;
}

static int derive_qwen_experts(const struct json *config, struct hparams *h, int normed,
			       struct err *e)
{
	const struct json *dense = config_get(config, "mlp_only_layers");

	if (must_equal(config, "decoder_sparse_step", 1, e) < 0 ||
	    must_be(config, "norm_topk_prob", normed, e) < 0)
		return e->code;
	if (dense && dense->type == JSON_ARRAY && dense->count)
		return err_set(e, ERR_INVALID,
			       "config.json: mlp_only_layers is not empty; llama.cpp gives every "
			       "layer experts");
	head_keys(h);
	return derive_qwen(config, h, e);
}

int derive_qwen2moe(const struct json *config, struct hparams *h, struct err *e)
{
	return derive_qwen_experts(config, h, 0, e);
}

int derive_qwen3moe(const struct json *config, struct hparams *h, struct err *e)
{
	return derive_qwen_experts(config, h, 1, e);
}

/* ---- gemma */

/* Layers see a window except each period-th. */
static int check_layer_types(const struct json *config, size_t period, struct err *e)
{
	const struct json *types = config_get(config, "layer_types");

	for (size_t i = 0; types && types->type == JSON_ARRAY && i < types->count; i++) {
		const struct json *v = types->members[i].value;
		int full = (i + 1) % period == 0;

		if (v->type == JSON_STRING &&
		    strcmp(v->str, full ? "full_attention" : "sliding_attention") == 0)
			continue;
		return err_set(e, ERR_INVALID,
			       "config.json: layer_types: layer %zu is not %s; llama.cpp has full "
			       "attention in each %zuth layer only",
			       i, full ? "full_attention" : "sliding_attention", period);
	}
	return 0;
}

/* The scale of attention is not in the file: it is 1/sqrt(head size), but at the layer count of the
 * 27B model 1/sqrt(hidden / heads). Source: llama.cpp src/models/gemma2.cpp and gemma3.cpp. */
static int check_scale(const struct json *config, const struct hparams *h, uint64_t layers_27b,
		       struct err *e)
{
	double want =
		h->layers == layers_27b ? (double)h->embd / (double)h->heads : (double)h->head_dim;

	return equal("query_pre_attn_scalar", number(config, "query_pre_attn_scalar", 256), want,
		     e);
}

int derive_gemma(const struct json *config, struct hparams *h, struct err *e)
{
	(void)config;
	(void)e;
	head_keys(h);
	h->tied = 1;
	return 0;
}

int derive_gemma2(const struct json *config, struct hparams *h, struct err *e)
{
	if (check_layer_types(config, 2, e) < 0 || check_scale(config, h, 46, e) < 0)
		return e->code;
	return derive_gemma(config, h, e);
}

int derive_gemma3(const struct json *config, struct hparams *h, struct err *e)
{
	if (must_equal(config, "sliding_window_pattern", 6, e) < 0 ||
	    must_equal(config, "_sliding_window_pattern", 6, e) < 0 ||
	    check_layer_types(config, 6, e) < 0 || check_scale(config, h, 62, e) < 0)
		return e->code;
	return derive_gemma(config, h, e);
}

/* ---- phi, stablelm */

/* Only a part of each head turns. */
int derive_partial(const struct json *config, struct hparams *h, struct err *e)
{
	(void)config;
	if (h->scaling != ROPE_PLAIN)
		return err_set(e, ERR_INVALID,
			       "config.json: rope scaling is not supported for this class");
	h->rope_dims = (uint64_t)(h->rope_partial * (double)h->head_dim);
	return 0;
}

int derive_phi3(const struct json *config, struct hparams *h, struct err *e)
{
	(void)config;
	if (h->scaling != ROPE_PLAIN && h->scaling != ROPE_LONG)
		return err_set(e, ERR_INVALID,
			       "config.json: of rope scalings this class has longrope only");
	h->rope_dims = (uint64_t)(h->rope_partial * (double)h->head_dim);
	h->window_always = 1; /* 0 tells Phi-4 from Phi-3: llama.cpp src/models/phi3.cpp */
	if (h->n_factors && h->n_factors != h->rope_dims / 2)
		return err_set(
			e, ERR_INVALID,
			"config.json: rope scaling has %llu factors, a head turns %llu pairs",
			(unsigned long long)h->n_factors, (unsigned long long)h->rope_dims / 2);
	return 0;
}

/* ---- latent attention */

static int check_latent(const struct hparams *h, struct err *e)
{
	if (h->kv_rank && h->nope_dim && h->rope_dim && h->v_dim)
		return 0;
	return err_set(e, ERR_INVALID,
		       "config.json lacks one of kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, "
		       "v_head_dim; take the file from the model's repository");
}

/* The three scales stand in llama.cpp's code: src/models/minicpm3.cpp. */
int derive_minicpm3(const struct json *config, struct hparams *h, struct err *e)
{
	if (check_latent(h, e) < 0 || must_equal(config, "scale_emb", 12, e) < 0 ||
	    must_equal(config, "scale_depth", 1.4, e) < 0 ||
	    must_equal(config, "dim_model_base", 256, e) < 0)
		return e->code;
	if (h->n_factors && h->n_factors != h->rope_dim / 2)
		return err_set(
			e, ERR_INVALID,
			"config.json: rope scaling has %llu factors, a head turns %llu pairs",
			(unsigned long long)h->n_factors, (unsigned long long)h->rope_dim / 2);
	h->head_dim = h->key_length = h->nope_dim + h->rope_dim;
	h->value_length = h->v_dim;
	h->rope_dims = h->rope_dim;
	h->vocab_key = h->vocab;
	return 0;
}

/* How the experts of a token are chosen. llama.cpp ranks groups of experts as DeepSeek-V3 does, by
 * their best two; DeepSeek-V2 takes the best one, which it cannot. Then all experts compete. */
static int derive_routing(const struct json *config, struct hparams *h, struct err *e)
{
	if (is_text(config, "scoring_func", "sigmoid"))
		h->gating = GATING_SIGMOID;
	else if (is_text(config, "scoring_func", "softmax"))
		h->gating = GATING_SOFTMAX;
	else if (config_get(config, "scoring_func"))
		return err_set(e, ERR_INVALID,
			       "config.json: scoring_func is neither softmax nor sigmoid");
	if (is_text(config, "topk_method", "group_limited_greedy") && h->expert_groups > 1)
		worker_warn("llama.cpp has no group_limited_greedy: experts of all groups compete");
	if (h->gating != GATING_SIGMOID || h->expert_groups <= 1)
		h->expert_groups = h->expert_groups_used = 0;
	return 0;
}

int derive_deepseek(const struct json *config, struct hparams *h, struct err *e)
{
	if (check_latent(h, e) < 0 || derive_routing(config, h, e) < 0 ||
	    must_equal(config, "moe_layer_freq", 1, e) < 0 ||
	    must_be(config, "attention_bias", 0, e) < 0)
		return e->code;
	if (!h->experts)
		h->dense_layers = h->layers;
	h->shared_ffn = h->shared_experts * h->expert_ffn;
	/* One latent head stands for all: its keys and values are the latent itself. */
	h->kv_heads = 1;
	h->head_dim = h->nope_dim + h->rope_dim;
	h->key_length = h->kv_rank + h->rope_dim;
	h->value_length = h->kv_rank;
	h->key_length_mla = h->nope_dim + h->rope_dim;
	h->value_length_mla = h->v_dim;
	h->rope_dims = h->rope_dim;
	h->vocab_key = h->vocab;
	return 0;
}

/* ---- others */

int derive_chatglm(const struct json *config, struct hparams *h, struct err *e)
{
	if (must_be(config, "rmsnorm", 1, e) < 0 || must_be(config, "post_layer_norm", 1, e) < 0 ||
	    must_be(config, "apply_residual_connection_post_layernorm", 0, e) < 0)
		return e->code;
	if (flag(config, "multi_query_attention") == 0)
		h->kv_heads = h->heads;
	h->rope_theta *= number(config, "rope_ratio", 1);
	h->rope_dims = h->head_dim / 2;
	return 0;
}

int derive_gpt2(const struct json *config, struct hparams *h, struct err *e)
{
	if (must_be(config, "scale_attn_weights", 1, e) < 0 ||
	    must_be(config, "scale_attn_by_inverse_layer_idx", 0, e) < 0)
		return e->code;
	if (!h->ffn)
		h->ffn = 4 * h->embd;
	return 0;
}

int derive_falcon(const struct json *config, struct hparams *h, struct err *e)
{
	int grouped = flag(config, "new_decoder_architecture") == 1;

	if (must_be(config, "alibi", 0, e) < 0 || must_be(config, "bias", 0, e) < 0 ||
	    (!grouped && must_be(config, "parallel_attn", 1, e) < 0))
		return e->code;
	if (!grouped)
		h->kv_heads = flag(config, "multi_query") != 0 ? 1 : h->heads;
	if (!h->ffn)
		h->ffn = 4 * h->embd;
	h->qkv_layout = "jploski"; /* so llama.cpp names the order of q, k and v in one matrix */
	return 0;
}
