/* test_bill: the night played through on paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/plan/bill.h"

#define GIB (1ull << 30)
#define HOUR 3600000

static struct bill make(const struct bill_job *jobs, size_t n, struct bill_limits l)
{
	struct bill b;

	bill_make(jobs, n, &l, &b);
	return b;
}

static void test_nothing(void **state)
{
	struct bill b = make(NULL, 0, (struct bill_limits){ .slots = 2, .memory_bytes = GIB });

	(void)state;
	assert_int_equal(b.jobs, 0);
	assert_int_equal(b.ms, 0);
	assert_int_equal(b.memory_bytes, 0);
}

static void test_slots_share_the_work(void **state)
{
	struct bill_job jobs[5];
	struct bill_limits l = { .slots = 2, .memory_bytes = 8 * GIB, .keep = 1 };
	struct bill b;

	(void)state;
	for (int i = 0; i < 5; i++)
		jobs[i] = (struct bill_job){ GIB, 3 * GIB, GIB, HOUR };
	b = make(jobs, 5, l);
	assert_int_equal(b.ms, 3 * HOUR);
	assert_int_equal(b.measured, 5);
	assert_int_equal(b.done_in_time, 5);
	assert_int_equal(b.most_at_once, 2);
	assert_int_equal(b.memory_bytes, 2 * GIB);
	assert_int_equal(b.output_bytes, 15 * GIB);
	assert_int_equal(b.disk_bytes,
			 17 * GIB); /* three that stay and two in work; then all five */
	l.keep = 0;
	assert_int_equal(make(jobs, 5, l).disk_bytes, 8 * GIB);
	l.until_ms = 2 * HOUR;
	assert_int_equal(make(jobs, 5, l).done_in_time, 4);
	l.until_ms = HOUR / 2;
	assert_int_equal(make(jobs, 5, l).done_in_time, 0);
}

static void test_memory_decides_who_runs_beside_whom(void **state)
{
	const struct bill_job jobs[] = { { 5 * GIB, 0, 0, 2 * HOUR },
					 { 5 * GIB, 0, 0, 2 * HOUR },
					 { 2 * GIB, 0, 0, HOUR },
					 { 2 * GIB, 0, 0, HOUR } };
	struct bill b = make(jobs, 4, (struct bill_limits){ .slots = 4, .memory_bytes = 8 * GIB });

	(void)state;
	assert_int_equal(b.ms, 4 * HOUR); /* the small ones fit beside the first large one */
	assert_int_equal(b.memory_bytes, 7 * GIB);
	assert_int_equal(b.most_at_once, 2);
}

static void test_a_job_larger_than_the_budget_has_all_of_it(void **state)
{
	const struct bill_job jobs[] = { { GIB, 0, 0, HOUR }, { 9 * GIB, 0, 0, HOUR } };
	struct bill b = make(jobs, 2, (struct bill_limits){ .slots = 2, .memory_bytes = 4 * GIB });

	(void)state;
	assert_int_equal(b.ms, 2 * HOUR);
	assert_int_equal(b.memory_bytes, 4 * GIB);
}

static void test_what_was_not_measured_is_not_guessed(void **state)
{
	const struct bill_job jobs[] = { { GIB, GIB, 0, 0 },
					 { GIB, GIB, 0, HOUR },
					 { GIB, GIB, 0, 0 } };
	struct bill b = make(jobs, 3, (struct bill_limits){ .slots = 1, .memory_bytes = 4 * GIB });

	(void)state;
	assert_int_equal(b.jobs, 3);
	assert_int_equal(b.measured, 1);
	assert_int_equal(b.ms, HOUR);
	assert_int_equal(b.done_in_time, 1);
	assert_int_equal(b.output_bytes, 3 * GIB);
}

/* Six hours of work in windows of two hours and a half, the first of which is half over. */
static void test_nights(void **state)
{
	const struct bill_span nights[] = { { 0, HOUR + HOUR / 4 },
					    { 24 * HOUR, 26 * HOUR + HOUR / 2 },
					    { 48 * HOUR, 50 * HOUR + HOUR / 2 },
					    { 72 * HOUR, 74 * HOUR + HOUR / 2 } };
	struct bill_limits l = { .slots = 1, .memory_bytes = GIB, .open = nights, .n_open = 4 };
	struct bill_job jobs[7];
	struct bill b;

	(void)state;
	for (int i = 0; i < 6; i++)
		jobs[i] = (struct bill_job){ GIB, 0, 0, HOUR };
	b = make(jobs, 6, l);
	assert_int_equal(b.ms, 6 * HOUR);
	assert_int_equal(b.spans, 4);
	assert_int_equal(b.done_ms, 73 * HOUR);
	assert_int_equal(b.too_long, 0);
	assert_int_equal(b.done_in_time, 6);
	l.until_ms = nights[0].end_ms;
	assert_int_equal(make(jobs, 6, l).done_in_time, 1);
	l.until_ms = 27 * HOUR;
	assert_int_equal(make(jobs, 6, l).done_in_time, 3);

	/* What fits in no night keeps nobody from it. */
	jobs[6] = jobs[0];
	jobs[0].ms = 3 * HOUR;
	b = make(jobs, 7, l);
	assert_int_equal(b.too_long, 1);
	assert_int_equal(b.done_ms, 73 * HOUR);
	assert_int_equal(b.done_in_time, 3);
	b = make(jobs, 1, l);
	assert_int_equal(b.too_long, 1);
	assert_int_equal(b.spans, 0);

	/* What fits in a whole night only waits for one. */
	jobs[0].ms = 2 * HOUR;
	b = make(jobs, 1, l);
	assert_int_equal(b.spans, 1);
	assert_int_equal(b.done_ms, 26 * HOUR);
}

/* More slots or more memory never make a night longer with jobs of one kind. */
static void test_more_is_never_slower(void **state)
{
	struct bill_job jobs[40];
	int64_t before;

	(void)state;
	for (int i = 0; i < 40; i++)
		jobs[i] = (struct bill_job){ GIB, GIB, 0, HOUR };
	before = INT64_MAX;
	for (int slots = 1; slots < 20; slots++) {
		struct bill b = make(
			jobs, 40, (struct bill_limits){ .slots = slots, .memory_bytes = 10 * GIB });

		assert_true(b.ms <= before);
		assert_true(b.memory_bytes <= 10 * GIB);
		assert_int_equal(b.done_in_time, 40);
		before = b.ms;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_slots_share_the_work),
		cmocka_unit_test(test_memory_decides_who_runs_beside_whom),
		cmocka_unit_test(test_a_job_larger_than_the_budget_has_all_of_it),
		cmocka_unit_test(test_what_was_not_measured_is_not_guessed),
		cmocka_unit_test(test_nights),
		cmocka_unit_test(test_more_is_never_slower),
	};

	return cmocka_run_group_tests_name("bill", tests, NULL, NULL);
}
