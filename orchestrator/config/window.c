#include "orchestrator/config/window.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int read_number(const char **p, int digits, int max)
{
	int n = 0, i = 0;

	for (; i < digits && isdigit((unsigned char)**p); i++)
		n = 10 * n + (*(*p)++ - '0');
	return i && n <= max ? n : -1;
}

/* Moves *p behind the time. */
static int read_time(const char **p)
{
	int hour = read_number(p, 2, 23), minute;

	if (hour < 0 || *(*p)++ != ':' || !isdigit((unsigned char)(*p)[0]) ||
	    !isdigit((unsigned char)(*p)[1]))
		return -1;
	minute = read_number(p, 2, 59);
	return minute < 0 ? -1 : 60 * hour + minute;
}

int window_parse_time(const char *text)
{
	int t = read_time(&text);

	return t < 0 || *text ? -1 : t; /* text is behind the end where it is no time */
}

int window_parse(const char *text, struct window *out)
{
	struct window w = { .set = true };

	w.start_min = read_time(&text);
	if (w.start_min < 0 || *text++ != '-')
		return 0;
	w.end_min = read_time(&text);
	if (w.end_min < 0 || *text || w.end_min == w.start_min)
		return 0;
	*out = w;
	return 1;
}

/* The instant at which the clock shows a minute, on the day of now and so many days later. */
static int64_t at(int minute, int64_t now_ms, int days)
{
	time_t s = (time_t)(now_ms / 1000);
	struct tm tm;

	if (!localtime_r(&s, &tm))
		return now_ms;
	tm.tm_mday += days;
	tm.tm_hour = minute / 60;
	tm.tm_min = minute % 60;
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	s = mktime(&tm);
	return s == (time_t)-1 ? now_ms : (int64_t)s * 1000;
}

bool window_is_open(const struct window *w, int64_t now_ms, int64_t *turn_ms)
{
	int over = w->end_min <= w->start_min; /* midnight */

	for (int day = -1; day <= 0; day++) {
		int64_t end = at(w->end_min, now_ms, day + over);

		if (at(w->start_min, now_ms, day) <= now_ms && now_ms < end) {
			*turn_ms = end;
			return true;
		}
	}
	*turn_ms = window_next(w->start_min, now_ms);
	return false;
}

int64_t window_next(int minute, int64_t now_ms)
{
	for (int day = 0; day < 3; day++) {
		int64_t t = at(minute, now_ms, day);

		if (t > now_ms)
			return t;
	}
	return now_ms + 24LL * 3600 * 1000; /* a calendar without it: not seen on any */
}
