/* workers/gguf/quality_groups.c -- the sums of quality.h over groups of 32, each in a lane of its
 * own, so that they are the same for any number of lanes. Compiled once for each instruction set
 * (codec.h). */
#include "workers/gguf/quality.h"

#include <math.h>

#include "workers/gguf/codec.h"
#include "workers/gguf/lanes.h"

#define GROUP QUALITY_GROUP

struct sums {
	vf error, signal, worst, most, least;
};

INLINE struct sums sums_of(const vf *x, const vf *y)
{
	struct sums s = { splat(0), splat(0), splat(0), y[0], y[0] };

	for (int i = 0; i < GROUP; i++) {
		vf d = magnitude(x[i] - y[i]);

		s.error += d * d;
		s.signal += x[i] * x[i];
		s.worst = vmax(d, s.worst);
		s.most = vmax(y[i], s.most);
		s.least = vmin(y[i], s.least);
	}
	return s;
}

/* How many of each lane's weights were cut. */
INLINE vf count_cut(const vf *x, const vf *y, const struct sums *s, vf limit)
{
	vf cut = splat(0), one = splat(1), none = splat(0);

	for (int i = 0; i < GROUP; i++) {
		vf far = pick(above(magnitude(x[i] - y[i]), limit), one, none);

		cut += pick(above(x[i], s->most), far, pick(above(s->least, x[i]), far, none));
	}
	return cut;
}

INLINE vf limit_of(vf error)
{
	float lane[LANES];

	store(lane, error);
	for (int k = 0; k < LANES; k++)
		lane[k] = 2 * sqrtf(lane[k] / GROUP);
	return load(lane);
}

/* Blocks of zeros behind the last one add nothing. */
INLINE void add_lanes(struct quality *q, const float *px, const float *py)
{
	float error[LANES], signal[LANES], worst[LANES], cut[LANES];
	vf x[GROUP], y[GROUP], limit;
	struct sums s;

	load_blocks(px, GROUP, x);
	load_blocks(py, GROUP, y);
	s = sums_of(x, y);
	limit = limit_of(s.error);
	store(error, s.error);
	store(signal, s.signal);
	store(worst, s.worst);
	store(cut, any(above(s.worst, limit)) ? count_cut(x, y, &s, limit) : splat(0));
	for (int k = 0; k < LANES; k++) {
		q->error += (double)error[k];
		q->signal += (double)signal[k];
		q->worst = (double)worst[k] > q->worst ? (double)worst[k] : q->worst;
		q->saturated += (uint64_t)cut[k];
	}
}

void ISA(quality_groups)(struct quality *q, const float *x, const float *y, size_t n)
{
	const size_t all = (size_t)GROUP * LANES;
	float rest_x[GROUP * LANES] = { 0 }, rest_y[GROUP * LANES] = { 0 };

	for (q->n += n; n >= all; n -= all) {
		add_lanes(q, x, y);
		x += all;
		y += all;
	}
	if (!n)
		return;
	memcpy(rest_x, x, n * sizeof(*x));
	memcpy(rest_y, y, n * sizeof(*y));
	add_lanes(q, rest_x, rest_y);
}
