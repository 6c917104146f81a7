/* workers/fake/weights.h -- weights as a pure function of seed, tensor name and
 * element number, so that order, threads and shards change nothing. */
#ifndef QUERN_WORKERS_FAKE_WEIGHTS_H
#define QUERN_WORKERS_FAKE_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "workers/fake/shape.h"

/* Stands for seed and name below. */
uint64_t weights_key(uint64_t seed, const char *tensor);

/* Elements first .. first+n of a tensor, little-endian in dtype: bell-shaped around 0 with a
 * standard deviation of 0.02 (what such models are initialised with), no value beyond 0.07. */
void weights_random(uint64_t key, enum fake_dtype dtype, uint64_t first, size_t n, void *out);
void weights_ones(enum fake_dtype dtype, size_t n, void *out);

/* Nearest binary16, ties to even, of a finite |x| below 65504. */
uint16_t weights_f16(float x);

#endif
