#include "orchestrator/measure/record.h"

#include <string.h>

#include "core/clock.h"
#include "core/mem.h"

#define RESULT_MAX ((size_t)4 << 20)
#define WHEN_CHARS 10 /* of "2026-09-30T..." */

int measure_record_begin(struct store *s, const struct measure_stage *st, const char *settings,
			 int64_t job_id, int64_t run_id, int64_t now_ms, int64_t *id, struct err *e)
{
	const struct measurement_row row = { .job_id = job_id,
					     .run_id = run_id,
					     .stage = st->name,
					     .settings = settings,
					     .kind = measure_kind_name(st->where.kind),
					     .started_ms = now_ms };

	return store_measure_begin(s, &row, id, e);
}

/* Two nights apart are said by their dates. */
static int compare_with_before(struct store *s, const struct measure_stage *st, int64_t id,
			       struct measure_result *r, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct measure_result before;
	struct measurement_row row;
	char when[32];
	struct json *v;
	int rc;

	if (st->regression <= 0)
		return 0;
	rc = store_measure_before(s, id, r->host, r->a, &row, e);
	if (rc <= 0 || !row.result)
		return rc;
	if (json_parse(r->a, row.result, strlen(row.result), &v, &ignored) < 0 ||
	    measure_result_read(r->a, v, &before, &ignored) < 0)
		return 0; /* of a quern that wrote it otherwise */
	clock_format_utc(row.started_ms, when, sizeof(when));
	when[WHEN_CHARS] = '\0';
	(void)measure_compare(r, &before, st->regression, when);
	return 0;
}

static const struct {
	unsigned bit;
	const char *kind;
} holds[] = {
	{ MEASURE_HOLD_GARBAGE, MEASURE_WARN_GARBAGE },
	{ MEASURE_HOLD_MISMATCH, MEASURE_WARN_MISMATCH },
	{ MEASURE_HOLD_REGRESSION, MEASURE_WARN_REGRESSION },
};

/* The gravest kind of warning that the stage holds for; "" when it holds nothing. */
static const char *held_for(const struct measure_stage *st, const struct measure_result *r)
{
	for (size_t h = 0; h < ARRAY_LEN(holds); h++)
		for (size_t i = 0; (st->hold & holds[h].bit) && i < r->n_warnings; i++)
			if (strcmp(r->warnings[i].kind, holds[h].kind) == 0)
				return holds[h].kind;
	return "";
}

static int set_hold(struct store *s, const struct measure_stage *st, int64_t job_id,
		    const char *reason, int64_t now_ms, struct err *e)
{
	const struct hold_row row = {
		.job_id = job_id, .stage = st->name, .reason = reason, .since_ms = now_ms
	};
	struct arena *a = arena_new();
	struct job_row job;
	int rc = store_job_get(s, job_id, a, &job, e);
	bool published = rc >= 0 && job.state != JOB_READY;

	arena_free(a);
	if (rc < 0)
		return rc;
	return reason[0] && !published ? store_hold_put(s, &row, e)
				       : store_hold_clear(s, job_id, st->name, e);
}

static int end_in_store(struct store *s, const struct measure_stage *st,
			const struct measurement_row *row, int64_t job_id, const char *hold,
			struct err *e)
{
	int rc = store_begin(s, e);

	if (rc < 0)
		return rc;
	rc = store_measure_end(s, row, e);
	if (rc >= 0)
		rc = set_hold(s, st, job_id, hold, row->ended_ms, e);
	if (rc >= 0)
		return store_commit(s, e);
	store_rollback(s);
	return rc;
}

int measure_record_done(struct store *s, const struct measure_stage *st, int64_t id, int64_t job_id,
			struct measure_result *r, int64_t now_ms, const char **held, struct err *e)
{
	struct measurement_row row = { .id = id,
				       .ended_ms = now_ms,
				       .state = "done",
				       .host = r->host,
				       .machine = r->machine };
	const char *hold;
	struct json_out w;
	struct buf b;
	int rc = compare_with_before(s, st, id, r, e);

	if (rc < 0)
		return rc;
	hold = held_for(st, r);
	buf_init(&b, RESULT_MAX);
	jw_init(&w, &b, 0);
	measure_result_write(&w, r);
	row.warnings = (int64_t)(r->n_warnings + r->more_warnings);
	row.result = buf_str(&b);
	rc = b.overflow ? err_set(e, ERR_NOSPACE, "the result is larger than any")
			: end_in_store(s, st, &row, job_id, hold, e);
	buf_release(&b);
	if (rc >= 0 && held)
		*held = hold;
	return rc;
}

int measure_record_failed(struct store *s, const struct measure_stage *st, int64_t id,
			  int64_t job_id, const char *why, int64_t now_ms, const char **held,
			  struct err *e)
{
	const struct measurement_row row = {
		.id = id, .ended_ms = now_ms, .state = "failed", .message = why
	};
	const char *hold = st->hold & MEASURE_HOLD_FAILED ? "failed" : "";
	int rc = end_in_store(s, st, &row, job_id, hold, e);

	if (rc >= 0 && held)
		*held = hold;
	return rc;
}

int measure_record_given_up(struct store *s, const struct measure_stage *st, int64_t job_id,
			    int64_t now_ms, struct err *e)
{
	return set_hold(s, st, job_id, st->hold & MEASURE_HOLD_FAILED ? "failed" : "", now_ms, e);
}
