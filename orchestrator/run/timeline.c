/* orchestrator/run/timeline.c -- what the report draws of a night: a sample every few seconds of a
 * short run, every few minutes of a long one. And why nothing starts, for `quern status`. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "orchestrator/run/scheduler_private.h"

#define STEP_MS 5000
#define WAITING_MS 10000 /* the same kind of reason is written so often; its numbers move */

static void add_sample(struct scheduler *s, int64_t number)
{
	const struct watch_state *now = watch_now(s);
	struct timeline *l = &s->timeline;
	struct sample_row r = {
		.at_ms = sched_now(s),
		.memory_bytes = (int64_t)now->memory_bytes,
		.claimed_bytes = (int64_t)s->adm.memory_used,
		.available_bytes = now->machine.available_bytes == UINT64_MAX
					   ? 0
					   : (int64_t)now->machine.available_bytes,
		.pressure = now->machine.pressure,
		.disk_free_bytes = (int64_t)now->disk_free_bytes,
		.cache_free_bytes = now->cache_free_bytes,
		.running = s->adm.running,
		.slots = s->adm.slots,
		.received_bytes = (int64_t)(now->machine.received_bytes - l->received_bytes),
		.sent_bytes = (int64_t)(now->machine.sent_bytes - l->sent_bytes),
	};
	struct err e = ERR_INIT;
	int rc = sched_batch(s, &e);

	if (rc >= 0)
		rc = store_sample_add(s->store, s->opt.run_id, number, &r, &e);
	if (rc >= 0 && ++l->n >= SAMPLES_MAX) {
		l->step *= 2;
		l->n = (l->n + 1) / 2;
		rc = store_samples_thin(s->store, s->opt.run_id, l->step, &e);
	}
	if (rc < 0)
		sched_fatal(s, &e);
}

void timeline_tick(struct scheduler *s)
{
	struct timeline *l = &s->timeline;
	int64_t number = (clock_mono_ms() - s->mono_base_ms) / STEP_MS;

	if (!l->step) {
		l->step = 1;
		l->received_bytes = watch_now(s)->machine.received_bytes;
		l->sent_bytes = watch_now(s)->machine.sent_bytes;
	} else if (number < l->next) {
		return;
	}
	number -= number % l->step;
	add_sample(s, number);
	l->next = number + l->step;
}

void timeline_waiting(struct scheduler *s, enum admit why, int64_t job_id, const char *words)
{
	struct timeline *l = &s->timeline;
	int64_t now = clock_mono_ms();
	struct err e = ERR_INIT;
	int rc;

	if (why == l->why && job_id == l->job_id && (!words[0] || now - l->said_ms < WAITING_MS))
		return;
	l->why = why;
	l->job_id = job_id;
	l->said_ms = now;
	rc = sched_batch(s, &e);
	if (rc >= 0)
		rc = store_run_waiting(s->store, s->opt.run_id, words, &e);
	if (rc < 0)
		sched_fatal(s, &e);
}
