/* workers/gguf/encode_ternary.c -- TQ1_0, TQ2_0 (256 weights -d, 0 or d) and MXFP4 (32 weights, a
 * power of two times E2M1). Layouts: decode_k.c, decode_small.c. Compiled once for each instruction
 * set (codec.h).
 *
 * ggml gives the largest weight of a ternary block the code 1, which is right for models that were
 * trained so, and very wrong for others. Least squares finds both: where every weight is -d, 0 or d
 * it gives that d. */
#include "workers/gguf/codec.h"
#include "workers/gguf/fp4.h"
#include "workers/gguf/small.h"
#include "workers/gguf/super.h"

/* ---- ternary */

INLINE vf ternary(vf v)
{
	return clamp(nearest(v), splat(-1), splat(1));
}

/* The scale d that explains most, of those for which weights above peak/(2*step) become d. */
static const float ternary_steps[] = { 1.0f, 2.4f,  1.9f,  2.9f, 3.5f, 1.5f,
				       4.2f, 2.15f, 2.65f, 1.7f, 3.2f, 5.0f };

INLINE float ternary_scale(const struct tile *t, enum importance given, int n)
{
	float d = 0, most = 0, peak;
	struct subs v;

	for (int g = 0; g < GROUPS; g++)
		set_lanes(&v, g, magnitude(signed_peak(t->x[g], 16)));
	peak = largest(&v, 0, SUBS);
	if (!(peak > 0))
		return 0;
	for (int k = 0; k < n; k++) {
		struct subs xq, qq;
		float above_all, below;

		for (int g = 0; g < GROUPS; g++) {
			struct sym s = { .qq = splat(1) };

			sym_try(t->x[g], weights_of(t, g, given), 16,
				splat(ternary_steps[k] / peak), ternary, &s);
			set_lanes(&xq, g, s.xq);
			set_lanes(&qq, g, pick(above(magnitude(s.xq), splat(0)), s.qq, splat(0)));
		}
		above_all = sum_of(&xq, 0, SUBS);
		below = sum_of(&qq, 0, SUBS);
		if (below > 0 && above_all / below * above_all > most) {
			d = above_all / below;
			most = d * above_all;
		}
	}
	return d;
}

INLINE float ternary_error(const struct tile *t, enum importance given, float d)
{
	struct subs v;

	for (int g = 0; g < GROUPS; g++)
		set_lanes(&v, g,
			  sym_error(t->x[g], weights_of(t, g, given), 16, splat(d), ternary));
	return sum_of(&v, 0, SUBS);
}

/* As it is stored. */
INLINE float best_ternary(const struct tile *t, enum importance given, int opt)
{
	float d = half_round(ternary_scale(t, given, 5)), deep;

	if (!opt)
		return d;
	deep = half_round(ternary_scale(t, given, 12));
	return ternary_error(t, given, deep) < ternary_error(t, given, d) ? deep : d;
}

/* Codes 0, 1, 2 with the scale as it is stored, which goes to `at`. */
INLINE void put_ternary(struct tile *t, enum importance given, int opt, unsigned char *at)
{
	float d = best_ternary(t, given, opt);
	vf per = stored_inverse(splat(d));

	put_half(at, d);
	for (int g = 0; g < GROUPS; g++) {
		vf code[16];

		for (int i = 0; i < 16; i++)
			code[i] = ternary(t->x[g][i] * per) + splat(1);
		put_codes(t, g, code, 16);
	}
}

INLINE void tile_tq2_0(struct tile *t, enum importance given, unsigned char *out, int supers,
		       int opt)
{
	(void)supers;
	put_ternary(t, given, opt, out + 64);
	for (int h = 0; h < 2; h++) {
		for (int l = 0; l < 32; l += 8) {
			uint64_t v = 0;

			for (int g = 0; g < 4; g++)
				v |= eight(t->code + 128 * h + 32 * g + l) << 2 * g;
			put_eight(out + 32 * h + l, v);
		}
	}
}

/* `count` bytes from n rows of codes, the first row in the most significant trit; four rows leave
 * the fifth trit 0. */
INLINE void pack_trits(const uint8_t *q, int count, int n, unsigned char *out)
{
	for (int j = 0; j < count; j++) {
		unsigned v = 0;

		for (int k = 0; k < 5; k++)
			v = 3 * v + (k < n ? q[count * k + j] : 0);
		out[j] = (unsigned char)((v * 256 + 242) / 243);
	}
}

INLINE void tile_tq1_0(struct tile *t, enum importance given, unsigned char *out, int supers,
		       int opt)
{
	(void)supers;
	put_ternary(t, given, opt, out + 52);
	pack_trits(t->code, 32, 5, out);
	pack_trits(t->code + 160, 16, 5, out + 32);
	pack_trits(t->code + 240, 4, 4, out + 48);
}

/* ---- MXFP4 */

/* 2^(e-128) and its inverse for a stored exponent e from 1 to 254, a whole number; 2^-127 is
 * subnormal. */
INLINE vf power(vf e)
{
	vu u = whole(e);

	return pick(above(splat(1.5f), e), splat(0x1p-127f), (vf)((u - 1) << 23));
}

INLINE vf inverse_power(vf e)
{
	return (vf)((255 - whole(e)) << 23);
}

INLINE vf fp4_error(const vf *x, const vf *w, vf e)
{
	vf d = power(e), per = inverse_power(e), sum = splat(0);

	for (int i = 0; i < SMALL; i++) {
		vf size = magnitude(x[i]), r = size - d * fp4_level(size * per);

		sum += weigh(w, i, r) * r;
	}
	return sum;
}

/* The exponent for which the largest weight is between 4 and 8, as ggml has it, or the one that
 * loses less of those beside it: with the next higher nothing is cut off. opt 1: also the next
 * lower. */
INLINE vf fp4_exponent(const vf *x, const vf *w, int opt)
{
	vf peak = magnitude(signed_peak(x, SMALL)), e0, best, least;

	/* The exponent's bits as a number; a block of zeros gets e = 0 at the end. */
	e0 = (vf)((vu)splat(MAGIC) + ((vu)peak >> 23)) - splat(MAGIC) - splat(2);
	e0 = clamp(e0, splat(1), splat(252));
	best = e0;
	least = fp4_error(x, w, e0);
	for (int k = 0; k < (opt ? 2 : 1); k++) {
		vf e = vmax(e0 + splat(k ? -1.0f : 1.0f), splat(1)), error = fp4_error(x, w, e);
		vm better = above(least, error);

		best = pick(better, e, best);
		least = pick(better, error, least);
	}
	return best;
}

INLINE void some_mxfp4(const vf *x, const vf *w, enum importance given, unsigned char *out, int opt)
{
	vf e = fp4_exponent(x, w, opt), code[SMALL];
	vf some = fp4_codes(x, SMALL, inverse_power(e), code);
	vu stored;

	(void)given;
	stored = whole(pick(above(some, splat(0)), e, splat(0)));
	for (int k = 0; k < LANES; k++)
		out[17 * k] = (unsigned char)stored[k];
	put_nibbles(code, out, 17, 1);
}

void ISA(encode_tq1_0)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_tile(x, w, out, n, 16, 54, opt, tile_tq1_0);
}

void ISA(encode_tq2_0)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_tile(x, w, out, n, 16, 66, opt, tile_tq2_0);
}

void ISA(encode_mxfp4)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_group(x, w, out, n, 17, opt, some_mxfp4);
}
