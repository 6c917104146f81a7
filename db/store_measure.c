/* db/store_measure.c -- measurements of artifacts where they run, and what they
 * keep from being published. */
#include "db/store_private.h"

/* ---- writing */

int store_measure_begin(struct store *s, const struct measurement_row *r, int64_t *id,
			struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_MEASURE_BEGIN, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, r->job_id);
	bind_id(st, 2, r->run_id);
	bind_text(st, 3, r->stage);
	bind_text(st, 4, r->settings);
	bind_text(st, 5, r->kind);
	bind_int(st, 6, r->started_ms);
	rc = store_write_one(s, st, "job", r->job_id, e);
	if (rc >= 0)
		*id = sqlite3_last_insert_rowid(s->db);
	return rc < 0 ? rc : 0;
}

/* A statement that may change nothing: how many rows it did. */
static int write_any(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int rc = store_begin(s, e);

	if (rc < 0) {
		(void)sqlite3_reset(st);
		return rc;
	}
	return store_finish(s, store_exec(s, st, e), e);
}

int store_measure_end(struct store *s, const struct measurement_row *r, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_MEASURE_END, e);

	if (!st)
		return e->code;
	bind_int(st, 1, r->id);
	bind_int(st, 2, r->ended_ms);
	bind_text(st, 3, r->state);
	bind_text(st, 4, r->message);
	bind_text(st, 5, r->host);
	bind_text(st, 6, r->machine);
	bind_int(st, 7, r->warnings);
	bind_text_or_null(st, 8, r->result);
	return write_any(s, st, e);
}

int store_measure_forget(struct store *s, int64_t id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_MEASURE_FORGET, e);

	if (!st)
		return e->code;
	bind_int(st, 1, id);
	return write_any(s, st, e);
}

int store_measures_lost(struct store *s, int64_t now_ms, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_MEASURE_LOST, e);

	if (!st)
		return e->code;
	bind_int(st, 1, now_ms);
	return write_any(s, st, e);
}

/* ---- reading */

static void read_row(sqlite3_stmt *st, struct arena *a, struct measurement_row *r)
{
	r->id = sqlite3_column_int64(st, 0);
	r->job_id = sqlite3_column_int64(st, 1);
	r->run_id = sqlite3_column_int64(st, 2);
	r->stage = column_text(st, 3, a);
	r->settings = column_text(st, 4, a);
	r->kind = column_text(st, 5, a);
	r->started_ms = sqlite3_column_int64(st, 6);
	r->ended_ms = sqlite3_column_int64(st, 7);
	r->state = column_text(st, 8, a);
	r->message = column_text(st, 9, a);
	r->host = column_text(st, 10, a);
	r->machine = column_text(st, 11, a);
	r->warnings = sqlite3_column_int64(st, 12);
	r->result = column_text_or_null(st, 13, a);
}

static int read_rows(struct store *s, enum store_query q, int64_t id, struct arena *a,
		     struct measurement_row *out, int n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, id);
	bind_int(st, 2, n);
	while (found < n && (rc = store_step(s, st, e)) > 0)
		read_row(st, a, &out[found++]);
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

int store_measures(struct store *s, int64_t job_id, struct arena *a, struct measurement_row *out,
		   int n, struct err *e)
{
	return read_rows(s, Q_MEASURES_OF_JOB, job_id, a, out, n, e);
}

int store_measures_last(struct store *s, int64_t job_id, struct arena *a,
			struct measurement_row *out, int n, struct err *e)
{
	return read_rows(s, Q_MEASURES_LAST, job_id, a, out, n, e);
}

int store_measures_of_run(struct store *s, int64_t run_id, struct arena *a,
			  struct measurement_row *out, int n, struct err *e)
{
	return read_rows(s, Q_MEASURES_OF_RUN, run_id, a, out, n, e);
}

int store_measure_before(struct store *s, int64_t id, const char *host, struct arena *a,
			 struct measurement_row *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_MEASURE_BEFORE, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, id);
	bind_text(st, 2, host);
	rc = store_step(s, st, e);
	if (rc > 0) {
		read_row(st, a, out);
		(void)sqlite3_reset(st);
	}
	return rc;
}

/* The numbers of the one row that a statement has for a job's stage and its settings. */
static int read_numbers(struct store *s, enum store_query q, int64_t job_id, const char *stage,
			const char *settings, int64_t *const *out, int n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, job_id);
	bind_text(st, 2, stage);
	bind_text(st, 3, settings);
	rc = store_step(s, st, e);
	for (int i = 0; rc > 0 && i < n; i++)
		*out[i] = sqlite3_column_int64(st, i);
	if (rc > 0)
		(void)sqlite3_reset(st);
	return rc < 0 ? rc : 0;
}

int store_measure_settled(struct store *s, int64_t job_id, const char *stage, const char *settings,
			  int64_t *last_ms, int64_t *interrupted, struct err *e)
{
	int64_t *const out[] = { last_ms, interrupted };

	return read_numbers(s, Q_MEASURE_SETTLED, job_id, stage, settings, out, 2, e);
}

int store_measure_failures(struct store *s, int64_t job_id, const char *stage, const char *settings,
			   int64_t *n, struct err *e)
{
	return read_numbers(s, Q_MEASURE_FAILURES, job_id, stage, settings, &n, 1, e);
}

/* ---- holds */

int store_hold_put(struct store *s, const struct hold_row *r, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_HOLD_PUT, e);

	if (!st)
		return e->code;
	bind_int(st, 1, r->job_id);
	bind_text(st, 2, r->stage);
	bind_text(st, 3, r->reason);
	bind_int(st, 4, r->since_ms);
	return store_write_one(s, st, "job", r->job_id, e);
}

int store_hold_clear(struct store *s, int64_t job_id, const char *stage, struct err *e)
{
	sqlite3_stmt *st = store_query(s, stage ? Q_HOLD_CLEAR : Q_HOLD_CLEAR_ALL, e);

	if (!st)
		return e->code;
	if (stage) {
		bind_int(st, 1, job_id);
		bind_text(st, 2, stage);
	}
	return write_any(s, st, e);
}

int store_holds_keep_waiting(struct store *s, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_HOLD_KEEP_WAITING, e);

	return st ? write_any(s, st, e) : e->code;
}

static int read_holds(struct store *s, enum store_query q, int64_t first, struct arena *a,
		      struct hold_row *out, int n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, first);
	bind_int(st, 2, n);
	while (found < n && (rc = store_step(s, st, e)) > 0) {
		out[found].job_id = sqlite3_column_int64(st, 0);
		out[found].stage = column_text(st, 1, a);
		out[found].reason = column_text(st, 2, a);
		out[found++].since_ms = sqlite3_column_int64(st, 3);
	}
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

int store_holds(struct store *s, int64_t job_id, struct arena *a, struct hold_row *out, int n,
		struct err *e)
{
	return read_holds(s, Q_HOLDS_OF_JOB, job_id, a, out, n, e);
}

int store_holds_all(struct store *s, struct arena *a, struct hold_row *out, int n, struct err *e)
{
	return read_holds(s, Q_HOLDS, 1, a, out, n, e);
}

int store_holds_publication(struct store *s, struct arena *a, struct hold_row *out, int n,
			    struct err *e)
{
	return read_holds(s, Q_HOLDS, 0, a, out, n, e);
}

int store_job_is_held(struct store *s, int64_t job_id, struct err *e)
{
	return store_exists(s, Q_JOB_IS_HELD, job_id, e);
}
