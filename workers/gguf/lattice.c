#include "workers/gguf/lattice.h"

#include <pthread.h>

static struct lattice lattices[LATTICE_COUNT];

static int half_number(const struct codebook *b, int levels, unsigned point, int half)
{
	int number = 0;

	for (int k = b->dims / 2 - 1; k >= 0; k--)
		number = number * levels +
			 (int)(point >> b->bits * (half * b->dims / 2 + k) & ((1u << b->bits) - 1));
	return number;
}

static void arrange(const struct codebook *b, struct lattice *l)
{
	uint8_t there[LATTICE_HALVES][LATTICE_HALVES] = { { 0 } };
	int n = 0;

	l->dims = b->dims;
	l->levels = b->bits == 2 ? 3 : 8;
	for (int i = 0; i < b->n; i++) {
		int first = half_number(b, l->levels, b->points[i], 0);
		int second = half_number(b, l->levels, b->points[i], 1);

		there[first][second] = 1;
		l->point[first][second] = (uint16_t)i;
	}
	for (int first = 0; first < LATTICE_HALVES; first++) {
		int before = n;

		for (int second = 0; second < LATTICE_HALVES; second++) {
			if (there[first][second])
				l->second[n++] = (uint8_t)second;
		}
		if (n == before)
			continue;
		l->first[l->n_firsts] = (uint8_t)first;
		l->begin[l->n_firsts++] = (uint16_t)before;
		l->begin[l->n_firsts] = (uint16_t)n;
	}
}

static void arrange_all(void)
{
	for (int id = 0; id < LATTICE_COUNT; id++)
		arrange(&codebooks[id], &lattices[id]);
}

const struct lattice *lattice_get(enum lattice_id id)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, arrange_all);
	return &lattices[id];
}
