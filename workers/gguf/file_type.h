/* workers/gguf/file_type.h -- the file types of llama.cpp and the rules of its quantizer: which
 * tensors get a better type than the base. mix.c follows the rules. */
#ifndef QUERN_WORKERS_GGUF_FILE_TYPE_H
#define QUERN_WORKERS_GGUF_FILE_TYPE_H

#include <stdint.h>

#include "workers/gguf/type.h"

/* When a rule holds. i: the number of the tensor among its kind (its layer, with experts); n: how
 * many. */
enum when {
	NEVER,
	ALWAYS,
	GROUPED,	    /* four query heads or more share a key */
	FIRST_2,	    /* i < 2 */
	FIRST_4,	    /* i < 4 */
	FIRST_16TH,	    /* i < n/16 */
	FIRST_8TH,	    /* i < n/8 */
	MORE,		    /* the first and the last eighth, and every third between */
	IMATRIX_8TH,	    /* FIRST_8TH, with importances */
	PLAIN_8TH,	    /* FIRST_8TH, without */
	PLAIN,		    /* without importances */
	GROUPED_OR_EXPERTS, /* GROUPED, or four experts or more */
	EIGHT_MORE,	    /* MORE, with exactly eight experts */
	MIDDLE,		    /* neither the first nor the last eighth */
};

struct rule {
	enum when when;
	enum gguf_type type;
};

#define RULES 2 /* the first that holds; none: the base type */

struct file_type {
	const char *name;
	uint32_t number;
	enum gguf_type base;
	struct rule value[RULES]; /* attn_v, attn_qkv, attn_kv_b */
	struct rule attn_output[RULES];
	struct rule down[RULES]; /* ffn_down and its likes */
	int eight_experts;	 /* attn_output is Q5_K in a model with exactly eight */
	int needs_imatrix;
	/* F32 (0): as the rules of all file types have it. */
	enum gguf_type output;	  /* or of the embedding that serves as one */
	enum gguf_type embedding; /* that does not */
	enum gguf_type query_key; /* attn_q, attn_k */
	struct rule gate_up;	  /* ffn_gate, ffn_up and their likes */
	int lowest;		  /* eight experts, 70B models and Falcon are as others */
	/* Of Falcon. */
	enum gguf_type falcon_output;	/* attn_output; F32 (0): the base */
	struct rule falcon_down[RULES]; /* none: as of others */
};

#endif
