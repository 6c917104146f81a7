/* orchestrator/run/measuring_wanted.c -- which jobs want to be measured in which stages: those that
 * are ready when a run begins, and those that become it. What a crash interrupted is wanted again,
 * three times at most. Publication waits only for stages with `hold`. */
#include <string.h>

#include "core/mem.h"
#include "orchestrator/measure/record.h"
#include "orchestrator/run/measuring_private.h"

#define INTERRUPTED_MAX 3 /* in a row: it may be what kills the machine */
#define HOLDS_MAX 100000

int measuring_wants(struct measuring *m, int64_t job_id, int stage, struct err *e)
{
	const struct measuring_stage *x = &m->stages[stage];
	int64_t last_ms = 0, interrupted = 0, again_ms = x->st->again_ms;
	int rc;

	if (x->fault)
		return 0;
	rc = store_measure_settled(m->sched->store, job_id, x->st->name, x->settings, &last_ms,
				   &interrupted, e);
	if (rc < 0)
		return rc;
	if (last_ms)
		return again_ms && sched_now(m->sched) - last_ms >= again_ms;
	return interrupted < INTERRUPTED_MAX;
}

int measuring_keep_files(struct scheduler *s, const struct measure_stage *st, int64_t job_id,
			 struct err *e)
{
	const struct hold_row row = {
		.job_id = job_id, .stage = st->name, .reason = HOLD_KEPT, .since_ms = sched_now(s)
	};

	return config_drops_artifacts(s->cfg) ? store_hold_put(s->store, &row, e) : 0;
}

/* Nothing is to be measured: what a hub has leaves with the next publication. */
static int let_leave(struct measuring *m, const struct job_row *row, const struct hold_row *holds,
		     int n, struct err *e)
{
	int rc = 0;

	for (int i = 0; rc >= 0 && i < n; i++)
		if (strcmp(holds[i].reason, HOLD_KEPT) == 0)
			rc = store_hold_clear(m->sched->store, row->id, holds[i].stage, e);
	if (rc >= 0 && config_drops_artifacts(m->sched->cfg))
		rc = store_artifact_may_leave(m->sched->store, row->id, e);
	if (rc > 0)
		measuring_want_refresh(m, row->repo);
	return rc;
}

static bool waits_for(const struct hold_row *holds, int n, const char *stage)
{
	for (int i = 0; i < n; i++)
		if (strcmp(holds[i].stage, stage) == 0 &&
		    strcmp(holds[i].reason, HOLD_WAITING) == 0)
			return true;
	return false;
}

/* *later: it is not settled, but cannot be measured in this run. */
static int consider_stage(struct measuring *m, const struct job_row *row, int stage, bool waits,
			  bool *later, struct err *e)
{
	const struct measuring_stage *x = &m->stages[stage];
	int rc = measuring_wants(m, row->id, stage, e);

	*later |= x->fault != NULL;
	if (rc < 0)
		return rc;
	if (rc > 0) {
		*later = true;
		measuring_add(m, row->id, stage, waits);
		return waits ? 0 : measuring_keep_files(m->sched, x->st, row->id, e);
	}
	/* Nobody would ever let it go. */
	return waits ? measure_record_given_up(m->sched->store, x->st, row->id, sched_now(m->sched),
					       e)
		     : 0;
}

int measuring_consider(void *ctx, const struct job_row *row, struct err *e)
{
	struct measuring *m = ctx;
	struct arena *a = arena_new();
	struct hold_row holds[64];
	bool later = false;
	int64_t here = 1;
	int rc = 0, n = store_holds(m->sched->store, row->id, a, holds, ARRAY_LEN(holds), e);

	if (n >= 0 && row->state == JOB_DONE)
		rc = store_artifacts_left(m->sched->store, row->id, &here, e);
	for (size_t i = 0; n >= 0 && rc >= 0 && here && i < m->n_stages; i++) {
		const struct measure_stage *st = m->stages[i].st;

		if (measure_stage_is_for(st, &row->spec))
			rc = consider_stage(m, row, (int)i, waits_for(holds, n, st->name), &later,
					    e);
	}
	if (n >= 0 && rc >= 0 && here && !later && row->state == JOB_DONE)
		rc = let_leave(m, row, holds, n, e);
	arena_free(a);
	return n < 0 ? n : rc < 0 ? rc : 0;
}

int measuring_drop_stale_holds(struct scheduler *s, struct err *e)
{
	struct arena *a = arena_new();
	struct hold_row *rows = arena_array(a, HOLDS_MAX, sizeof(*rows));
	int n = store_holds_all(s->store, a, rows, HOLDS_MAX, e), rc = n;
	struct job_row job;

	for (int i = 0; rc >= 0 && i < n; i++) {
		bool kept = strcmp(rows[i].reason, HOLD_KEPT) == 0, known = false;

		for (size_t k = 0; k < s->cfg->n_measure; k++)
			known |= (kept || s->cfg->measure[k].hold) &&
				 strcmp(s->cfg->measure[k].name, rows[i].stage) == 0;
		if (!known && (kept || strcmp(rows[i].reason, HOLD_WAITING) == 0))
			rc = store_hold_clear(s->store, rows[i].job_id, rows[i].stage, e);
		if (rc >= 0 && kept && !known)
			rc = store_job_get(s->store, rows[i].job_id, a, &job, e);
		if (rc >= 0 && kept && !known)
			measuring_want_refresh(s->measuring, job.repo);
	}
	arena_free(a);
	return rc < 0 ? rc : 0;
}

int measuring_job_ready(struct scheduler *s, const struct job_row *job, struct err *e)
{
	struct measuring *m = s->measuring;
	const struct config *c = s->cfg;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < c->n_measure; i++) {
		const struct measure_stage *st = &c->measure[i];
		const struct hold_row hold = { .job_id = job->id,
					       .stage = st->name,
					       .reason = HOLD_WAITING,
					       .since_ms = sched_now(s) };
		bool fault = i < m->n_stages && m->stages[i].fault;

		if (!measure_stage_is_for(st, &job->spec) || fault)
			continue;
		/* The artifact may have been there before: made again, or found after a crash. */
		rc = i < m->n_stages ? measuring_wants(m, job->id, (int)i, e) : 1;
		if (rc <= 0)
			continue;
		rc = st->hold ? store_hold_put(s->store, &hold, e)
			      : measuring_keep_files(s, st, job->id, e);
		if (rc >= 0 && i < m->n_stages)
			measuring_add(m, job->id, (int)i, st->hold != 0);
	}
	return rc < 0 ? rc : 0;
}
