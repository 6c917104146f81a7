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

/* clang-format off */
static const struct type types[] = {
	/* id name   block bytes encode       decode            d   dmin    check */
	{  0, "F32",        1,   4, ALL(f32),    decode_f32,     { NONE, NONE }, check_f32 },
	{  1, "F16",        1,   2, ALL(f16),    decode_f16,     { NONE, NONE }, check_f16 },
	{  2, "Q4_0",      32,  18, ALL(q4_0),   decode_q4_0,    {    0, NONE }, NULL },
	{  3, "Q4_1",      32,  20, ALL(q4_1),   decode_q4_1,    {    0,    2 }, NULL },
	{  6, "Q5_0",      32,  22, ALL(q5_0),   decode_q5_0,    {    0, NONE }, NULL },
	{  7, "Q5_1",      32,  24, ALL(q5_1),   decode_q5_1,    {    0,    2 }, NULL },
	{  8, "Q8_0",      32,  34, ALL(q8_0),   decode_q8_0,    {    0, NONE }, NULL },
	{  9, "Q8_1",      32,  36, UNWRITTEN,   decode_q8_1,    {    0,    2 }, NULL },
	{ 10, "Q2_K",     256,  84, ALL(q2_k),   decode_q2_k,    {   80,   82 }, NULL },
	{ 11, "Q3_K",     256, 110, ALL(q3_k),   decode_q3_k,    {  108, NONE }, NULL },
	{ 12, "Q4_K",     256, 144, ALL(q4_k),   decode_q4_k,    {    0,    2 }, NULL },
	{ 13, "Q5_K",     256, 176, ALL(q5_k),   decode_q5_k,    {    0,    2 }, NULL },
	{ 14, "Q6_K",     256, 210, ALL(q6_k),   decode_q6_k,    {  208, NONE }, NULL },
	{ 15, "Q8_K",     256, 292, UNWRITTEN,   decode_q8_k,    { NONE, NONE }, check_q8_k },
	{ 16, "IQ2_XXS",  256,  66, ALL(iq2_xxs), decode_iq2_xxs, {    0, NONE }, NULL },
	{ 17, "IQ2_XS",   256,  74, ALL(iq2_xs), decode_iq2_xs,  {    0, NONE }, NULL },
	{ 18, "IQ3_XXS",  256,  98, ALL(iq3_xxs), decode_iq3_xxs, {    0, NONE }, NULL },
	{ 19, "IQ1_S",    256,  50, ALL(iq1_s), decode_iq1_s,   {    0, NONE }, NULL },
	{ 20, "IQ4_NL",    32,  18, ALL(iq4_nl), decode_iq4_nl,  {    0, NONE }, NULL },
	{ 21, "IQ3_S",    256, 110, ALL(iq3_s), decode_iq3_s,   {    0, NONE }, NULL },
	{ 22, "IQ2_S",    256,  82, ALL(iq2_s), decode_iq2_s,   {    0, NONE }, NULL },
	{ 23, "IQ4_XS",   256, 136, ALL(iq4_xs), decode_iq4_xs,  {    0, NONE }, NULL },
	{ 24, "I8",         1,   1, UNWRITTEN,   NULL,           { NONE, NONE }, NULL },
	{ 25, "I16",        1,   2, UNWRITTEN,   NULL,           { NONE, NONE }, NULL },
	{ 26, "I32",        1,   4, UNWRITTEN,   NULL,           { NONE, NONE }, NULL },
	{ 27, "I64",        1,   8, UNWRITTEN,   NULL,           { NONE, NONE }, NULL },
	{ 28, "F64",        1,   8, UNWRITTEN,   NULL,           { NONE, NONE }, check_f64 },
	{ 29, "IQ1_M",    256,  56, ALL(iq1_m), decode_iq1_m,   { NONE, NONE }, check_iq1_m },
	{ 30, "BF16",       1,   2, ALL(bf16),   decode_bf16,    { NONE, NONE }, check_bf16 },
	{ 34, "TQ1_0",    256,  54, ALL(tq1_0),  decode_tq1_0,   {   52, NONE }, NULL },
	{ 35, "TQ2_0",    256,  66, ALL(tq2_0),  decode_tq2_0,   {   64, NONE }, NULL },
	{ 39, "MXFP4",     32,  17, ALL(mxfp4),  decode_mxfp4,   { NONE, NONE }, check_mxfp4 },
	{ 40, "NVFP4",     64,  36, ALL(nvfp4), decode_nvfp4,   { NONE, NONE }, check_nvfp4 },
	{ 41, "Q1_0",     128,  18, ALL(q1_0),  decode_q1_0,    {    0, NONE }, NULL },
	{ 42, "Q2_0",      64,  18, ALL(q2_0),  decode_q2_0,    {    0, NONE }, NULL },
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

static int all_finite(const float *x, size_t n){ BY_ISA(all_finite, x, n) }

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
