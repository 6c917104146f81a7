/* core/source_quant.h -- what config.json says of weights that are quantized already:
 * its member quantization_config, as transformers, GPTQModel, AutoAWQ and
 * compressed-tensors write it, or a file beside it, as older tools did. Foreign JSON; nothing here
 * reads a weight. */
#ifndef QUERN_CORE_SOURCE_QUANT_H
#define QUERN_CORE_SOURCE_QUANT_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "core/safetensors.h"

enum quant_method {
	QUANT_NONE, /* plain floats */
	QUANT_FP8,
	QUANT_GPTQ,
	QUANT_AWQ,
	QUANT_COMPRESSED_TENSORS,
	QUANT_BITSANDBYTES,
	QUANT_MXFP4,
	QUANT_MLX,
	QUANT_OTHER
};

struct source_quant {
	enum quant_method method;
	const char *method_name; /* as written, "gptq"; a plain word; NULL: QUANT_NONE */
	/* Method, layout and width in one word, for lists of what an engine reads:
	 *   fp8                                          (DeepSeek, Qwen, AutoFP8)
	 *   gptq-2bit gptq-3bit gptq-4bit gptq-8bit      (checkpoint_format gptq or gptq_v2)
	 *   awq-4bit                                     (version gemm)
	 *   compressed-tensors-pack-quantized-4bit       (2 to 8; without bits: several)
	 *   compressed-tensors-FORMAT                    (int-quantized, float-quantized,
	 *                                                 naive-quantized, mixed-precision ...)
	 *   bitsandbytes-4bit bitsandbytes-8bit mlx-4bit mxfp4
	 *   METHOD, or METHOD-VARIANT                    (all others: gptq-marlin, awq-gemv, ...)
	 * NULL: QUANT_NONE. */
	const char *form;
	int bits;	    /* of a weight; 0: not said, or not one number for all */
	int64_t group_size; /* weights of a row that share a scale; -1: the whole row; 0: not said
			     */
	int symmetric;	    /* 1, 0, or -1: not said */
	int desc_act;	    /* GPTQ: columns were sorted by activation; g_idx tells their groups */
	int zero_is_stored; /* GPTQ: checkpoint_format gptq_v2; else zero points are stored less 1
			     */
	uint64_t block_rows, block_cols; /* of 8-bit weights with a factor a block; 0: none */
	const char **ignore; /* modules left as they were: names, or "re:" and an expression */
	size_t n_ignore;
};

/* From the root of config.json. A config without quantization_config gives QUANT_NONE. ERR_INVALID
 * names the member that makes no sense. Memory in a; nothing of config is kept. */
int source_quant_read(struct arena *a, const struct json *config, struct source_quant *out,
		      struct err *e);

/* The files in which AutoGPTQ and AutoAWQ said it before config.json did. */
#define SOURCE_GPTQ_CONFIG "quantize_config.json"
#define SOURCE_AWQ_CONFIG "quant_config.json"

/* The same from such files in dir, when config.json says nothing (out is QUANT_NONE). ERR_INVALID,
 * ERR_IO; a folder without them changes nothing. */
int source_quant_read_beside(struct arena *a, const char *dir, struct source_quant *out,
			     struct err *e);

/* "GPTQ, 4 bits, groups of 128"; "" for QUANT_NONE. In a. */
const char *source_quant_text(struct arena *a, const struct source_quant *q);

/* What a tensor of a quantized checkpoint is. */
enum quant_part {
	PART_PLAIN,  /* weights as they are: a norm, an embedding, a module that was left alone */
	PART_CODES,  /* a matrix of codes: it stands for rows x cols weights */
	PART_HELPER, /* scales, zero points and the like: no weight of the model */
};

/* rows (outputs) and cols (inputs) are set for PART_CODES. */
enum quant_part source_quant_part(const struct source_quant *q, const struct st_tensor *t,
				  uint64_t *rows, uint64_t *cols);

#endif
