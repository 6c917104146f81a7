/* workers/gguf/type.h -- the one table of tensor types: number and name as in
 * GGUF (ggml/include/ggml.h, enum ggml_type), block size, and how to encode and
 * decode. A new type is one row here and a codec beside codec_legacy.c. */
#ifndef QUERN_WORKERS_GGUF_TYPE_H
#define QUERN_WORKERS_GGUF_TYPE_H

#include <stddef.h>
#include <stdint.h>

#include "core/safetensors.h"

enum gguf_type {
	TYPE_F32 = 0,
	TYPE_F16 = 1,
	TYPE_Q4_0 = 2,
	TYPE_Q8_0 = 8,
	TYPE_BF16 = 30,
	TYPE_ID_MAX = 42, /* highest number in use */
};

/* n: elements, a multiple of the block. Encoders need finite input; a value that the type cannot
 * hold (a scale or a number beyond binary16) comes out as infinity and is found by type_check(). */
typedef void (*encode_fn)(const float *x, void *out, size_t n);
typedef void (*decode_fn)(const void *in, float *x, size_t n);
typedef int64_t (*check_fn)(const void *in, size_t n);

#define NO_SCALE 0xffff

struct type {
	int id;
	const char *name;
	int file_type;	  /* general.file_type of a file whose matrices have it; -1: no such file */
	uint32_t block;	  /* elements; 0: the row is empty (a retired number) */
	uint32_t bytes;	  /* of a block */
	encode_fn encode; /* portable; NULL: this quern does not write it */
	encode_fn encode_avx2; /* the same bytes, faster; NULL: none */
	decode_fn decode;      /* NULL: this quern does not read the values */
	/* Where a block has its binary16 scales, d and dmin; NO_SCALE: none. */
	uint16_t scale_at[2];
	check_fn check; /* in place of that, where scales are something else; or NULL */
};

/* By number; NULL when unknown or retired. */
const struct type *type_by_id(uint32_t id);
const struct type *type_by_name(const char *name);
/* The fastest encoder for this processor. */
encode_fn type_encoder(const struct type *t);
/* Bytes of n elements (a multiple of the block). */
uint64_t type_bytes(const struct type *t, uint64_t n);
/* Index of the first of n/block blocks with a scale (or number) that is not finite, or -1. */
int64_t type_check(const struct type *t, const void *in, size_t n);

/* From safetensors to float: ST_F32, ST_F16, ST_BF16 and the F8 types; NULL otherwise. */
typedef void (*load_fn)(const void *in, float *x, size_t n);
load_fn load_of(enum st_dtype dtype);
size_t dtype_bytes(enum st_dtype dtype);

/* codec_float.c */
void encode_f32(const float *x, void *out, size_t n);
void encode_f16(const float *x, void *out, size_t n);
void encode_f16_avx2(const float *x, void *out, size_t n);
void encode_bf16(const float *x, void *out, size_t n);
void encode_bf16_avx2(const float *x, void *out, size_t n);
void decode_f32(const void *in, float *x, size_t n);
void decode_f16(const void *in, float *x, size_t n);
void decode_f16_avx2(const void *in, float *x, size_t n);
void decode_bf16(const void *in, float *x, size_t n);
void decode_bf16_avx2(const void *in, float *x, size_t n);
int64_t check_f32(const void *in, size_t n);
int64_t check_f16(const void *in, size_t n);
int64_t check_bf16(const void *in, size_t n);
/* Index of the first element that is NaN or infinite, or -1. */
int64_t find_nonfinite(const float *x, size_t n);

/* codec_f8.c: of checkpoints only */
void load_f8_e4m3(const void *in, float *x, size_t n);
void load_f8_e5m2(const void *in, float *x, size_t n);

/* codec_legacy.c: blocks of 32 with one binary16 scale */
void encode_q8_0(const float *x, void *out, size_t n);
void encode_q8_0_avx2(const float *x, void *out, size_t n);
void encode_q4_0(const float *x, void *out, size_t n);
void encode_q4_0_avx2(const float *x, void *out, size_t n);
void decode_q8_0(const void *in, float *x, size_t n);
void decode_q4_0(const void *in, float *x, size_t n);

/* check.c: scales that are not simply one or two binary16 */
int64_t check_f64(const void *in, size_t n);
int64_t check_q8_k(const void *in, size_t n);
int64_t check_iq1_m(const void *in, size_t n);
int64_t check_mxfp4(const void *in, size_t n);

/* 1 when the AVX2 variants can run here. */
int have_avx2(void);

#endif
