/* workers/gguf/gguf_input.h -- a model that is in GGUF already: its tensors go
 * through the same pass as those of a checkpoint, without any architecture of
 * ours, and its metadata is carried over byte by byte. */
#ifndef QUERN_WORKERS_GGUF_GGUF_INPUT_H
#define QUERN_WORKERS_GGUF_GGUF_INPUT_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/gguf.h"
#include "core/safetensors.h"
#include "workers/gguf/layout.h"
#include "workers/gguf/mix.h"
#include "workers/gguf/writer.h"

struct gguf_input {
	struct gguf_model model;
	const char *architecture;
	struct st_model files; /* its files, and a tensor of floats for each of its tensors */
	uint64_t layers, heads, kv_heads, experts;
	uint64_t context;    /* 0: the file does not say */
	uint64_t vocabulary; /* 0: none */
	const char *pre;     /* tokenizer.ggml.pre, or NULL */
};

/* file: in dir. ERR_INVALID: what gguf_open_model() refuses, no architecture, or tensors in blocks
 * while quantized_too is 0: each further rounding adds to the error. */
int gguf_input_open(struct arena *a, const char *dir, const char *file, int quantized_too,
		    struct gguf_input *in, struct err *e);

/* Every tensor as it is called, in llama-quantize's order. */
int gguf_input_layout(struct arena *a, const struct gguf_input *in, struct layout *out,
		      struct err *e);

/* What the mixes ask about the model. */
void gguf_input_mix(const struct gguf_input *in, struct mix *m);

/* All metadata but what is about the file and not the model: its alignment and parts; its types are
 * those given here, in their old places. with_imatrix: what it says of importances will be said
 * anew, and is left out. */
int gguf_input_metadata(const struct gguf_input *in, int with_imatrix, uint32_t file_type,
			uint32_t quantization_version, struct gguf_writer *w, struct err *e);

#endif
