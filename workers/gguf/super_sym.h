/* workers/gguf/super_sym.h -- super-blocks x = d*s*level: a small whole s for each sub-block.
 *
 * opt 0: the best scale of each sub-block of a few, d from the largest of them, then codes with the
 * scales as they are stored. opt 1: from several d, neighbours of each s and least squares for d in
 * turn; the best by the error of what is stored, that of opt 0 among them. */
#ifndef QUERN_WORKERS_GGUF_SUPER_SYM_H
#define QUERN_WORKERS_GGUF_SUPER_SYM_H

#include "workers/gguf/super.h"

struct kind {
	int n, subs; /* weights of a sub-block, sub-blocks of a super-block */
	level_fn *level;
	float scale_lo, scale_hi; /* of s */
	const float *steps;	  /* for the scale of a sub-block: see sym_search() */
	int n_plain, n_deep;	  /* how many of them; deep: with importances, or at opt 1 */
	int starts, reach;	  /* opt 1: values of d, and how far neighbours are */
	int stretch;		  /* d is stretched: see stretch_of() */
};

/* As they are stored; d the same for the lanes of a super-block. */
struct fit {
	struct subs d, s;
};

INLINE struct subs best_scales(const struct tile *t, enum importance given, const struct kind *k,
			       int n_steps)
{
	struct subs scale = { { 0 } };

	for (int g = 0; g < GROUPS; g++) {
		struct sym s = sym_search(t->x[g], weights_of(t, g, given), k->n,
					  signed_peak(t->x[g], k->n), k->steps, n_steps, k->level);

		set_lanes(&scale, g, s.d);
	}
	return scale;
}

/* share: the largest scale becomes share*scale_lo. */
INLINE struct fit start_fit(const struct kind *k, const struct subs *scale, float share)
{
	struct fit f;

	for (int first = 0; first < SUBS; first += k->subs)
		spread(&f.d, first, k->subs,
		       half_round(peak_of(scale, first, k->subs) / (share * k->scale_lo)));
	for (int g = 0; g < GROUPS; g++)
		set_lanes(&f.s, g,
			  clamp(nearest(lanes_of(scale, g) * stored_inverse(lanes_of(&f.d, g))),
				splat(k->scale_lo), splat(k->scale_hi)));
	return f;
}

INLINE vf error_of(const struct tile *t, int g, enum importance given, const struct kind *k,
		   const struct fit *f, vf s)
{
	return sym_error(t->x[g], weights_of(t, g, given), k->n, lanes_of(&f->d, g) * s, k->level);
}

/* The level of each weight. */
INLINE void levels_of(const struct tile *t, int g, const struct kind *k, const struct fit *f,
		      vf *out)
{
	vf per = inverse(lanes_of(&f->d, g) * lanes_of(&f->s, g));

	for (int i = 0; i < k->n; i++)
		out[i] = k->level(t->x[g][i] * per);
}

/* The fit that its levels are stored with. */
INLINE struct fit stored_fit(const struct tile *t, enum importance given, const struct kind *k,
			     const struct fit *f)
{
	struct subs xx = { { 0 } }, xy = { { 0 } };
	struct fit out = *f;

	if (!k->stretch)
		return out;
	for (int g = 0; g < GROUPS; g++) {
		vf level[SUB_MAX], wxx = splat(0), wxl = splat(0);

		levels_of(t, g, k, f, level);
		for (int i = 0; i < k->n; i++) {
			vf wx = weigh(weights_of(t, g, given), i, t->x[g][i]);

			wxx += wx * t->x[g][i];
			wxl += wx * level[i];
		}
		set_lanes(&xx, g, wxx);
		set_lanes(&xy, g, wxl * (lanes_of(&f->d, g) * lanes_of(&f->s, g)));
	}
	for (int first = 0; first < SUBS; first += k->subs)
		spread(&out.d, first, k->subs,
		       half_round(f->d.v[first] *
				  stretch_of(&xx, &xy, first, k->subs, STRETCH_MOST)));
	return out;
}

/* Of the sub-blocks as they are read back. */
INLINE void errors(const struct tile *t, enum importance given, const struct kind *k,
		   const struct fit *f, struct subs *out)
{
	struct fit stored = stored_fit(t, given, k, f);

	for (int g = 0; g < GROUPS; g++) {
		vf ds = lanes_of(&stored.d, g) * lanes_of(&stored.s, g);
		vf level[SUB_MAX], sum = splat(0);

		levels_of(t, g, k, f, level);
		for (int i = 0; i < k->n; i++) {
			vf r = t->x[g][i] - ds * level[i];

			sum += weigh(weights_of(t, g, given), i, r) * r;
		}
		set_lanes(out, g, sum);
	}
}

/* The best d for the codes that the scales give. */
INLINE void refit(const struct tile *t, enum importance given, const struct kind *k, struct fit *f)
{
	struct subs xq, qq;

	for (int g = 0; g < GROUPS; g++) {
		struct sym s = { .qq = splat(1) };
		vf scale = lanes_of(&f->s, g);

		sym_try(t->x[g], weights_of(t, g, given), k->n, inverse(lanes_of(&f->d, g) * scale),
			k->level, &s);
		set_lanes(&xq, g, s.xq * scale);
		set_lanes(&qq, g, s.qq * scale * scale);
	}
	for (int first = 0; first < SUBS; first += k->subs) {
		float below = sum_of(&qq, first, k->subs);

		if (below > 0)
			spread(&f->d, first, k->subs,
			       half_round(sum_of(&xq, first, k->subs) / below));
	}
}

/* For each sub-block the best s of those beside it. */
INLINE void neighbours(const struct tile *t, enum importance given, const struct kind *k,
		       struct fit *f)
{
	for (int g = 0; g < GROUPS; g++) {
		vf was = lanes_of(&f->s, g), best = was;
		vf least = error_of(t, g, given, k, f, was);

		for (int by = -k->reach; by <= k->reach; by++) {
			vf s = clamp(was + splat((float)by), splat(k->scale_lo),
				     splat(k->scale_hi));
			vf error = error_of(t, g, given, k, f, s);
			vm better = above(least, error);

			best = pick(better, s, best);
			least = pick(better, error, least);
		}
		set_lanes(&f->s, g, best);
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
		memcpy(best->s.v + first, f->s.v + first, bytes);
		memcpy(least->v + first, error->v + first, bytes);
	}
}

INLINE void deepen(const struct tile *t, enum importance given, const struct kind *k,
		   const struct subs *scale, struct fit *best)
{
	static const float shares[] = { 1.0f, 0.95f, 1.03f, 0.9f, -0.97f };
	struct subs least = { { 0 } };

	errors(t, given, k, best, &least);
	for (int i = 0; i < k->starts; i++) {
		struct fit f = start_fit(k, scale, shares[i]);
		struct subs error = { { 0 } };

		for (int round = 0; round < 2; round++) {
			neighbours(t, given, k, &f);
			refit(t, given, k, &f);
		}
		errors(t, given, k, &f, &error);
		keep_better(k, best, &least, &f, &error);
	}
}

INLINE struct fit best_fit(const struct tile *t, enum importance given, const struct kind *k,
			   int opt)
{
	int n = given == IMPORTANCE_GIVEN ? k->n_deep : k->n_plain;
	struct subs scale = best_scales(t, given, k, n);
	struct fit best = start_fit(k, &scale, 1);

	if (opt) {
		scale = best_scales(t, given, k, k->n_deep);
		deepen(t, given, k, &scale, &best);
	}
	return best;
}

#endif
