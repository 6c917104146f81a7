#include "workers/gguf/hparams.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/json.h"
#include "core/mem.h"
#include "workers/gguf/arch.h"
#include "workers/gguf/writer.h"

#define COUNT(names, field, max)                                                                   \
	{                                                                                          \
		names, FIELD_COUNT, offsetof(struct hparams, field), max                           \
	}
#define REAL(names, field)                                                                         \
	{                                                                                          \
		names, FIELD_REAL, offsetof(struct hparams, field), 0                              \
	}

/* What every class has, under one of these names. 512 layers: LLAMA_MAX_LAYERS of llama.cpp. */
/* clang-format off */
static const struct field common[] = {
	COUNT("num_hidden_layers|n_layer|num_layers|n_layers",              layers,       512),
	COUNT("max_position_embeddings|n_positions|n_ctx|seq_length",       context,      INT32_MAX),
	COUNT("hidden_size|n_embd",                                         embd,         1 << 20),
	COUNT("intermediate_size|ffn_hidden_size|n_inner",                  ffn,          1 << 24),
	COUNT("num_attention_heads|n_head",                                 heads,        1 << 16),
	COUNT("num_key_value_heads|multi_query_group_num|num_kv_heads|n_head_kv", kv_heads, 1 << 16),
	COUNT("head_dim|kv_channels",                                       head_dim,     1 << 16),
	COUNT("padded_vocab_size|vocab_size",                               vocab,        1 << 24),
	REAL("rms_norm_eps|norm_eps",                                       rms_eps),
	REAL("layer_norm_eps|layer_norm_epsilon|norm_epsilon",              ln_eps),
	REAL("partial_rotary_factor|rope_pct",                              rope_partial),
	{ NULL, FIELD_COUNT, 0, 0 },
};

enum key_type { KEY_U32, KEY_F32, KEY_CHOICE, KEY_GATING };

/* Names: llama.cpp src/llama-arch.cpp, LLM_KV_NAMES. */
static const struct key {
	const char *name;
	enum key_type type;
	size_t at;
} keys[] = {
#define KEY(name, type, field) { name, KEY_##type, offsetof(struct hparams, field) }
	KEY("vocab_size",                            U32,    vocab_key),
	KEY("block_count",                           U32,    layers),
	KEY("context_length",                        U32,    context),
	KEY("embedding_length",                      U32,    embd),
	KEY("feed_forward_length",                   U32,    ffn),
	KEY("attention.head_count",                  U32,    heads),
	KEY("attention.head_count_kv",               U32,    kv_heads),
	KEY("attention.key_length",                  U32,    key_length),
	KEY("attention.value_length",                U32,    value_length),
	KEY("attention.layer_norm_rms_epsilon",      F32,    rms_eps),
	KEY("attention.layer_norm_epsilon",          F32,    ln_eps),
	KEY("attention.q_lora_rank",                 U32,    q_rank),
	KEY("attention.kv_lora_rank",                U32,    kv_rank),
	KEY("attention.key_length_mla",              U32,    key_length_mla),
	KEY("attention.value_length_mla",            U32,    value_length_mla),
	KEY("attention.scale",                       F32,    attention_scale),
	KEY("attn_logit_softcapping",                F32,    attn_softcap),
	KEY("final_logit_softcapping",               F32,    final_softcap),
	KEY("embedding_scale",                       F32,    embedding_scale),
	KEY("residual_scale",                        F32,    residual_scale),
	KEY("logit_scale",                           F32,    logit_scale),
	KEY("use_parallel_residual",                 CHOICE, parallel_residual),
	KEY("leading_dense_block_count",             U32,    dense_layers),
	KEY("expert_count",                          U32,    experts),
	KEY("expert_used_count",                     U32,    experts_used),
	KEY("expert_feed_forward_length",            U32,    expert_ffn),
	KEY("expert_shared_count",                   U32,    shared_experts),
	KEY("expert_shared_feed_forward_length",     U32,    shared_ffn),
	KEY("expert_group_count",                    U32,    expert_groups),
	KEY("expert_group_used_count",               U32,    expert_groups_used),
	KEY("expert_weights_scale",                  F32,    expert_scale),
	KEY("expert_weights_norm",                   CHOICE, expert_norm),
	KEY("expert_gating_func",                    GATING, gating),
	KEY("rope.freq_base",                        F32,    rope_theta),
	KEY("rope.freq_base_swa",                    F32,    rope_theta_local),
	KEY("rope.dimension_count",                  U32,    rope_dims),
	KEY("rope.scaling.factor",                   F32,    rope_factor),
	KEY("rope.scaling.attn_factor",              F32,    rope_attn_factor),
	KEY("rope.scaling.original_context_length",  U32,    rope_original_context),
	KEY("rope.scaling.yarn_ext_factor",          F32,    yarn_ext),
	KEY("rope.scaling.yarn_attn_factor",         F32,    yarn_attn),
	KEY("rope.scaling.yarn_beta_fast",           F32,    yarn_fast),
	KEY("rope.scaling.yarn_beta_slow",           F32,    yarn_slow),
	KEY("rope.scaling.yarn_log_multiplier",      F32,    yarn_log),
};
/* clang-format on */

/* ---- from config.json */

/* Where multimodal checkpoints keep the text model's part. */
static const struct json *text_part(const struct json *config)
{
	static const char *const names[] = { "text_config", "llm_config", "language_config" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct json *v = json_get(config, names[i]);

		if (v && v->type == JSON_OBJECT)
			return v;
	}
	return NULL;
}

const struct json *config_get(const struct json *config, const char *name)
{
	const struct json *v = json_get(text_part(config), name);

	if (!v || v->type == JSON_NULL)
		v = json_get(config, name);
	return v && v->type != JSON_NULL ? v : NULL;
}

static int take_count(const struct json *v, const char *name, uint64_t max, uint64_t *out,
		      struct err *e)
{
	if (v->type != JSON_NUMBER || !v->is_integer || v->integer < 1 ||
	    (uint64_t)v->integer > max)
		return err_set(e, ERR_INVALID,
			       "config.json: \"%s\" is not a whole number from 1 to %llu", name,
			       (unsigned long long)max);
	*out = (uint64_t)v->integer;
	return 0;
}

static int take_real(const struct json *v, const char *name, double *out, struct err *e)
{
	if (v->type != JSON_NUMBER || !(v->number > 0) || !(v->number < 1e12))
		return err_set(e, ERR_INVALID, "config.json: \"%s\" is not a positive number",
			       name);
	*out = v->number;
	return 0;
}

static int take_choice(const struct json *v, const char *name, enum choice *out, struct err *e)
{
	if (v->type != JSON_BOOL)
		return err_set(e, ERR_INVALID, "config.json: \"%s\" is neither true nor false",
			       name);
	*out = v->boolean ? CHOICE_YES : CHOICE_NO;
	return 0;
}

int config_count(const struct json *object, const char *name, uint64_t max, uint64_t *out,
		 struct err *e)
{
	const struct json *v = json_get(object, name);

	return v && v->type != JSON_NULL ? take_count(v, name, max, out, e) : 0;
}

int config_real(const struct json *object, const char *name, double *out, struct err *e)
{
	const struct json *v = json_get(object, name);

	return v && v->type != JSON_NULL ? take_real(v, name, out, e) : 0;
}

static int take_field(const struct field *f, const struct json *v, const char *name, void *at,
		      struct err *e)
{
	switch (f->type) {
	case FIELD_COUNT:
		return take_count(v, name, f->max, at, e);
	case FIELD_REAL:
		return take_real(v, name, at, e);
	default:
		return take_choice(v, name, at, e);
	}
}

static int read_field(const struct field *f, const struct json *config, struct hparams *h,
		      struct err *e)
{
	char name[48];

	for (const char *p = f->names; *p; p += *p == '|') {
		size_t n = strcspn(p, "|");
		const struct json *v;

		snprintf(name, sizeof(name), "%.*s", (int)n, p);
		v = config_get(config, name);
		if (v)
			return take_field(f, v, name, (char *)h + f->at, e);
		p += n;
	}
	return 0;
}

static int read_fields(const struct field *f, const struct json *config, struct hparams *h,
		       struct err *e)
{
	for (; f && f->names; f++) {
		if (read_field(f, config, h, e) < 0)
			return e->code;
	}
	return 0;
}

static int need(uint64_t v, const char *name, struct err *e)
{
	if (v)
		return 0;
	return err_set(e, ERR_INVALID,
		       "config.json lacks \"%s\"; take the file from the model's repository", name);
}

static int check(const struct hparams *h, struct err *e)
{
	if (h->heads % h->kv_heads != 0)
		return err_set(e, ERR_INVALID,
			       "config.json: %llu attention heads are not a multiple of %llu "
			       "key/value heads",
			       (unsigned long long)h->heads, (unsigned long long)h->kv_heads);
	if (h->head_dim == 0 || h->head_dim % 2 != 0)
		return err_set(e, ERR_INVALID, "config.json: head size %llu is %s",
			       (unsigned long long)h->head_dim, h->head_dim ? "odd" : "no size");
	if (h->rope_partial > 1)
		return err_set(e, ERR_INVALID,
			       "config.json: the share of a head that turns with its position is "
			       "above 1");
	return 0;
}

/* llama.cpp knows one activation for each architecture. */
static int check_activation(const struct arch *arch, const struct json *config, struct err *e)
{
	const struct json *v = config_get(config, "hidden_activation");

	if (!v)
		v = config_get(config, "hidden_act");
	if (!v)
		v = config_get(config, "activation_function");
	if (!v || !arch->activation)
		return 0;
	if (v->type == JSON_STRING && arch_list_has(arch->activation, v->str))
		return 0;
	return err_set(e, ERR_INVALID,
		       "config.json: llama.cpp computes %s with the activation %s; this model has "
		       "%.40s",
		       arch->name, arch->activation, v->type == JSON_STRING ? v->str : "another");
}

int hparams_read(struct arena *a, const struct arch *arch, const struct json *c, struct hparams *h,
		 struct err *e)
{
	const struct json *tied = config_get(c, "tie_word_embeddings");

	*h = arch->defaults;
	if (read_fields(common, c, h, e) < 0 || read_fields(arch->fields, c, h, e) < 0 ||
	    check_activation(arch, c, e) < 0)
		return e->code;
	if (need(h->layers, "num_hidden_layers", e) < 0 || need(h->embd, "hidden_size", e) < 0 ||
	    need(h->heads, "num_attention_heads", e) < 0 || need(h->vocab, "vocab_size", e) < 0)
		return e->code;
	if (!h->kv_heads)
		h->kv_heads = h->heads;
	if (!h->head_dim)
		h->head_dim = h->embd / h->heads;
	if (tied && tied->type == JSON_BOOL)
		h->tied = tied->boolean;
	h->tokens = h->vocab;
	if (rope_read(a, c, h, e) < 0 || (arch->derive && arch->derive(c, h, e) < 0))
		return e->code;
	if (need(h->ffn, "intermediate_size", e) < 0)
		return e->code;
	return check(h, e);
}

/* ---- to keys */

static void write_key(const struct key *k, const char *name, const struct hparams *h,
		      struct gguf_writer *w)
{
	const char *at = (const char *)h + k->at;
	enum choice choice;
	enum gating gating;
	uint64_t u;
	double f;

	switch (k->type) {
	case KEY_U32:
		memcpy(&u, at, sizeof(u));
		if (u)
			gguf_u32(w, name, (uint32_t)u);
		break;
	case KEY_F32:
		memcpy(&f, at, sizeof(f));
		if (f != 0)
			gguf_f32(w, name, (float)f);
		break;
	case KEY_CHOICE:
		memcpy(&choice, at, sizeof(choice));
		if (choice != CHOICE_NONE)
			gguf_bool(w, name, choice == CHOICE_YES);
		break;
	case KEY_GATING:
		memcpy(&gating, at, sizeof(gating));
		if (gating != GATING_NONE)
			gguf_u32(w, name, gating);
		break;
	}
}

void hparams_write(struct arena *a, const struct arch *arch, const struct hparams *h,
		   struct gguf_writer *w)
{
	static const char *const scalings[ROPE_LONG + 1] = {
		[ROPE_LINEAR] = "linear", [ROPE_YARN] = "yarn", [ROPE_LONG] = "longrope"
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		write_key(&keys[i], arena_printf(a, "%s.%s", arch->name, keys[i].name), h, w);
	gguf_str(w, arena_printf(a, "%s.tensor_data_layout", arch->name), h->qkv_layout);
	gguf_str(w, arena_printf(a, "%s.rope.scaling.type", arch->name), scalings[h->scaling]);
	if (h->window || h->window_always)
		gguf_u32(w, arena_printf(a, "%s.attention.sliding_window", arch->name),
			 (uint32_t)h->window);
}
