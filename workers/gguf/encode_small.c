/* workers/gguf/encode_small.c -- Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL: blocks of 32 with a scale,
 * perhaps an offset. Layouts: decode_small.c. Compiled once for each instruction set (codec.h).
 *
 * The scale is the best by squared error of a few; weights are then rounded with the scale as it is
 * stored. opt 1 looks at more of them, refines the best, and keeps it where its stored form is
 * better than that of opt 0. */
#include "workers/gguf/codec.h"
#include "workers/gguf/iq4.h"
#include "workers/gguf/search.h"
#include "workers/gguf/small.h"

#define N 32

/* ---- d*q */

INLINE vf four_bits(vf v)
{
	return clamp(nearest(v), splat(-8), splat(7));
}

INLINE vf five_bits(vf v)
{
	return clamp(nearest(v), splat(-16), splat(15));
}

/* -128 is never written: the dot products of some kernels are exact for -127..127 only. */
INLINE vf eight_bits(vf v)
{
	return clamp(nearest(v), splat(-127), splat(127));
}

/* Steps, as sym_search() takes them: found as the grids of search.h. A few of the list are tried,
 * and all of it with importances. deep: from where to where a close net of them lies at opt 1, for
 * either sign. */
struct sym_kind {
	level_fn *level;
	const float *steps;
	int n_plain, n_weighted;
	float deep_first, deep_last;
};

#define NET 24

INLINE vf sym_deep(const vf *x, const vf *w, vf peak, const struct sym_kind *k)
{
	float steps[2 * NET], by = (k->deep_last - k->deep_first) / (NET - 1);

	for (int i = 0; i < NET; i++) {
		steps[i] = k->deep_first + by * (float)i;
		steps[NET + i] = -steps[i];
	}
	return sym_refine(x, w, N, sym_search(x, w, N, peak, steps, 2 * NET, k->level).d, k->level);
}

INLINE struct stored better_sym(const vf *x, const vf *w, struct stored a, struct stored b,
				level_fn *level)
{
	vm better = above(sym_error(x, w, N, a.value, level), sym_error(x, w, N, b.value, level));

	return store_scales(pick(better, b.value, a.value));
}

INLINE struct stored sym_scales(const vf *x, const vf *w, enum importance given, int opt,
				const struct sym_kind *k)
{
	vf peak = signed_peak(x, N);
	struct sym found =
		sym_search(x, w, N, peak, k->steps,
			   given == IMPORTANCE_GIVEN ? k->n_weighted : k->n_plain, k->level);
	struct stored s = store_scales(found.d);

	if (opt)
		s = better_sym(x, w, s, store_scales(sym_deep(x, w, peak, k)), k->level);
	return s;
}

INLINE void sym_codes(const vf *x, vf d, level_fn *level, float zero, vf *code)
{
	vf inverse_d = stored_inverse(d);

	for (int i = 0; i < N; i++)
		code[i] = level(x[i] * inverse_d) + splat(zero);
}

static const float q4_steps[] = { -8.2f, -8.7f, -7.8f, -7.1f, -9.2f, -10.2f, 8.4f };
static const struct sym_kind q4_0 = { four_bits, q4_steps, 5, 7, 6.6f, 10.4f };
static const float q5_steps[] = { -16.1f, -15.1f, -16.5f, -14.1f, -17.7f, -15.7f, -13.0f };
static const struct sym_kind q5_0 = { five_bits, q5_steps, 4, 7, 13.0f, 18.0f };
static const float q8_steps[] = { 127.0f, 125.0f, 124.0f, 126.0f };
static const struct sym_kind q8_0 = { eight_bits, q8_steps, 2, 4, 120.0f, 128.0f };

INLINE void some_q4_0(const vf *x, const vf *w, enum importance given, unsigned char *out, int opt)
{
	struct stored s = sym_scales(x, w, given, opt, &q4_0);
	vf code[N];

	sym_codes(x, s.value, four_bits, 8, code);
	put_halves(s.half, out, 18, 0);
	put_nibbles(code, out, 18, 2);
}

INLINE void some_q5_0(const vf *x, const vf *w, enum importance given, unsigned char *out, int opt)
{
	struct stored s = sym_scales(x, w, given, opt, &q5_0);
	vf code[N];

	sym_codes(x, s.value, five_bits, 16, code);
	put_halves(s.half, out, 22, 0);
	put_fifth_bits(code, out, 22, 2);
	put_nibbles(code, out, 22, 6);
}

INLINE void some_q8_0(const vf *x, const vf *w, enum importance given, unsigned char *out, int opt)
{
	struct stored s = sym_scales(x, w, given, opt, &q8_0);
	vf code[N];
	vu words[8];

	sym_codes(x, s.value, eight_bits, 0, code);
	UNROLL
	for (int k = 0; k < 8; k++) {
		const vf *c = code + 4 * k;

		words[k] = (whole(c[0]) & 255) | (whole(c[1]) & 255) << 8 |
			   (whole(c[2]) & 255) << 16 | whole(c[3]) << 24;
	}
	put_halves(s.half, out, 34, 0);
	put_quad(words, out + 2, 34);
	put_quad(words + 4, out + 18, 34);
}

static const float iq4_steps[] = { -128, -136, 114, -122, -108, 120, -142, 110, -154, -114 };
static const struct sym_kind iq4_nl = { iq4_level, iq4_steps, 7, 10, 92.0f, 158.0f };

INLINE void some_iq4_nl(const vf *x, const vf *w, enum importance given, unsigned char *out,
			int opt)
{
	struct stored s = sym_scales(x, w, given, opt, &iq4_nl);
	vf code[N], per = stored_inverse(s.value);

	for (int i = 0; i < N; i++)
		code[i] = iq4_code(x[i] * per);
	put_halves(s.half, out, 18, 0);
	put_nibbles(code, out, 18, 2);
}

/* ---- a*q + b */

struct stored2 {
	struct stored a, b;
};

INLINE struct stored2 store_both(struct affine f, const struct centred *c)
{
	struct stored2 s = { store_scales(affine_or_infinite(c, f.a)),
			     store_scales(f.b + c->middle) };

	return s;
}

INLINE struct affine affine_search(const vf *x, const vf *w, const struct centred *c,
				   const struct grid *grids, int n, float hi)
{
	struct affine best = { c->width / splat(hi), splat(-0.5f) * c->width, splat(-1) };
	vf per_width = inverse(c->width);

	for (int k = 0; k < n; k++)
		affine_try(x, w, N, c, splat(grids[k].steps) * per_width,
			   splat(grid_zero(&grids[k], hi) + grids[k].steps / 2), hi, 0, &best);
	return best;
}

/* Least squares for the codes of the best. */
INLINE void affine_refine(const vf *x, const vf *w, const struct centred *c, float hi,
			  struct affine *best)
{
	for (int k = 0; k < 3; k++) {
		vf inverse_a = inverse(best->a);

		affine_try(x, w, N, c, inverse_a, -best->b * inverse_a, hi, 0, best);
	}
}

INLINE struct stored2 better_affine(const vf *x, const vf *w, struct stored2 p, struct stored2 q,
				    float hi)
{
	vm better = above(affine_error(x, w, N, p.a.value, p.b.value, hi),
			  affine_error(x, w, N, q.a.value, q.b.value, hi));

	p.a = store_scales(pick(better, q.a.value, p.a.value));
	p.b = store_scales(pick(better, q.b.value, p.b.value));
	return p;
}

/* Grids for codes from 0 to hi: a few of the list, and all of it with importances. */
struct affine_kind {
	float hi;
	const struct grid *grids;
	int n_plain, n_weighted;
};

/* opt 1: a close net of grids. */
INLINE struct affine affine_deep(const vf *x, const vf *w, const struct centred *c, float hi)
{
	struct grid net[80];
	struct affine best;

	for (int k = 0; k < 80; k++) {
		int row = k / 5, column = k % 5;

		net[k].steps = hi - 2.0f + 0.2f * (float)row;
		net[k].shift = 0.25f * (float)(column - 2);
	}
	best = affine_search(x, w, c, net, 80, hi);
	affine_refine(x, w, c, hi, &best);
	return best;
}

INLINE struct stored2 affine_scales(const vf *x, const vf *w, enum importance given, int opt,
				    const struct affine_kind *k)
{
	struct centred c = centre(x, w, N, 0);
	struct affine f = affine_search(
		x, w, &c, k->grids, given == IMPORTANCE_GIVEN ? k->n_weighted : k->n_plain, k->hi);
	struct stored2 s;

	if (given == IMPORTANCE_GIVEN)
		affine_refine(x, w, &c, k->hi, &f);
	s = store_both(f, &c);
	if (opt)
		s = better_affine(x, w, s, store_both(affine_deep(x, w, &c, k->hi), &c), k->hi);
	return s;
}

INLINE void affine_codes(const vf *x, const struct stored2 *s, float hi, vf *code)
{
	vf inverse_a = stored_inverse(s->a.value);

	for (int i = 0; i < N; i++)
		code[i] = affine_code(x[i] - s->b.value, inverse_a, splat(0), hi);
}

static const struct grid q4_grids[] = {
	{ 15.3f, 0 },	  { 15.3f, -0.25f }, { 15.3f, 0.25f }, { 14.1f, -0.5f },
	{ 14.7f, 0 },	  { 15.9f, 0 },	     { 14.1f, 0.5f },  { 14.7f, 0.25f },
	{ 15.9f, 0.25f }, { 16.5f, -0.25f }, { 15.3f, -0.5f }, { 16.5f, 0.5f },
};
static const struct affine_kind q4_1 = { 15, q4_grids, 3, 12 };

static const struct grid q5_grids[] = {
	{ 31.0f, 0 },	    { 30.38f, -0.5f }, { 31.0f, 0.25f },   { 31.0f, -0.25f },
	{ 29.14f, -1.0f },  { 29.76f, 0.25f }, { 31.62f, 0 },	   { 27.9f, 0.5f },
	{ 29.76f, -0.75f }, { 29.76f, 0.75f }, { 32.24f, -0.25f }, { 29.14f, 1.0f },
};
static const struct affine_kind q5_1 = { 31, q5_grids, 4, 12 };

INLINE void some_q4_1(const vf *x, const vf *w, enum importance given, unsigned char *out, int opt)
{
	struct stored2 s = affine_scales(x, w, given, opt, &q4_1);
	vf code[N];

	affine_codes(x, &s, 15, code);
	put_halves(s.a.half, out, 20, 0);
	put_halves(s.b.half, out, 20, 2);
	put_nibbles(code, out, 20, 4);
}

INLINE void some_q5_1(const vf *x, const vf *w, enum importance given, unsigned char *out, int opt)
{
	struct stored2 s = affine_scales(x, w, given, opt, &q5_1);
	vf code[N];

	affine_codes(x, &s, 31, code);
	put_halves(s.a.half, out, 24, 0);
	put_halves(s.b.half, out, 24, 2);
	put_fifth_bits(code, out, 24, 4);
	put_nibbles(code, out, 24, 8);
}

#define ENCODER(name, bytes)                                                                       \
	void ISA(encode_##name)(const float *x, const float *w, void *out, size_t n, int opt)      \
	{                                                                                          \
		each_group(x, w, out, n, bytes, opt, some_##name);                                 \
	}

ENCODER(q4_0, 18)
ENCODER(q4_1, 20)
ENCODER(q5_0, 22)
ENCODER(q5_1, 24)
ENCODER(q8_0, 34)
ENCODER(iq4_nl, 18)
