/* workers/gguf/arch.h -- the one table of architectures: what a checkpoint of a
 * Hugging Face class holds, and what llama.cpp calls it. A new architecture is
 * one struct arch in arch.c beside its neighbours. */
#ifndef QUERN_WORKERS_GGUF_ARCH_H
#define QUERN_WORKERS_GGUF_ARCH_H

#include <stddef.h>
#include <stdint.h>

/* Sizes that shapes are made of; values in struct hparams. */
enum dim {
	DIM_NONE,
	DIM_EMBD,  /* hidden size */
	DIM_FFN,   /* intermediate size */
	DIM_VOCAB, /* rows of the embedding */
	DIM_Q,	   /* query heads x head size */
	DIM_KV,	   /* key/value heads x head size */
};

/* Rows of q and k are stored in two halves a head and run in adjacent pairs: see permute.h. */
enum permute { PERMUTE_NO, PERMUTE_Q, PERMUTE_KV };

enum presence {
	REQUIRED,
	OPTIONAL,
	UNLESS_TIED, /* required unless the embedding serves as output too; ignored then */
};

struct tensor_rule {
	const char *hf;	     /* without "model.layers.N." for layers */
	const char *gguf;    /* without "blk.N." for layers */
	enum dim rows, cols; /* rows x cols as PyTorch prints it; a vector has cols only */
	enum permute permute;
	enum presence presence;
};

struct arch {
	const char *hf_class;			    /* config.json architectures[0] */
	const char *name;			    /* general.architecture */
	const char *layer_prefix;		    /* "model.layers." */
	const struct tensor_rule *globals, *layers; /* ended by hf NULL */
	/* What the transformers class uses when config.json is silent (configuration_*.py). */
	uint32_t default_kv_heads; /* 0: as many as query heads */
	uint32_t default_context;
	double default_rms_eps, default_rope_theta;
	int head_dim_keys; /* write attention.key_length and value_length */
};

const struct arch *arch_by_class(const char *hf_class); /* NULL */
/* Class names in a, for messages: "LlamaForCausalLM, Qwen2ForCausalLM". */
const char *arch_names(void);

struct hparams {
	uint32_t layers, context, heads, kv_heads, head_dim;
	uint64_t embd, ffn, vocab;
	double rms_eps, rope_theta;
	int tied;
	/* rope scaling: NULL, "linear", "yarn" or "llama3" */
	const char *rope_type;
	double rope_factor, rope_low, rope_high;
	uint32_t rope_original_context;
};

uint64_t dim_value(const struct hparams *h, enum dim d);

struct json;
struct arena;
struct err;
/* From config.json, with the class's defaults. ERR_INVALID names the field. */
int hparams_read(const struct arch *arch, const struct json *config, struct hparams *h,
		 struct err *e);

/* Long-context factors of Llama 3 for rope_freqs.weight: head_dim/2 floats. Source: transformers
 * modeling_rope_utils.py, _compute_llama3_parameters. */
void llama3_factors(const struct hparams *h, float *out);

#endif
