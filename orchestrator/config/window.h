/* orchestrator/config/window.h -- times of day: "22:00-07:00", and when the clock on the wall
 * shows them next. Local time (TZ), over midnight, across the days on which the
 * clock is changed: a time that such a day leaves out is taken as the C library
 * takes it, one that comes twice is one of the two. Pure, but for TZ. */
#ifndef QUERN_ORCHESTRATOR_WINDOW_H
#define QUERN_ORCHESTRATOR_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct window {
	bool set;
	int start_min, end_min; /* of the day, 0 to 1439; the end belongs to it no more */
};

/* "7:00", "07:00", "23:59" in minutes of the day; -1: no time. */
int window_parse_time(const char *text);
/* 1, or 0: not "HH:MM-HH:MM" with two different times. */
int window_parse(const char *text, struct window *out);

/* Is now_ms inside? *turn_ms: when it ends, or when it begins next. */
bool window_is_open(const struct window *w, int64_t now_ms, int64_t *turn_ms);
/* When the clock shows this minute of the day next, after now_ms. */
int64_t window_next(int minute, int64_t now_ms);

#endif
