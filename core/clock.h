/* core/clock.h -- time, replaceable in tests: QUERN_TEST_CLOCK_MS in the
 * environment (debug builds only) shifts the wall clock by so many ms. */
#ifndef QUERN_CORE_CLOCK_H
#define QUERN_CORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void); /* since the epoch; may jump, also backwards */
int64_t clock_mono_ms(void); /* never goes back; for durations and limits */
/* "2026-09-30T21:04:05Z"; out is 21 bytes at least. */
void clock_format_utc(int64_t wall_ms, char *out, size_t size);

#endif
