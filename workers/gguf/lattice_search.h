/* workers/gguf/lattice_search.h -- super-blocks of points of a codebook: x = unit*d*(2s+1)*level,
 * a small whole s for each sub-block of 16 or 32 weights.
 *
 * Weights are taken relative to the largest of their super-block, so that nothing overflows, and
 * without their signs where those are stored apart; where an even number of them must be minus, the
 * least weight may get the wrong one, and is negative from then on.
 *
 * opt 0: d from the size of the largest sub-block, then for each the best of a few s beside the one
 * that its own size tells; each s costs a search of all points. opt 1: from several d, with more s,
 * and least squares for d in turn; the best by the error of what is stored, that of opt 0 among
 * them. d is stretched: see stretch_of(). */
#ifndef QUERN_WORKERS_GGUF_LATTICE_SEARCH_H
#define QUERN_WORKERS_GGUF_LATTICE_SEARCH_H

#include <math.h>

#include "workers/gguf/lattice.h"
#include "workers/gguf/super.h"

#define LEVELS_MAX 8
#define PARTS_MAX 8 /* points of a sub-block */

enum how {
	SIGNS_FREE,
	SIGNS_EVEN, /* of each eight weights an even number is minus */
	SHIFT_SUB,  /* no signs: all levels of a sub-block are shifted up or down */
	SHIFT_PART, /* or those of a point */
};

struct kind {
	enum lattice_id id;
	enum how how;
	int n, subs;	  /* weights of a sub-block, sub-blocks of a super-block */
	int dims, levels; /* of a point */
	float s_hi, unit;
	float level[2][LEVELS_MAX]; /* [1]: shifted down */
	float size;		    /* the scale of a sub-block, of its root mean square */
	float peak;	  /* and at least so much of its largest weight: one may be alone */
	float flat;	  /* or of the root mean square where all are of one size */
	float top;	  /* at opt 0, 2s+1 of the largest sub-block */
	int below, above; /* at opt 0, how far s goes from there */
	float most;	  /* of a stretch */
};

/* As they are stored; d relative to the largest weight, the same for the lanes of a super-block.
 * point: numbers in the codebook. */
struct fit {
	struct subs d, s;
	uint16_t point[SUBS][PARTS_MAX];
	uint8_t down[SUBS][PARTS_MAX];
};

/* What belongs to a tile: the largest weight of each sub-block's super-block, its signs. */
struct about {
	const struct lattice *l;
	struct subs peak;
	uint32_t minus[SUBS];
};

/* ---- weights */

/* Super-blocks of nothing but less than this are zeros: binary16 has no scale for them. */
#define TINY 1e-20f

INLINE void make_relative(struct tile *t, enum importance given, const struct kind *k,
			  struct about *a)
{
	struct subs heavy = { { 0 } };

	for (int g = 0; g < GROUPS; g++) {
		vf most = splat(0), weight = splat(0);

		for (int i = 0; i < k->n; i++) {
			most = vmax(magnitude(t->x[g][i]), most);
			if (given == IMPORTANCE_GIVEN)
				weight = vmax(t->w[g][i], weight);
		}
		set_lanes(&a->peak, g, most);
		set_lanes(&heavy, g, weight);
	}
	for (int first = 0; first < SUBS; first += k->subs) {
		spread(&a->peak, first, k->subs, largest(&a->peak, first, k->subs));
		spread(&heavy, first, k->subs, largest(&heavy, first, k->subs));
	}
	for (int g = 0; g < GROUPS; g++) {
		vf peak = lanes_of(&a->peak, g), weight = lanes_of(&heavy, g);
		vf per = inverse(pick(above(peak, splat(TINY)), peak, splat(0)));
		vf per_weight = inverse(pick(above(weight, splat(TINY)), weight, splat(0)));

		for (int i = 0; i < k->n; i++) {
			t->x[g][i] *= per;
			if (given == IMPORTANCE_GIVEN)
				t->w[g][i] *= per_weight;
		}
	}
}

/* One element of each eight changes its sign where an odd number is minus: the one for which that
 * costs least. Returns the sign bits. */
INLINE vu even_signs(vf *x, const vf *w, vu minus)
{
	vf least = splat(INFINITY), at = splat(0);
	vu odd = minus ^ minus >> 4, flip;

	odd ^= odd >> 2;
	odd = (odd ^ odd >> 1) & 1;
	for (int i = 0; i < 8; i++) {
		vf cost = weigh(w, i, x[i]);
		vm better = above(least, cost);

		least = pick(better, cost, least);
		at = pick(better, splat((float)i), at);
	}
	for (int i = 0; i < 8; i++) {
		/* All ones where it is this element and the number is odd. */
		flip = (vu)(at == splat((float)i)) & -odd;
		x[i] = (vf)((vu)x[i] ^ (flip & 0x80000000u));
		minus ^= flip & 1u << i;
	}
	return minus;
}

INLINE void take_signs(struct tile *t, enum importance given, const struct kind *k, struct about *a)
{
	for (int g = 0; g < GROUPS; g++) {
		vu all = { 0 };

		for (int i = 0; i < k->n; i += 8) {
			vf *x = t->x[g] + i;
			vu minus = { 0 };

			for (int j = 0; j < 8; j++) {
				/* Not of -0: the same bytes for every zero. */
				minus |= (vu)(x[j] < splat(0)) & 1u << j;
				x[j] = magnitude(x[j]);
			}
			if (k->how == SIGNS_EVEN) {
				const vf *w = weights_of(t, g, given);

				minus = even_signs(x, w ? w + i : NULL, minus);
			}
			all |= minus << i;
		}
		memcpy(&a->minus[g * LANES], &all, sizeof(all));
	}
}

/* ---- the nearest points */

#define HALF_MASK ((1u << LATTICE_HALF_BITS) - 1)

/* Sums over the coordinates of every possible half. cost: of each level of each coordinate. */
INLINE void half_costs(const struct kind *k, const vf cost[][LEVELS_MAX], vf *out)
{
	vf pair[2][9];

	if (k->dims == 4) {
		for (int j = 0; j < 8; j++)
			for (int i = 0; i < 8; i++)
				out[8 * j + i] = cost[0][i] + cost[1][j];
		return;
	}
	for (int p = 0; p < 2; p++)
		for (int j = 0; j < 3; j++)
			for (int i = 0; i < 3; i++)
				pair[p][3 * j + i] = cost[2 * p][i] + cost[2 * p + 1][j];
	for (int j = 0; j < 9; j++)
		for (int i = 0; i < 9; i++)
			out[9 * j + i] = pair[0][i] + pair[1][j];
}

/* For k->dims weights and a scale the cheapest point; returns what it adds to the squared error of
 * zero, and its halves. The second half's number is in the low bits of its cost, which changes that
 * by less than 2^-16 of it. */
INLINE vf nearest_point(const struct lattice *l, const struct kind *k, const vf *x, const vf *w,
			vf scale, const float *level, vu *where)
{
	vf cost[8][LEVELS_MAX], first[LATTICE_HALVES], second[LATTICE_HALVES];
	vf least = splat(INFINITY), two = splat(2);
	int halves = k->dims == 4 ? 64 : 81;

	for (int i = 0; i < k->dims; i++) {
		for (int v = 0; v < k->levels; v++) {
			vf y = scale * splat(level[v]);

			cost[i][v] = weigh(w, i, y) * (y - two * x[i]);
		}
	}
	half_costs(k, cost, first);
	half_costs(k, cost + k->dims / 2, second);
	for (int i = 0; i < halves; i++)
		second[i] = (vf)(((vu)second[i] & ~HALF_MASK) | (uint32_t)i);
	*where = (vu){ 0 };
	for (int f = 0; f < l->n_firsts; f++) {
		vf best = second[l->second[l->begin[f]]], sum;
		vu halves_of = { 0 };
		vm better;

		for (int i = l->begin[f] + 1; i < l->begin[f + 1]; i++)
			best = vmin(second[l->second[i]], best);
		sum = first[l->first[f]] + best;
		better = above(least, sum);
		halves_of = ((vu)best & HALF_MASK) | (uint32_t)l->first[f] << LATTICE_HALF_BITS;
		least = pick(better, sum, least);
		*where = (vu)pick(better, (vf)halves_of, (vf)*where);
	}
	return least;
}

#define DOWN_BIT (1u << 2 * LATTICE_HALF_BITS)

INLINE void keep_points(vm better, const vu *from, vu *to, int n)
{
	for (int p = 0; p < n; p++)
		to[p] = (vu)pick(better, (vf)from[p], (vf)to[p]);
}

/* All points of a group of sub-blocks with one scale each; returns the squared error less that of
 * zero. */
INLINE vf nearest_points(const struct lattice *l, const struct tile *t, int g,
			 enum importance given, const struct kind *k, vf scale, vu *where)
{
	const vf *w = weights_of(t, g, given);
	int parts = k->n / k->dims;
	vu down[PARTS_MAX];
	vf sum = splat(0), sum_down = splat(0);
	vm better;

	for (int p = 0; p < parts; p++) {
		const vf *x = t->x[g] + p * k->dims, *v = w ? w + p * k->dims : NULL;
		vf least = nearest_point(l, k, x, v, scale, k->level[0], &where[p]);

		if (k->how == SHIFT_SUB || k->how == SHIFT_PART) {
			vf other = nearest_point(l, k, x, v, scale, k->level[1], &down[p]);

			down[p] |= DOWN_BIT;
			if (k->how == SHIFT_PART) {
				better = above(least, other);
				least = pick(better, other, least);
				keep_points(better, &down[p], &where[p], 1);
			}
			sum_down += other;
		}
		sum += least;
	}
	if (k->how == SHIFT_SUB) {
		better = above(sum, sum_down);
		keep_points(better, down, where, parts);
		sum = pick(better, sum_down, sum);
	}
	return sum;
}

INLINE void put_points(const struct lattice *l, const struct kind *k, int g, const vu *where,
		       struct fit *f)
{
	for (int p = 0; p < k->n / k->dims; p++) {
		uint32_t lanes[LANES];

		memcpy(lanes, &where[p], sizeof(lanes));
		for (int i = 0; i < LANES; i++) {
			uint32_t v = lanes[i];

			f->point[g * LANES + i][p] =
				l->point[v >> LATTICE_HALF_BITS & HALF_MASK][v & HALF_MASK];
			f->down[g * LANES + i][p] = (v & DOWN_BIT) != 0;
		}
	}
}

/* The scale of a sub-block with s; 0 where d is infinite, which the caller refuses. */
INLINE vf scale_of(const struct kind *k, const struct fit *f, int g, vf s)
{
	vf d = lanes_of(&f->d, g);

	d = pick(above(splat(65536), magnitude(d)), d, splat(0));
	return d * splat(k->unit) * (s + s + splat(1));
}

/* For each sub-block the best s of those from `below` under to `above` over what it is, with its
 * points. */
INLINE void choose(const struct about *a, const struct tile *t, enum importance given,
		   const struct kind *k, int below, int over, struct fit *f)
{
	for (int g = 0; g < GROUPS; g++) {
		vf was = lanes_of(&f->s, g), best = was, least = splat(INFINITY);
		vu where[PARTS_MAX] = { { 0 } }, now[PARTS_MAX];

		for (int by = -below; by <= over; by++) {
			vf s = clamp(was + splat((float)by), splat(0), splat(k->s_hi));
			vf sum = nearest_points(a->l, t, g, given, k, scale_of(k, f, g, s), now);
			vm better = above(least, sum);

			best = pick(better, s, best);
			least = pick(better, sum, least);
			keep_points(better, now, where, k->n / k->dims);
		}
		set_lanes(&f->s, g, best);
		put_points(a->l, k, g, where, f);
	}
}

/* ---- what is stored */

/* The level of each weight of a group of sub-blocks. */
INLINE void levels_of(const struct kind *k, int g, const struct fit *f, vf *out)
{
	const struct codebook *b = &codebooks[k->id];
	float level[SUB_MAX][LANES];

	for (int i = 0; i < LANES; i++) {
		for (int p = 0; p < k->n / k->dims; p++) {
			unsigned point = b->points[f->point[g * LANES + i][p]];
			const float *values = k->level[f->down[g * LANES + i][p]];

			for (int j = 0; j < k->dims; j++, point >>= b->bits)
				level[p * k->dims + j][i] = values[point & ((1u << b->bits) - 1)];
		}
	}
	memcpy(out, level, (size_t)k->n * sizeof(*out));
}

/* Sums of weights times y, y times y and weights times weights, y: what is read back. */
struct sums {
	struct subs xx, xy, yy;
};

INLINE void sum_up(const struct tile *t, enum importance given, const struct kind *k,
		   const struct fit *f, struct sums *out)
{
	for (int g = 0; g < GROUPS; g++) {
		vf level[SUB_MAX], xx = splat(0), xl = splat(0), ll = splat(0);
		vf scale = scale_of(k, f, g, lanes_of(&f->s, g));

		levels_of(k, g, f, level);
		for (int i = 0; i < k->n; i++) {
			vf x = t->x[g][i], wx = weigh(weights_of(t, g, given), i, x);
			vf wl = weigh(weights_of(t, g, given), i, level[i]);

			xx += wx * x;
			xl += wx * level[i];
			ll += wl * level[i];
		}
		set_lanes(&out->xx, g, xx);
		set_lanes(&out->xy, g, xl * scale);
		set_lanes(&out->yy, g, ll * scale * scale);
	}
}

/* d as binary16 holds it, relative. */
INLINE void set_d(const struct about *a, const struct kind *k, struct fit *f, int first, float d)
{
	float peak = a->peak.v[first];

	spread(&f->d, first, k->subs, peak > TINY ? half_round(d * peak) / peak : 0);
}

/* Least squares. */
INLINE void refit(const struct about *a, const struct kind *k, const struct sums *s, struct fit *f)
{
	for (int first = 0; first < SUBS; first += k->subs) {
		float yy = sum_of(&s->yy, first, k->subs);

		if (yy > 0)
			set_d(a, k, f, first,
			      f->d.v[first] * (sum_of(&s->xy, first, k->subs) / yy));
	}
}

INLINE void stretch(const struct about *a, const struct tile *t, enum importance given,
		    const struct kind *k, struct fit *f)
{
	struct sums s = { { { 0 } }, { { 0 } }, { { 0 } } };

	sum_up(t, given, k, f, &s);
	for (int first = 0; first < SUBS; first += k->subs)
		set_d(a, k, f, first,
		      f->d.v[first] * stretch_of(&s.xx, &s.xy, first, k->subs, k->most));
}

INLINE void errors(const struct tile *t, enum importance given, const struct kind *k,
		   const struct fit *f, struct subs *out)
{
	for (int g = 0; g < GROUPS; g++) {
		vf level[SUB_MAX], sum = splat(0);
		vf scale = scale_of(k, f, g, lanes_of(&f->s, g));

		levels_of(k, g, f, level);
		for (int i = 0; i < k->n; i++) {
			vf r = t->x[g][i] - scale * level[i];

			sum += weigh(weights_of(t, g, given), i, r) * r;
		}
		set_lanes(out, g, sum);
	}
}

/* ---- the search */

/* top: 2s+1 of the largest sub-block. */
INLINE struct fit start_fit(const struct about *a, const struct tile *t, enum importance given,
			    const struct kind *k, float top)
{
	struct fit f = { .s = { { 0 } } };
	struct subs scale = { { 0 } };

	for (int g = 0; g < GROUPS; g++) {
		const vf *w = weights_of(t, g, given);
		vf xx = splat(0), weight = splat(w ? 0 : (float)k->n), most = splat(0);
		vf least = t->x[g][0];
		vm flat;

		for (int i = 0; i < k->n; i++) {
			vf wxx = weigh(w, i, t->x[g][i]) * t->x[g][i];

			xx += wxx;
			most = vmax(wxx, most);
			least = vmin(t->x[g][i], least);
			if (w)
				weight += w[i];
		}
		most *= splat((float)k->n);
		/* All of one size and none with a wrong sign: the point of the lowest levels is
		 * theirs, and of few others. */
		flat = above(xx * splat(1.5f), most) & above(least, splat(0));
		most = pick(flat, xx * splat(k->flat * k->flat), most * splat(k->peak * k->peak));
		/* Lanes have no square root. */
		set_lanes(&scale, g, ratio(vmax(xx * splat(k->size * k->size), most), weight));
	}
	for (int b = 0; b < SUBS; b++)
		scale.v[b] = sqrtf(scale.v[b]);
	for (int first = 0; first < SUBS; first += k->subs)
		set_d(a, k, &f, first, largest(&scale, first, k->subs) / (k->unit * top));
	for (int g = 0; g < GROUPS; g++) {
		vf per = stored_inverse(lanes_of(&f.d, g) * splat(k->unit));

		set_lanes(&f.s, g,
			  clamp(nearest((lanes_of(&scale, g) * per - splat(1)) * splat(0.5f)),
				splat(0), splat(k->s_hi)));
	}
	return f;
}

INLINE void keep_better(const struct kind *k, struct fit *best, struct subs *least,
			const struct fit *f, const struct subs *error)
{
	for (int first = 0; first < SUBS; first += k->subs) {
		size_t bytes = (size_t)k->subs * sizeof(float);

		if (!(sum_of(error, first, k->subs) < sum_of(least, first, k->subs)))
			continue;
		memcpy(best->d.v + first, f->d.v + first, bytes);
		memcpy(best->s.v + first, f->s.v + first, bytes);
		memcpy(least->v + first, error->v + first, bytes);
		memcpy(best->point[first], f->point[first], (size_t)k->subs * sizeof(f->point[0]));
		memcpy(best->down[first], f->down[first], (size_t)k->subs * sizeof(f->down[0]));
	}
}

INLINE void deepen(const struct about *a, const struct tile *t, enum importance given,
		   const struct kind *k, struct fit *best)
{
	static const float shares[] = { 1, 1.12f, 0.9f };
	struct subs least = { { 0 } };

	errors(t, given, k, best, &least);
	for (int i = 0; i < 3; i++) {
		struct fit f = start_fit(a, t, given, k, k->top * shares[i]);
		struct subs error = { { 0 } };

		for (int round = 0; round < 2; round++) {
			struct sums s = { { { 0 } }, { { 0 } }, { { 0 } } };

			choose(a, t, given, k, round ? 1 : k->below + 1, round ? 1 : k->above + 1,
			       &f);
			sum_up(t, given, k, &f, &s);
			refit(a, k, &s, &f);
		}
		stretch(a, t, given, k, &f);
		errors(t, given, k, &f, &error);
		keep_better(k, best, &least, &f, &error);
	}
}

/* Afterwards d is not relative. */
INLINE struct fit best_fit(struct tile *t, enum importance given, const struct kind *k, int opt,
			   struct about *a)
{
	struct fit best;

	a->l = lattice_get(k->id);
	make_relative(t, given, k, a);
	if (k->how == SIGNS_FREE || k->how == SIGNS_EVEN)
		take_signs(t, given, k, a);
	best = start_fit(a, t, given, k, k->top);
	choose(a, t, given, k, k->below, k->above, &best);
	stretch(a, t, given, k, &best);
	if (opt)
		deepen(a, t, given, k, &best);
	for (int b = 0; b < SUBS; b++)
		best.d.v[b] *= a->peak.v[b];
	return best;
}

#endif
