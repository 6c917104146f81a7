/* orchestrator/run/measuring.c -- artifacts that are tried where they will run: when, and who waits
 * for it. A job is ready before it is measured, so nothing here can lose an artifact.
 *
 * One at a time on a machine. A stage that wants to be alone waits until no conversion runs or can
 * start, and none starts while it measures. Publication waits only for stages with `hold`, and at
 * most their `wait`. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "orchestrator/measure/record.h"
#include "orchestrator/run/measuring_private.h"

static void open_stages(struct measuring *m)
{
	const struct config *c = m->sched->cfg;

	m->stages = arena_array(m->a, c->n_measure + 1, sizeof(*m->stages));
	m->n_stages = c->n_measure;
	for (size_t i = 0; i < m->n_stages; i++) {
		struct measuring_stage *x = &m->stages[i];
		struct err e = ERR_INIT;

		x->st = &c->measure[i];
		x->machine = measure_where_machine(&x->st->where);
		if (measure_stage_settings(m->a, x->st, &x->settings, &e) < 0) {
			x->fault = arena_strdup(m->a, e.msg);
			display_say(m->sched->display, "%s: not measured: %s", x->st->name, e.msg);
		}
	}
}

int measuring_init(struct scheduler *s, struct err *e)
{
	static const enum job_state states[] = { JOB_READY, JOB_DONE };
	struct measuring *m = mem_zalloc(sizeof(*m));
	int rc;

	s->measuring = m;
	m->sched = s;
	m->a = arena_new();
	rc = store_measures_lost(s->store, sched_now(s), e);
	if (rc >= 0)
		rc = measuring_drop_stale_holds(s, e);
	if (rc < 0 || !s->opt.measure)
		return rc < 0 ? rc : 0;
	open_stages(m);
	for (size_t i = 0; rc >= 0 && m->n_stages && i < ARRAY_LEN(states); i++) {
		const struct job_filter f = { .run_id = s->opt.run_id, .state = (int)states[i] };

		rc = store_job_each(s->store, &f, measuring_consider, m, e);
	}
	return rc < 0 ? rc : 0;
}

void measuring_free(struct scheduler *s)
{
	struct measuring *m = s->measuring;

	if (!m)
		return;
	for (size_t i = 0; i < m->n_stages; i++)
		free(m->stages[i].machine);
	while (m->refresh) {
		struct measuring_repo *r = m->refresh;

		m->refresh = r->next;
		free(r->name);
		free(r);
	}
	free(m->items);
	arena_free(m->a);
	free(m);
	s->measuring = NULL;
}

/* ---- what waits */

void measuring_add(struct measuring *m, int64_t job_id, int stage, bool holds)
{
	MEM_GROW(m->items, m->n, m->cap);
	m->items[m->n++] =
		(struct measuring_item){ .job_id = job_id, .stage = stage, .holds = holds };
}

static void drop_item(struct measuring *m, size_t i)
{
	memmove(&m->items[i], &m->items[i + 1], (m->n - i - 1) * sizeof(*m->items));
	m->n--;
}

/* ---- publication */

void measuring_want_refresh(struct measuring *m, const char *repo)
{
	struct measuring_repo **r = &m->refresh;

	if (!repo[0])
		return;
	for (; *r; r = &(*r)->next)
		if (strcmp((*r)->name, repo) == 0)
			return;
	*r = mem_zalloc(sizeof(**r));
	(*r)->name = mem_strdup(repo);
}

void measuring_published(struct scheduler *s, const char *repo)
{
	for (struct measuring_repo **r = &s->measuring->refresh; *r; r = &(*r)->next) {
		struct measuring_repo *gone = *r;

		if (strcmp(gone->name, repo) != 0)
			continue;
		*r = gone->next;
		free(gone->name);
		free(gone);
		return;
	}
}

const char *measuring_refresh(struct scheduler *s)
{
	return s->measuring->refresh ? s->measuring->refresh->name : NULL;
}

static void say_released(struct measuring *m, int64_t job_id)
{
	struct arena *a = arena_new();
	struct err ignored = ERR_INIT;
	struct job_row job;

	if (store_job_get(m->sched->store, job_id, a, &job, &ignored) >= 0)
		publish_released(m->sched, job.repo);
	arena_free(a);
}

/* The job need not wait for it any more. */
static void let_go(struct measuring *m, struct measuring_item *item)
{
	const struct measure_stage *st = m->stages[item->stage].st;
	struct err e = ERR_INIT;

	if (!item->holds)
		return;
	item->holds = false;
	if (sched_batch(m->sched, &e) < 0 ||
	    measure_record_given_up(m->sched->store, st, item->job_id, sched_now(m->sched), &e) <
		    0 ||
	    (!(st->hold & MEASURE_HOLD_FAILED) &&
	     measuring_keep_files(m->sched, st, item->job_id, &e) < 0))
		sched_fatal(m->sched, &e);
	else
		say_released(m, item->job_id);
}

void measuring_give_up(struct measuring *m, const char *machine, const char *why)
{
	int64_t left = 0;

	for (size_t i = 0; i < m->n;) {
		if (strcmp(m->stages[m->items[i].stage].machine, machine) != 0) {
			i++;
			continue;
		}
		let_go(m, &m->items[i]);
		drop_item(m, i);
		left++;
	}
	m->sched->res->not_measured += left;
	if (left)
		display_say(m->sched->display, "%s: %lld more are not measured in this run: %s",
			    machine, (long long)left, why);
}

/* ---- when */

bool measuring_alone(const struct scheduler *s)
{
	for (const struct measuring_trial *t = s->measuring->trials; t; t = t->next)
		if (s->measuring->stages[t->item.stage].st->alone)
			return true;
	return false;
}

bool measuring_busy(const struct scheduler *s)
{
	return s->measuring && s->measuring->trials;
}

static bool machine_is_free(const struct measuring *m, int stage)
{
	for (size_t i = 0; i < m->n_stages; i++)
		if (m->stages[i].busy &&
		    strcmp(m->stages[i].machine, m->stages[stage].machine) == 0)
			return false;
	return true;
}

/* Does the first of its turn: 1 began, 0 must wait. */
static int may_begin(struct measuring *m, const struct measuring_item *item, bool quiet)
{
	bool alone = m->stages[item->stage].st->alone;

	if (!machine_is_free(m, item->stage))
		return 0;
	return alone ? quiet && !m->trials : !measuring_alone(m->sched);
}

bool measuring_start(struct scheduler *s, bool quiet)
{
	struct measuring *m = s->measuring;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < m->n && s->stop == STOP_NOT;) {
		struct measuring_item item;

		if (!m->items[i].since_ms && (quiet || !m->stages[m->items[i].stage].st->alone))
			m->items[i].since_ms = clock_mono_ms();
		item = m->items[i];
		if (!may_begin(m, &item, quiet)) {
			i++;
			continue;
		}
		drop_item(m, i);
		if (measuring_begin(m, &item, &e) < 0) {
			sched_fatal(s, &e);
			break;
		}
	}
	return m->trials || (m->n && s->stop == STOP_NOT);
}

/* ---- the clock */

static bool waited_enough(const struct measuring *m, const struct measuring_item *item,
			  int64_t mono_ms)
{
	return item->holds && item->since_ms &&
	       mono_ms - item->since_ms > m->stages[item->stage].st->wait_ms;
}

void measuring_tick(struct scheduler *s, int64_t mono_ms)
{
	struct measuring *m = s->measuring;

	for (struct measuring_trial *t = m->trials; t; t = t->next) {
		measuring_mind(t, mono_ms);
		if (waited_enough(m, &t->item, mono_ms))
			let_go(m, &t->item);
	}
	for (size_t i = 0; i < m->n; i++) {
		if (waited_enough(m, &m->items[i], mono_ms))
			let_go(m, &m->items[i]);
	}
}

void measuring_stop(struct scheduler *s, int sig)
{
	if (!s->measuring)
		return;
	for (struct measuring_trial *t = s->measuring->trials; t; t = t->next)
		child_signal(&t->child, sig);
}

int measuring_draw(const struct scheduler *s, int64_t mono_ms, struct display_job *jobs, int max)
{
	int n = 0;

	for (const struct measuring_trial *t = s->measuring->trials; t && n < max; t = t->next)
		jobs[n++] = (struct display_job){ .label = t->label,
						  .stage = t->stage,
						  .unit = "prompts",
						  .done = t->done,
						  .total = t->total,
						  .elapsed_ms = mono_ms - t->started_ms };
	return n;
}
