/* orchestrator/making.c -- sources that are not there yet: each is made or
 * fetched once, for all jobs that need it, before the first of them. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "orchestrator/making_private.h"

/* Two fetches share the line to the hub; more of them only share it into smaller pieces. */
#define FETCHES_AT_ONCE 2

void making_done(struct making *m)
{
	m->running = false;
	m->state = MAKING_READY;
	m->failures = 0;
	sched_kick(m->sched);
}

/* When a failed fetch is tried again: as often as a job would be, with its pauses. */
static int64_t retry_time(struct making *m)
{
	const struct config *c = m->sched->cfg;
	int64_t wait_ms = c->retry.backoff_ms;

	for (int i = 1; i < m->failures && wait_ms < c->retry.backoff_max_ms; i++)
		wait_ms *= 2;
	if (wait_ms > c->retry.backoff_max_ms)
		wait_ms = c->retry.backoff_max_ms;
	return sched_now(m->sched) + wait_ms;
}

void making_fail(struct making *m, const char *message, bool again)
{
	m->state = MAKING_FAILED;
	m->running = false;
	m->why = arena_strdup(m->a, message);
	m->failures++;
	m->retry_ms = again ? retry_time(m) : 0;
	display_say(m->sched->display, "%s: cannot %s it: %s%s", m->source->model->name,
		    m->source->fake ? "make" : "fetch", message,
		    again ? "; will be tried again" : "");
	sched_kick(m->sched);
}

static bool may_begin(const struct scheduler *s)
{
	int fetches = 0;

	for (const struct making *m = s->makings; m; m = m->next)
		fetches += m->running && m->source->hub;
	return s->stop == STOP_NOT && fetches < FETCHES_AT_ONCE;
}

static void begin(struct making *m)
{
	m->running = true;
	m->start_ms = clock_mono_ms();
	if (m->source->fake)
		making_fake_begin(m);
	else
		making_hub_begin(m);
}

static struct making *making_of(struct scheduler *s, const struct resolved *r)
{
	struct making *m;

	for (m = s->makings; m; m = m->next) {
		if (m->source == r)
			return m;
	}
	m = mem_zalloc(sizeof(*m));
	m->sched = s;
	m->a = arena_new();
	m->source = r;
	m->state = MAKING_BUSY;
	m->next = s->makings;
	s->makings = m;
	return m;
}

enum making_state making_need(struct scheduler *s, const struct resolved *r, const char **why,
			      int64_t *retry_ms)
{
	struct making *m = making_of(s, r);

	if (!m->running && m->state != MAKING_READY && source_is_ready(r))
		m->state = MAKING_READY;
	if (m->state == MAKING_FAILED && m->retry_ms && sched_now(s) >= m->retry_ms)
		m->state = MAKING_BUSY;
	if (m->state == MAKING_FAILED) {
		*why = m->why;
		*retry_ms = m->retry_ms;
	} else if (m->state == MAKING_BUSY && !m->running && may_begin(s)) {
		begin(m);
	}
	return m->state;
}

bool making_busy(const struct scheduler *s)
{
	for (const struct making *m = s->makings; m; m = m->next) {
		if (m->running || (m->state == MAKING_BUSY && s->stop == STOP_NOT))
			return true;
	}
	return false;
}

int making_draw(const struct scheduler *s, int64_t mono_ms, struct display_job *jobs, int max)
{
	int n = 0;

	for (const struct making *m = s->makings; m && n < max; m = m->next) {
		if (m->running)
			jobs[n++] = (struct display_job){
				.label = m->source->model->name,
				.stage = m->source->fake ? "making" : "fetching",
				.unit = "bytes",
				.done = m->done,
				.total = m->total,
				.elapsed_ms = mono_ms - m->start_ms,
			};
	}
	return n;
}

void making_stop(struct scheduler *s, int sig)
{
	for (struct making *m = s->makings; m; m = m->next) {
		if (m->running && m->source->fake)
			making_fake_stop(m, sig);
		else if (m->running)
			making_hub_stop(m, sig);
	}
}

void making_free(struct scheduler *s)
{
	while (s->makings) {
		struct making *m = s->makings;

		s->makings = m->next;
		arena_free(m->a);
		free(m);
	}
}
