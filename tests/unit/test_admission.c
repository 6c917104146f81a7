/* Slots, memory, disk, and that a large job is not overtaken for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/run/admission.h"

#define GIB (1ull << 30)

static struct admission machine(void)
{
	return (struct admission){ .slots = 4,
				   .memory_bytes = 8 * GIB,
				   .disk_reserve_bytes = GIB,
				   .machine_free = UINT64_MAX,
				   .pressure = -1 };
}

static void slots_are_a_limit(void **state)
{
	struct admission a = machine();

	(void)state;
	for (int i = 1; i <= 4; i++) {
		assert_int_equal(admit_check(&a, i, GIB, 0, 100 * GIB), ADMIT_YES);
		admit_started(&a, i, GIB, 0);
	}
	assert_int_equal(admit_check(&a, 5, GIB, 0, 100 * GIB), ADMIT_NO_SLOT);
	admit_worker_ended(&a, GIB);
	assert_int_equal(admit_check(&a, 5, GIB, 0, 100 * GIB), ADMIT_YES);
}

static void memory_is_a_sum(void **state)
{
	struct admission a = machine();

	(void)state;
	admit_started(&a, 1, 6 * GIB, 0);
	assert_int_equal(admit_check(&a, 2, 2 * GIB, 0, 100 * GIB), ADMIT_YES);
	assert_int_equal(admit_check(&a, 2, 2 * GIB + 1, 0, 100 * GIB), ADMIT_NO_MEMORY);
	assert_int_equal(admit_check(&a, 2, UINT64_MAX, 0, 100 * GIB), ADMIT_NO_MEMORY);
}

static void disk_keeps_its_reserve(void **state)
{
	struct admission a = machine();

	(void)state;
	assert_int_equal(admit_check(&a, 1, 0, GIB, 2 * GIB), ADMIT_YES);
	assert_int_equal(admit_check(&a, 1, 0, GIB + 1, 2 * GIB), ADMIT_NO_DISK);
	assert_int_equal(admit_check(&a, 1, 0, 0, GIB / 2), ADMIT_NO_DISK);
	admit_started(&a, 1, 0, GIB);
	assert_int_equal(admit_check(&a, 2, 0, 1, 2 * GIB), ADMIT_NO_DISK);
}

/* Small jobs go before a large one that waits, but only so many of them. */
static void a_large_job_does_not_starve(void **state)
{
	struct admission a = machine();
	int64_t small = 100;
	int overtook = 0;

	(void)state;
	admit_started(&a, 1, GIB, 0); /* something small always runs */
	for (;;) {
		if (admit_check(&a, 50, 8 * GIB, 0, 100 * GIB) == ADMIT_NO_MEMORY)
			admit_blocked(&a, 50);
		if (admit_check(&a, small, GIB, 0, 100 * GIB) != ADMIT_YES)
			break;
		admit_started(&a, small++, GIB, 0);
		admit_worker_ended(&a, GIB);
		overtook++;
		assert_true(overtook <= 1000);
	}
	assert_int_equal(overtook, ADMIT_PATIENCE);
	assert_int_equal(admit_check(&a, small, GIB, 0, 100 * GIB), ADMIT_AFTER_HEAD);
	admit_worker_ended(&a, GIB);
	assert_int_equal(admit_check(&a, 50, 8 * GIB, 0, 100 * GIB), ADMIT_YES);
	admit_started(&a, 50, 8 * GIB, 0);
	admit_worker_ended(&a, 8 * GIB);
	assert_int_equal(admit_check(&a, small, GIB, 0, 100 * GIB), ADMIT_YES);
}

/* What other programs use is not there, whatever the budget says. */
static void test_the_real_machine(void **state)
{
	struct admission a = machine();

	(void)state;
	admit_machine(&a, 3 * GIB, 0, 0);
	assert_int_equal(admit_check(&a, 1, 4 * GIB, 0, 10 * GIB), ADMIT_NO_MACHINE);
	assert_int_equal(admit_check(&a, 1, 2 * GIB, 0, 10 * GIB), ADMIT_YES);
	admit_started(&a, 1, 2 * GIB, 0); /* it has not taken it yet */
	assert_int_equal(admit_check(&a, 2, 2 * GIB, 0, 10 * GIB), ADMIT_NO_MACHINE);
	assert_int_equal(admit_check(&a, 2, GIB, 0, 10 * GIB), ADMIT_YES);
	admit_machine(&a, GIB, 0, 0); /* now it has */
	assert_int_equal(admit_check(&a, 2, GIB, 0, 10 * GIB), ADMIT_YES);
	admit_machine(&a, 100 * GIB, 0, ADMIT_PRESSURE + 1);
	assert_int_equal(admit_check(&a, 2, GIB, 0, 10 * GIB), ADMIT_NO_MACHINE);
	admit_machine(&a, 100 * GIB, 0, ADMIT_PRESSURE);
	assert_int_equal(admit_check(&a, 2, GIB, 0, 10 * GIB), ADMIT_YES);
}

static void test_a_machine_that_stays_short(void **state)
{
	struct admission a = machine();

	(void)state;
	admit_machine(&a, GIB, 0, 900);
	a.impatient = true;
	assert_int_equal(admit_check(&a, 1, 4 * GIB, 0, 10 * GIB), ADMIT_YES);
	admit_started(&a, 1, 4 * GIB, 0);
	assert_int_equal(admit_check(&a, 2, GIB, 0, 10 * GIB),
			 ADMIT_NO_MACHINE); /* one at a time */
}

static void test_a_raised_claim_keeps_others_out(void **state)
{
	struct admission a = machine();

	(void)state;
	admit_started(&a, 1, 2 * GIB, 0);
	assert_int_equal(admit_check(&a, 2, 6 * GIB, 0, 10 * GIB), ADMIT_YES);
	admit_raised(&a, GIB);
	assert_int_equal(admit_check(&a, 2, 6 * GIB, 0, 10 * GIB), ADMIT_NO_MEMORY);
	admit_worker_ended(&a, 3 * GIB);
	assert_int_equal(a.memory_used, 0);
}

static void test_limits(void **state)
{
	(void)state;
	assert_true(admit_limit(GIB, 8 * GIB) == 2 * GIB + GIB / 4);
	assert_true(admit_limit(0, 8 * GIB) == GIB / 4);
	assert_true(admit_limit(4 * GIB, 8 * GIB) == 8 * GIB);
	assert_true(admit_limit(UINT64_MAX, 8 * GIB) == 8 * GIB);
	assert_true(admit_limit(GIB, GIB / 8) == GIB / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_are_a_limit),
		cmocka_unit_test(memory_is_a_sum),
		cmocka_unit_test(disk_keeps_its_reserve),
		cmocka_unit_test(a_large_job_does_not_starve),
		cmocka_unit_test(test_the_real_machine),
		cmocka_unit_test(test_a_machine_that_stays_short),
		cmocka_unit_test(test_a_raised_claim_keeps_others_out),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
