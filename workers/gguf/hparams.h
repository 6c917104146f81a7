/* workers/gguf/hparams.h -- the numbers of a model: from config.json into one
 * struct, and from there to the keys of the file. A number that a class does not
 * have is 0, and what is 0 is not written: which keys a file gets follows from
 * what its class reads. */
#ifndef QUERN_WORKERS_GGUF_HPARAMS_H
#define QUERN_WORKERS_GGUF_HPARAMS_H

#include <stddef.h>
#include <stdint.h>

struct arch;
struct arena;
struct err;
struct gguf_writer;
struct json;

/* A flag that may be silent. */
enum choice { CHOICE_NONE, CHOICE_NO, CHOICE_YES };

/* expert_gating_func; source: llama.cpp src/llama-hparams.h, enum llama_expert_gating_func_type */
enum gating { GATING_NONE, GATING_SOFTMAX, GATING_SIGMOID };

enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_YARN, ROPE_LLAMA3, ROPE_LONG };

struct hparams {
	uint64_t layers, context, embd, ffn, vocab;
	uint64_t tokens; /* rows of the embedding in the file: vocab, or fewer where rows are cut */
	uint64_t heads, kv_heads, head_dim;
	uint64_t key_length, value_length, rope_dims; /* as keys; often not needed */
	double rms_eps, ln_eps;
	int tied;

	/* experts */
	uint64_t experts, experts_used, expert_ffn, shared_experts, shared_ffn, dense_layers;
	uint64_t expert_groups, expert_groups_used;
	double expert_scale;
	enum choice expert_norm;
	enum gating gating;

	/* latent attention (DeepSeek-V2): ranks, and the parts of a head */
	uint64_t q_rank, kv_rank, nope_dim, rope_dim, v_dim;
	uint64_t key_length_mla, value_length_mla;

	uint64_t window;   /* of sliding attention */
	int window_always; /* that there is none is written as 0 */
	double attn_softcap, final_softcap;
	double embedding_scale, residual_scale, logit_scale, attention_scale;
	enum choice parallel_residual;
	uint64_t vocab_key;	/* vocab_size as a key */
	const char *qkv_layout; /* tensor_data_layout */

	/* positions */
	double rope_theta, rope_theta_local, rope_partial;
	enum rope_scaling scaling;
	double rope_factor, rope_attn_factor;
	struct {
		double factor, low, high, original_context;
	} llama3;
	double yarn_ext, yarn_attn, yarn_fast, yarn_slow, yarn_log;
	uint64_t rope_original_context;
	const float *long_factors, *short_factors; /* n_factors of each, or NULL */
	uint64_t n_factors;
};

/* A member of config.json that only some classes have: name, or names with '|' between them (the
 * first one there wins), and its place in struct hparams. */
enum field_type { FIELD_COUNT, FIELD_REAL, FIELD_CHOICE };

struct field {
	const char *names;
	enum field_type type;
	size_t at;
	uint64_t max; /* of a count */
};

/* From config.json, with the class's defaults. Memory in a. ERR_INVALID names the field. */
int hparams_read(struct arena *a, const struct arch *arch, const struct json *config,
		 struct hparams *h, struct err *e);
/* All keys "NAME.*" of the architecture. */
void hparams_write(struct arena *a, const struct arch *arch, const struct hparams *h,
		   struct gguf_writer *w);

/* A member of config.json, or of the part of it that describes the text model, which goes first.
 * NULL when it is absent or null. */
const struct json *config_get(const struct json *config, const char *name);

/* rope.c: rope_scaling, or rope_parameters of transformers 5, which holds rope_theta as well. */
int rope_read(struct arena *a, const struct json *config, struct hparams *h, struct err *e);
/* Long-context factors of Llama 3 for rope_freqs.weight: head_dim/2 floats. Source: transformers
 * modeling_rope_utils.py, _compute_llama3_parameters. */
void llama3_factors(const struct hparams *h, float *out);

/* One number out of an object of config.json, when it is there. ERR_INVALID. */
int config_count(const struct json *object, const char *name, uint64_t max, uint64_t *out,
		 struct err *e);
int config_real(const struct json *object, const char *name, double *out, struct err *e);

#endif
