/* The sums of quality, by every instruction set, against the plain sums: the same to the last bit.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "workers/gguf/codec.h"
#include "workers/gguf/quality.h"
#include "workers/gguf/type.h"

#define MOST (4096 + 64)

typedef void groups_fn(struct quality *q, const float *x, const float *y, size_t n);

static const struct {
	enum isa isa;
	groups_fn *groups;
} variants[] = {
	{ ISA_PORTABLE, quality_groups_portable },
#if defined(__x86_64__)
	{ ISA_AVX2, quality_groups_avx2 },
	{ ISA_AVX512, quality_groups_avx512 },
#elif defined(__aarch64__)
	{ ISA_NEON, quality_groups_neon },
#endif
};

static float x[MOST], y[MOST];

/* Rounded to steps of 1/8 between -1 and 1; one in fifty is far outside, a part is zeros. */
static void setup_weights(void)
{
	uint32_t seed = 12345;

	for (int i = 0; i < MOST; i++) {
		seed = seed * 1664525u + 1013904223u;
		x[i] = (float)(seed >> 8) / 0x1p23f - 1;
		if (seed % 50 == 0)
			x[i] *= 9;
		if (i / 512 == 3)
			x[i] = 0;
		y[i] = fminf(fmaxf(roundf(x[i] * 8) / 8, -1), 1);
	}
}

static void plain_group(struct quality *q, const float *gx, const float *gy, size_t n)
{
	float error = 0, signal = 0, worst = 0, most = gy[0], least = gy[0], limit;

	for (size_t i = 0; i < n; i++) {
		float d = fabsf(gx[i] - gy[i]);

		error += d * d;
		signal += gx[i] * gx[i];
		worst = fmaxf(worst, d);
		most = fmaxf(most, gy[i]);
		least = fminf(least, gy[i]);
	}
	limit = 2 * sqrtf(error / (float)n);
	for (size_t i = 0; i < n; i++)
		q->saturated += (gx[i] > most || gx[i] < least) && fabsf(gx[i] - gy[i]) > limit;
	q->error += (double)error;
	q->signal += (double)signal;
	q->worst = fmax(q->worst, (double)worst);
	q->n += n;
}

static struct quality plain(size_t n)
{
	struct quality q = { 0 };

	for (size_t i = 0; i < n; i += 32)
		plain_group(&q, x + i, y + i, n - i < 32 ? n - i : 32);
	return q;
}

static void same(const struct quality *a, const struct quality *b)
{
	assert_memory_equal(&a->error, &b->error, sizeof(a->error));
	assert_memory_equal(&a->signal, &b->signal, sizeof(a->signal));
	assert_memory_equal(&a->worst, &b->worst, sizeof(a->worst));
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->saturated, b->saturated);
}

static void each_instruction_set(void **state)
{
	static const size_t sizes[] = { 0, 32, 96, 480, 512, 544, 4096, MOST };

	(void)state;
	for (size_t v = 0; v < sizeof(variants) / sizeof(*variants); v++) {
		if (!isa_usable(variants[v].isa))
			continue;
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			struct quality want = plain(sizes[i]), got = { 0 };

			variants[v].groups(&got, x, y, sizes[i]);
			same(&got, &want);
			assert_true(sizes[i] < 4096 || got.saturated > 10);
		}
	}
}

static void the_rest_of_a_row(void **state)
{
	(void)state;
	for (size_t n = 1; n < 600; n += 7) {
		struct quality want = plain(n), got = { 0 };

		quality_add(&got, x, y, n);
		same(&got, &want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_instruction_set),
		cmocka_unit_test(the_rest_of_a_row),
	};

	setup_weights();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
