#include "orchestrator/run/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/run.h"
#include "orchestrator/run/scheduler.h"

#define FILES_MAX 256

static int find_job(void *ctx, const struct job_row *row, struct err *e)
{
	struct job_row *out = ctx;

	(void)e;
	out->id = row->id;
	return 0;
}

static void say_made(const char *out, uint64_t size, int64_t took_ms)
{
	char bytes[24], took[24];

	units_format_size(size, bytes, sizeof(bytes));
	units_format_duration(took_ms, took, sizeof(took));
	printf("%s: %s in %s\n", out, bytes, took);
}

/* The one of several that out is named like; NULL: a folder is wanted. */
static const struct artifact_row *main_file(const struct session *s, const struct job_row *job,
					    const struct artifact_row *files, int n,
					    const char *out)
{
	const struct engine *en = engine_find(&s->engines, job->spec.engine);
	const char *name = arena_printf(s->a, "%s%s", job->file, en ? en->extension : "");
	size_t m = en ? strlen(en->extension) : 0, len = strlen(out);

	if (!m || len <= m || strcmp(out + len - m, en->extension) != 0)
		return NULL;
	for (int i = 0; i < n; i++) {
		if (strcmp(files[i].name, name) == 0)
			return &files[i];
	}
	return NULL;
}

/* One file, or the one that out is named like: it becomes out. Else the folder does, without our
 * record. */
static int hand_over(struct session *s, const struct job_row *job, const char *out, int64_t took_ms,
		     struct err *e)
{
	const char *dir = workdir_artifact(s->a, s->cfg->work, job->key), *from;
	struct artifact_row *files = arena_array(s->a, FILES_MAX, sizeof(*files));
	int n = store_artifacts(s->store, job->id, s->a, files, FILES_MAX, e), rc;
	const struct artifact_row *file;
	uint64_t size = 0;

	if (n <= 0)
		return n < 0 ? n : err_set(e, ERR_CORRUPT, "the conversion left no file");
	for (int i = 0; i < n; i++)
		size += (uint64_t)files[i].size_bytes;
	file = n == 1 ? &files[0] : main_file(s, job, files, n, out);
	if (file) {
		from = arena_printf(s->a, "%s/%s", dir, file->name);
		size = (uint64_t)file->size_bytes;
		if (n > 1)
			fprintf(stderr,
				"quern: %d files that were made beside it are left out; with a "
				"folder's name after -o you get them all\n",
				n - 1);
	} else {
		from = dir;
		(void)unlink(arena_printf(s->a, "%s/.quern.json", dir));
	}
	rc = path_rename(from, out, e);
	if (rc == 0)
		say_made(out, size, took_ms);
	return rc;
}

/* Why was said. That a hub does not answer, or wants a token, is the machine's fault. */
static int refused(const struct session *s)
{
	const struct resolved *r = sources_seen(s->sources, 0);
	int code = r && r->fault ? r->fault_code : ERR_INVALID;

	return code == ERR_INVALID || code == ERR_NOTFOUND || code == ERR_CORRUPT
		       ? EXIT_USAGE
		       : EXIT_ENVIRONMENT;
}

static int run_one(struct session *s, const char *out, struct err *e)
{
	struct scheduler_options so = { 0 };
	struct scheduler_result r;
	struct job_filter any = { .state = -1, .limit = 1 };
	struct job_row job = { 0 };
	struct run_filled run;
	int64_t mono_ms = clock_mono_ms();
	int rc = run_fill(s, NULL, clock_wall_ms(), &run, e);

	if (rc < 0)
		return rc;
	if (run.totals.count[PLAN_ILLEGAL])
		return refused(s);
	so.run_id = run.run_id;
	so.to_do = 1;
	rc = scheduler_run(s, &so, &r, e);
	if (rc >= 0)
		rc = store_job_each(s->store, &any, find_job, &job, e);
	if (rc >= 0)
		rc = store_job_get(s->store, job.id, s->a, &job, e);
	if (rc < 0)
		return rc;
	if (r.interrupted)
		return EXIT_INTERRUPTED;
	if (job.state != JOB_READY)
		return r.blocked ? EXIT_ENVIRONMENT : EXIT_JOBS_FAILED;
	return hand_over(s, &job, out, clock_mono_ms() - mono_ms, e);
}

int convert_one(const char *yaml, size_t len, const struct config_set *set, const char *work,
		const char *out, struct err *e)
{
	char *file = path_join(work, "jobs.yaml");
	struct session s;
	int rc = path_mkdirs(work, 0755, e);

	if (rc >= 0)
		rc = path_write(file, yaml, len, 0644, e);
	if (rc >= 0)
		rc = session_open(&s, SESSION_ONCE, file, set, "convert", e);
	if (rc >= 0) {
		rc = run_one(&s, out, e);
		session_close(&s);
	}
	free(file);
	return rc;
}
