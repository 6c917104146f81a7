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

int measuring_consider(void *ctx, const struct job_row *row, struct err *e)
{
	struct measuring *m = ctx;
	struct arena *a = arena_new();
	struct hold_row holds[64];
	int n = row->state == JOB_READY
			? store_holds(m->sched->store, row->id, a, holds, ARRAY_LEN(holds), e)
			: 0;

	for (size_t i = 0; n >= 0 && i < m->n_stages; i++) {
		const struct measure_stage *st = m->stages[i].st;
		bool waits = false;
		int rc;

		if (!measure_stage_is_for(st, &row->spec))
			continue;
		rc = measuring_wants(m, row->id, (int)i, e);
		for (int k = 0; k < n; k++)
			waits |= strcmp(holds[k].stage, st->name) == 0 &&
				 strcmp(holds[k].reason, HOLD_WAITING) == 0;
		if (rc > 0)
			measuring_add(m, row->id, (int)i, waits);
		else if (rc == 0 && waits) /* nobody would ever let it go */
			rc = measure_record_given_up(m->sched->store, st, row->id,
						     sched_now(m->sched), e);
		if (rc < 0)
			n = rc;
	}
	arena_free(a);
	return n < 0 ? n : 0;
}

int measuring_drop_stale_holds(struct scheduler *s, struct err *e)
{
	struct arena *a = arena_new();
	struct hold_row *rows = arena_array(a, HOLDS_MAX, sizeof(*rows));
	int n = store_holds(s->store, 0, a, rows, HOLDS_MAX, e), rc = n;

	for (int i = 0; rc >= 0 && i < n; i++) {
		bool known = false;

		for (size_t k = 0; k < s->cfg->n_measure; k++)
			known |= s->cfg->measure[k].hold &&
				 strcmp(s->cfg->measure[k].name, rows[i].stage) == 0;
		if (!known && strcmp(rows[i].reason, HOLD_WAITING) == 0)
			rc = store_hold_clear(s->store, rows[i].job_id, rows[i].stage, e);
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
		if (st->hold)
			rc = store_hold_put(s->store, &hold, e);
		if (rc >= 0 && i < m->n_stages)
			measuring_add(m, job->id, (int)i, st->hold != 0);
	}
	return rc < 0 ? rc : 0;
}
