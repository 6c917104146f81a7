#include "orchestrator/run/run.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "orchestrator/cli.h"
#include "orchestrator/view/summary.h"

/* One commit a second: other commands that write wait no longer, and the pages of the index of
 * keys, which every few thousand points touch all, are not written more often. A crash costs
 * nothing, as adding is repeatable. */
#define BATCH_MS 1000
#define BATCH_LOOK 1000 /* points between two looks at the clock */

#define ILLEGAL_SAID 10	 /* by name; a wrong line of a large matrix would fill the screen */
#define WARNINGS_SAID 10 /* different ones; each with how many points it is about */
#define REFUSALS_KEPT 50 /* reasons, for the report; the run's row counts all points */

/* A matrix gives many points the same warning: it is said once, with the first of them. */
struct warning {
	const char *text, *label;
	int64_t points;
};

struct adding {
	struct session *s;
	int64_t run_id, now_ms;
	int64_t n_added, batch_start_ms;
	int64_t to_do;
	struct model_work *work;
	int said_illegal;
	struct refusal_row refusals[REFUSALS_KEPT];
	int n_refusals;
	struct warning warnings[WARNINGS_SAID];
	int n_warnings;
	int64_t more_warnings; /* points with further ones */
};

static void say_illegal(struct adding *x, const struct plan_point *p)
{
	if (++x->said_illegal > ILLEGAL_SAID)
		return;
	fputs("quern: ", stderr);
	cli_print_text(stderr, p->label);
	fputs(": ", stderr);
	cli_print_text(stderr, p->why);
	fputc('\n', stderr);
}

/* What many points have in common is kept once, with the first of them. */
static void note_refusal(struct adding *x, const struct plan_point *p)
{
	for (int i = 0; i < x->n_refusals; i++) {
		if (strcmp(x->refusals[i].cause, p->cause) == 0 &&
		    strcmp(x->refusals[i].message, p->why) == 0) {
			x->refusals[i].points++;
			return;
		}
	}
	if (x->n_refusals == REFUSALS_KEPT)
		return;
	x->refusals[x->n_refusals++] =
		(struct refusal_row){ .cause = arena_strdup(x->s->a, p->cause),
				      .message = arena_strdup(x->s->a, p->why),
				      .label = arena_strdup(x->s->a, p->label),
				      .points = 1 };
}

static int keep_refusals(struct adding *x, struct err *e)
{
	int rc = 0;

	for (int i = 0; rc >= 0 && i < x->n_refusals; i++)
		rc = store_refusal_put(x->s->store, x->run_id, &x->refusals[i], e);
	return rc;
}

static void note_one(struct adding *x, const struct plan_point *p, const char *text, size_t n)
{
	for (int i = 0; i < x->n_warnings; i++) {
		if (strlen(x->warnings[i].text) == n && memcmp(x->warnings[i].text, text, n) == 0) {
			x->warnings[i].points++;
			return;
		}
	}
	if (x->n_warnings == WARNINGS_SAID) {
		x->more_warnings++;
		return;
	}
	x->warnings[x->n_warnings++] = (struct warning){ arena_strndup(x->s->a, text, n),
							 arena_strdup(x->s->a, p->label), 1 };
}

/* Several stand in one text; each but perhaps the last ends with its rule. */
static void note_warnings(struct adding *x, const struct plan_point *p)
{
	const char *at = p->warning;

	while (*at) {
		const char *rule = strstr(at, " (rule "), *end = rule ? strchr(rule, ')') : NULL;
		size_t n = end ? (size_t)(end + 1 - at) : strlen(at);

		note_one(x, p, at, n);
		at += n;
		at += strspn(at, "; ");
	}
}

static void say_warnings(const struct adding *x)
{
	for (int i = 0; i < x->n_warnings; i++) {
		const struct warning *w = &x->warnings[i];

		fputs("quern: warning: ", stderr);
		cli_print_text(stderr, w->label);
		if (w->points > 1)
			fprintf(stderr, " and %lld more", (long long)w->points - 1);
		fputs(": ", stderr);
		cli_print_text(stderr, w->text);
		fputc('\n', stderr);
	}
	if (x->more_warnings)
		fprintf(stderr, "quern: ... and %lld other warnings: quern plan\n",
			(long long)x->more_warnings);
}

static int next_batch(struct adding *x, struct err *e)
{
	int rc = store_commit(x->s->store, e);

	x->batch_start_ms = clock_mono_ms();
	return rc < 0 ? rc : store_begin(x->s->store, e);
}

static bool batch_is_full(struct adding *x)
{
	return ++x->n_added % BATCH_LOOK == 0 && clock_mono_ms() - x->batch_start_ms >= BATCH_MS;
}

/* Its place on the hub went to a newer job, and now it is the newest. */
static int publish_again(struct adding *x, const struct plan_point *p, struct err *e)
{
	struct job_move m = { .id = p->job_id,
			      .from = p->state,
			      .ev = EV_WANTED,
			      .now_ms = x->now_ms,
			      .run_id = x->run_id };

	return store_job_move(x->s->store, &m, NULL, e);
}

static int redo(struct adding *x, const struct plan_point *p, struct err *e)
{
	struct job_move m = { .id = p->job_id,
			      .from = p->state,
			      .ev = EV_ARTIFACT_GONE,
			      .now_ms = x->now_ms,
			      .cause = "artifact gone",
			      .message = "its artifact was removed or changed",
			      .run_id = x->run_id };
	enum job_state to;
	int rc = store_artifacts_clear(x->s->store, p->job_id, e);

	return rc < 0 ? rc : store_job_move(x->s->store, &m, &to, e);
}

static void count_work(struct adding *x, const struct plan_point *p)
{
	struct model_work *w = &x->work[p->source->model - x->s->cfg->models];

	x->to_do++;
	w->any = true;
	w->output_bytes += p->need.output_bytes;
}

static int add_point(void *ctx, const struct plan_point *p, struct err *e)
{
	struct adding *x = ctx;
	const struct job_new j = plan_job(p);
	enum job_added how;
	enum job_state state;
	int64_t id;
	int rc;

	if (p->status == PLAN_ILLEGAL) {
		say_illegal(x, p);
		note_refusal(x, p);
	}
	if (p->status == PLAN_ILLEGAL || p->status == PLAN_DUPLICATE)
		return 0;
	rc = store_job_add(x->s->store, &j, x->run_id, x->now_ms, &how, &id, &state, e);
	if (rc >= 0 && p->status == PLAN_LOST)
		rc = redo(x, p, e);
	if (rc >= 0 && p->status == PLAN_CONVERTED && p->state == JOB_DONE)
		rc = publish_again(x, p, e);
	if (p->status <= PLAN_LOST) {
		count_work(x, p);
		if (p->warning)
			note_warnings(x, p);
	}
	if (rc >= 0 && batch_is_full(x))
		rc = next_batch(x, e);
	return rc;
}

static int fill_store(struct adding *x, const char *only, struct plan_totals *t, struct err *e)
{
	int rc = store_begin(x->s->store, e);

	if (rc >= 0)
		rc = plan_walk(x->s, only, x->run_id, add_point, x, t, e);
	if (rc >= 0)
		rc = store_run_totals(x->s->store, x->run_id, (int64_t)t->points,
				      (int64_t)t->count[PLAN_NEW], (int64_t)t->count[PLAN_CHANGED],
				      (int64_t)t->count[PLAN_DUPLICATE],
				      (int64_t)t->count[PLAN_ILLEGAL], e);
	if (rc >= 0)
		rc = keep_refusals(x, e);
	if (rc >= 0)
		rc = store_wake(x->s->store, x->run_id, e);
	if (rc >= 0)
		return store_commit(x->s->store, e);
	store_rollback(x->s->store);
	return rc;
}

int run_fill(struct session *s, const char *only, int64_t now_ms, struct run_filled *out,
	     struct err *e)
{
	struct adding x = { .s = s, .now_ms = now_ms, .batch_start_ms = clock_mono_ms() };
	int rc = plan_ask(s, only, e);

	x.work = arena_array(s->a, s->cfg->n_models + 1, sizeof(*x.work));
	if (rc >= 0)
		rc = store_run_begin(s->store, s->cfg->name, s->cfg->file, now_ms, &x.run_id, e);
	if (rc >= 0)
		rc = fill_store(&x, only, &out->totals, e);
	if (rc < 0)
		return rc;
	summary_renamed(stderr, s);
	if (x.said_illegal > ILLEGAL_SAID)
		fprintf(stderr, "quern: ... and %d more points that are not legal: quern plan\n",
			x.said_illegal - ILLEGAL_SAID);
	say_warnings(&x);
	out->run_id = x.run_id;
	out->to_do = x.to_do;
	out->work = x.work;
	return 0;
}
