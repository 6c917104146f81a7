/* db/store_attempt.c -- attempts and events of a job. */
#include <string.h>

#include "db/store_private.h"

/* ---- attempts */

static int insert_attempt(struct store *s, int64_t job_id, int number, int64_t run_id,
			  int64_t now_ms, int64_t *attempt_id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ATTEMPT_BEGIN, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, job_id);
	bind_int(st, 2, number);
	bind_id(st, 3, run_id);
	bind_int(st, 4, now_ms);
	rc = store_exec(s, st, e);
	if (rc == 0)
		return err_set(e, ERR_CONFLICT, "job %lld has an attempt %d already",
			       (long long)job_id, number);
	if (rc > 0)
		*attempt_id = sqlite3_last_insert_rowid(s->db);
	return rc;
}

int store_attempt_begin(struct store *s, int64_t job_id, int number, int64_t run_id, int64_t now_ms,
			int64_t *attempt_id, struct err *e)
{
	int64_t id = 0;
	int rc = store_begin(s, e);

	if (rc < 0)
		return rc;
	rc = store_finish(s, insert_attempt(s, job_id, number, run_id, now_ms, &id, e), e);
	if (rc < 0)
		return rc;
	*attempt_id = id;
	return 0;
}

int store_attempt_pid(struct store *s, int64_t attempt_id, int64_t pid, uint64_t pid_start,
		      struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ATTEMPT_PID, e);

	if (!st)
		return e->code;
	bind_int(st, 1, attempt_id);
	bind_int(st, 2, pid);
	bind_int(st, 3, (int64_t)pid_start);
	return store_write_one(s, st, "attempt", attempt_id, e);
}

int store_attempt_progress(struct store *s, int64_t attempt_id, const char *stage, const char *unit,
			   int64_t done, int64_t total, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ATTEMPT_PROGRESS, e);

	if (!st)
		return e->code;
	bind_int(st, 1, attempt_id);
	bind_text(st, 2, stage);
	bind_text(st, 3, unit);
	bind_int(st, 4, done);
	bind_int(st, 5, total);
	return store_write_one(s, st, "attempt", attempt_id, e);
}

int store_attempt_end(struct store *s, const struct attempt_row *r, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ATTEMPT_END, e);

	if (!st)
		return e->code;
	bind_int(st, 1, r->id);
	bind_int(st, 2, r->ended_ms);
	bind_text_or_null(st, 3, r->verb);
	if (r->exit_code != -1) /* else NULL: unknown */
		bind_int(st, 4, r->exit_code);
	bind_int(st, 5, r->signal);
	bind_text(st, 6, r->cause);
	bind_text(st, 7, r->message);
	bind_int(st, 8, r->peak_rss_bytes);
	bind_int(st, 9, r->user_ms);
	bind_int(st, 10, r->system_ms);
	bind_text_or_null(st, 11, r->stage);
	bind_text_or_null(st, 12, r->unit);
	bind_int(st, 13, r->done);
	bind_int(st, 14, r->total);
	bind_text(st, 15, r->evidence_from);
	bind_text(st, 16, r->evidence);
	return store_write_one(s, st, "attempt", r->id, e);
}

int store_attempt_used(struct store *s, const struct attempt_row *r, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ATTEMPT_USED, e);

	if (!st)
		return e->code;
	bind_int(st, 1, r->id);
	bind_int(st, 2, r->memory_bytes);
	bind_text(st, 3, r->memory_by);
	bind_int(st, 4, r->limit_bytes);
	bind_int(st, 5, r->scratch_bytes);
	bind_int(st, 6, r->output_bytes);
	bind_int(st, 7, r->paused_ms);
	return store_write_one(s, st, "attempt", r->id, e);
}

static void read_attempt(sqlite3_stmt *st, struct arena *a, struct attempt_row *r)
{
	r->id = sqlite3_column_int64(st, 0);
	r->job_id = sqlite3_column_int64(st, 1);
	r->number = sqlite3_column_int(st, 2);
	r->run_id = sqlite3_column_int64(st, 3);
	r->started_ms = sqlite3_column_int64(st, 4);
	r->ended_ms = sqlite3_column_int64(st, 5);
	r->verb = column_text(st, 6, a);
	r->pid = sqlite3_column_int64(st, 7);
	r->pid_start = (uint64_t)sqlite3_column_int64(st, 8);
	r->exit_code = sqlite3_column_type(st, 9) == SQLITE_NULL ? -1 : sqlite3_column_int(st, 9);
	r->signal = sqlite3_column_int(st, 10);
	r->peak_rss_bytes = sqlite3_column_int64(st, 11);
	r->user_ms = sqlite3_column_int64(st, 12);
	r->system_ms = sqlite3_column_int64(st, 13);
	r->done = sqlite3_column_int64(st, 14);
	r->total = sqlite3_column_int64(st, 15);
	r->stage = column_text(st, 16, a);
	r->unit = column_text(st, 17, a);
	r->cause = column_text(st, 18, a);
	r->message = column_text(st, 19, a);
	r->memory_bytes = sqlite3_column_int64(st, 20);
	r->memory_by = column_text(st, 21, a);
	r->limit_bytes = sqlite3_column_int64(st, 22);
	r->scratch_bytes = sqlite3_column_int64(st, 23);
	r->output_bytes = sqlite3_column_int64(st, 24);
	r->evidence_from = column_text(st, 25, a);
	r->evidence = column_text(st, 26, a);
	r->rungs = column_text(st, 27, a);
}

int store_attempts(struct store *s, int64_t job_id, struct arena *a, struct attempt_row *out, int n,
		   struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ATTEMPTS, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, job_id);
	bind_int(st, 2, n);
	while (found < n && (rc = store_step(s, st, e)) > 0)
		read_attempt(st, a, &out[found++]);
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

int store_attempts_left(struct store *s,
			int (*each)(void *ctx, const struct attempt_left *left, struct err *e),
			void *ctx, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ATTEMPTS_LEFT, e);
	int rc;

	if (!st)
		return e->code;
	while ((rc = store_step(s, st, e)) > 0) {
		struct attempt_left left = { .id = sqlite3_column_int64(st, 0),
					     .job_id = sqlite3_column_int64(st, 1),
					     .number = sqlite3_column_int(st, 2) };

		rc = column_sha256(s, st, 3, left.key, e);
		if (rc >= 0)
			rc = each(ctx, &left, e);
		if (rc < 0)
			break;
	}
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : 0;
}

/* ---- events */

static void read_event(sqlite3_stmt *st, struct arena *a, struct event_row *r)
{
	r->id = sqlite3_column_int64(st, 0);
	r->job_id = sqlite3_column_int64(st, 1);
	r->at_ms = sqlite3_column_int64(st, 2);
	r->run_id = sqlite3_column_int64(st, 3);
	r->event = column_text(st, 4, a);
	r->from = column_text(st, 5, a);
	r->to = column_text(st, 6, a);
	r->cause = column_text(st, 7, a);
	r->message = column_text(st, 8, a);
}

static void reverse(struct event_row *v, int n)
{
	struct event_row swap;

	for (int i = 0; i < n / 2; i++) {
		swap = v[i];
		v[i] = v[n - 1 - i];
		v[n - 1 - i] = swap;
	}
}

int store_events(struct store *s, int64_t job_id, struct arena *a, struct event_row *out, int n,
		 struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_EVENTS, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, job_id);
	bind_int(st, 2, n);
	while (found < n && (rc = store_step(s, st, e)) > 0)
		read_event(st, a, &out[found++]);
	(void)sqlite3_reset(st);
	if (rc < 0)
		return rc;
	reverse(out, found);
	return found;
}
