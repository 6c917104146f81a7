/* orchestrator/command/cmd_measure_job.c -- one measurement as a child of `quern run`: it waits for
 * servers and boards, which the loop must not. It puts what came of it into the store itself, as
 * the uploader does, and says a line about it; exit 0 when it was measured. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/child_say.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/measure/record.h"
#include "upload/hub_env.h"

#define LINE_MAX_BYTES 60000 /* below child.h's CHILD_LINE_MAX */

struct request {
	const char *file, *stage, *settings, *dir;
	struct option_list set;
	int64_t job, id;
};

static void on_progress(void *ctx, const char *stage, int done, int total)
{
	(void)ctx;
	printf("{\"event\":\"progress\",\"stage\":\"%s\",\"done\":%d,\"total\":%d}\n", stage, done,
	       total);
	fflush(stdout);
}

static void say_measured(const struct measure_result *r, const char *held)
{
	struct json_out w;
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "event", "measured");
	jw_kstr(&w, "held", held);
	jw_karray(&w, "warnings");
	for (size_t i = 0; i < r->n_warnings; i++) {
		jw_object(&w);
		jw_kstr(&w, "kind", r->warnings[i].kind);
		jw_kstr(&w, "text", r->warnings[i].text);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	child_say(&b);
}

/* The stage as the run read it: jobs.yaml may have been edited since. */
static int find_stage(struct arena *a, const struct request *q, struct config **cfg,
		      const struct measure_stage **out, struct err *e)
{
	const struct config_set set = { (const char **)q->set.v, q->set.n };
	struct faults f = { .a = a };
	const char *settings;
	int rc = config_load(a, q->file, &set, &f, cfg, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < (*cfg)->n_measure; i++) {
		*out = &(*cfg)->measure[i];
		if (strcmp((*out)->name, q->stage) != 0)
			continue;
		rc = measure_stage_settings(a, *out, &settings, e);
		if (rc < 0 || strcmp(settings, q->settings) == 0)
			return rc;
		break;
	}
	return err_set(e, ERR_CONFLICT,
		       "%s was changed while the run went on; the next run "
		       "measures as it says now",
		       q->file);
}

static int measure(struct arena *a, struct store *s, const struct config *cfg,
		   const struct measure_stage *st, const struct request *q,
		   struct measure_result *r, struct err *e)
{
	struct measure_artifact art;
	struct job_row job;
	int rc = store_job_get(s, q->job, a, &job, e);

	if (rc >= 0)
		rc = measure_artifact_of_job(a, s, cfg->work, &job, &art, e);
	if (rc < 0)
		return rc;
	r->a = a;
	return measure_stage_run(st, &art, q->dir, on_progress, NULL, r, e);
}

static int whole(struct arena *a, const struct request *q)
{
	const struct measure_stage *st = NULL;
	struct measure_result r = { .a = a };
	struct config *cfg = NULL;
	struct store *s = NULL;
	const char *held = "";
	struct err e = ERR_INIT, store_err = ERR_INIT;
	int rc = find_stage(a, q, &cfg, &st, &e);

	hub_env_forget();
	if (rc >= 0)
		(void)store_open(workdir_db(a, cfg->work), 0, &s, &e);
	if (!s)
		return child_say_error(&e, "held", held); /* the loop ends the row */
	rc = measure(a, s, cfg, st, q, &r, &e);
	if (rc >= 0)
		rc = measure_record_done(s, st, q->id, q->job, &r, clock_wall_ms(), &held, &e);
	else if (rc != ERR_CANCELLED && rc != ERR_BUSY) /* those two are for the loop to judge */
		(void)measure_record_failed(s, st, q->id, q->job, e.msg, clock_wall_ms(), &held,
					    &store_err);
	store_close(s);
	if (rc < 0)
		return child_say_error(&e, "held", held);
	say_measured(&r, held);
	return EXIT_GOOD;
}

int cmd_measure_job(int argc, char **argv)
{
	struct request q = { .file = "jobs.yaml" };
	int64_t parent = getppid();
	bool help;
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE", "the jobs file", &q.file },
		{ "set", 0, OPT_LIST, "KEY=VALUE", "as the run was given", &q.set },
		{ "stage", 0, OPT_STRING, "NAME", "the entry of measure", &q.stage },
		{ "settings", 0, OPT_STRING, "HASH", "of the stage as the run read it",
		  &q.settings },
		{ "dir", 0, OPT_STRING, "DIR", "for the server's log", &q.dir },
		{ "job", 0, OPT_INT, "ID", "whose artifact", &q.job },
		{ "measurement", 0, OPT_INT, "ID", "the row that was begun", &q.id },
		{ "parent", 0, OPT_INT, "PID", "the quern that asks", &parent },
	};
	struct err e = ERR_INIT;
	int at = cli_parse("measure-job", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;
	struct arena *a;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && (!q.stage || !q.settings || !q.dir || !q.job || !q.id))
		at = err_set(&e, ERR_INVALID,
			     "measure-job needs --stage, --settings, --dir, --job and "
			     "--measurement");
	if (at < 0)
		return cli_fail(&e);
	/* It must not outlive the run that asked; what it starts does not outlive it (keeper.h). */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != (pid_t)parent)
		return EXIT_INTERRUPTED;
	measure_stop_on_signals();
	/* A terminal's Ctrl-C is for the run, which gives us some time and then says SIGTERM. */
	(void)signal(SIGINT, SIG_IGN);
	a = arena_new();
	rc = whole(a, &q);
	arena_free(a);
	return rc;
}
