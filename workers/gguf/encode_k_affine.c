/* workers/gguf/encode_k_affine.c -- Q2_K, Q4_K, Q5_K: x = d*s*q - dmin*m, sub-blocks of 16 or 32
 * with a small whole s and m each. Layouts: decode_k.c. Compiled once for each instruction set
 * (codec.h).
 *
 * opt 0: scale and minimum of each sub-block by squared error, d and dmin from the largest, then
 * neighbours of s and m. opt 1: from several d and dmin, neighbours and least squares for both in
 * turn; the best by the error of what is stored, that of opt 0 among them. */
#include "workers/gguf/codec.h"
#include "workers/gguf/super.h"

struct kind {
	int n, subs;		  /* weights of a sub-block, sub-blocks of a super-block */
	float code_hi;		  /* of q */
	float scale_hi;		  /* of s and m */
	const struct grid *grids; /* that the search tries */
	int n_plain, n_deep;	  /* how many of them; deep: with importances, or at opt 1 */
	int stretch;		  /* d and dmin are stretched: see stretch_of() */
};

/* As they are stored; d and dmin the same for the lanes of a super-block. */
struct fit {
	struct subs d, dmin, s, m;
};

/* The best a and -b of each sub-block. */
INLINE void best_affine(const struct tile *t, enum importance given, const struct kind *k,
			int n_grids, struct subs *scale, struct subs *min)
{
	for (int g = 0; g < GROUPS; g++) {
		const vf *w = weights_of(t, g, given);
		struct centred c = centre(t->x[g], w, k->n, 1);
		struct affine best = { c.width / splat(k->code_hi), c.least, splat(-1) };
		vf per_width = inverse(c.width), inverse_a;

		for (int i = 0; i < n_grids; i++) {
			vf per = splat(k->grids[i].steps) * per_width;

			affine_try(t->x[g], w, k->n, &c, per,
				   splat(grid_zero(&k->grids[i], k->code_hi)) - c.least * per,
				   k->code_hi, 1, &best);
		}
		inverse_a = inverse(best.a);
		affine_try(t->x[g], w, k->n, &c, inverse_a, -best.b * inverse_a, k->code_hi, 1,
			   &best);
		set_lanes(scale, g, affine_or_infinite(&c, best.a));
		set_lanes(min, g, -best.b);
	}
}

INLINE void round_to(const struct subs *v, const struct subs *unit, float hi, struct subs *out)
{
	for (int g = 0; g < GROUPS; g++) {
		vf per = stored_inverse(lanes_of(unit, g));

		set_lanes(out, g, clamp(nearest(lanes_of(v, g) * per), splat(0), splat(hi)));
	}
}

INLINE struct fit start_fit(const struct kind *k, const struct subs *scale, const struct subs *min,
			    float d_divisor, float dmin_divisor)
{
	struct fit f = { .s = { { 0 } } };

	for (int first = 0; first < SUBS; first += k->subs) {
		spread(&f.d, first, k->subs,
		       half_round(largest(scale, first, k->subs) / d_divisor));
		spread(&f.dmin, first, k->subs,
		       half_round(largest(min, first, k->subs) / dmin_divisor));
	}
	round_to(scale, &f.d, k->scale_hi, &f.s);
	round_to(min, &f.dmin, k->scale_hi, &f.m);
	return f;
}

INLINE vf error_of(const struct tile *t, int g, enum importance given, const struct kind *k,
		   const struct fit *f, vf s, vf m)
{
	return affine_error(t->x[g], weights_of(t, g, given), k->n, lanes_of(&f->d, g) * s,
			    -(lanes_of(&f->dmin, g) * m), k->code_hi);
}

/* For each sub-block the best s and m of those beside it. */
INLINE void neighbours(const struct tile *t, enum importance given, const struct kind *k,
		       struct fit *f)
{
	const vf hi = splat(k->scale_hi);

	for (int g = 0; g < GROUPS; g++) {
		vf s0 = lanes_of(&f->s, g), m0 = lanes_of(&f->m, g), s = s0, m = m0;
		vf least = error_of(t, g, given, k, f, s, m);

		for (int i = 0; i < 9; i++) {
			int by_s = i / 3 - 1, by_m = i % 3 - 1;
			vf s1 = clamp(s0 + splat((float)by_s), splat(0), hi);
			vf m1 = clamp(m0 + splat((float)by_m), splat(0), hi);
			vf error = error_of(t, g, given, k, f, s1, m1);
			vm better = above(least, error);

			s = pick(better, s1, s);
			m = pick(better, m1, m);
			least = pick(better, error, least);
		}
		set_lanes(&f->s, g, s);
		set_lanes(&f->m, g, m);
	}
}

/* Sums over a sub-block of which the best d and dmin follow. */
struct normal {
	struct subs ss, sm, mm, xs, xm;
};

INLINE void sum_up(const struct tile *t, int g, enum importance given, const struct kind *k,
		   const struct fit *f, struct normal *sums)
{
	vf s = lanes_of(&f->s, g), m = lanes_of(&f->m, g);
	vf a = lanes_of(&f->d, g) * s, b = -(lanes_of(&f->dmin, g) * m), per = inverse(a);
	vf sw = splat(0), sq = splat(0), qq = splat(0), sx = splat(0), xq = splat(0);

	for (int i = 0; i < k->n; i++) {
		vf x = t->x[g][i], w = given != IMPORTANCE_NONE ? t->w[g][i] : splat(1);
		vf q = affine_code(x - b, per, splat(0), k->code_hi);

		sw += w;
		sx += w * x;
		sq += w * q;
		qq += w * q * q;
		xq += w * x * q;
	}
	set_lanes(&sums->ss, g, s * s * qq);
	set_lanes(&sums->sm, g, s * m * sq);
	set_lanes(&sums->mm, g, m * m * sw);
	set_lanes(&sums->xs, g, s * xq);
	set_lanes(&sums->xm, g, m * sx);
}

/* The best d and dmin for the codes that they give now: x = d*(sq) - dmin*m, by Cramer's rule. */
INLINE void refit(const struct tile *t, enum importance given, const struct kind *k, struct fit *f)
{
	struct normal sums;

	for (int g = 0; g < GROUPS; g++)
		sum_up(t, g, given, k, f, &sums);
	for (int first = 0; first < SUBS; first += k->subs) {
		double ss = (double)sum_of(&sums.ss, first, k->subs);
		double sm = (double)sum_of(&sums.sm, first, k->subs);
		double mm = (double)sum_of(&sums.mm, first, k->subs);
		double xs = (double)sum_of(&sums.xs, first, k->subs);
		double xm = (double)sum_of(&sums.xm, first, k->subs);
		double det = ss * mm - sm * sm;

		if (det > 1e-6 * ss * mm) {
			double d = (xs * mm - xm * sm) / det, dmin = (xs * sm - xm * ss) / det;

			if (d > 0 && dmin > 0) {
				spread(&f->d, first, k->subs, half_round((float)d));
				spread(&f->dmin, first, k->subs, half_round((float)dmin));
			}
		}
	}
}

/* ---- what is stored */

INLINE void codes_of(const struct tile *t, int g, const struct kind *k, const struct fit *f,
		     vf *code)
{
	vf per = inverse(lanes_of(&f->d, g) * lanes_of(&f->s, g));
	vf b = lanes_of(&f->dmin, g) * lanes_of(&f->m, g);

	for (int i = 0; i < k->n; i++)
		code[i] = affine_code(t->x[g][i] + b, per, splat(0), k->code_hi);
}

/* The fit that its codes are stored with. */
INLINE struct fit stored_fit(const struct tile *t, enum importance given, const struct kind *k,
			     const struct fit *f)
{
	struct subs xx = { { 0 } }, xy = { { 0 } };
	struct fit out = *f;

	if (!k->stretch)
		return out;
	for (int g = 0; g < GROUPS; g++) {
		vf a = lanes_of(&f->d, g) * lanes_of(&f->s, g);
		vf b = lanes_of(&f->dmin, g) * lanes_of(&f->m, g);
		vf code[SUB_MAX], wxx = splat(0), wxy = splat(0);

		codes_of(t, g, k, f, code);
		for (int i = 0; i < k->n; i++) {
			vf wx = weigh(weights_of(t, g, given), i, t->x[g][i]);

			wxx += wx * t->x[g][i];
			wxy += wx * (a * code[i] - b);
		}
		set_lanes(&xx, g, wxx);
		set_lanes(&xy, g, wxy);
	}
	for (int first = 0; first < SUBS; first += k->subs) {
		float by = stretch_of(&xx, &xy, first, k->subs, STRETCH_MOST);

		spread(&out.d, first, k->subs, half_round(f->d.v[first] * by));
		spread(&out.dmin, first, k->subs, half_round(f->dmin.v[first] * by));
	}
	return out;
}

/* Of the sub-blocks as they are read back. */
INLINE void errors(const struct tile *t, enum importance given, const struct kind *k,
		   const struct fit *f, struct subs *out)
{
	struct fit stored = stored_fit(t, given, k, f);

	for (int g = 0; g < GROUPS; g++) {
		vf a = lanes_of(&stored.d, g) * lanes_of(&stored.s, g);
		vf b = lanes_of(&stored.dmin, g) * lanes_of(&stored.m, g);
		vf code[SUB_MAX], sum = splat(0);

		codes_of(t, g, k, f, code);
		for (int i = 0; i < k->n; i++) {
			vf r = t->x[g][i] - (a * code[i] - b);

			sum += weigh(weights_of(t, g, given), i, r) * r;
		}
		set_lanes(out, g, sum);
	}
}

/* For each super-block the better of two. */
INLINE void keep_better(const struct kind *k, struct fit *best, struct subs *least,
			const struct fit *f, const struct subs *error)
{
	for (int first = 0; first < SUBS; first += k->subs) {
		size_t bytes = (size_t)k->subs * sizeof(float);

		if (!(sum_of(error, first, k->subs) < sum_of(least, first, k->subs)))
			continue;
		memcpy(best->d.v + first, f->d.v + first, bytes);
		memcpy(best->dmin.v + first, f->dmin.v + first, bytes);
		memcpy(best->s.v + first, f->s.v + first, bytes);
		memcpy(best->m.v + first, f->m.v + first, bytes);
		memcpy(least->v + first, error->v + first, bytes);
	}
}

INLINE void deepen(const struct tile *t, enum importance given, const struct kind *k,
		   const struct subs *scale, const struct subs *min, struct fit *best)
{
	static const float divisors[][2] = {
		{ 1, 1 }, { 0.94f, 1 }, { 1.06f, 1.06f }, { 0.88f, 0.94f }
	};
	struct subs least = { { 0 } };

	errors(t, given, k, best, &least);
	for (int i = 0; i < 4; i++) {
		struct fit f = start_fit(k, scale, min, k->scale_hi * divisors[i][0],
					 k->scale_hi * divisors[i][1]);
		struct subs error = { { 0 } };

		for (int round = 0; round < 2; round++) {
			neighbours(t, given, k, &f);
			refit(t, given, k, &f);
		}
		errors(t, given, k, &f, &error);
		keep_better(k, best, &least, &f, &error);
	}
}

INLINE struct fit best_fit(struct tile *t, enum importance given, const struct kind *k, int opt)
{
	struct subs scale = { { 0 } }, min = { { 0 } };
	struct fit best;

	best_affine(t, given, k, given == IMPORTANCE_GIVEN ? k->n_deep : k->n_plain, &scale, &min);
	best = start_fit(k, &scale, &min, k->scale_hi, k->scale_hi);
	neighbours(t, given, k, &best);
	if (opt) {
		best_affine(t, given, k, k->n_deep, &scale, &min);
		deepen(t, given, k, &scale, &min, &best);
	}
	return best;
}

INLINE struct fit encode_tile(struct tile *t, enum importance given, const struct kind *k, int opt)
{
	struct fit f = best_fit(t, given, k, opt);

	for (int g = 0; g < GROUPS; g++) {
		vf code[SUB_MAX];

		codes_of(t, g, k, &f, code);
		put_codes(t, g, code, k->n);
	}
	return stored_fit(t, given, k, &f);
}

/* ---- Q2_K */

static const struct grid q2_grids[] = {
	{ 3.75f, 0 },	 { 3.6f, 0.25f },  { 3.6f, -0.25f },  { 3.15f, 0 },
	{ 3.9f, 0.5f },	 { 4.05f, -0.5f }, { 3.15f, -0.25f }, { 3.15f, 0.25f },
	{ 2.55f, 0.5f }, { 4.65f, 0 },	   { 4.8f, 0.75f },   { 4.5f, -0.75f },
};
static const struct kind q2 = { 16, 16, 3, 15, q2_grids, 4, 12, 1 };

INLINE void tile_q2_k(struct tile *t, enum importance given, unsigned char *out, int supers,
		      int opt)
{
	struct fit f = encode_tile(t, given, &q2, opt);

	(void)supers;
	for (int b = 0; b < SUBS; b++)
		out[b] = (unsigned char)((int)f.s.v[b] | (int)f.m.v[b] << 4);
	for (int h = 0; h < 2; h++) {
		for (int l = 0; l < 32; l += 8) {
			uint64_t v = 0;

			for (int g = 0; g < 4; g++)
				v |= eight(t->code + 128 * h + 32 * g + l) << 2 * g;
			put_eight(out + 16 + 32 * h + l, v);
		}
	}
	put_half(out + 80, f.d.v[0]);
	put_half(out + 82, f.dmin.v[0]);
}

/* ---- Q4_K, Q5_K */

/* Eight scales and eight minima of six bits in twelve bytes; the high two bits of the last four go
 * to the first. */
INLINE void pack_six(const float *scale, const float *min, unsigned char *out)
{
	for (int j = 0; j < 4; j++) {
		unsigned s = (unsigned)scale[j + 4], m = (unsigned)min[j + 4];

		out[j] = (unsigned char)((unsigned)scale[j] | s >> 4 << 6);
		out[j + 4] = (unsigned char)((unsigned)min[j] | m >> 4 << 6);
		out[j + 8] = (unsigned char)((s & 15) | (m & 15) << 4);
	}
}

INLINE void pack_nibbles(const uint8_t *q, unsigned char *out)
{
	for (int c = 0; c < 4; c++)
		for (int l = 0; l < 32; l += 8)
			put_eight(out + 32 * c + l, (eight(q + 64 * c + l) & BYTES(15)) |
							    (eight(q + 64 * c + 32 + l) & BYTES(15))
								    << 4);
}

INLINE void put_head(const struct fit *f, int super, unsigned char *out)
{
	put_half(out, f->d.v[8 * super]);
	put_half(out + 2, f->dmin.v[8 * super]);
	pack_six(f->s.v + 8 * super, f->m.v + 8 * super, out + 4);
}

static const struct grid q4_grids[] = {
	{ 15.3f, 0 },	  { 15.3f, -0.25f }, { 15.3f, 0.25f }, { 14.4f, 0.5f },	  { 14.7f, 0 },
	{ 15.9f, 0 },	  { 14.1f, -0.75f }, { 15.9f, 0.25f }, { 15.9f, -0.25f }, { 14.7f, -0.25f },
	{ 14.7f, 0.25f }, { 13.8f, -0.5f },  { 15.9f, -0.5f }, { 16.2f, 0.5f },	  { 14.1f, 0.75f },
};
static const struct kind q4 = { 32, 8, 15, 63, q4_grids, 10, 15, 0 };

INLINE void tile_q4_k(struct tile *t, enum importance given, unsigned char *out, int supers,
		      int opt)
{
	struct fit f = encode_tile(t, given, &q4, opt);

	for (int k = 0; k < supers; k++, out += 144) {
		put_head(&f, k, out);
		pack_nibbles(t->code + SUPER * k, out + 16);
	}
}

static const struct grid q5_grids[] = {
	{ 31.0f, 0 },	    { 30.38f, 0.5f },  { 31.0f, -0.25f },  { 31.0f, 0.25f },
	{ 29.14f, -1.0f },  { 29.76f, -0.5f }, { 31.62f, 0 },	   { 27.9f, -0.5f },
	{ 29.76f, -0.75f }, { 29.76f, 0.75f }, { 31.62f, -0.25f }, { 31.62f, 0.25f },
	{ 29.14f, 0.75f },  { 30.38f, -0.5f }, { 28.52f, -0.5f },
};
static const struct kind q5 = { 32, 8, 31, 63, q5_grids, 8, 15, 0 };

INLINE void tile_q5_k(struct tile *t, enum importance given, unsigned char *out, int supers,
		      int opt)
{
	struct fit f = encode_tile(t, given, &q5, opt);

	for (int k = 0; k < supers; k++, out += 176) {
		const uint8_t *q = t->code + SUPER * k;

		put_head(&f, k, out);
		for (int l = 0; l < 32; l += 8) {
			uint64_t high = 0;

			for (int j = 0; j < 8; j++)
				high |= (eight(q + 32 * j + l) >> 4 & BYTES(1)) << j;
			put_eight(out + 16 + l, high);
		}
		pack_nibbles(q, out + 48);
	}
}

void ISA(encode_q2_k)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_tile(x, w, out, n, 16, 84, opt, tile_q2_k);
}

void ISA(encode_q4_k)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_tile(x, w, out, n, 32, 144, opt, tile_q4_k);
}

void ISA(encode_q5_k)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_tile(x, w, out, n, 32, 176, opt, tile_q5_k);
}
