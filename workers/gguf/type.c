#include "workers/gguf/type.h"

#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define NONE NO_SCALE
#define UNWRITTEN                                                                                  \
	{                                                                                          \
		NULL                                                                               \
	}
#if defined(__x86_64__)
#define ALL(name)                                                                                  \
	{                                                                                          \
		encode_##name##_portable, encode_##name##_avx2, encode_##name##_avx512             \
	}
#elif defined(__aarch64__)
#define ALL(name)                                                                                  \
	{                                                                                          \
		encode_##name##_portable, encode_##name##_neon                                     \
	}
#else
#define ALL(name)                                                                                  \
	{                                                                                          \
		encode_##name##_portable                                                           \
	}
#endif

static decode_fn decode_f16, decode_bf16, decode_f32;

enum {
#define GGUF_TYPE(id, name, block, bytes) BLOCK_##name = block, BYTES_##name = bytes,
#include "core/gguf_types.h"
};

#define ROW(name, encode, decode, d, dmin, check)                                                  \
	{                                                                                          \
		TYPE_##name, #name, BLOCK_##name, BYTES_##name, encode, decode, { d, dmin }, check \
	}

/* clang-format off */
static const struct type types[] = {
	/*   name     encode        decode             d   dmin    check */
	ROW(F32,     ALL(f32),     decode_f32,      NONE, NONE, check_f32),
	ROW(F16,     ALL(f16),     decode_f16,      NONE, NONE, check_f16),
	ROW(Q4_0,    ALL(q4_0),    decode_q4_0,        0, NONE, NULL),
	ROW(Q4_1,    ALL(q4_1),    decode_q4_1,        0,    2, NULL),
	ROW(Q5_0,    ALL(q5_0),    decode_q5_0,        0, NONE, NULL),
	ROW(Q5_1,    ALL(q5_1),    decode_q5_1,        0,    2, NULL),
	ROW(Q8_0,    ALL(q8_0),    decode_q8_0,        0, NONE, NULL),
	ROW(Q8_1,    UNWRITTEN,    decode_q8_1,        0,    2, NULL),
	ROW(Q2_K,    ALL(q2_k),    decode_q2_k,       80,   82, NULL),
	ROW(Q3_K,    ALL(q3_k),    decode_q3_k,      108, NONE, NULL),
	ROW(Q4_K,    ALL(q4_k),    decode_q4_k,        0,    2, NULL),
	ROW(Q5_K,    ALL(q5_k),    decode_q5_k,        0,    2, NULL),
	ROW(Q6_K,    ALL(q6_k),    decode_q6_k,      208, NONE, NULL),
	ROW(Q8_K,    UNWRITTEN,    decode_q8_k,     NONE, NONE, check_q8_k),
	ROW(IQ2_XXS, ALL(iq2_xxs), decode_iq2_xxs,     0, NONE, NULL),
	ROW(IQ2_XS,  ALL(iq2_xs),  decode_iq2_xs,      0, NONE, NULL),
	ROW(IQ3_XXS, ALL(iq3_xxs), decode_iq3_xxs,     0, NONE, NULL),
	ROW(IQ1_S,   ALL(iq1_s),   decode_iq1_s,       0, NONE, NULL),
	ROW(IQ4_NL,  ALL(iq4_nl),  decode_iq4_nl,      0, NONE, NULL),
	ROW(IQ3_S,   ALL(iq3_s),   decode_iq3_s,       0, NONE, NULL),
	ROW(IQ2_S,   ALL(iq2_s),   decode_iq2_s,       0, NONE, NULL),
	ROW(IQ4_XS,  ALL(iq4_xs),  decode_iq4_xs,      0, NONE, NULL),
	ROW(I8,      UNWRITTEN,    NULL,            NONE, NONE, NULL),
	ROW(I16,     UNWRITTEN,    NULL,            NONE, NONE, NULL),
	ROW(I32,     UNWRITTEN,    NULL,            NONE, NONE, NULL),
	ROW(I64,     UNWRITTEN,    NULL,            NONE, NONE, NULL),
	ROW(F64,     UNWRITTEN,    NULL,            NONE, NONE, check_f64),
	ROW(IQ1_M,   ALL(iq1_m),   decode_iq1_m,    NONE, NONE, check_iq1_m),
	ROW(BF16,    ALL(bf16),    decode_bf16,     NONE, NONE, check_bf16),
	ROW(TQ1_0,   ALL(tq1_0),   decode_tq1_0,      52, NONE, NULL),
	ROW(TQ2_0,   ALL(tq2_0),   decode_tq2_0,      64, NONE, NULL),
	ROW(MXFP4,   ALL(mxfp4),   decode_mxfp4,    NONE, NONE, check_mxfp4),
	ROW(NVFP4,   ALL(nvfp4),   decode_nvfp4,    NONE, NONE, check_nvfp4),
	ROW(Q1_0,    ALL(q1_0),    decode_q1_0,        0, NONE, NULL),
	ROW(Q2_0,    ALL(q2_0),    decode_q2_0,        0, NONE, NULL),
};
/* clang-format on */

#define N_TYPES (sizeof(types) / sizeof(types[0]))

const struct type *type_by_id(uint32_t id)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		if ((uint32_t)types[i].id == id)
			return &types[i];
	}
	return NULL;
}

const struct type *type_by_name(const char *name)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		if (strcasecmp(types[i].name, name) == 0)
			return &types[i];
	}
	return NULL;
}

/* ---- instruction sets */

/* Asking the processor is slow in a virtual machine (a trap): once is enough. */
static enum isa ask_isa(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	/* Not every compiler's __builtin_cpu_supports() knows F16C. */
	if (!__builtin_cpu_supports("avx2") || !__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C))
		return ISA_PORTABLE;
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
		return ISA_AVX512;
	return ISA_AVX2;
#elif defined(__aarch64__)
	return ISA_NEON; /* every processor of this architecture has it */
#else
	return ISA_PORTABLE;
#endif
}

enum isa isa_best(void)
{
	static atomic_int known; /* 0: not asked; two threads find the same */
	int v = atomic_load_explicit(&known, memory_order_relaxed);

	if (!v) {
		v = (int)ask_isa() + 1;
		atomic_store_explicit(&known, v, memory_order_relaxed);
	}
	return (enum isa)(v - 1);
}

int isa_usable(enum isa isa)
{
	return isa <= isa_best();
}

encode_fn *type_encoder(const struct type *t)
{
	encode_fn *const *variants = t->encode;

	return variants[isa_best()];
}

static void decode_f32(const void *in, float *x, size_t n)
{
	memcpy(x, in, n * sizeof(*x));
}

#if defined(__x86_64__)
#define BY_ISA(name, ...)                                                                          \
	switch (isa_best()) {                                                                      \
	case ISA_AVX512:                                                                           \
		return name##_avx512(__VA_ARGS__);                                                 \
	case ISA_AVX2:                                                                             \
		return name##_avx2(__VA_ARGS__);                                                   \
	default:                                                                                   \
		return name##_portable(__VA_ARGS__);                                               \
	}
#elif defined(__aarch64__)
#define BY_ISA(name, ...) return name##_neon(__VA_ARGS__);
#else
#define BY_ISA(name, ...) return name##_portable(__VA_ARGS__);
#endif

static void decode_f16(const void *in, float *x, size_t n)
{
	BY_ISA(decode_f16, in, x, n)
}

static void decode_bf16(const void *in, float *x, size_t n)
{
	BY_ISA(decode_bf16, in, x, n)
}

static int all_finite(const float *x, size_t n)
{
	BY_ISA(all_finite, x, n)
}

void quality_groups(struct quality *q, const float *x, const float *y,
		    size_t n){ BY_ISA(quality_groups, q, x, y, n) }

int64_t find_nonfinite(const float *x, size_t n)
{
	return all_finite(x, n) ? -1 : check_f32(x, n);
}

/* ---- bytes */

uint64_t type_bytes(const struct type *t, uint64_t n)
{
	return n / t->block * t->bytes;
}

static int64_t check_scales(const struct type *t, const void *in, size_t n)
{
	const unsigned char *p = in;

	for (size_t b = 0; b < n / t->block; b++, p += t->bytes) {
		for (int k = 0; k < 2 && t->scale_at[k] != NO_SCALE; k++) {
			uint16_t h;

			memcpy(&h, p + t->scale_at[k], 2);
			if ((h & 0x7c00) == 0x7c00) /* infinity or NaN */
				return (int64_t)b;
		}
	}
	return -1;
}

int64_t type_check(const struct type *t, const void *in, size_t n)
{
	return t->check ? t->check(in, n) : check_scales(t, in, n);
}

decode_fn *load_of(enum st_dtype dtype)
{
	switch (dtype) {
	case ST_F32:
		return decode_f32;
	case ST_F16:
		return decode_f16;
	case ST_BF16:
		return decode_bf16;
	case ST_I8:
		return load_i8;
	case ST_F8_E4M3:
		return load_f8_e4m3;
	case ST_F8_E5M2:
		return load_f8_e5m2;
	default:
		return NULL;
	}
}

size_t dtype_bytes(enum st_dtype dtype)
{
	switch (dtype) {
	case ST_F32:
		return 4;
	case ST_I8:
	case ST_F8_E4M3:
	case ST_F8_E5M2:
		return 1;
	default:
		return 2;
	}
}
