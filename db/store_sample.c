/* db/store_sample.c -- what was measured: of attempts, by what drives it, and of
 * the machine while a run goes on. */
#include <string.h>

#include "db/store_private.h"

/* ---- attempts */

static void bind_class(sqlite3_stmt *st, const struct measured_class *c)
{
	bind_text(st, 1, c->engine);
	bind_text(st, 2, c->engine_version);
	bind_text(st, 3, c->platform);
	bind_text(st, 4, c->quant);
	bind_real(st, 5, c->hybrid);
	bind_int(st, 6, c->opt);
	bind_text(st, 7, c->params);
	bind_int(st, 8, c->threads);
	bind_int(st, 9, c->lora ? 1 : 0);
	bind_text(st, 10, c->architecture);
	bind_int(st, 11, c->weights);
}

int store_measured(struct store *s, const struct measured_class *c, struct measured_row *out,
		   struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_MEASURED, e);
	int rc;

	if (!st)
		return e->code;
	bind_class(st, c);
	rc = store_step(s, st, e);
	if (rc <= 0)
		return rc;
	*out = (struct measured_row){
		.samples = sqlite3_column_int64(st, 0),
		.memory_min_bytes = sqlite3_column_int64(st, 1),
		.memory_max_bytes = sqlite3_column_int64(st, 2),
		.scratch_max_bytes = sqlite3_column_int64(st, 3),
		.output_max_bytes = sqlite3_column_int64(st, 4),
		.ms_sum = sqlite3_column_int64(st, 5),
		.ms_min = sqlite3_column_int64(st, 6),
		.ms_max = sqlite3_column_int64(st, 7),
		.more_than_bytes = sqlite3_column_int64(st, 8),
		.all_samples = sqlite3_column_int64(st, 9),
		.smaller_max_bytes = sqlite3_column_int64(st, 10),
		.largest_weights = sqlite3_column_int64(st, 11),
		.ratio_min = sqlite3_column_double(st, 12),
		.ratio_max = sqlite3_column_double(st, 13),
		.ms_per_weight = sqlite3_column_double(st, 14),
		.ms_per_weight_min = sqlite3_column_double(st, 15),
		.ms_per_weight_max = sqlite3_column_double(st, 16),
	};
	(void)sqlite3_reset(st);
	return out->all_samples || out->more_than_bytes ? 1 : 0;
}

int store_measured_add(struct store *s, const struct measured_class *c,
		       const struct measured_new *m, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_MEASURED_ADD, e);

	if (!st)
		return e->code;
	bind_class(st, c);
	bind_int(st, 12, m->memory_bytes);
	bind_int(st, 13, m->formula_bytes);
	bind_int(st, 14, m->scratch_bytes);
	bind_int(st, 15, m->output_bytes);
	bind_int(st, 16, m->ms);
	bind_int(st, 17, m->now_ms);
	return store_write_one(s, st, "measurement", 0, e);
}

int store_measured_more(struct store *s, const struct measured_class *c,
			const struct measured_new *m, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_MEASURED_MORE, e);

	if (!st)
		return e->code;
	bind_class(st, c);
	bind_int(st, 12, m->memory_bytes);
	bind_int(st, 13, m->formula_bytes);
	bind_int(st, 14, m->now_ms);
	return store_write_one(s, st, "measurement", 0, e);
}

/* ---- the machine */

int store_samples_thin(struct store *s, int64_t run_id, int64_t step, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SAMPLES_THIN, e);
	int rc = st ? store_begin(s, e) : e->code;

	if (rc < 0)
		return rc;
	bind_int(st, 1, run_id);
	bind_int(st, 2, step);
	rc = store_finish(s, store_exec(s, st, e), e);
	return rc < 0 ? rc : 0;
}

int store_sample_add(struct store *s, int64_t run_id, int64_t number, const struct sample_row *r,
		     struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SAMPLE_ADD, e);

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_int(st, 2, number);
	bind_int(st, 3, r->at_ms);
	bind_int(st, 4, r->memory_bytes);
	bind_int(st, 5, r->claimed_bytes);
	bind_int(st, 6, r->available_bytes);
	bind_int(st, 7, r->pressure);
	bind_int(st, 8, r->disk_free_bytes);
	if (r->cache_free_bytes >= 0)
		bind_int(st, 9, r->cache_free_bytes);
	bind_int(st, 10, r->running);
	bind_int(st, 11, r->slots);
	bind_int(st, 12, r->received_bytes);
	bind_int(st, 13, r->sent_bytes);
	return store_write_one(s, st, "sample", number, e);
}

int store_samples(struct store *s, int64_t run_id, struct sample_row *out, int n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_SAMPLES, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_int(st, 2, n);
	while (found < n && (rc = store_step(s, st, e)) > 0) {
		out[found++] = (struct sample_row){
			.at_ms = sqlite3_column_int64(st, 0),
			.memory_bytes = sqlite3_column_int64(st, 1),
			.claimed_bytes = sqlite3_column_int64(st, 2),
			.available_bytes = sqlite3_column_int64(st, 3),
			.pressure = sqlite3_column_int(st, 4),
			.disk_free_bytes = sqlite3_column_int64(st, 5),
			.cache_free_bytes = sqlite3_column_type(st, 6) == SQLITE_NULL
						    ? -1
						    : sqlite3_column_int64(st, 6),
			.running = sqlite3_column_int(st, 7),
			.slots = sqlite3_column_int(st, 8),
			.received_bytes = sqlite3_column_int64(st, 9),
			.sent_bytes = sqlite3_column_int64(st, 10),
		};
	}
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

int store_run_waiting(struct store *s, int64_t run_id, const char *why, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_RUN_WAITING, e);

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_text(st, 2, why);
	return store_write_one(s, st, "run", run_id, e);
}
