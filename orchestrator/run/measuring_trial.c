/* orchestrator/run/measuring_trial.c -- one measurement: a child of quern (measure-job), what it
 * says, its ending, and its limit. The child puts what came of it into the store when it can. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/crash.h"
#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/measure/record.h"
#include "orchestrator/run/measuring_private.h"

#define KEPT_MAX                                                                                   \
	3	   /* failures of a machine that is away: it may be the file that it cannot take   \
		    */
#define AWAY_MAX 2 /* failures in a row after which a machine is not asked any more tonight */
#define LATE_MS 30000 /* the child keeps its time limit itself; after so much more it is ended */
#define ASK_MS 10000  /* from SIGTERM to SIGKILL */

/* ---- what it says */

static void take_warnings(struct measuring_trial *t, const struct json *v)
{
	const struct json *list = json_get(v, "warnings");

	for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
		const struct json *w = list->members[i].value;
		const char *kind = json_str(w, "kind", "");

		t->warnings++;
		t->m->sched->res->regressions += strcmp(kind, MEASURE_WARN_REGRESSION) == 0;
		display_say(t->m->sched->display, "%s: %s: %s", t->label, kind,
			    json_str(w, "text", ""));
	}
}

static void on_line(struct child *c, const char *line, size_t len)
{
	struct measuring_trial *t = c->data;
	struct err ignored = ERR_INIT;
	struct arena *a = arena_new();
	const char *event;
	struct json *v;

	if (json_parse(a, line, len, &v, &ignored) == 0) {
		event = json_str(v, "event", "");
		if (strcmp(event, "progress") == 0) {
			(void)snprintf(t->stage, sizeof(t->stage), "%s", json_str(v, "stage", ""));
			t->done = json_int(v, "done", 0);
			t->total = json_int(v, "total", 0);
		} else if (strcmp(event, "measured") == 0) {
			t->measured = true;
			(void)snprintf(t->held, sizeof(t->held), "%s", json_str(v, "held", ""));
			take_warnings(t, v);
		} else if (strcmp(event, "error") == 0) {
			(void)snprintf(t->message, sizeof(t->message), "%s",
				       json_str(v, "message", ""));
			t->away = strcmp(json_str(v, "code", ""), "busy") == 0;
			t->cancelled = strcmp(json_str(v, "code", ""), "cancelled") == 0;
		}
	}
	arena_free(a);
}

/* ---- its ending */

static void say_failure(struct measuring_trial *t)
{
	struct scheduler *s = t->m->sched;
	struct measuring_stage *x = &t->m->stages[t->item.stage];

	s->res->measure_failed++;
	display_say(s->display, "%s: not measured (%s): %s", t->label, x->st->name, t->message);
	x->away = t->away ? x->away + 1 : 0;
	if (x->away >= AWAY_MAX)
		measuring_give_up(t->m, x->machine, t->message);
}

/* The next run asks the machine again. */
static int keep_for_later(struct measuring_trial *t, struct err *e)
{
	const struct measuring_stage *x = &t->m->stages[t->item.stage];
	int64_t failures = 0;
	int rc = store_measure_failures(t->m->sched->store, t->item.job_id, x->st->name,
					x->settings, &failures, e);

	return rc < 0 || failures >= KEPT_MAX
		       ? rc
		       : measuring_keep_files(t->m->sched, x->st, t->item.job_id, e);
}

/* The child puts what came of it into the store when it can; this is for when it could not. */
static void end_row(struct measuring_trial *t)
{
	struct scheduler *s = t->m->sched;
	const struct measure_stage *st = t->m->stages[t->item.stage].st;
	struct err e = ERR_INIT;
	int rc = sched_batch(s, &e);

	if (rc >= 0 && (s->stop >= STOP_WORKERS || t->cancelled))
		rc = store_measure_forget(s->store, t->id, &e);
	else if (rc >= 0)
		rc = measure_record_failed(s->store, st, t->id, t->item.job_id, t->message,
					   sched_now(s), NULL, &e);
	if (rc >= 0 && t->away && !(st->hold & MEASURE_HOLD_FAILED))
		rc = keep_for_later(t, &e);
	if (rc < 0)
		sched_fatal(s, &e);
}

static void trial_done(struct child *c)
{
	struct measuring_trial *t = c->data, **at = &t->m->trials;
	struct measuring *m = t->m;
	struct scheduler *s = m->sched;
	bool stopped = s->stop >= STOP_WORKERS || t->cancelled;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	m->stages[t->item.stage].busy = false;
	if (!c->spawn_err && !c->signal && c->exit_code == 0 && t->measured) {
		m->stages[t->item.stage].away = 0;
		s->res->measured++;
		s->res->measure_warned += t->warnings > 0;
		s->res->held += t->held[0] != '\0';
	} else {
		if (c->signal)
			(void)snprintf(t->message, sizeof(t->message),
				       "the measurement was ended by signal %d", c->signal);
		else if (!t->message[0])
			(void)snprintf(t->message, sizeof(t->message),
				       "the measurement could not be started");
		end_row(t);
		if (!stopped)
			say_failure(t);
	}
	CRASH_POINT("measure:ended");
	if (!stopped) {
		measuring_want_refresh(m, t->repo);
		if (t->item.holds && !t->held[0])
			publish_released(s, t->repo);
	}
	arena_free(t->a);
	free(t);
	sched_kick(s);
}

/* ---- its beginning */

static const char **child_argv(struct measuring_trial *t)
{
	const struct scheduler *s = t->m->sched;
	const struct config *c = s->cfg;
	const struct measuring_stage *x = &t->m->stages[t->item.stage];
	const char **argv = arena_array(t->a, 18 + 2 * c->set.n, sizeof(*argv));
	size_t n = 0;

	argv[n++] = "/proc/self/exe"; /* resolved in the child of quern, which is quern */
	argv[n++] = "measure-job";
	argv[n++] = "--file";
	argv[n++] = c->file;
	for (size_t i = 0; i < c->set.n; i++) {
		argv[n++] = "--set";
		argv[n++] = c->set.v[i];
	}
	argv[n++] = "--stage";
	argv[n++] = x->st->name;
	argv[n++] = "--settings";
	argv[n++] = x->settings;
	argv[n++] = "--job";
	argv[n++] = arena_printf(t->a, "%lld", (long long)t->item.job_id);
	argv[n++] = "--measurement";
	argv[n++] = arena_printf(t->a, "%lld", (long long)t->id);
	argv[n++] = "--dir";
	argv[n++] = arena_printf(t->a, "%s/measure/%lld-%s", c->work, (long long)t->item.job_id,
				 x->st->name);
	return argv;
}

int measuring_begin(struct measuring *m, const struct measuring_item *item, struct err *e)
{
	struct scheduler *s = m->sched;
	struct measuring_stage *x = &m->stages[item->stage];
	struct measuring_trial *t = mem_zalloc(sizeof(*t));
	struct job_row job;
	int rc;

	t->m = m;
	t->a = arena_new();
	t->item = *item;
	rc = store_job_get(s->store, item->job_id, t->a, &job, e);
	if (rc >= 0)
		rc = sched_batch(s, e);
	if (rc >= 0)
		rc = measure_record_begin(s->store, x->st, x->settings, item->job_id, s->opt.run_id,
					  sched_now(s), &t->id, e);
	if (rc < 0) {
		arena_free(t->a);
		free(t);
		return rc;
	}
	CRASH_POINT("measure:begun");
	t->label = arena_strdup(t->a, job.label);
	t->repo = arena_strdup(t->a, job.repo);
	t->started_ms = clock_mono_ms();
	(void)snprintf(t->stage, sizeof(t->stage), "measure");
	t->child = (struct child){ .argv = child_argv(t),
				   .log_fd = -1,
				   .lock_fd = -1,
				   .on_line = on_line,
				   .on_done = trial_done,
				   .data = t };
	t->next = m->trials;
	m->trials = t;
	x->busy = true;
	sched_flush(s); /* the child reads the store */
	child_start(&t->child, &s->children);
	return 0;
}

/* ---- its limit */

void measuring_mind(struct measuring_trial *t, int64_t mono_ms)
{
	const struct measure_stage *st = t->m->stages[t->item.stage].st;

	if (!t->asked_ms && mono_ms - t->started_ms > st->timeout_ms + LATE_MS) {
		t->asked_ms = mono_ms;
		child_signal(&t->child, SIGTERM);
	} else if (t->asked_ms && mono_ms - t->asked_ms > ASK_MS) {
		child_signal(&t->child, SIGKILL);
	}
}
