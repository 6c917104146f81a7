/* workers/gguf/codec.h -- encoders and decoders of all types; type.c has the table that points to
 * them.
 *
 * An encoder takes n weights, a multiple of its block, and writes n/block blocks. w: the importance
 * of each weight, at least 0, by which its squared error counts; NULL: all equal. opt: 0 plain, 1 a
 * deeper search, never worse on any block. Input is finite; a weight that the type cannot hold
 * makes a scale infinite, which type_check() finds.
 *
 * The sources encode_*.c are compiled once for each instruction set, with QUERN_ISA as the end of
 * their names (CMakeLists.txt). All give the same bytes: see lanes.h. */
#ifndef QUERN_WORKERS_GGUF_CODEC_H
#define QUERN_WORKERS_GGUF_CODEC_H

#include <stddef.h>
#include <stdint.h>

#define ISA_JOIN(name, isa) name##_##isa
#define ISA_NAME(name, isa) ISA_JOIN(name, isa)
#define ISA(name) ISA_NAME(name, QUERN_ISA)

struct quality;

typedef void encode_fn(const float *x, const float *w, void *out, size_t n, int opt);
typedef void decode_fn(const void *in, float *x, size_t n);

/* Every encoder of an instruction set. */
#define EACH_ENCODER(DO, isa)                                                                      \
	DO(f32, isa)                                                                               \
	DO(f16, isa)                                                                               \
	DO(bf16, isa)                                                                              \
	DO(q4_0, isa)                                                                              \
	DO(q4_1, isa)                                                                              \
	DO(q5_0, isa)                                                                              \
	DO(q5_1, isa)                                                                              \
	DO(q8_0, isa)                                                                              \
	DO(q2_k, isa)                                                                              \
	DO(q3_k, isa)                                                                              \
	DO(q4_k, isa)                                                                              \
	DO(q5_k, isa)                                                                              \
	DO(q6_k, isa)                                                                              \
	DO(iq4_nl, isa)                                                                            \
	DO(iq4_xs, isa)                                                                            \
	DO(tq1_0, isa)                                                                             \
	DO(tq2_0, isa)                                                                             \
	DO(mxfp4, isa)                                                                             \
	DO(iq1_s, isa)                                                                             \
	DO(iq1_m, isa)                                                                             \
	DO(iq2_xxs, isa)                                                                           \
	DO(iq2_xs, isa)                                                                            \
	DO(iq2_s, isa)                                                                             \
	DO(iq3_xxs, isa)                                                                           \
	DO(iq3_s, isa)                                                                             \
	DO(nvfp4, isa)                                                                             \
	DO(q1_0, isa)                                                                              \
	DO(q2_0, isa)

#define DECLARE_ENCODER(name, isa) encode_fn encode_##name##_##isa;
#define DECLARE_ISA(isa)                                                                           \
	EACH_ENCODER(DECLARE_ENCODER, isa)                                                         \
	decode_fn decode_f16_##isa, decode_bf16_##isa;                                             \
	int all_finite_##isa(const float *x, size_t n);                                            \
	void quality_groups_##isa(struct quality *q, const float *x, const float *y, size_t n);

DECLARE_ISA(portable)
#if defined(__x86_64__)
DECLARE_ISA(avx2)
DECLARE_ISA(avx512)
#elif defined(__aarch64__)
DECLARE_ISA(neon)
#endif

/* decode_small.c */
extern const int8_t iq4_levels[16], fp4_doubled[16];
decode_fn decode_q4_0, decode_q4_1, decode_q5_0, decode_q5_1, decode_q8_0, decode_q8_1,
	decode_iq4_nl, decode_mxfp4, decode_nvfp4, decode_q1_0, decode_q2_0;
/* decode_k.c */
decode_fn decode_q2_k, decode_q3_k, decode_q4_k, decode_q5_k, decode_q6_k, decode_q8_k,
	decode_iq4_xs, decode_tq1_0, decode_tq2_0;
/* decode_lattice.c */
decode_fn decode_iq1_s, decode_iq1_m, decode_iq2_xxs, decode_iq2_xs, decode_iq2_s, decode_iq3_xxs,
	decode_iq3_s;

#endif
