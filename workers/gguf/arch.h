/* workers/gguf/arch.h -- the one table of architectures: what a checkpoint of a
 * Hugging Face class holds, and what llama.cpp calls it. A new architecture is
 * one struct arch in arch.c beside its neighbours, made of lists of rules that
 * it shares with them; numbers that only it has are a list of struct field. */
#ifndef QUERN_WORKERS_GGUF_ARCH_H
#define QUERN_WORKERS_GGUF_ARCH_H

#include <stddef.h>
#include <stdint.h>

#include "workers/gguf/hparams.h"

/* Sizes that shapes are made of: functions of struct hparams. */
enum dim {
	DIM_NONE,
	DIM_ONE,
	DIM_EMBD,   /* hidden size */
	DIM_3_EMBD, /* q, k and v of equal size */
	DIM_FFN,    /* intermediate size */
	DIM_2_FFN,  /* gate and up in one */
	DIM_VOCAB,  /* rows of the embedding */
	DIM_CONTEXT,
	DIM_HEAD,     /* head size */
	DIM_HEADS,    /* query heads */
	DIM_KV_HEADS, /* key/value heads */
	DIM_Q,	      /* query heads x head size */
	DIM_KV,	      /* key/value heads x head size */
	DIM_2_KV,
	DIM_QKV, /* all of them in one */
	DIM_EXPERTS,
	DIM_EXPERT_FFN,
	DIM_2_EXPERT_FFN,
	DIM_SHARED_FFN,
	DIM_Q_RANK,
	DIM_KV_RANK,
	DIM_KV_A,  /* latent, and the part of the key that turns */
	DIM_Q_MLA, /* query heads x key size */
	DIM_KV_B,  /* query heads x (what does not turn of the key + value size) */
	DIM_O_MLA, /* query heads x value size */
};

/* How rows of the checkpoint become rows of the file; each is a list of slices (origin.h). What a
 * rule's shape says is always that of the checkpoint. */
enum how {
	AS_IS,
	HALVES,	       /* each head is stored as two halves and runs in adjacent pairs */
	PLUS_ONE,      /* a norm that is stored as its distance from 1 */
	TRANSPOSED,    /* stored as [in, out] */
	CUT_TO_TOKENS, /* rows beyond the tokenizer's last token are left out */
	EXPERTS,       /* one matrix for each expert, "%u" in its name; stacked */
	FUSED_EXPERTS, /* [experts, rows, cols] in one */
	FUSED_GATE,    /* [experts, 2 x rows, cols]: the first half of the rows of each expert */
	FUSED_UP,      /* the second half */
	HEAD_NORMS,    /* one vector for each of `rows` heads, "%u" in its name; stacked */
	GROUPED_Q,     /* groups of query heads, a key and a value head; HALVES */
	GROUPED_K,
	GROUPED_V,
	GROUPED_QKV, /* the same groups put in order: all q, all k, all v; no HALVES */
	PAIRED_K,    /* key and value heads in turn; HALVES */
	PAIRED_V,
	LATENT_K, /* of each head of DIM_KV_B, what makes the key; transposed */
	LATENT_V, /* what makes the value */
};

enum presence {
	REQUIRED,
	OPTIONAL,
	ONE_OF,	      /* this or the next rule with the same name in the file */
	UNLESS_TIED,  /* required unless the embedding serves as output too; ignored then */
	OR_EMBEDDING, /* as that, but the file has a copy of the embedding then */
	DROPPED,      /* llama.cpp does without it */
	DENSE_LAYER,  /* required in the first layers, which have no experts */
	EXPERT_LAYER, /* required in the others */
	WITH_SHARED,  /* required in layers with experts when some are shared */
};

struct tensor_rule {
	const char *hf;	  /* without the layer's prefix; "*" in front: below a base of the class */
	const char *gguf; /* without "blk.N." for layers */
	enum dim rows, cols; /* rows x cols as PyTorch prints it; a vector has cols only */
	enum how how;
	enum presence presence;
};

#define RULE_LISTS_MAX 7

struct arch {
	const char *hf_class; /* config.json architectures[0] */
	const char *name;     /* general.architecture */
	/* What "*" stands for in names: the first under which a checkpoint has its embedding. */
	const char *bases[4];
	const char *layer; /* "*layers.%u." */
	/* Lists of rules, each ended by hf NULL; the first one's first rule is the embedding. */
	const struct tensor_rule *globals, *layers[RULE_LISTS_MAX];
	/* What the transformers class uses when config.json is silent (configuration_*.py). */
	struct hparams defaults;
	const char *activation;	    /* names with '|' between them; NULL: any */
	const struct field *fields; /* of this class alone; ended by names NULL */
	/* Numbers that follow from others, and refusals of what llama.cpp does not compute. */
	int (*derive)(const struct json *config, struct hparams *h, struct err *e);
	const char *dropped[4]; /* beginnings of names: parts that see or hear, or guess ahead */
	int more_layers;	/* layers after the last one guess ahead, and are dropped */
};

const struct arch *arch_by_class(const char *hf_class); /* NULL */
/* By number, in the table's order; NULL after the last. */
const struct arch *arch_get(size_t i);
/* Is word one of the '|'-separated names? */
int arch_list_has(const char *names, const char *word);

uint64_t dim_value(const struct hparams *h, enum dim d);

#endif
