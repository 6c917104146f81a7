/* test_learn: estimates from measurements: never below what was seen, never lower for a larger
 * model, and an attempt that ran out of memory is a bound from below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/plan/learn.h"

#define MIB (1ll << 20)

static const struct estimate formula = { .memory_bytes = 100 * MIB,
					 .output_bytes = 50 * MIB,
					 .scratch_bytes = 10 * MIB };

static void test_without_measurements_the_formula(void **state)
{
	const struct measured_row m = { 0 };
	struct learned l;

	(void)state;
	learn(&m, &formula, 1000, &l);
	assert_int_equal(l.basis, LEARN_FORMULA);
	assert_memory_equal(&l.need, &formula, sizeof(formula));
	assert_int_equal(l.ms, 0); /* not guessed */
	assert_false(l.ran_out);
	assert_string_equal(learn_basis_name(l.basis), "formula");
}

static struct measured_row same(int64_t samples, int64_t min, int64_t max)
{
	return (struct measured_row){ .samples = samples,
				      .all_samples = samples,
				      .memory_min_bytes = min,
				      .memory_max_bytes = max,
				      .smaller_max_bytes = max,
				      .largest_weights = 1000,
				      .ratio_min = (double)min / (double)formula.memory_bytes,
				      .ratio_max = (double)max / (double)formula.memory_bytes,
				      .scratch_max_bytes = 3 * MIB,
				      .output_max_bytes = 40 * MIB,
				      .ms_sum = 6000 * samples,
				      .ms_min = 5000,
				      .ms_max = 8000 };
}

static void test_the_same_size_decides(void **state)
{
	struct measured_row m = same(1, 30 * MIB, 40 * MIB);
	struct learned l;

	(void)state;
	learn(&m, &formula, 1000, &l);
	assert_int_equal(l.basis, LEARN_SAME);
	assert_int_equal(l.samples, 1);
	assert_int_equal(l.need.memory_bytes, 50 * MIB); /* a quarter more than the largest */
	assert_int_equal(l.memory_min_bytes, 30 * MIB);
	assert_int_equal(l.memory_max_bytes, 40 * MIB);
	assert_in_range(l.need.output_bytes, 40 * MIB, 41 * MIB);
	assert_in_range(l.need.scratch_bytes, 3 * MIB, 4 * MIB);
	assert_int_equal(l.ms, 6000);
	assert_int_equal(l.ms_min, 5000);
	assert_int_equal(l.ms_max, 8000);
	m = same(3, 30 * MIB, 40 * MIB);
	learn(&m, &formula, 1000, &l);
	assert_int_equal(l.need.memory_bytes, 44 * MIB); /* more samples, less doubt */
}

static void test_other_sizes_scale_the_formula(void **state)
{
	struct measured_row m = { .all_samples = 3,
				  .ratio_min = 0.25,
				  .ratio_max = 0.5,
				  .largest_weights = 1000,
				  .ms_per_weight = 2,
				  .ms_per_weight_min = 1,
				  .ms_per_weight_max = 4 };
	struct learned l;

	(void)state;
	learn(&m, &formula, 1200, &l);
	assert_int_equal(l.basis, LEARN_SIZES);
	assert_int_equal(l.need.memory_bytes, 55 * MIB);
	assert_int_equal(l.memory_min_bytes, 25 * MIB);
	assert_int_equal(l.memory_max_bytes, 50 * MIB);
	assert_int_equal(l.need.output_bytes, formula.output_bytes);
	assert_int_equal(l.ms, 2400);
	assert_int_equal(l.ms_max, 4800);
	learn(&m, &formula, 1600, &l); /* far beyond what was measured: not below the formula */
	assert_int_equal(l.need.memory_bytes, formula.memory_bytes);
	m.ratio_max = 2;
	learn(&m, &formula, 1600, &l); /* but above it */
	assert_int_equal(l.need.memory_bytes, 220 * MIB);
}

static void test_never_below_the_largest_seen(void **state)
{
	struct learned l;

	(void)state;
	for (int64_t samples = 1; samples < 6; samples++) {
		for (int64_t max = MIB; max < 400 * MIB; max = max * 3 / 2) {
			for (int64_t smaller = max; smaller < 800 * MIB; smaller *= 4) {
				struct measured_row m = same(samples, max / 2, max);

				m.smaller_max_bytes = smaller;
				learn(&m, &formula, 1000, &l);
				assert_true(l.need.memory_bytes >= (uint64_t)smaller);
				assert_true(l.need.memory_bytes >= (uint64_t)max);
				m.samples = 0;
				learn(&m, &formula, 1000, &l);
				assert_true(l.need.memory_bytes >= (uint64_t)smaller);
			}
		}
	}
}

/* More measured never makes the estimate lower, with as many samples. */
static void test_monotone(void **state)
{
	uint64_t before = 0;
	struct learned l;

	(void)state;
	for (int64_t max = MIB; max < 900 * MIB; max += 7 * MIB) {
		struct measured_row m = same(4, MIB, max);

		learn(&m, &formula, 1000, &l);
		assert_true(l.need.memory_bytes >= before);
		before = l.need.memory_bytes;
	}
}

static void test_an_attempt_that_ran_out_is_a_bound_from_below(void **state)
{
	struct measured_row m = { .more_than_bytes = 400 * MIB };
	struct learned l;

	(void)state;
	learn(&m, &formula, 1000, &l);
	assert_int_equal(l.basis, LEARN_FORMULA);
	assert_int_equal(l.need.memory_bytes, 600 * MIB);
	assert_true(l.ran_out);
	m = same(2, 30 * MIB, 40 * MIB);
	m.more_than_bytes = 60 * MIB;
	learn(&m, &formula, 1000, &l);
	assert_int_equal(l.need.memory_bytes, 90 * MIB);
	assert_int_equal(l.memory_max_bytes, 40 * MIB); /* the range is of what was measured */
	m.more_than_bytes = 20 * MIB;
	learn(&m, &formula, 1000, &l);
	assert_int_equal(l.need.memory_bytes, 50 * MIB);
	assert_false(l.ran_out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_measurements_the_formula),
		cmocka_unit_test(test_the_same_size_decides),
		cmocka_unit_test(test_other_sizes_scale_the_formula),
		cmocka_unit_test(test_never_below_the_largest_seen),
		cmocka_unit_test(test_monotone),
		cmocka_unit_test(test_an_attempt_that_ran_out_is_a_bound_from_below),
	};

	return cmocka_run_group_tests_name("learn", tests, NULL, NULL);
}
