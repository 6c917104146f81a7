/* orchestrator/run/measuring.c -- artifacts that are tried where they will run: which, when, and
 * the children of quern that do it. A job is ready before it is measured, so nothing here can lose
 * an artifact; what a crash interrupts is measured again by the next run, three times at most.
 *
 * One at a time on a machine. A stage that wants to be alone waits until no conversion runs or can
 * start, and none starts while it measures. Publication waits only for stages with `hold`, and at
 * most their `wait`. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/crash.h"
#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/measure/record.h"
#include "orchestrator/run/scheduler_private.h"

#define INTERRUPTED_MAX 3 /* in a row: it may be what kills the machine */
#define KEPT_MAX                                                                                   \
	3	   /* failures of a machine that is away: it may be the file that it cannot take   \
		    */
#define AWAY_MAX 2 /* failures in a row after which a machine is not asked any more tonight */
#define LATE_MS 30000 /* the child keeps its time limit itself; after so much more it is ended */
#define ASK_MS 10000  /* from SIGTERM to SIGKILL */
#define HOLDS_MAX 100000
#define MESSAGE_MAX 600

struct stage_state {
	const struct measure_stage *st;
	const char *settings, *fault; /* fault: not measured in this run, and why */
	char *machine;
	int away; /* failures to reach it in a row */
	bool busy;
};

struct item {			  /* a job that wants to be measured in a stage */
	int64_t job_id, since_ms; /* since_ms: monotonic, when it could have been measured first */
	int stage;
	bool holds; /* publication of the job waits for it */
};

struct trial { /* one that goes on */
	struct trial *next;
	struct measuring *m;
	struct child child;
	struct arena *a;
	struct item item;
	int64_t id, started_ms, asked_ms; /* monotonic; asked_ms: SIGTERM was sent */
	const char *label, *repo;
	char stage[32], message[MESSAGE_MAX], held[32];
	int64_t done, total;
	int warnings;
	bool away, measured, cancelled;
};

struct repo_name {
	struct repo_name *next;
	char *name;
};

struct measuring {
	struct scheduler *sched;
	struct arena *a;
	struct stage_state *stages;
	size_t n_stages;
	struct item *items; /* in the order in which they came */
	size_t n, cap;
	struct trial *trials;
	struct repo_name *refresh; /* repositories whose cards may say more now */
};

static void trial_done(struct child *c);

/* ---- what is to be measured */

static void add_item(struct measuring *m, int64_t job_id, int stage, bool holds)
{
	MEM_GROW(m->items, m->n, m->cap);
	m->items[m->n++] = (struct item){ .job_id = job_id, .stage = stage, .holds = holds };
}

/* 1: it wants to be measured. */
static int is_wanted(struct measuring *m, int64_t job_id, int stage, struct err *e)
{
	const struct stage_state *x = &m->stages[stage];
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

static void want_refresh(struct measuring *m, const char *repo)
{
	struct repo_name **r = &m->refresh;

	if (!repo[0])
		return;
	for (; *r; r = &(*r)->next)
		if (strcmp((*r)->name, repo) == 0)
			return;
	*r = mem_zalloc(sizeof(**r));
	(*r)->name = mem_strdup(repo);
}

/* resources.keep: none: published or not, its files stay here until it was measured. */
static int keep_files(struct scheduler *s, const struct measure_stage *st, int64_t job_id,
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
		want_refresh(m, row->repo);
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
	const struct stage_state *x = &m->stages[stage];
	int rc = is_wanted(m, row->id, stage, e);

	*later |= x->fault != NULL;
	if (rc < 0)
		return rc;
	if (rc > 0) {
		*later = true;
		add_item(m, row->id, stage, waits);
		return waits ? 0 : keep_files(m->sched, x->st, row->id, e);
	}
	/* Nobody would ever let it go. */
	return waits ? measure_record_given_up(m->sched->store, x->st, row->id, sched_now(m->sched),
					       e)
		     : 0;
}

static int consider_job(void *ctx, const struct job_row *row, struct err *e)
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

/* A hold of a stage that is gone, or that holds no more, lets go. */
static int drop_stale_holds(struct scheduler *s, struct err *e)
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
			want_refresh(s->measuring, job.repo);
	}
	arena_free(a);
	return rc < 0 ? rc : 0;
}

static void open_stages(struct measuring *m)
{
	const struct config *c = m->sched->cfg;

	m->stages = arena_array(m->a, c->n_measure + 1, sizeof(*m->stages));
	m->n_stages = c->n_measure;
	for (size_t i = 0; i < m->n_stages; i++) {
		struct stage_state *x = &m->stages[i];
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
		rc = drop_stale_holds(s, e);
	if (rc < 0 || !s->opt.measure)
		return rc < 0 ? rc : 0;
	open_stages(m);
	for (size_t i = 0; rc >= 0 && m->n_stages && i < ARRAY_LEN(states); i++) {
		const struct job_filter f = { .run_id = s->opt.run_id, .state = (int)states[i] };

		rc = store_job_each(s->store, &f, consider_job, m, e);
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
		struct repo_name *r = m->refresh;

		m->refresh = r->next;
		free(r->name);
		free(r);
	}
	free(m->items);
	arena_free(m->a);
	free(m);
	s->measuring = NULL;
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
		rc = i < m->n_stages ? is_wanted(m, job->id, (int)i, e) : 1;
		if (rc <= 0)
			continue;
		rc = st->hold ? store_hold_put(s->store, &hold, e) : keep_files(s, st, job->id, e);
		if (rc >= 0 && i < m->n_stages)
			add_item(m, job->id, (int)i, st->hold != 0);
	}
	return rc < 0 ? rc : 0;
}

/* ---- publication */

void measuring_published(struct scheduler *s, const char *repo)
{
	for (struct repo_name **r = &s->measuring->refresh; *r; r = &(*r)->next) {
		struct repo_name *gone = *r;

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
static void let_go(struct measuring *m, struct item *item)
{
	const struct measure_stage *st = m->stages[item->stage].st;
	struct err e = ERR_INIT;

	if (!item->holds)
		return;
	item->holds = false;
	if (sched_batch(m->sched, &e) < 0 ||
	    measure_record_given_up(m->sched->store, st, item->job_id, sched_now(m->sched), &e) <
		    0 ||
	    (!(st->hold & MEASURE_HOLD_FAILED) && keep_files(m->sched, st, item->job_id, &e) < 0))
		sched_fatal(m->sched, &e);
	else
		say_released(m, item->job_id);
}

static void drop_item(struct measuring *m, size_t i)
{
	memmove(&m->items[i], &m->items[i + 1], (m->n - i - 1) * sizeof(*m->items));
	m->n--;
}

/* Nobody answers there: what waits for it is left for the next run. */
static void give_machine_up(struct measuring *m, const char *machine, const char *why)
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

/* ---- the child */

static void take_warnings(struct trial *t, const struct json *v)
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
	struct trial *t = c->data;
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

static const char **child_argv(struct trial *t)
{
	const struct scheduler *s = t->m->sched;
	const struct config *c = s->cfg;
	const struct stage_state *x = &t->m->stages[t->item.stage];
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

static int begin(struct measuring *m, const struct item *item, struct err *e)
{
	struct scheduler *s = m->sched;
	struct stage_state *x = &m->stages[item->stage];
	struct trial *t = mem_zalloc(sizeof(*t));
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

/* ---- endings */

static void say_failure(struct trial *t)
{
	struct scheduler *s = t->m->sched;
	struct stage_state *x = &t->m->stages[t->item.stage];

	s->res->measure_failed++;
	display_say(s->display, "%s: not measured (%s): %s", t->label, x->st->name, t->message);
	x->away = t->away ? x->away + 1 : 0;
	if (x->away >= AWAY_MAX)
		give_machine_up(t->m, x->machine, t->message);
}

/* The next run asks the machine again. */
static int keep_for_later(struct trial *t, struct err *e)
{
	const struct stage_state *x = &t->m->stages[t->item.stage];
	int64_t failures = 0;
	int rc = store_measure_failures(t->m->sched->store, t->item.job_id, x->st->name,
					x->settings, &failures, e);

	return rc < 0 || failures >= KEPT_MAX ? rc
					      : keep_files(t->m->sched, x->st, t->item.job_id, e);
}

/* The child puts what came of it into the store when it can; this is for when it could not. */
static void end_row(struct trial *t)
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
	struct trial *t = c->data, **at = &t->m->trials;
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
		want_refresh(m, t->repo);
		if (t->item.holds && !t->held[0])
			publish_released(s, t->repo);
	}
	arena_free(t->a);
	free(t);
	sched_kick(s);
}

/* ---- when */

bool measuring_alone(const struct scheduler *s)
{
	for (const struct trial *t = s->measuring->trials; t; t = t->next)
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
static int may_begin(struct measuring *m, const struct item *item, bool quiet)
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
		struct item item;

		if (!m->items[i].since_ms && (quiet || !m->stages[m->items[i].stage].st->alone))
			m->items[i].since_ms = clock_mono_ms();
		item = m->items[i];
		if (!may_begin(m, &item, quiet)) {
			i++;
			continue;
		}
		drop_item(m, i);
		if (begin(m, &item, &e) < 0) {
			sched_fatal(s, &e);
			break;
		}
	}
	return m->trials || (m->n && s->stop == STOP_NOT);
}

/* ---- the clock */

static void mind_trial(struct trial *t, int64_t mono_ms)
{
	const struct measure_stage *st = t->m->stages[t->item.stage].st;

	if (!t->asked_ms && mono_ms - t->started_ms > st->timeout_ms + LATE_MS) {
		t->asked_ms = mono_ms;
		child_signal(&t->child, SIGTERM);
	} else if (t->asked_ms && mono_ms - t->asked_ms > ASK_MS) {
		child_signal(&t->child, SIGKILL);
	}
}

static bool waited_enough(const struct measuring *m, const struct item *item, int64_t mono_ms)
{
	return item->holds && item->since_ms &&
	       mono_ms - item->since_ms > m->stages[item->stage].st->wait_ms;
}

void measuring_tick(struct scheduler *s, int64_t mono_ms)
{
	struct measuring *m = s->measuring;

	for (struct trial *t = m->trials; t; t = t->next) {
		mind_trial(t, mono_ms);
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
	for (struct trial *t = s->measuring->trials; t; t = t->next)
		child_signal(&t->child, sig);
}

int measuring_draw(const struct scheduler *s, int64_t mono_ms, struct display_job *jobs, int max)
{
	int n = 0;

	for (const struct trial *t = s->measuring->trials; t && n < max; t = t->next)
		jobs[n++] = (struct display_job){ .label = t->label,
						  .stage = t->stage,
						  .unit = "prompts",
						  .done = t->done,
						  .total = t->total,
						  .elapsed_ms = mono_ms - t->started_ms };
	return n;
}
