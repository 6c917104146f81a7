/* test_window: times of day, over midnight and across changes of the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/mem.h"
#include "orchestrator/config/window.h"

static void use_zone(const char *tz)
{
	assert_int_equal(setenv("TZ", tz, 1), 0);
	tzset();
}

/* "2026-03-29 00:30" in UTC */
static int64_t utc(const char *text)
{
	struct tm tm = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return (int64_t)timegm(&tm) * 1000;
}

static void assert_turn(const char *window, const char *now, int open, const char *turn)
{
	struct window w;
	int64_t turn_ms = 0;

	assert_true(window_parse(window, &w));
	if (window_is_open(&w, utc(now), &turn_ms) != open || turn_ms != utc(turn))
		fail_msg("%s at %s UTC: open %d until %lld, not %s", window, now, !open,
			 (long long)turn_ms / 1000, turn);
}

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"",	      "22:00",	    "22:00-",	    "22:00-22:00",
		"24:00-7:00", "22:60-7:00", "22:00 - 7:00", "22:00-7:00x",
		"-7:00",      "22-7",	    "22:0-7:00",    "222:00-7:00"
	};
	struct window w = { .start_min = 5 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(window_parse(bad[i], &w));
	assert_int_equal(w.start_min, 5);
	assert_true(window_parse("22:00-7:05", &w));
	assert_int_equal(w.start_min, 22 * 60);
	assert_int_equal(w.end_min, 7 * 60 + 5);
	assert_int_equal(window_parse_time("07:00"), 420);
	assert_int_equal(window_parse_time("0:00"), 0);
	assert_int_equal(window_parse_time("7"), -1);
	assert_int_equal(window_parse_time("07:00 "), -1);
}

static void test_plain_days(void **state)
{
	(void)state;
	use_zone("UTC");
	assert_turn("22:00-07:00", "2026-01-10 21:59", 0, "2026-01-10 22:00");
	assert_turn("22:00-07:00", "2026-01-10 22:00", 1, "2026-01-11 07:00");
	assert_turn("22:00-07:00", "2026-01-11 06:59", 1, "2026-01-11 07:00");
	assert_turn("22:00-07:00", "2026-01-11 07:00", 0, "2026-01-11 22:00");
	assert_turn("09:00-17:00", "2026-01-11 08:00", 0, "2026-01-11 09:00");
	assert_turn("09:00-17:00", "2026-01-11 12:00", 1, "2026-01-11 17:00");
	assert_turn("09:00-17:00", "2026-01-11 17:00", 0, "2026-01-12 09:00");
	assert_turn("00:00-23:59", "2026-12-31 23:59", 0, "2027-01-01 00:00");
}

/* Germany: on 29 March 2026 02:00 becomes 03:00, on 25 October 03:00 becomes 02:00. */
static void test_changes_of_the_clock(void **state)
{
	(void)state;
	use_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	assert_turn("22:00-07:00", "2026-03-28 21:00", 1, "2026-03-29 05:00"); /* 8 hours */
	assert_turn("22:00-07:00", "2026-03-29 05:00", 0, "2026-03-29 20:00");
	assert_turn("22:00-07:00", "2026-10-24 20:00", 1, "2026-10-25 06:00"); /* 10 hours */
	assert_turn("22:00-07:00", "2026-10-25 01:30", 1, "2026-10-25 06:00");
	/* A time that does not come, and one that comes twice: still an end, still later. */
	for (int i = 0; i < 2; i++) {
		const char *day = i ? "2026-10-25 00:30" : "2026-03-29 00:30";
		int64_t next = window_next(150, utc(day)); /* 02:30 */

		assert_true(next > utc(day) && next - utc(day) <= 25LL * 3600 * 1000);
	}
}

/* Whatever the zone and the minute: inside or not, and the turn lies ahead, within 25 hours and a
 * bit. */
static void test_every_minute_has_its_turn(void **state)
{
	static const char *const zones[] = { "UTC", "CET-1CEST,M3.5.0,M10.5.0/3",
					     "NST3:30NDT,M3.2.0,M11.1.0",
					     "LHST-10:30LHDT-11,M10.1.0,M4.1.0", "<-12>12" };
	struct window w;

	(void)state;
	for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
		use_zone(zones[z]);
		for (int k = 0; k < 2; k++) {
			int last_open = -1;
			int64_t last_turn = 0;

			assert_true(window_parse(k ? "01:30-02:30" : "22:00-07:00", &w));
			for (int64_t t = utc("2026-01-01 00:00"); t < utc("2027-01-01 00:00");
			     t += 10 * 60000) {
				int64_t turn = 0;
				int open = window_is_open(&w, t, &turn);

				assert_true(turn > t && turn - t <= 26LL * 3600 * 1000);
				/* It changes at the turn that was told, not before and not after.
				 */
				if (last_open >= 0 && open != last_open)
					assert_true(last_turn <= t);
				last_open = open;
				last_turn = turn;
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_plain_days),
		cmocka_unit_test(test_changes_of_the_clock),
		cmocka_unit_test(test_every_minute_has_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
