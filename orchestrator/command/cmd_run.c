/* orchestrator/command/cmd_run.c -- quern run: plan into the store, then the loop. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "db/control.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/cmd_plan.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/command/upload_options.h"
#include "orchestrator/config/window.h"
#include "orchestrator/host/cgroup.h"
#include "orchestrator/run/notify.h"
#include "orchestrator/run/run.h"
#include "orchestrator/run/scheduler.h"
#include "orchestrator/view/metrics.h"
#include "orchestrator/view/summary.h"

struct run_options {
	const char *file, *only;
	struct option_list set;
	int64_t jobs;
	const char *until;
	bool dry_run, no_upload, no_measure, fail_fast, any_time;
	int64_t deadline_ms; /* 0: none */
	const char *deadline;
};

/* For monitoring only: no reason to fail. */
static void say_metrics(struct session *s, bool going)
{
	struct err e = ERR_INIT;

	if (s->cfg->metrics && metrics_write(s->store, s->cfg, going, &e) < 0)
		fprintf(stderr, "quern: metrics are not written: %s\n", e.msg);
}

static int run_matrix(struct session *s, const struct run_options *o, struct cgroup *groups,
		      struct err *e)
{
	int64_t mono_ms = clock_mono_ms(), start_ms = clock_wall_ms(), took_ms;
	struct scheduler_options so = { 0 };
	struct scheduler_result r = { 0 };
	struct run_filled run;
	int rc, code;

	so.upload = !o->no_upload && !s->cfg->upload.hold && s->cfg->upload.kind != HUB_NONE;
	/* Now, not when the night's first artifact is ready. */
	rc = so.upload ? upload_check_token(s->cfg, e) : 0;
	if (rc >= 0)
		rc = run_fill(s, o->only, start_ms, &run, e);
	if (rc < 0)
		return rc;
	say_metrics(s, true);
	if (run.to_do) {
		fprintf(stderr, "quern: %s: ", s->cfg->name);
		summary_plan(stderr, s, &run.totals);
	}
	so.run_id = run.run_id;
	so.to_do = run.to_do;
	so.work = run.work;
	so.fail_fast = o->fail_fast;
	so.measure = !o->no_measure;
	so.cgroup = groups;
	so.deadline_ms = o->deadline_ms;
	so.deadline = o->deadline;
	rc = scheduler_run(s, &so, &r, e);
	took_ms = clock_mono_ms() - mono_ms;
	code = rc < 0 ? exit_code_for(e)
		      : summary_run(stdout, s, run.run_id, &run.totals, &r, took_ms);
	(void)store_run_end(s->store, run.run_id, code, start_ms + took_ms, &(struct err)ERR_INIT);
	say_metrics(s, false);
	notify_all(s, run.run_id, &r, code, rc < 0 ? e->msg : "");
	return rc < 0 ? rc : code;
}

static int read_until(struct run_options *o, struct err *e)
{
	int minute = o->until ? window_parse_time(o->until) : 0;

	if (minute < 0)
		return err_set(e, ERR_INVALID,
			       "--until: \"%s\" is no time of the day; write it like 07:00",
			       o->until);
	if (o->until) {
		o->deadline_ms = window_next(minute, clock_wall_ms());
		o->deadline = "--until";
	}
	return 0;
}

/* 1 when this is no time to run, said in one line. Else the end of the window is a deadline too. */
static int outside_window(const struct session *s, struct run_options *o)
{
	struct window w = { 0 };
	int64_t turn_ms;
	struct arena *a;

	if (!s->cfg->window || o->any_time || !window_parse(s->cfg->window, &w))
		return 0;
	if (window_is_open(&w, clock_wall_ms(), &turn_ms)) {
		if (!o->deadline_ms || turn_ms < o->deadline_ms) {
			o->deadline_ms = turn_ms;
			o->deadline = "run.window";
		}
		return 0;
	}
	a = arena_new();
	fprintf(stderr, "quern: outside run.window %s; it opens %s (--now runs all the same)\n",
		s->cfg->window, show_time(a, turn_ms));
	arena_free(a);
	return 1;
}

/* 1 when somebody has paused this folder, said in one line. */
static int is_paused(const struct session *s, struct err *e)
{
	struct control_word w;
	struct arena *a;
	int rc = control_read(s->store, &w, e);

	if (rc < 0 || w.pause == PAUSE_NOT)
		return rc;
	a = arena_new();
	fprintf(stderr, "quern: paused since %s; quern resume lets it run again\n",
		show_time(a, w.since_ms));
	arena_free(a);
	return 1;
}

static void take_options(struct run_options *o, char jobs[32])
{
	if (o->jobs) {
		snprintf(jobs, 32, "resources.jobs=%lld", (long long)o->jobs);
		if (o->set.n < ARRAY_LEN(o->set.v))
			o->set.v[o->set.n++] = jobs;
	}
}

int cmd_run(int argc, char **argv)
{
	struct run_options o = { .file = "jobs.yaml" };
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE", "the matrix (default jobs.yaml)", &o.file },
		{ "dry-run", 'n', OPT_FLAG, NULL, "show what would be done, as quern plan",
		  &o.dry_run },
		{ "only", 0, OPT_STRING, "GLOB", "points whose label matches: 'kjv-llama/gguf/Q*'",
		  &o.only },
		{ "jobs", 'j', OPT_INT, "N", "workers at a time (resources.jobs)", &o.jobs },
		{ "no-upload", 0, OPT_FLAG, NULL, "convert only; quern upload publishes later",
		  &o.no_upload },
		{ "no-measure", 0, OPT_FLAG, NULL, "try nothing where it will run", &o.no_measure },
		{ "fail-fast", 0, OPT_FLAG, NULL, "start nothing new after the first failure",
		  &o.fail_fast },
		{ "until", 0, OPT_STRING, "TIME", "start nothing that would end later, end then",
		  &o.until },
		{ "now", 0, OPT_FLAG, NULL, "also outside of run.window", &o.any_time },
		{ "set", 0, OPT_LIST, "KEY=VALUE", "override a value: retry.attempts=1", &o.set },
	};
	struct cgroup groups;
	struct session s;
	struct err e = ERR_INIT;
	char jobs[32];
	bool help;
	int at = cli_parse("run", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at < argc)
		at = err_set(&e, ERR_INVALID, "run takes no operand; name the file with -f %s",
			     argv[at]);
	if (at >= 0 && read_until(&o, &e) < 0)
		at = e.code;
	if (at < 0)
		return cli_fail(&e);
	take_options(&o, jobs);
	if (o.dry_run)
		return plan_show(o.file, &(struct config_set){ o.set.v, o.set.n }, o.only, NULL,
				 false);
	cgroup_open_scope(&groups, argv);
	rc = session_open(&s, SESSION_RUN, o.file, &(struct config_set){ o.set.v, o.set.n }, "run",
			  &e);
	if (rc >= 0) {
		rc = outside_window(&s, &o) ? 1 : is_paused(&s, &e);
		if (rc == 0)
			rc = run_matrix(&s, &o, &groups, &e);
		else if (rc > 0)
			rc = EXIT_GOOD; /* as it should be: no reason for a mail */
		session_close(&s);
	}
	cgroup_close(&groups);
	return rc < 0 ? cli_fail(&e) : rc;
}
