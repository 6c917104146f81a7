/* test_store_sample: what was measured comes back by class, and a run's time line stays bounded. */
#include "store_helper.h"

#define DB "sample.db"
#define MIB (1 << 20)

static int setup(void **state)
{
	*state = new_store(DB);
	return 0;
}

static int teardown(void **state)
{
	store_close(*state);
	return 0;
}

static struct measured_class class_of(const char *quant, int64_t weights)
{
	return (struct measured_class){ .engine = "gguf",
					.engine_version = "1.0",
					.platform = "",
					.quant = quant,
					.params = "{}",
					.threads = 2,
					.architecture = "LlamaForCausalLM",
					.weights = weights };
}

static void add(struct store *s, const char *quant, int64_t weights, int64_t memory, int64_t ms)
{
	struct measured_class c = class_of(quant, weights);
	struct measured_new m = { .memory_bytes = memory,
				  .formula_bytes = 100 * MIB,
				  .scratch_bytes = 7,
				  .output_bytes = weights,
				  .ms = ms,
				  .now_ms = NOW };
	struct err e = ERR_INIT;

	OK(store_measured_add(s, &c, &m, &e));
}

static void more(struct store *s, const char *quant, int64_t weights, int64_t memory)
{
	struct measured_class c = class_of(quant, weights);
	struct measured_new m = { .memory_bytes = memory, .formula_bytes = 1, .now_ms = NOW };
	struct err e = ERR_INIT;

	OK(store_measured_more(s, &c, &m, &e));
}

static int known(struct store *s, const char *quant, int64_t weights, struct measured_row *r)
{
	struct measured_class c = class_of(quant, weights);
	struct err e = ERR_INIT;
	int rc = store_measured(s, &c, r, &e);

	OK(rc);
	return rc;
}

static void test_nothing_is_known_at_first(void **state)
{
	struct measured_row r;

	assert_int_equal(known(*state, "Q8_0", 1000, &r), 0);
	assert_int_equal(r.samples, 0);
	assert_int_equal(r.more_than_bytes, 0);
}

static void test_same_and_other_sizes(void **state)
{
	struct store *s = *state;
	struct measured_row r;

	add(s, "Q8_0", 1000, 50 * MIB, 2000);
	add(s, "Q8_0", 1000, 70 * MIB, 1000);
	add(s, "Q8_0", 4000, 150 * MIB, 8000);
	add(s, "Q4_K", 1000, 999 * MIB, 1);
	assert_int_equal(known(s, "Q8_0", 1000, &r), 1);
	assert_int_equal(r.samples, 2);
	assert_int_equal(r.memory_min_bytes, 50 * MIB);
	assert_int_equal(r.memory_max_bytes, 70 * MIB);
	assert_int_equal(r.ms_sum, 3000);
	assert_int_equal(r.ms_min, 1000);
	assert_int_equal(r.ms_max, 2000);
	assert_int_equal(r.scratch_max_bytes, 7);
	assert_int_equal(r.output_max_bytes, 1000);
	assert_int_equal(r.all_samples, 3);
	assert_int_equal(r.smaller_max_bytes, 70 * MIB);
	assert_int_equal(r.largest_weights, 4000);
	assert_int_equal(known(s, "Q8_0", 5000, &r), 1);
	assert_int_equal(r.samples, 0);
	assert_int_equal(r.smaller_max_bytes, 150 * MIB);
	assert_true(r.ratio_min > 0.49 && r.ratio_min < 0.51);
	assert_true(r.ratio_max > 1.49 && r.ratio_max < 1.51);
	assert_true(r.ms_per_weight > 1.8 && r.ms_per_weight < 1.9); /* 11000 ms of 6000 weights */
}

static void test_a_bound_from_below_fades(void **state)
{
	struct store *s = *state;
	struct measured_row r;

	more(s, "F16", 1000, 80 * MIB);
	assert_int_equal(known(s, "F16", 1000, &r), 1);
	assert_int_equal(r.samples, 0);
	assert_int_equal(r.more_than_bytes, 80 * MIB);
	assert_int_equal(known(s, "F16", 2000, &r), 1); /* what is larger needs no less */
	assert_int_equal(r.more_than_bytes, 80 * MIB);
	assert_int_equal(known(s, "F16", 500, &r), 0);
	more(s, "F16", 1000, 60 * MIB);
	(void)known(s, "F16", 1000, &r);
	assert_int_equal(r.more_than_bytes, 80 * MIB);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(r.more_than_bytes, 80 * MIB);
		add(s, "F16", 1000, 40 * MIB, 10);
		(void)known(s, "F16", 1000, &r);
	}
	assert_int_equal(r.more_than_bytes, 0); /* three that went well outweigh it */
	assert_int_equal(r.memory_min_bytes, 40 * MIB);
	more(s, "F16", 1000, 30 * MIB);
	(void)known(s, "F16", 1000, &r);
	assert_int_equal(r.more_than_bytes, 30 * MIB); /* not the old one, which had faded */
}

static void test_time_line_is_thinned(void **state)
{
	struct store *s = *state;
	struct sample_row rows[16], r = { .cache_free_bytes = -1, .pressure = 12 };
	struct err e = ERR_INIT;
	int64_t run;

	OK(store_run_begin(s, "night", "/jobs.yaml", NOW, &run, &e));
	for (int i = 0; i < 10; i++) {
		r.at_ms = NOW + i;
		r.memory_bytes = i;
		r.cache_free_bytes = i == 4 ? 44 : -1;
		OK(store_sample_add(s, run, i, &r, &e));
	}
	assert_int_equal(store_samples(s, run, rows, 16, &e), 10);
	OK(store_samples_thin(s, run, 2, &e));
	assert_int_equal(store_samples(s, run, rows, 16, &e), 5);
	assert_int_equal(rows[2].memory_bytes, 4);
	assert_int_equal(rows[2].cache_free_bytes, 44);
	assert_int_equal(rows[1].cache_free_bytes, -1);
	assert_int_equal(rows[1].pressure, 12);
	OK(store_samples_thin(s, run, 4, &e));
	assert_int_equal(store_samples(s, run, rows, 16, &e), 3); /* 0, 4, 8 */
	assert_int_equal(rows[2].at_ms, NOW + 8);
	assert_int_equal(store_samples(s, run + 1, rows, 16, &e), 0);
}

static void test_a_run_says_why_it_waits(void **state)
{
	struct store *s = *state;
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct run_row row;
	int64_t run;

	OK(store_run_begin(s, "night", "/jobs.yaml", NOW, &run, &e));
	OK(store_run_get(s, run, a, &row, &e));
	assert_string_equal(row.waiting, "");
	OK(store_run_waiting(s, run, "for memory", &e));
	OK(store_run_get(s, run, a, &row, &e));
	assert_string_equal(row.waiting, "for memory");
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_is_known_at_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_and_other_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_bound_from_below_fades, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_line_is_thinned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_run_says_why_it_waits, setup, teardown),
	};

	return cmocka_run_group_tests_name("store_sample", tests, NULL, NULL);
}
