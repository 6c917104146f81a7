#include "workers/gguf/quality.h"

#include <math.h>

#include "workers/gguf/type.h"

struct extent {
	float most, least;
};

static struct extent extent_of(const float *y, size_t n)
{
	struct extent r = { y[0], y[0] };

	for (size_t i = 1; i < n; i++) {
		r.most = y[i] > r.most ? y[i] : r.most;
		r.least = y[i] < r.least ? y[i] : r.least;
	}
	return r;
}

/* The end of a row, less than a group. */
static void add_rest(struct quality *q, const float *x, const float *y, size_t n)
{
	struct extent r = extent_of(y, n);
	float error = 0, signal = 0, worst = 0, limit;
	unsigned cut = 0;

	for (size_t i = 0; i < n; i++) {
		float d = fabsf(x[i] - y[i]);

		error += d * d;
		signal += x[i] * x[i];
		worst = d > worst ? d : worst;
	}
	limit = 2 * sqrtf(error / (float)n);
	for (size_t i = 0; worst > limit && i < n; i++)
		cut += (x[i] > r.most || x[i] < r.least) && fabsf(x[i] - y[i]) > limit;
	q->error += (double)error;
	q->signal += (double)signal;
	q->worst = (double)worst > q->worst ? (double)worst : q->worst;
	q->saturated += cut;
	q->n += n;
}

void quality_add(struct quality *q, const float *x, const float *y, size_t n)
{
	size_t rest = n % QUALITY_GROUP, whole = n - rest;

	quality_groups(q, x, y, whole);
	if (rest)
		add_rest(q, x + whole, y + whole, rest);
}

void quality_join(struct quality *q, const struct quality *other)
{
	q->error += other->error;
	q->signal += other->signal;
	q->worst = other->worst > q->worst ? other->worst : q->worst;
	q->n += other->n;
	q->saturated += other->saturated;
}

double quality_rmse(const struct quality *q)
{
	return q->n ? sqrt(q->error / (double)q->n) : 0;
}

double quality_relative(const struct quality *q)
{
	return q->signal > 0 ? sqrt(q->error / q->signal) : 0;
}

double quality_snr(const struct quality *q)
{
	return q->error > 0 && q->signal > 0 ? 10 * log10(q->signal / q->error) : 0;
}

double quality_saturated(const struct quality *q)
{
	return q->n ? (double)q->saturated / (double)q->n : 0;
}
