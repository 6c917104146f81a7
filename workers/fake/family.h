/* workers/fake/family.h -- what the fake models of one architecture have in common:
 * names and shapes of tensors as the transformers library gives them, the members
 * of config.json, and the kind of tokenizer. A new one is a row in family.c. */
#ifndef QUERN_WORKERS_FAKE_FAMILY_H
#define QUERN_WORKERS_FAKE_FAMILY_H

#include <stdint.h>

struct fake_spec;
struct json_out;

/* A length, by what it is. */
enum fake_length {
	LEN_NONE,
	LEN_ONE,
	LEN_VOCAB,
	LEN_CTX,
	LEN_HIDDEN,
	LEN_3_HIDDEN,
	LEN_FFN,
	LEN_2_FFN,
	LEN_QUERY, /* heads x head size */
	LEN_KEY,   /* kv heads x head size */
	LEN_2_KEY,
	LEN_QKV,
	LEN_HEAD,
	LEN_EXPERTS,
	LEN_EXPERT_FFN,
	LEN_SHARED_FFN,
	LEN_Q_RANK,
	LEN_KV_RANK,
	LEN_KV_A,
	LEN_Q_LATENT,
	LEN_KV_B,
	LEN_O_LATENT,
};

/* In which layers, or how often, there is a tensor. */
enum fake_when {
	WHEN_ALWAYS,
	WHEN_UNTIED,
	WHEN_DENSE,	/* the layers before the first with experts */
	WHEN_EXPERTS,	/* the layers with experts */
	WHEN_EACH,	/* in those, once for each expert: "%u" in the name */
	WHEN_Q_RANK,	/* queries are latent too */
	WHEN_NO_Q_RANK, /* they are not */
};

struct fake_kind {
	const char *name;
	enum fake_length rows, columns; /* columns NONE: a vector */
	enum fake_when when;
	int is_norm;
};

enum fake_tokenizer {
	TOK_LLAMA3,
	TOK_QWEN2,
	TOK_PLAIN,	   /* byte-level BPE with the family's own pre-tokenizer */
	TOK_SENTENCEPIECE, /* tokenizer.model */
	TOK_GEMMA,	   /* the same without a space in front of the text */
};

/* Where config.json has the sizes. */
enum fake_config { CONFIG_COMMON, CONFIG_OWN, CONFIG_NESTED };

/* Numbers that only some architectures have; 0 where they do not. */
struct fake_more {
	uint64_t experts, experts_used, expert_ffn, shared_ffn, shared_experts, dense_layers;
	uint64_t groups, groups_used;
	uint64_t q_rank, kv_rank, nope, rope, value;
	uint64_t window;
	double partial; /* the share of a head that turns */
};

#define FAKE_LISTS_MAX 4

struct fake_family {
	const char *name;     /* model_type */
	const char *hf_class; /* architectures[0] */
	const char *layer;    /* "model.layers.%u." */
	/* In the order of the model; each ended by name NULL. */
	const struct fake_kind *before, *layers[FAKE_LISTS_MAX], *after;
	enum fake_tokenizer tokenizer;
	int zero_norms; /* a norm that changes nothing holds 0 and not 1 */
	const char *activation;
	const char *pre_tokenizer, *normalizer; /* of TOK_PLAIN, as JSON */
	/* The members of config.json that are not common; all of them for CONFIG_OWN. */
	void (*config)(struct json_out *w, const struct fake_spec *s);
	enum fake_config form;
};

enum fake_family_id {
	FAMILY_LLAMA,
	FAMILY_QWEN2,
	FAMILY_MISTRAL,
	FAMILY_MIXTRAL,
	FAMILY_INTERNLM3,
	FAMILY_TELECHAT,
	FAMILY_SMOLLM3,
	FAMILY_GRANITE,
	FAMILY_MINICPM,
	FAMILY_INTERNLM2,
	FAMILY_QWEN3,
	FAMILY_QWEN2_MOE,
	FAMILY_QWEN3_MOE,
	FAMILY_GEMMA,
	FAMILY_GEMMA2,
	FAMILY_GEMMA3_TEXT,
	FAMILY_GEMMA3,
	FAMILY_PHI,
	FAMILY_PHI3,
	FAMILY_MINICPM3,
	FAMILY_DEEPSEEK_V2,
	FAMILY_DEEPSEEK_V3,
	FAMILY_CHATGLM,
	FAMILY_STABLELM,
	FAMILY_GPT2,
	FAMILY_FALCON,
	FAMILY_OLMO2,
};

extern const struct fake_family fake_families[]; /* by id */

#endif
