/* workers/gguf/quality.h -- how far a tensor in the file is from the checkpoint's.
 * Sums are taken piece by piece and added in the order of pieces, so that the
 * numbers are the same for any number of threads. */
#ifndef QUERN_WORKERS_GGUF_QUALITY_H
#define QUERN_WORKERS_GGUF_QUALITY_H

#include <stddef.h>
#include <stdint.h>

#define QUALITY_GROUP 32

struct quality {
	double error, signal; /* sums of squares: of the difference, of the weights */
	double worst;	      /* largest difference */
	uint64_t n;	      /* weights looked at */
	/* Weights outside of what their 32 neighbours reach in the file and off by more than twice
	 * the root mean square of these: rounding alone is not so far off, they were cut. */
	uint64_t saturated;
};

/* x: as they were; y: as they are read back. n: a multiple of 32, or the rest of a row. */
void quality_add(struct quality *q, const float *x, const float *y, size_t n);
void quality_join(struct quality *q, const struct quality *other);

double quality_rmse(const struct quality *q);
/* Root mean square error over that of the weights; 0 for a tensor of zeros. */
double quality_relative(const struct quality *q);
/* Signal to noise, dB; 0 where there is no noise. */
double quality_snr(const struct quality *q);
double quality_saturated(const struct quality *q); /* share */

#endif
