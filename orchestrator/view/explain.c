#include "orchestrator/view/explain.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "db/cause.h"
#include "db/control.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/config/window.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/run/ladder.h"

struct explaining {
	struct session *s;
	struct arena *a;
	struct explained *x;
	struct run_row run; /* the last one; id 0: none */
	bool going;
	int64_t running, running_bytes, before; /* jobs in work, their claims; that start earlier */
	bool in_matrix;
};

static void add(struct explaining *g, enum reason_kind kind, const char *what, const char *text)
{
	if (g->x->n_reasons < REASONS_MAX)
		g->x->reasons[g->x->n_reasons++] = (struct reason){ kind, what, text };
}

static const char *size_of(struct explaining *g, uint64_t bytes)
{
	char text[32];

	units_format_size(bytes, text, sizeof(text));
	return arena_strdup(g->a, text);
}

/* ---- the job by itself */

static void look_at_state(struct explaining *g)
{
	const struct job_row *j = &g->x->job;
	const struct cause *c = cause_find(j->cause);

	switch (j->state) {
	case JOB_PENDING:
		add(g, REASON_GOOD, "state", "pending: it waits to be done");
		return;
	case JOB_FAILED:
		add(g, REASON_NEVER, "state",
		    arena_printf(g->a, "failed: %s: %s; %s%squern retry %lld", j->cause, j->message,
				 c ? c->fix : "", c && c->fix[0] ? "; then " : "",
				 (long long)j->id));
		return;
	case JOB_CANCELLED:
		add(g, REASON_NEVER, "state",
		    arena_printf(g->a, "cancelled; quern retry %lld takes it up again",
				 (long long)j->id));
		return;
	case JOB_DONE:
	case JOB_READY:
		add(g, REASON_DONE, "state",
		    arena_printf(g->a, "%s: it is converted, and its key is not done again",
				 job_state_name(j->state)));
		return;
	default:
		add(g, REASON_LATER, "state",
		    arena_printf(g->a, "%s: it is in work", job_state_name(j->state)));
	}
}

static void look_at_waiting(struct explaining *g)
{
	const struct job_row *j = &g->x->job;
	struct rungs r;

	if (j->state != JOB_PENDING)
		return;
	if (j->not_before_ms > g->x->now_ms)
		add(g, g->going ? REASON_LATER : REASON_GOOD, "wait",
		    arena_printf(g->a, "its next attempt is not before %s%s",
				 show_time(g->a, j->not_before_ms),
				 g->going ? "" : "; a run that begins now does not wait"));
	if (!j->rungs[0])
		return;
	rungs_read(g->a, engine_find(&g->s->engines, j->spec.engine), j->rungs, &r);
	add(g, r.alone && g->running ? REASON_LATER : REASON_GOOD, "rungs",
	    arena_printf(g->a, "after %d failed attempt%s: %s", j->attempts,
			 j->attempts == 1 ? "" : "s", j->rungs));
}

/* ---- its point in the matrix of now */

static void look_at_source(struct explaining *g, const struct plan_point *p)
{
	uint64_t missing = p->source->hub ? hub_source_missing_bytes(p->source->hub) : 0;

	if (p->source->fault)
		return; /* the point says it */
	if (missing)
		add(g, REASON_GOOD, "source",
		    arena_printf(g->a, "%s of it are fetched first", size_of(g, missing)));
	else if (!source_is_ready(p->source))
		add(g, REASON_GOOD, "source", "it is made first");
	else
		add(g, REASON_GOOD, "source", "it is there");
}

static void look_at_room(struct explaining *g, const struct plan_point *p)
{
	const struct config *c = g->s->cfg;
	uint64_t claim = p->need.memory_bytes, disk = p->need.output_bytes + p->need.scratch_bytes;
	uint64_t memory = c->resources.memory_bytes, used = (uint64_t)g->running_bytes, have = 0;
	struct err ignored = ERR_INIT;
	struct rungs r;

	rungs_read(g->a, p->engine, g->x->job.rungs, &r);
	claim = (uint64_t)rungs_memory(&r, (int64_t)claim, memory);
	add(g, used + claim > memory ? REASON_LATER : REASON_GOOD, "memory",
	    arena_printf(g->a, "it claims %s of resources.memory, %s; %s are claimed by what runs",
			 size_of(g, claim), size_of(g, memory), size_of(g, used)));
	if (path_free_space(c->work, &have, &ignored) < 0)
		return;
	add(g, have < disk + c->resources.disk_reserve_bytes ? REASON_LATER : REASON_GOOD, "disk",
	    arena_printf(g->a, "it writes %s, %s are free and %s are kept so", size_of(g, disk),
			 size_of(g, have), size_of(g, c->resources.disk_reserve_bytes)));
}

static bool same_point(const struct job_spec *x, const struct job_spec *y)
{
	return strcmp(x->model, y->model) == 0 && strcmp(x->engine, y->engine) == 0 &&
	       strcmp(x->platform, y->platform) == 0 && strcmp(x->quant, y->quant) == 0 &&
	       x->hybrid == y->hybrid && x->opt == y->opt;
}

static const char *differences(struct explaining *g, const struct job_spec *now)
{
	struct key_part parts[KEY_PARTS];
	size_t at[KEY_PARTS], n;
	const char *text = "";

	key_parts(g->a, now, parts);
	n = key_parts_differ(g->x->parts, parts, at);
	for (size_t i = 0; i < n; i++)
		text = arena_printf(g->a, "%s%s%s %.40s -> %.40s", text, i ? ", " : "",
				    parts[at[i]].name, g->x->parts[at[i]].value,
				    parts[at[i]].value);
	return text;
}

static int on_point(void *ctx, const struct plan_point *p, struct err *e)
{
	struct explaining *g = ctx;

	(void)e;
	if (!same_point(&p->spec, &g->x->job.spec) || p->status == PLAN_DUPLICATE ||
	    strcmp(p->spec.with, g->x->job.spec.with) != 0)
		return 0;
	g->in_matrix = true;
	if (p->status == PLAN_ILLEGAL) {
		add(g, REASON_NEVER, "point", arena_printf(g->a, "not legal: %s", p->why));
		return 0;
	}
	if (memcmp(p->key, g->x->job.key, SHA256_LEN) != 0) {
		add(g, REASON_NEVER, "point",
		    arena_printf(g->a, "the matrix makes another key of its point now: %s",
				 differences(g, &p->spec)));
		return 0;
	}
	add(g, REASON_GOOD, "point", "it is in the matrix");
	if (p->warning)
		add(g, REASON_GOOD, "warning", arena_strdup(g->a, p->warning));
	if (p->environment && p->environment->fault)
		add(g, REASON_NEVER, "environment", arena_strdup(g->a, p->environment->fault));
	if (g->x->job.state != JOB_PENDING && p->status != PLAN_LOST)
		return 0;
	if (p->status == PLAN_LOST) {
		add(g, REASON_GOOD, "artifact", "it is gone: the next run makes it again");
		g->x->reasons[0].kind = REASON_GOOD; /* of its state */
	}
	look_at_source(g, p);
	look_at_room(g, p);
	return 0;
}

/* A label as a glob that meets it only. */
static const char *as_glob(struct arena *a, const char *label)
{
	char *out = arena_alloc(a, 2 * strlen(label) + 1), *to = out;

	for (; *label; label++) {
		if (strchr("*?[]\\", *label))
			*to++ = '\\';
		*to++ = *label;
	}
	*to = '\0';
	return out;
}

static void look_at_matrix(struct explaining *g)
{
	struct plan_totals t;
	struct err e = ERR_INIT;

	if (plan_walk(g->s, as_glob(g->a, g->x->job.label), 0, on_point, g, &t, &e) < 0)
		add(g, REASON_LATER, "point", arena_printf(g->a, "not known: %s", e.msg));
	else if (!g->in_matrix)
		add(g, REASON_NEVER, "point",
		    "the matrix has it no more: neither excluded nor with other parameters is it "
		    "done");
}

/* ---- the run, the queue, the time */

static void look_at_run(struct explaining *g)
{
	const struct job_row *j = &g->x->job;
	int slots = g->s->cfg->resources.jobs;

	if (j->state != JOB_PENDING && j->state != JOB_READY && j->state != JOB_DONE)
		return;
	if (!g->going) {
		add(g, REASON_LATER, "run", "no run goes on; quern run begins one");
		return;
	}
	if (j->state == JOB_PENDING && j->run_id != g->run.id)
		add(g, REASON_LATER, "run",
		    "the run that goes on does not have it; the next one does");
	if (j->state == JOB_PENDING && g->running >= slots)
		add(g, REASON_LATER, "slots",
		    arena_printf(g->a, "%lld of %d are taken", (long long)g->running, slots));
	else if (j->state == JOB_PENDING)
		add(g, REASON_GOOD, "slots",
		    arena_printf(g->a, "%lld of %d are taken", (long long)g->running, slots));
}

static void look_at_queue(struct explaining *g)
{
	if (g->x->job.state != JOB_PENDING)
		return;
	add(g, g->going && g->before ? REASON_LATER : REASON_GOOD, "queue",
	    g->before ? arena_printf(g->a, "%lld wait%s before it", (long long)g->before,
				     g->before == 1 ? "s" : "")
		      : "it is the next");
}

static void look_at_time(struct explaining *g)
{
	const struct job_spec *spec = &g->x->job.spec;
	struct window w;
	struct err ignored = ERR_INIT;
	int64_t turn_ms = 0, ms = 0;
	bool known, open;
	char took[32];

	known = store_duration(g->s->store, spec, true, &ms, &ignored) > 0 ||
		store_duration(g->s->store, spec, false, &ms, &ignored) > 0;
	if (known) {
		units_format_duration(ms, took, sizeof(took));
		add(g, REASON_GOOD, "duration", arena_printf(g->a, "the like took %s", took));
	}
	if (!g->s->cfg->window || !window_parse(g->s->cfg->window, &w))
		return;
	open = window_is_open(&w, g->x->now_ms, &turn_ms);
	add(g, !open || (known && g->x->now_ms + ms > turn_ms) ? REASON_LATER : REASON_GOOD,
	    "window",
	    arena_printf(g->a, "run.window %s %s %s", g->s->cfg->window,
			 open ? "is open until" : "opens", show_time(g->a, turn_ms)));
}

static int look_at_control(struct explaining *g, struct err *e)
{
	struct control_word w;
	int rc = control_read(g->s->store, &w, e);

	if (rc < 0)
		return rc;
	if (w.pause)
		add(g, REASON_LATER, "pause",
		    arena_printf(g->a, "paused since %s; quern resume goes on",
				 show_time(g->a, w.since_ms)));
	if (g->going && w.drain == g->run.id)
		add(g, REASON_LATER, "drain", "the run that goes on is being drained");
	return 0;
}

/* ---- all other jobs, once */

static void look_for_nearest(struct explaining *g, const struct job_row *o)
{
	struct explained *x = g->x;
	struct key_part parts[KEY_PARTS];
	size_t at[KEY_PARTS], n;
	struct arena *scratch;

	if (o->id == x->job.id || (o->state != JOB_DONE && o->state != JOB_READY) ||
	    strcmp(o->spec.engine, x->job.spec.engine) != 0)
		return;
	scratch = arena_new();
	key_parts(scratch, &o->spec, parts);
	n = key_parts_differ(x->parts, parts, at);
	/* Of equally near ones the newest. */
	if (!x->nearest_id || n <= x->n_differ) {
		x->nearest_id = o->id;
		x->nearest_label = arena_strdup(g->a, o->label);
		x->n_differ = n;
		memcpy(x->differ, at, sizeof(at));
		for (size_t i = 0; i < KEY_PARTS; i++)
			x->nearest[i] = (struct key_part){ parts[i].name,
							   arena_strdup(g->a, parts[i].value),
							   parts[i].in_key };
	}
	arena_free(scratch);
}

static int on_job(void *ctx, const struct job_row *o, struct err *e)
{
	struct explaining *g = ctx;
	const struct job_row *j = &g->x->job;
	bool engine = strcmp(o->spec.engine, j->spec.engine) == 0;

	(void)e;
	if (o->state == JOB_RUNNING || o->state == JOB_VALIDATING) {
		g->running++;
		g->running_bytes += o->memory_bytes;
	}
	if (o->state == JOB_PENDING && o->run_id == j->run_id &&
	    (o->turn < j->turn || (o->turn == j->turn && o->id < j->id)))
		g->before++;
	if (o->state != JOB_FAILED && o->state != JOB_CANCELLED) {
		g->x->same_source += strcmp(o->spec.source_version, j->spec.source_version) == 0;
		g->x->same_engine +=
			engine && strcmp(o->spec.engine_version, j->spec.engine_version) == 0;
		g->x->same_with += engine && strcmp(o->spec.with, j->spec.with) == 0;
	}
	look_for_nearest(g, o);
	return 0;
}

/* ---- the whole */

static int load(struct explaining *g, const char *name, struct err *e)
{
	struct job_filter all = { .state = -1 };
	int64_t pid = 0;
	int rc = store_job_find(g->s->store, name, g->a, &g->x->job, e), held;

	if (rc < 0)
		return rc;
	key_parts(g->a, &g->x->job.spec, g->x->parts);
	rc = store_run_get(g->s->store, 0, g->a, &g->run, e);
	if (rc < 0 && rc != ERR_NOTFOUND)
		return rc;
	held = workdir_holder(g->s->cfg->work, &pid, e);
	if (held < 0)
		return held;
	g->going = held && rc >= 0 && !g->run.ended_ms;
	return store_job_each(g->s->store, &all, on_job, g, e);
}

int explain(struct session *s, const char *name, struct arena *a, struct explained *out,
	    struct err *e)
{
	struct explaining g = { .s = s, .a = a, .x = out };
	int rc;

	memset(out, 0, sizeof(*out));
	out->now_ms = clock_wall_ms();
	rc = load(&g, name, e);
	if (rc < 0)
		return rc;
	look_at_state(&g);
	look_at_matrix(&g);
	look_at_waiting(&g);
	rc = look_at_control(&g, e);
	look_at_time(&g);
	look_at_run(&g);
	look_at_queue(&g);
	return rc;
}

const struct reason *explain_verdict(const struct explained *x)
{
	const struct reason *worst = NULL;

	for (size_t i = 0; i < x->n_reasons; i++) {
		if (!worst || x->reasons[i].kind > worst->kind)
			worst = &x->reasons[i];
	}
	return worst;
}
