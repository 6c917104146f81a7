/* workers/gguf/type.h -- what is done with tensors of each type: how to encode and decode
 * them, and where a block has its scales. Numbers, names and sizes are in core/gguf_types.h.
 * A new type is one row there and one in type.c, a decoder and, perhaps, an encoder: codec.h. */
#ifndef QUERN_WORKERS_GGUF_TYPE_H
#define QUERN_WORKERS_GGUF_TYPE_H

#include <stddef.h>
#include <stdint.h>

#include "core/safetensors.h"
#include "workers/gguf/codec.h"

/* TYPE_Q4_0 and the like. */
enum gguf_type {
#define GGUF_TYPE(id, name, block, bytes) TYPE_##name = id,
#include "core/gguf_types.h"
	TYPE_ID_MAX = TYPE_Q2_0, /* highest number in use */
};

/* Instruction sets that the encoders are compiled for, the faster ones later; all give the same
 * bytes. */
#if defined(__x86_64__)
enum isa { ISA_PORTABLE, ISA_AVX2, ISA_AVX512, ISA_COUNT };
#elif defined(__aarch64__)
enum isa { ISA_PORTABLE, ISA_NEON, ISA_COUNT };
#else
enum isa { ISA_PORTABLE, ISA_COUNT };
#endif

typedef int64_t check_fn(const void *in, size_t n);

#define NO_SCALE 0xffff

struct type {
	int id;
	const char *name;
	uint32_t block;		      /* elements; 0: the row is empty (a retired number) */
	uint32_t bytes;		      /* of a block */
	encode_fn *encode[ISA_COUNT]; /* NULL: this quern does not write it */
	decode_fn *decode;	      /* NULL: this quern does not read the values */
	/* Where a block has its binary16 scales, d and dmin; NO_SCALE: none. */
	uint16_t scale_at[2];
	check_fn *check; /* in place of that, where scales are something else; or NULL */
};

/* By number; NULL when unknown or retired. */
const struct type *type_by_id(uint32_t id);
/* By name, in any case. */
const struct type *type_by_name(const char *name);
/* The best that this processor and this build have. */
enum isa isa_best(void);
/* 1 when it may be used here. */
int isa_usable(enum isa isa);
encode_fn *type_encoder(const struct type *t);
/* Bytes of n elements (a multiple of the block). */
uint64_t type_bytes(const struct type *t, uint64_t n);
/* Index of the first of n/block blocks with a scale (or number) that is not finite, or -1. */
int64_t type_check(const struct type *t, const void *in, size_t n);

/* From safetensors to float: ST_F32, ST_F16, ST_BF16, ST_I8 and the F8 types; NULL otherwise. */
decode_fn *load_of(enum st_dtype dtype);
size_t dtype_bytes(enum st_dtype dtype);

struct quality;

/* What quality_add() does for whole groups: n is a multiple of them. */
void quality_groups(struct quality *q, const float *x, const float *y, size_t n);
/* Index of the first element that is NaN or infinite, or -1. */
int64_t find_nonfinite(const float *x, size_t n);

/* codec_f8.c: of checkpoints only */
void load_i8(const void *in, float *x, size_t n);
void load_f8_e4m3(const void *in, float *x, size_t n);
void load_f8_e5m2(const void *in, float *x, size_t n);

/* check.c: scales that are not simply one or two binary16 */
check_fn check_f32, check_f16, check_bf16, check_f64, check_q8_k, check_iq1_m, check_mxfp4,
	check_nvfp4;

#endif
