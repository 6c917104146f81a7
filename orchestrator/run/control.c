#include "orchestrator/run/control.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/run/scheduler_private.h"

#define LOOK_MS 200

/* ---- in a run */

bool control_is_closing(const struct scheduler *s)
{
	return s->control.draining || s->control.deadline_met;
}

bool control_may_start(const struct scheduler *s)
{
	return !s->control.paused && !control_is_closing(s);
}

bool control_is_frozen(const struct scheduler *s)
{
	return s->control.frozen;
}

bool control_waits(struct scheduler *s)
{
	int64_t counts[JOB_STATE_COUNT];
	struct err ignored = ERR_INIT; /* then it ends, which is found out elsewhere */

	return s->control.paused && !control_is_closing(s) &&
	       store_job_counts(s->store, s->opt.run_id, counts, &ignored) >= 0 &&
	       (counts[JOB_PENDING] || (s->opt.upload && counts[JOB_READY]));
}

/* With its worker, when that is stopped. */
static bool stands_still(const struct task *t)
{
	return (t->phase == TASK_CONVERT || t->phase == TASK_VALIDATE) && !t->judged;
}

static void signal_workers(struct scheduler *s, int sig)
{
	for (struct task *t = s->tasks; t; t = t->next) {
		if (stands_still(t))
			s->ex->signal(s->ex, &t->x, sig);
	}
}

/* Time that stands still counts against no limit. */
static void put_clocks_forward(struct scheduler *s, int64_t mono_ms)
{
	int64_t by = mono_ms - s->control.frozen_ms;

	for (struct task *t = s->tasks; t; t = t->next) {
		if (stands_still(t))
			t->paused_ms += by;
		t->phase_ms += by;
		t->progress_ms += by;
		if (t->killed_ms)
			t->killed_ms += by;
	}
	s->control.frozen_ms = mono_ms;
}

static void freeze(struct scheduler *s, bool frozen, int64_t mono_ms)
{
	struct control *c = &s->control;

	if (c->frozen)
		put_clocks_forward(s, mono_ms);
	c->frozen_ms = mono_ms;
	if (frozen)
		signal_workers(s, SIGSTOP); /* each time: a validation may have begun */
	else if (c->frozen)
		signal_workers(s, SIGCONT);
	c->frozen = frozen;
}

static void say_pause(struct scheduler *s, enum pause_kind now)
{
	if (now == PAUSE_NOT)
		display_say(s->display, "resumed");
	else
		display_say(s->display, "paused: nothing new begins%s; quern resume goes on",
			    now == PAUSE_NOW ? ", workers are stopped" : "");
}

static void take_word(struct scheduler *s, const struct control_word *w)
{
	struct control *c = &s->control;

	if (w->pause != c->paused) {
		say_pause(s, w->pause);
		c->paused = w->pause;
		if (!c->paused)
			publish_go_on(s);
	}
	if (w->drain == s->opt.run_id && !c->draining) {
		c->draining = s->res->drained = true;
		display_say(s->display, "draining: what runs may finish, nothing new begins");
	}
}

static void look_at_deadline(struct scheduler *s)
{
	struct control *c = &s->control;

	if (!s->opt.deadline_ms || c->deadline_met || clock_wall_ms() < s->opt.deadline_ms)
		return;
	c->deadline_met = s->res->time_over = true;
	if (s->tasks || publish_busy(s))
		display_say(s->display, "%s: the time is over; what runs may finish for %lld s",
			    s->opt.deadline, (long long)(s->cfg->resources.grace_ms / 1000));
	sched_raise_stop(s, STOP_STARTING);
}

void control_tick(struct scheduler *s, int64_t mono_ms)
{
	struct err e = ERR_INIT;
	struct control_word w;

	look_at_deadline(s);
	if (mono_ms - s->control.looked_ms < LOOK_MS)
		return;
	s->control.looked_ms = mono_ms;
	if (control_read(s->store, &w, &e) < 0) {
		sched_fatal(s, &e);
		return;
	}
	take_word(s, &w);
	freeze(s, w.pause == PAUSE_NOW && s->stop < STOP_WORKERS, mono_ms);
}

/* ---- will it end in time? */

static uint64_t hash_of(const struct job_spec *spec)
{
	const char *const parts[] = { spec->model, spec->engine, spec->quant };
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		for (const char *p = parts[i]; *p; p++)
			h = (h ^ (unsigned char)*p) * 1099511628211u;
		h = (h ^ 0xff) * 1099511628211u;
	}
	return h ? h : 1;
}

/* The like in this order: with this quant, with any. 0: nothing is known. */
static int64_t ask_duration(struct scheduler *s, const struct job_spec *spec)
{
	struct err ignored = ERR_INIT; /* then nothing is known, and it may start */
	int64_t ms = 0;

	if (store_duration(s->store, spec, true, &ms, &ignored) > 0 ||
	    store_duration(s->store, spec, false, &ms, &ignored) > 0)
		return ms;
	return 0;
}

static int64_t duration(struct scheduler *s, const struct job_spec *spec)
{
	uint64_t what = hash_of(spec);
	struct control_known *k = &s->control.known[what % CONTROL_KNOWN];

	if (k->what != what || !k->ms) /* nothing known may be something by now */
		*k = (struct control_known){ what, ask_duration(s, spec) };
	return k->ms;
}

bool control_fits(struct scheduler *s, const struct job_row *job)
{
	int64_t ms, left = s->opt.deadline_ms - clock_wall_ms();
	char needs[32];

	if (!s->opt.deadline_ms)
		return true;
	ms = duration(s, &job->spec);
	if (ms <= left)
		return true;
	s->res->time_over = true;
	if (!s->control.said_too_long) {
		units_format_duration(ms, needs, sizeof(needs));
		display_say(s->display,
			    "%s: %s is not started: the like took %s, which would be too long; "
			    "others like it wait too",
			    s->opt.deadline, job->label, needs);
	}
	s->control.said_too_long = true;
	return false;
}
