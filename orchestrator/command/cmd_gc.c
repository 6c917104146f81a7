/* orchestrator/command/cmd_gc.c -- quern gc: remove what no job needs any more. It holds the run's
 * lock while it works, and touches only names that quern itself gives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "core/units.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/container.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/sweep.h"

#define MEASURED_MAX 1024 /* of one job, the newest: years of nights */
#define HUB_DEPTH_MAX 16  /* NAMESPACE/NAME.git/lfs/objects/ab/cd is 6 deep */

struct gc {
	struct store_command sc;
	struct sweep sweep;
	struct arena *scratch;	   /* of one job */
	const struct job_row *job; /* whose folder is looked at; NULL: no job has this key */
	int depth;
	/* folders of generated sources that jobs refer to, sorted */
	struct {
		char **v;
		size_t n, cap;
	} kept;
};

/* ---- what a key belongs to */

/* 1 with *out, 0 no such job, ERR_INVALID: name is no key. */
static int job_of(struct gc *g, const char *name, struct job_row *out, struct err *e)
{
	uint8_t key[SHA256_LEN];
	struct err ignored = ERR_INIT;

	arena_reset(g->scratch);
	if (hex_decode(name, key, sizeof(key)) < 0)
		return err_set(&ignored, ERR_INVALID, "no key");
	return store_job_by_key(g->sc.store, key, g->scratch, out, e);
}

/* No worker will ever need the folder again, but a person may want the last log. */
static bool is_over(enum job_state s)
{
	return s == JOB_READY || job_state_is_end(s);
}

/* Does a worker live in this folder? One may outlive a run that was killed. */
static int is_busy(const char *dir, struct err *e)
{
	char *lock = path_join(dir, "lock");
	int held = lock_held(lock, e);

	free(lock);
	return held;
}

/* ---- jobs/KEY/N */

static int attempt_entry(void *ctx, const char *path, const char *name, bool is_dir, struct err *e)
{
	static const char *const keep[] = { "log", "job.json", "result.json" };
	struct gc *g = ctx;

	(void)is_dir;
	for (size_t i = 0; i < ARRAY_LEN(keep); i++) {
		if (strcmp(name, keep[i]) == 0)
			return 0;
	}
	return sweep_remove(&g->sweep, path, "left by a finished attempt", e);
}

static int attempt_folder(void *ctx, const char *path, const char *name, bool is_dir, struct err *e)
{
	struct gc *g = ctx;
	long number = strtol(name, NULL, 10);
	int busy;

	if (!is_dir || name[strspn(name, "0123456789")] || number <= 0)
		return 0; /* not ours */
	busy = is_busy(path, e);
	if (busy)
		return busy < 0 ? busy : 0;
	if (!g->job)
		return sweep_remove(&g->sweep, path, "attempt of a job that is not in the store",
				    e);
	if (number == g->job->tries)
		return sweep_each(path, attempt_entry, g, e);
	return sweep_remove(&g->sweep, path, "older attempt of a finished job", e);
}

static int job_folder(void *ctx, const char *path, const char *name, bool is_dir, struct err *e)
{
	struct gc *g = ctx;
	struct job_row job = { .id = 0 };
	int rc;

	if (!is_dir)
		return 0;
	rc = job_of(g, name, &job, e);
	if (rc == ERR_INVALID)
		return 0;
	if (rc < 0 || (rc == 1 && !is_over(job.state)))
		return rc < 0 ? rc : 0;
	g->job = rc == 1 ? &job : NULL;
	rc = sweep_each(path, attempt_folder, g, e);
	if (rc >= 0 && !g->sweep.dry_run)
		(void)rmdir(path); /* when it is empty now */
	return rc;
}

/* ---- artifacts/KEY */

static int artifact_folder(void *ctx, const char *path, const char *name, bool is_dir,
			   struct err *e)
{
	struct gc *g = ctx;
	struct job_row job = { .id = 0 };
	int rc;

	if (sweep_is_temporary(name))
		return sweep_remove(&g->sweep, path, "temporary", e);
	if (!is_dir)
		return 0;
	rc = job_of(g, name, &job, e);
	if (rc < 0)
		return rc == ERR_INVALID ? 0 : rc;
	if (rc == 0)
		return sweep_remove(&g->sweep, path, "artifact of a job that is not in the store",
				    e);
	if (job.state != JOB_CANCELLED)
		return 0;
	if (!g->sweep.dry_run)
		rc = store_artifacts_clear(g->sc.store, job.id, e);
	return rc < 0 ? rc : sweep_remove(&g->sweep, path, "artifact of a cancelled job", e);
}

/* ---- sources/ */

static int keep_source(void *ctx, const struct job_row *j, struct err *e)
{
	struct gc *g = ctx;
	const char *dir;

	(void)e;
	if (strcmp(j->spec.source_kind, "fake") != 0)
		return 0;
	arena_reset(g->scratch);
	dir = workdir_source(g->scratch, g->sc.work, j->spec.source_version, j->spec.source);
	/* Jobs of one source stand together, so this keeps the list short. */
	if (g->kept.n && strcmp(g->kept.v[g->kept.n - 1], dir) == 0)
		return 0;
	MEM_GROW(g->kept.v, g->kept.n, g->kept.cap);
	g->kept.v[g->kept.n++] = mem_strdup(dir);
	return 0;
}

/* Sources are kept for the matrix of the last run, and for what is still to be done. */
static int find_kept(struct gc *g, struct err *e)
{
	static const enum job_state open_states[] = { JOB_PENDING, JOB_RUNNING, JOB_VALIDATING };
	struct job_filter f = { .state = -1 };
	struct run_row run;
	int rc = store_run_get(g->sc.store, 0, g->sc.a, &run, e);

	if (rc >= 0) {
		f.run_id = run.id;
		rc = store_job_each(g->sc.store, &f, keep_source, g, e);
	} else if (rc == ERR_NOTFOUND) {
		rc = 0;
	}
	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(open_states); i++) {
		f = (struct job_filter){ .state = (int)open_states[i] };
		rc = store_job_each(g->sc.store, &f, keep_source, g, e);
	}
	return rc;
}

static int source_folder(void *ctx, const char *path, const char *name, bool is_dir, struct err *e)
{
	struct gc *g = ctx;
	int busy;

	if (sweep_is_temporary(name)) {
		busy = is_dir ? is_busy(path, e) : 0;
		return busy ? (busy < 0 ? busy : 0) : sweep_remove(&g->sweep, path, "temporary", e);
	}
	if (!is_dir || strncmp(name, "fake-", 5) != 0)
		return 0; /* not one that we know how to make again */
	for (size_t i = 0; i < g->kept.n; i++) {
		if (strcmp(path_basename(g->kept.v[i]), name) == 0)
			return 0;
	}
	return sweep_remove(&g->sweep, path, "source that no job needs", e);
}

/* ---- measure/JOB-STAGE: logs and answers of the last measurement */

static int is_measured(struct gc *g, int64_t job_id, const char *stage, struct err *e)
{
	struct measurement_row *rows = arena_array(g->scratch, MEASURED_MAX, sizeof(*rows));
	int n = store_measures(g->sc.store, job_id, g->scratch, rows, MEASURED_MAX, e);

	for (int i = 0; i < n; i++)
		if (strcmp(rows[i].stage, stage) == 0)
			return 1;
	return n < 0 ? n : 0;
}

static int measure_folder(void *ctx, const char *path, const char *name, bool is_dir, struct err *e)
{
	struct gc *g = ctx;
	char *end;
	long long id = strtoll(name, &end, 10);
	struct err absent = ERR_INIT;
	struct job_row job;
	int rc;

	if (!is_dir || end == name || *end != '-' || !end[1] || id <= 0)
		return 0; /* not ours */
	arena_reset(g->scratch);
	rc = store_job_get(g->sc.store, id, g->scratch, &job, &absent);
	if (rc == ERR_NOTFOUND)
		return sweep_remove(&g->sweep, path,
				    "measurement of a job that is not in the store", e);
	if (rc < 0) {
		*e = absent;
		return rc;
	}
	if (job.state == JOB_CANCELLED)
		return sweep_remove(&g->sweep, path, "measurement of a cancelled job", e);
	/* `quern bench` keeps no row when it is told so, and holds no lock of ours. */
	rc = strcmp(end + 1, "bench") == 0 ? 1 : is_measured(g, id, end + 1, e);
	return rc == 0 ? sweep_remove(&g->sweep, path, "measurement that is not in the store", e)
		       : rc;
}

/* ---- leftovers elsewhere */

static int temporary_file(void *ctx, const char *path, const char *name, bool is_dir, struct err *e)
{
	struct gc *g = ctx;
	int rc = 0;

	if (sweep_is_temporary(name))
		return sweep_remove(&g->sweep, path, "temporary", e);
	if (is_dir && g->depth < HUB_DEPTH_MAX) {
		g->depth++;
		rc = sweep_each(path, temporary_file, g, e);
		g->depth--;
	}
	return rc;
}

static int top_entry(void *ctx, const char *path, const char *name, bool is_dir, struct err *e)
{
	struct gc *g = ctx;

	if (!is_dir && sweep_is_temporary(name))
		return sweep_remove(&g->sweep, path, "temporary", e);
	return 0;
}

/* ---- containers that nobody watches any more */

static int end_containers(struct gc *g, struct err *e)
{
	int left, ended = containers_sweep(g->sc.work, g->sweep.dry_run, &left, e);

	g->sweep.removed += ended;
	if (ended)
		printf("%d container%s of an earlier run: nobody waits for %s\n", ended,
		       ended == 1 ? "" : "s", ended == 1 ? "it" : "them");
	return left ? err_wrap(e, "containers") : 0;
}

static int collect_garbage(struct gc *g, struct err *e)
{
	const char *work = g->sc.work;
	int rc = find_kept(g, e);

	if (rc >= 0)
		rc = end_containers(g, e);
	if (rc >= 0)
		rc = sweep_each(arena_printf(g->sc.a, "%s/jobs", work), job_folder, g, e);
	if (rc >= 0)
		rc = sweep_each(arena_printf(g->sc.a, "%s/artifacts", work), artifact_folder, g, e);
	if (rc >= 0)
		rc = sweep_each(workdir_sources(g->sc.a, work), source_folder, g, e);
	if (rc >= 0)
		rc = sweep_each(arena_printf(g->sc.a, "%s/measure", work), measure_folder, g, e);
	if (rc >= 0)
		rc = sweep_each(workdir_hub(g->sc.a, work), temporary_file, g, e);
	if (rc >= 0)
		rc = sweep_each(work, top_entry, g, e);
	return rc;
}

/* ---- the command */

static int locked_gc(struct gc *g)
{
	struct err e = ERR_INIT;
	int lock = workdir_lock(g->sc.work, "gc", &e), rc;
	char size[24];

	if (lock < 0)
		return cli_fail(&e);
	g->sweep.work = g->sc.work;
	g->scratch = arena_new();
	rc = collect_garbage(g, &e);
	close(lock);
	units_format_size(g->sweep.freed_bytes, size, sizeof(size));
	if (g->sweep.removed)
		printf("%s %s (%lld thing%s)\n", g->sweep.dry_run ? "would free" : "freed", size,
		       (long long)g->sweep.removed, g->sweep.removed == 1 ? "" : "s");
	else if (rc >= 0)
		puts("nothing to remove");
	for (size_t i = 0; i < g->kept.n; i++)
		free(g->kept.v[i]);
	free(g->kept.v);
	arena_free(g->scratch);
	return rc < 0 ? cli_fail(&e) : EXIT_GOOD;
}

int cmd_gc(int argc, char **argv)
{
	struct gc g = { 0 };
	const struct option_def opts[] = {
		STORE_COMMAND_OPTIONS(&g.sc),
		{ "dry-run", 'n', OPT_FLAG, NULL, "say what would go, remove nothing",
		  &g.sweep.dry_run },
	};
	struct err e = ERR_INIT;
	bool help;
	int rc = cli_parse("gc", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (rc >= 0 && rc < argc)
		rc = err_set(&e, ERR_INVALID, "gc takes no operand");
	if (rc < 0)
		return cli_fail(&e);
	rc = store_command_open(&g.sc, 0);
	if (rc == 0)
		rc = locked_gc(&g);
	store_command_close(&g.sc);
	return rc;
}
