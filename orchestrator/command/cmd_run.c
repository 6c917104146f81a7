/* orchestrator/command/cmd_run.c -- quern run: plan into the store, then the loop. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/cmd_plan.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/upload_options.h"
#include "orchestrator/host/cgroup.h"
#include "orchestrator/run/run.h"
#include "orchestrator/run/scheduler.h"
#include "orchestrator/view/summary.h"

struct run_options {
	const char *file, *only;
	struct option_list set;
	int64_t jobs;
	bool dry_run, no_upload, fail_fast, json;
};

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
	if (run.to_do) {
		fprintf(stderr, "quern: %s: ", s->cfg->name);
		summary_plan(stderr, s, &run.totals);
	}
	so.run_id = run.run_id;
	so.to_do = run.to_do;
	so.work = run.work;
	so.fail_fast = o->fail_fast;
	so.cgroup = groups;
	rc = scheduler_run(s, &so, &r, e);
	took_ms = clock_mono_ms() - mono_ms;
	code = rc < 0 ? exit_code_for(e)
		      : summary_run(stdout, s, run.run_id, &run.totals, &r, took_ms);
	(void)store_run_end(s->store, run.run_id, code, start_ms + took_ms, &(struct err)ERR_INIT);
	return rc < 0 ? rc : code;
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
		{ "fail-fast", 0, OPT_FLAG, NULL, "start nothing new after the first failure",
		  &o.fail_fast },
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
		rc = run_matrix(&s, &o, &groups, &e);
		session_close(&s);
	}
	cgroup_close(&groups);
	return rc < 0 ? cli_fail(&e) : rc;
}
