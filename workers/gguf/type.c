#include "workers/gguf/type.h"

#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define NONE NO_SCALE

/* clang-format off */
static const struct type types[] = {
	/* id  name       file  block bytes encode       avx2              decode        d   dmin  check */
	{  0, "F32",        0,    1,   4, encode_f32,  NULL,             decode_f32,  { NONE, NONE }, check_f32 },
	{  1, "F16",        1,    1,   2, encode_f16,  encode_f16_avx2,  decode_f16,  { NONE, NONE }, check_f16 },
	{  2, "Q4_0",       2,   32,  18, encode_q4_0, encode_q4_0_avx2, decode_q4_0, {    0, NONE }, NULL },
	{  3, "Q4_1",       3,   32,  20, NULL,        NULL,             NULL,        {    0,    2 }, NULL },
	{  6, "Q5_0",       8,   32,  22, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{  7, "Q5_1",       9,   32,  24, NULL,        NULL,             NULL,        {    0,    2 }, NULL },
	{  8, "Q8_0",       7,   32,  34, encode_q8_0, encode_q8_0_avx2, decode_q8_0, {    0, NONE }, NULL },
	{  9, "Q8_1",      -1,   32,  36, NULL,        NULL,             NULL,        {    0,    2 }, NULL },
	{ 10, "Q2_K",      10,  256,  84, NULL,        NULL,             NULL,        {   80,   82 }, NULL },
	{ 11, "Q3_K",      11,  256, 110, NULL,        NULL,             NULL,        {  108, NONE }, NULL },
	{ 12, "Q4_K",      14,  256, 144, NULL,        NULL,             NULL,        {    0,    2 }, NULL },
	{ 13, "Q5_K",      16,  256, 176, NULL,        NULL,             NULL,        {    0,    2 }, NULL },
	{ 14, "Q6_K",      18,  256, 210, NULL,        NULL,             NULL,        {  208, NONE }, NULL },
	{ 15, "Q8_K",      -1,  256, 292, NULL,        NULL,             NULL,        { NONE, NONE }, check_q8_k },
	{ 16, "IQ2_XXS",   19,  256,  66, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 17, "IQ2_XS",    20,  256,  74, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 18, "IQ3_XXS",   23,  256,  98, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 19, "IQ1_S",     24,  256,  50, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 20, "IQ4_NL",    25,   32,  18, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 21, "IQ3_S",     26,  256, 110, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 22, "IQ2_S",     28,  256,  82, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 23, "IQ4_XS",    30,  256, 136, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 24, "I8",        -1,    1,   1, NULL,        NULL,             NULL,        { NONE, NONE }, NULL },
	{ 25, "I16",       -1,    1,   2, NULL,        NULL,             NULL,        { NONE, NONE }, NULL },
	{ 26, "I32",       -1,    1,   4, NULL,        NULL,             NULL,        { NONE, NONE }, NULL },
	{ 27, "I64",       -1,    1,   8, NULL,        NULL,             NULL,        { NONE, NONE }, NULL },
	{ 28, "F64",       -1,    1,   8, NULL,        NULL,             NULL,        { NONE, NONE }, check_f64 },
	{ 29, "IQ1_M",     31,  256,  56, NULL,        NULL,             NULL,        { NONE, NONE }, check_iq1_m },
	{ 30, "BF16",      32,    1,   2, encode_bf16, encode_bf16_avx2, decode_bf16, { NONE, NONE }, check_bf16 },
	{ 34, "TQ1_0",     36,  256,  54, NULL,        NULL,             NULL,        {   52, NONE }, NULL },
	{ 35, "TQ2_0",     37,  256,  66, NULL,        NULL,             NULL,        {   64, NONE }, NULL },
	{ 39, "MXFP4",     38,   32,  17, NULL,        NULL,             NULL,        { NONE, NONE }, check_mxfp4 },
	{ 40, "NVFP4",     39,   64,  36, NULL,        NULL,             NULL,        { NONE, NONE }, NULL },
	{ 41, "Q1_0",      40,  128,  18, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
	{ 42, "Q2_0",      41,   64,  18, NULL,        NULL,             NULL,        {    0, NONE }, NULL },
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
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	}
	return NULL;
}

/* Asking the processor is slow in a virtual machine (a trap): once is enough. */
static int ask_avx2(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	/* Not every compiler's __builtin_cpu_supports() knows F16C. */
	return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
#else
	return 0;
#endif
}

int have_avx2(void)
{
	static atomic_int known; /* 0: not asked, 1: no, 2: yes; two threads find the same */
	int v = atomic_load_explicit(&known, memory_order_relaxed);

	if (!v) {
		v = ask_avx2() ? 2 : 1;
		atomic_store_explicit(&known, v, memory_order_relaxed);
	}
	return v == 2;
}

encode_fn type_encoder(const struct type *t)
{
	return t->encode_avx2 && have_avx2() ? t->encode_avx2 : t->encode;
}

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

load_fn load_of(enum st_dtype dtype)
{
	int fast = have_avx2();

	switch (dtype) {
	case ST_F32:
		return decode_f32;
	case ST_F16:
		return fast ? decode_f16_avx2 : decode_f16;
	case ST_BF16:
		return fast ? decode_bf16_avx2 : decode_bf16;
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
	return dtype == ST_F32 ? 4 : dtype == ST_F8_E4M3 || dtype == ST_F8_E5M2 ? 1 : 2;
}
