/* workers/gguf/search.h -- the scale of a block, chosen by squared error.
 *
 * A block x is written as d*q (symmetric) or a*q + b (affine) with small whole q. For codes q the
 * best scale follows by least squares, and the squared error is smallest where the share of x that
 * it explains is largest: symmetric: (sum wxq)^2 / sum wqq;   affine: the same of x and q less
 * their means. So a search tries several steps to get codes from and keeps the scale that explains
 * most. w: importances; NULL: all equal, and the multiplications are left out. */
#ifndef QUERN_WORKERS_GGUF_SEARCH_H
#define QUERN_WORKERS_GGUF_SEARCH_H

#include <math.h>

#include "workers/gguf/lanes.h"

/* What importances there are. At opt 1 a block without any gets equal ones, so that there is less
 * code; the search has to start with what opt 0 does for it all the same. */
enum importance { IMPORTANCE_NONE, IMPORTANCE_EQUAL, IMPORTANCE_GIVEN };

INLINE vf weigh(const vf *w, int i, vf v)
{
	return w ? w[i] * v : v;
}

/* The element of largest magnitude, with its sign; the first one of both signs: plus. */
INLINE vf signed_peak(const vf *x, int n)
{
	vf most = x[0], least = x[0], most1 = x[1], least1 = x[1];

	for (int i = 2; i < n; i += 2) {
		most = vmax(most, x[i]);
		least = vmin(least, x[i]);
		most1 = vmax(most1, x[i + 1]);
		least1 = vmin(least1, x[i + 1]);
	}
	most = vmax(most, most1);
	least = vmin(least, least1);
	return pick(above(-least, most), least, most);
}

/* ---- symmetric */

struct sym {
	vf d;	   /* the scale */
	vf xq, qq; /* of its codes: explains xq*xq/qq */
};

/* The nearest number to v that a code can stand for. */
typedef vf level_fn(vf v);

INLINE void sym_try(const vf *x, const vf *w, int n, vf inverse_d, level_fn *level,
		    struct sym *best)
{
	vf xq = splat(0), qq = splat(0), xq1 = splat(0), qq1 = splat(0);
	vm better;

	/* Two sums each, so that additions need not wait for one another. */
	for (int i = 0; i < n; i += 2) {
		vf q = level(x[i] * inverse_d), wq = weigh(w, i, q);
		vf q1 = level(x[i + 1] * inverse_d), wq1 = weigh(w, i + 1, q1);

		xq += x[i] * wq;
		qq += q * wq;
		xq1 += x[i + 1] * wq1;
		qq1 += q1 * wq1;
	}
	xq += xq1;
	qq += qq1;
	/* Division is dear; both denominators are at least 0. */
	better = above(xq * xq * best->qq, best->xq * best->xq * qq);
	best->xq = pick(better, xq, best->xq);
	best->qq = pick(better, qq, best->qq);
}

/* Steps: which level, perhaps beyond the last one, the largest element is to get. peak: from
 * signed_peak(). */
INLINE struct sym sym_search(const vf *x, const vf *w, int n, vf peak, const float *steps,
			     int n_steps, level_fn *level)
{
	vf per_peak = inverse(peak);
	/* Explains nothing: any try is better, and 0 stays for a block of zeros. */
	struct sym best = { .qq = splat(1) };

	for (int k = 0; k < n_steps; k++)
		sym_try(x, w, n, splat(steps[k]) * per_peak, level, &best);
	best.d = best.xq / best.qq;
	return best;
}

/* The squared error with this very scale. */
INLINE vf sym_error(const vf *x, const vf *w, int n, vf d, level_fn *level)
{
	vf inverse_d = inverse(d), sum = splat(0);

	for (int i = 0; i < n; i++) {
		vf r = x[i] - d * level(x[i] * inverse_d);

		sum += weigh(w, i, r) * r;
	}
	return sum;
}

/* Least squares for the codes of the scale d, as often as that moves them. */
INLINE vf sym_refine(const vf *x, const vf *w, int n, vf d, level_fn *level)
{
	for (int k = 0; k < 3; k++) {
		struct sym s = { .qq = splat(1) };

		sym_try(x, w, n, inverse(d), level, &s);
		d = s.xq / s.qq;
	}
	return d;
}

/* ---- affine */

/* A block about the middle of its range, where its sums lose no digits. */
struct centred {
	vf middle, least, width; /* of the range */
	vf weight, x;		 /* sums of w and wx, x less the middle */
};

/* at_zero: the range holds 0, and the middle is 0, so that b is the offset itself. */
INLINE struct centred centre(const vf *x, const vf *w, int n, int at_zero)
{
	vf most = x[0], least = x[0];
	struct centred c = { .weight = splat(w ? 0 : (float)n), .x = splat(0) };

	for (int i = 1; i < n; i++) {
		most = vmax(most, x[i]);
		least = vmin(least, x[i]);
	}
	if (at_zero) {
		least = vmin(least, splat(0));
		most = vmax(most, splat(0));
	}
	c.middle = at_zero ? splat(0) : splat(0.5f) * least + splat(0.5f) * most;
	c.least = least;
	c.width = most - least;
	for (int i = 0; i < n; i++) {
		c.x += weigh(w, i, x[i] - c.middle);
		if (w)
			c.weight += w[i];
	}
	return c;
}

/* No scale of any type, times its largest code, reaches this; above it sums may overflow. */
#define AFFINE_MAX 1e12f

struct affine {
	vf a, b;
	vf explains;
};

/* A grid of codes laid over the range of a block: how many steps the range gets, and by how much of
 * a step the grid is moved from where both ends lose alike. More steps than there are codes cut the
 * ends off, fewer leave codes unused. The lists of them were found by adding, one after the other,
 * the one that lowered the error of normal and Laplace weights most. */
struct grid {
	float steps, shift;
};

/* The code, not yet a whole one, of the lower end of the range. */
INLINE float grid_zero(const struct grid *g, float hi)
{
	return (hi - g->steps) / 2 + g->shift;
}

INLINE vf affine_code(vf x, vf inverse_a, vf at_zero, float hi)
{
	return clamp(nearest(x * inverse_a + at_zero), splat(0), splat(hi));
}

/* b is counted from the middle of the block. below: b may not be above 0. */
INLINE void affine_try(const vf *x, const vf *w, int n, const struct centred *c, vf inverse_a,
		       vf at_zero, float hi, int below, struct affine *best)
{
	vf sq = splat(0), xq = splat(0), qq = splat(0), a, b, explains;
	vm better;

	for (int i = 0; i < n; i++) {
		vf v = x[i] - c->middle;
		vf q = affine_code(v, inverse_a, at_zero, hi), wq = weigh(w, i, q);

		sq += wq;
		xq += v * wq;
		qq += q * wq;
	}
	a = ratio(c->weight * xq - c->x * sq, c->weight * qq - sq * sq);
	b = ratio(c->x - a * sq, c->weight);
	if (below) {
		a = pick(above(b, splat(0)), ratio(xq, qq), a);
		b = vmin(b, splat(0));
	}
	explains = a * xq + b * c->x;
	better = above(explains, best->explains);
	best->a = pick(better, a, best->a);
	best->b = pick(better, b, best->b);
	best->explains = pick(better, explains, best->explains);
}

/* A block beyond AFFINE_MAX gets a scale that the caller refuses, whatever its sums were. */
INLINE vf affine_or_infinite(const struct centred *c, vf a)
{
	return pick(above(splat(AFFINE_MAX), c->width), a, splat(INFINITY));
}

/* The squared error with this very scale and offset. */
INLINE vf affine_error(const vf *x, const vf *w, int n, vf a, vf b, float hi)
{
	vf inverse_a = inverse(a), sum = splat(0);

	for (int i = 0; i < n; i++) {
		vf r = x[i] - (a * affine_code(x[i] - b, inverse_a, splat(0), hi) + b);

		sum += weigh(w, i, r) * r;
	}
	return sum;
}

#endif
