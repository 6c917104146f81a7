/* orchestrator/command/cmd_status.c -- quern status. docs/quern.1 documents the JSON. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/json_rows.h"
#include "orchestrator/view/status.h"
#include "orchestrator/view/table.h"

#define CHUNK_MAX (1u << 20) /* JSON of one status and of one listed job is far below */

struct status_options {
	struct store_command sc;
	const char *state;
	int64_t run;
	bool json, all, watch;
	int state_number; /* -1: none asked for */
};

static int read_state(struct status_options *o, struct err *e)
{
	const char *names[JOB_STATE_COUNT], *near;

	o->state_number = -1;
	if (!o->state)
		return 0;
	o->state_number = job_state_parse(o->state);
	if (o->state_number >= 0)
		return 0;
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		names[i] = job_state_name((enum job_state)i);
	near = nearest_name(o->state, names, JOB_STATE_COUNT);
	if (near)
		return err_set(e, ERR_INVALID,
			       "--state: there is no state \"%s\"; did you mean %s?", o->state,
			       near);
	return err_set(e, ERR_INVALID,
		       "--state: there is no state \"%s\"; it is one of pending, running, "
		       "validating, ready, "
		       "uploading, done, failed, cancelled",
		       o->state);
}

/* ---- the list of --state and --all */

static struct job_filter filter_of(const struct status_options *o, const struct status *st)
{
	return (struct job_filter){ .run_id = st->all ? 0 : st->run.id, .state = o->state_number };
}

static bool wants_list(const struct status_options *o)
{
	return o->state_number >= 0 || o->all;
}

struct listing {
	struct table *t;
	struct arena *a;
	int64_t now_ms;
};

static int list_row(void *ctx, const struct job_row *j, struct err *e)
{
	struct listing *l = ctx;
	char number[24];
	const char *row[] = { number, job_state_name(j->state), j->label,
			      show_ago(l->a, j->changed_ms, l->now_ms), j->message };

	(void)e;
	snprintf(number, sizeof(number), "%lld", (long long)j->id);
	table_add(l->t, row);
	table_style(l->t, 1, state_style(j->state));
	arena_reset(l->a);
	return 0;
}

static int list_text(const struct status_options *o, const struct status *st, struct err *e)
{
	static const struct column columns[] = {
		{ "job", ALIGN_RIGHT, 0 },     { "state", ALIGN_LEFT, 0 },   { "", ALIGN_LEFT, 20 },
		{ "changed", ALIGN_RIGHT, 0 }, { "message", ALIGN_LEFT, 8 },
	};
	struct job_filter f = filter_of(o, st);
	struct listing l = { .t = table_new(columns, ARRAY_LEN(columns)),
			     .a = arena_new(),
			     .now_ms = st->now_ms };
	int rc = store_job_each(o->sc.store, &f, list_row, &l, e);

	if (rc >= 0)
		table_print(l.t, stdout, table_width_limit());
	table_free(l.t);
	arena_free(l.a);
	return rc;
}

static int list_json_row(void *ctx, const struct job_row *j, struct err *e)
{
	struct json_out *w = ctx;

	jw_object(w);
	json_job_name(w, j->id, j->key, j->label);
	jw_kstr(w, "state", job_state_name(j->state));
	jw_kint(w, "attempts", j->attempts);
	jw_kint(w, "tries", j->tries);
	jw_kint(w, "run", j->run_id);
	jw_time(w, "changed", j->changed_ms);
	jw_kstr(w, "cause", j->cause);
	jw_kstr(w, "message", j->message);
	jw_kstr(w, "repo", j->repo);
	jw_kstr(w, "file", j->file);
	jw_end_object(w);
	jw_flush(w);
	return ferror(stdout) ? err_errno(e, "standard output") : 0;
}

/* ---- JSON */

static void json_run(struct json_out *w, const struct status *st)
{
	const struct run_row *r = &st->run;
	int64_t end_ms = r->ended_ms ? r->ended_ms : st->now_ms;

	jw_key(w, "run");
	if (st->life == RUN_NONE) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kint(w, "id", r->id);
	jw_kstr(w, "name", r->name);
	jw_kstr(w, "config", r->config);
	jw_kstr(w, "state", run_life_name(st->life));
	jw_time(w, "started", r->started_ms);
	jw_time(w, "ended", r->ended_ms);
	jw_kint(w, "duration_ms", end_ms > r->started_ms ? end_ms - r->started_ms : 0);
	jw_key(w, "exit_code");
	if (st->life == RUN_ENDED)
		jw_int(w, r->exit_code);
	else
		jw_null(w);
	jw_kint(w, "pid", r->pid);
	jw_kstr(w, "host", r->host);
	jw_kint(w, "points", r->points);
	jw_kint(w, "added", r->added);
	jw_kint(w, "changed", r->changed);
	jw_kint(w, "duplicates", r->duplicates);
	jw_kint(w, "illegal", r->illegal);
	jw_kstr(w, "waiting", r->waiting);
	jw_end_object(w);
}

static void json_active(struct json_out *w, const struct status *st)
{
	jw_karray(w, "running");
	for (int i = 0; i < st->n_active; i++) {
		const struct status_job *j = &st->active[i];

		jw_object(w);
		jw_kint(w, "job", j->id);
		jw_kstr(w, "label", j->label);
		jw_kstr(w, "state", job_state_name(j->state));
		jw_kint(w, "attempt", j->attempt);
		jw_kstr(w, "stage", j->stage);
		jw_kstr(w, "unit", j->unit);
		jw_kint(w, "done", j->done);
		jw_kint(w, "total", j->total);
		jw_kint(w, "elapsed_ms", j->elapsed_ms);
		jw_knum(w, "rate", j->rate);
		jw_key(w, "left_ms");
		if (j->left_ms >= 0)
			jw_int(w, j->left_ms);
		else
			jw_null(w);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_failed(struct json_out *w, const struct status *st)
{
	jw_karray(w, "failed");
	for (int i = 0; i < st->n_failed; i++) {
		const struct status_job *j = &st->failed[i];

		jw_object(w);
		json_job_name(w, j->id, j->key, j->label);
		jw_kint(w, "attempt", j->attempt);
		json_failure(w, j->cause, j->message, j->evidence_from, j->evidence, j->rungs);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_rest(struct json_out *w, const struct status *st, struct arena *a)
{
	const char *steps[5];
	int n = status_next_steps(st, a, steps, ARRAY_LEN(steps));

	json_counts(w, st->counts, st->total);
	json_active(w, st);
	json_failed(w, st);
	jw_karray(w, "next");
	for (int i = 0; i < n; i++)
		jw_str(w, steps[i]);
	jw_end_array(w);
}

static int print_json(const struct status_options *o, const struct status *st, struct err *e)
{
	struct job_filter f = filter_of(o, st);
	struct json_out w;
	struct buf b;
	int rc = 0;

	buf_init(&b, CHUNK_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kstr(&w, "work", st->work);
	jw_kstr(&w, "paused",
		st->control.pause == PAUSE_NOW	    ? "now"
		: st->control.pause == PAUSE_STARTS ? "starts"
						    : NULL);
	jw_time(&w, "paused_since", st->control.since_ms);
	jw_kbool(&w, "draining", st->life == RUN_GOING && st->control.drain == st->run.id);
	json_run(&w, st);
	json_rest(&w, st, o->sc.a);
	if (wants_list(o)) {
		jw_karray(&w, "jobs");
		rc = store_job_each(o->sc.store, &f, list_json_row, &w, e);
		jw_end_array(&w);
	}
	jw_end_object(&w);
	buf_addc(&b, '\n');
	jw_flush(&w);
	buf_release(&b);
	return rc;
}

/* ---- the command */

static int show(struct status_options *o)
{
	struct err e = ERR_INIT;
	struct status st;
	int rc;

	if (o->watch)
		return status_watch(o->sc.store, o->sc.work, o->run, o->all);
	rc = status_load(o->sc.store, o->sc.work, o->run, o->all, o->sc.a, &st, &e);
	if (rc < 0)
		return cli_fail(&e);
	if (o->json) {
		rc = print_json(o, &st, &e);
	} else if (wants_list(o)) {
		rc = list_text(o, &st, &e);
	} else {
		status_print(&st, stdout, table_width_limit());
	}
	return rc < 0 ? cli_fail(&e) : status_exit_code(&st);
}

int cmd_status(int argc, char **argv)
{
	struct status_options o = { .run = 0 };
	const struct option_def opts[] = {
		STORE_COMMAND_OPTIONS(&o.sc),
		{ "state", 's', OPT_STRING, "STATE", "list the jobs in this state", &o.state },
		{ "all", 'a', OPT_FLAG, NULL, "list all jobs, also those of earlier matrices",
		  &o.all },
		{ "run", 0, OPT_INT, "ID", "this run, not the last one", &o.run },
		{ "watch", 'w', OPT_FLAG, NULL, "show it again each second until the run ends or q",
		  &o.watch },
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &o.json },
	};
	struct err e = ERR_INIT;
	bool help;
	int rc = cli_parse("status", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (rc >= 0 && rc < argc)
		rc = err_set(&e, ERR_INVALID,
			     "status takes no operand; quern show %s shows one job", argv[rc]);
	if (rc >= 0)
		rc = read_state(&o, &e);
	if (rc >= 0 && o.watch && (o.json || o.state))
		rc = err_set(&e, ERR_INVALID, "--watch goes with neither --json nor --state");
	if (rc < 0)
		return cli_fail(&e);
	rc = store_command_open(&o.sc, 1);
	if (rc == 0)
		rc = show(&o);
	store_command_close(&o.sc);
	return rc;
}
