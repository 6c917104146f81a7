#include "core/clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		assert(!"clock_gettime() knows both clocks on every Linux");
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t test_shift_ms(void)
{
#ifndef NDEBUG
	const char *s = getenv("QUERN_TEST_CLOCK_MS");

	if (s)
		return strtoll(s, NULL, 10);
#endif
	return 0;
}

int64_t clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME) + test_shift_ms();
}

int64_t clock_mono_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

void clock_format_utc(int64_t wall_ms, char *out, size_t size)
{
	/* The years 1000 to 9999, which fill the 20 characters. */
	const int64_t first_s = -30610224000, last_s = 253402300799;
	int64_t s = wall_ms / 1000 - (wall_ms % 1000 < 0);
	time_t t = s < first_s ? first_s : s > last_s ? last_s : s;
	struct tm tm;

	assert(size >= 21);
	if (!gmtime_r(&t, &tm) || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
}
