/* workers/gguf/super.h -- super-blocks of 256 weights for encoders: sixteen sub-blocks at a time,
 * each in a lane, which are one super-block of sixteen or two of eight. What a sub-block has is an
 * array of sixteen. */
#ifndef QUERN_WORKERS_GGUF_SUPER_H
#define QUERN_WORKERS_GGUF_SUPER_H

#include "workers/gguf/blocks.h"
#include "workers/gguf/search.h"

#define SUPER 256
#define SUBS 16
#define GROUPS (SUBS / LANES)
#define SUB_MAX 32 /* weights of a sub-block */

/* One number of each sub-block. */
struct subs {
	float v[SUBS] __attribute__((aligned(64)));
};

struct tile {
	vf x[GROUPS][SUB_MAX], w[GROUPS][SUB_MAX];
	uint8_t code[SUBS * SUB_MAX];
};

INLINE vf lanes_of(const struct subs *s, int group)
{
	return load(s->v + group * LANES);
}

INLINE void set_lanes(struct subs *s, int group, vf v)
{
	memcpy(&s->v[group * LANES], &v, sizeof(v));
}

INLINE const vf *weights_of(const struct tile *t, int group, enum importance given)
{
	return given != IMPORTANCE_NONE ? t->w[group] : NULL;
}

INLINE void spread(struct subs *s, int first, int count, float v)
{
	for (int i = 0; i < count; i++)
		s->v[first + i] = v;
}

/* n: weights of a sub-block, 16 or 32. */
INLINE void load_tile(struct tile *t, const float *x, const float *w, int n)
{
	for (int g = 0; g < GROUPS; g++) {
		load_blocks(x + g * LANES * n, n, t->x[g]);
		if (w)
			load_blocks(w + g * LANES * n, n, t->w[g]);
	}
}

/* A tile without importances gets equal ones. */
INLINE void equal_weights(struct tile *t)
{
	for (int g = 0; g < GROUPS; g++)
		for (int i = 0; i < SUB_MAX; i++)
			t->w[g][i] = splat(1);
}

/* The codes of a group of sub-blocks, whole numbers, to their places in the row. */
INLINE void put_codes(struct tile *t, int g, const vf *code, int n)
{
	for (int k = 0; k < n / 16; k++) {
		vu words[4];

		UNROLL
		for (int j = 0; j < 4; j++) {
			const vf *c = code + 16 * k + 4 * j;

			words[j] = pack4(c[0], c[1], c[2], c[3]);
		}
		put_quad(words, t->code + g * LANES * n + 16 * k, n);
	}
}

/* Halves are folded onto each other: few steps that wait for one another, and one order everywhere.
 * count: 8 or 16. */
INLINE float largest(const struct subs *s, int first, int count)
{
	float v[SUBS];

	memcpy(v, s->v + first, (size_t)count * sizeof(*v));
	for (int half = count / 2; half; half /= 2) {
		UNROLL
		for (int i = 0; i < half; i++)
			v[i] = v[i] > v[half + i] ? v[i] : v[half + i];
	}
	return v[0];
}

INLINE float sum_of(const struct subs *s, int first, int count)
{
	float v[SUBS];

	memcpy(v, s->v + first, (size_t)count * sizeof(*v));
	for (int half = count / 2; half; half /= 2) {
		UNROLL
		for (int i = 0; i < half; i++)
			v[i] += v[half + i];
	}
	return v[0];
}

/* That of largest magnitude, with its sign; of both signs: plus. */
INLINE float peak_of(const struct subs *s, int first, int count)
{
	struct subs negative;
	float most = largest(s, first, count), least;

	UNROLL
	for (int i = 0; i < SUBS; i++)
		negative.v[i] = -s->v[i];
	least = largest(&negative, first, count);
	return least > most ? -least : most;
}

INLINE float half_round(float d)
{
	return half_to_float(float_to_half(d));
}

INLINE void put_half(unsigned char *p, float v)
{
	uint16_t h = float_to_half(v);

	memcpy(p, &h, 2);
}

/* By how much a block of least squared error is too short. Such a block explains as much of the
 * weights as it has: sum wxy = sum wyy < sum wxx, so at two and three bits a whole matrix loses
 * some percent of its length, and layer after layer answers too faintly. Stretched by this, the
 * block has sum wxy = sum wxx: its mean effect on the output is right, for a little more error. */
INLINE float stretch_of(const struct subs *xx, const struct subs *xy, int first, int count,
			float most)
{
	float r = sum_of(xx, first, count) / sum_of(xy, first, count);

	if (!(r > 1 / most)) /* or a NaN */
		return 1;
	return r < most ? r : most;
}

#define STRETCH_MOST 1.25f /* of K-quants */

/* Eight codes. */
INLINE uint64_t eight(const uint8_t *q)
{
	uint64_t v;

	memcpy(&v, q, 8);
	return v;
}

INLINE void put_eight(unsigned char *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

#define BYTES(b) (0x0101010101010101u * (b))

/* Encodes the first `supers` (1 or 2) of a tile. */
typedef void tile_fn(struct tile *t, enum importance given, unsigned char *out, int supers,
		     int opt);

/* n: weights of a sub-block. */
INLINE void each_tile(const float *x, const float *w, unsigned char *out, size_t count, int n,
		      size_t bytes, int opt, tile_fn *encode)
{
	const size_t all = (size_t)n * SUBS;
	struct tile t;

	equal_weights(&t);
	while (count) {
		float rest[2][SUBS * SUB_MAX];
		size_t now = count < all ? count : all;
		const float *from = x, *from_w = w;

		if (now < all) { /* one super-block of two */
			memset(rest, 0, sizeof(rest));
			from = memcpy(rest[0], x, now * sizeof(*x));
			from_w = w ? memcpy(rest[1], w, now * sizeof(*w)) : NULL;
		}
		load_tile(&t, from, from_w, n);
		if (w || opt)
			encode(&t, w ? IMPORTANCE_GIVEN : IMPORTANCE_EQUAL, out, (int)(now / SUPER),
			       opt);
		else
			encode(&t, IMPORTANCE_NONE, out, (int)(now / SUPER), 0);
		x += now;
		w = w ? w + now : NULL;
		out += now / SUPER * bytes;
		count -= now;
	}
}

#endif
