/* orchestrator/command/cmd_affected.c -- quern affected: the done jobs that a change would make
 * anew: of an engine's version, a model, a quant, or of sources that have changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/engine/version.h"
#include "orchestrator/run/session.h"
#include "orchestrator/view/json_rows.h"
#include "orchestrator/view/table.h"

#define CHUNK_MAX (1u << 20)
#define FILES_MAX 4096 /* of one artifact: what seal.c allows */

struct asking {
	const char *file, *engine, *toolkit, *model, *quant, *platform;
	bool source_changed, count, json;
	const char *engine_name, *engine_wants; /* of engine */

	struct session s;
	struct arena *a, *scratch;
	struct artifact_row *files;
	struct table *t;
	struct json_out w;
	int64_t n, bytes, ms;
};

/* "gguf<1.3" is a name and what its version has to be. */
static int read_engine(struct asking *q, struct err *e)
{
	size_t n = q->engine ? strcspn(q->engine, "<>=") : 0;

	if (!q->engine)
		return 0;
	q->engine_name = arena_strndup(q->a, q->engine, n);
	q->engine_wants = q->engine[n] ? q->engine + n : NULL;
	if (!n || (q->engine_wants && comparison_holds(q->engine_wants, "0", 1) < 0))
		return err_set(
			e, ERR_INVALID,
			"--engine: \"%s\" is no engine with a version; write it like gguf or "
			"'gguf<1.3'",
			q->engine);
	return 0;
}

static int read_question(struct asking *q, struct err *e)
{
	if (!q->engine && !q->toolkit && !q->model && !q->quant && !q->platform &&
	    !q->source_changed)
		return err_set(
			e, ERR_INVALID,
			"affected: by what? --engine 'gguf<1.3', --toolkit '<1.2.3', --model "
			"GLOB, --quant GLOB, --platform GLOB, --source-changed; those that are "
			"given must all hold");
	if (q->toolkit && comparison_holds(q->toolkit, "0", 1) < 0)
		return err_set(e, ERR_INVALID,
			       "--toolkit: \"%s\" compares no versions; write it like '<1.2.3'",
			       q->toolkit);
	return read_engine(q, e);
}

/* ---- one job */

static bool version_meets(const char *want, const char *have)
{
	return *have && version_ok(have) && comparison_holds(want, have, 1) == 1;
}

static bool engine_meets(const struct asking *q, const struct job_spec *spec)
{
	size_t own = strcspn(spec->engine_version, "+");
	const char *toolkit = spec->engine_version[own] ? spec->engine_version + own + 1 : "";

	if (q->engine_name && !glob_match(q->engine_name, spec->engine))
		return false;
	if (q->engine_wants &&
	    !version_meets(q->engine_wants, arena_strndup(q->scratch, spec->engine_version, own)))
		return false;
	return !q->toolkit || version_meets(q->toolkit, toolkit);
}

/* What the matrix has under this model's name is not what the job was made of. Why, or NULL. */
static const char *source_change(struct asking *q, const struct job_spec *spec)
{
	for (size_t i = 0; i < q->s.cfg->n_models; i++) {
		const struct resolved *r;

		if (strcmp(q->s.cfg->models[i].name, spec->model) != 0)
			continue;
		r = sources_get(q->s.sources, i, true);
		if (r->fault)
			return NULL; /* not known: said once, below */
		if (strcmp(r->kind, spec->source_kind) != 0 ||
		    strcmp(r->version, spec->source_version) != 0)
			return arena_printf(q->scratch, "source %.10s -> %.10s",
					    spec->source_version, r->version);
		return NULL;
	}
	return NULL;
}

static int64_t size_of(struct asking *q, int64_t id, struct err *e)
{
	int n = store_artifacts(q->s.store, id, q->scratch, q->files, FILES_MAX, e);
	int64_t sum = n < 0 ? n : 0;

	for (int i = 0; i < n; i++)
		sum += q->files[i].size_bytes;
	return sum;
}

static void add_json(struct asking *q, const struct job_row *j, const char *why, int64_t bytes,
		     int64_t ms)
{
	jw_object(&q->w);
	json_job_name(&q->w, j->id, j->key, j->label);
	jw_kstr(&q->w, "state", job_state_name(j->state));
	jw_kstr(&q->w, "engine_version", j->spec.engine_version);
	jw_kstr(&q->w, "why", why);
	jw_kint(&q->w, "artifact_bytes", bytes);
	jw_kint(&q->w, "duration_ms", ms);
	jw_end_object(&q->w);
	jw_flush(&q->w);
}

static void add_row(struct asking *q, const struct job_row *j, const char *why, int64_t bytes)
{
	char size[32];
	const char *row[] = {
		arena_printf(q->scratch, "%lld", (long long)j->id), j->label,
		arena_printf(q->scratch, "%s %s", j->spec.engine, j->spec.engine_version), size, why
	};

	units_format_size((uint64_t)bytes, size, sizeof(size));
	table_add(q->t, row);
}

static int on_job(void *ctx, const struct job_row *j, struct err *e)
{
	struct asking *q = ctx;
	const struct job_spec *spec = &j->spec;
	struct attempt_row last;
	const char *why = "";
	int64_t bytes, ms = 0;
	int n;

	arena_reset(q->scratch);
	if ((q->model && !glob_match(q->model, spec->model)) ||
	    (q->quant && !glob_match(q->quant, spec->quant)) ||
	    (q->platform && !glob_match(q->platform, spec->platform)) || !engine_meets(q, spec))
		return 0;
	if (q->source_changed && !(why = source_change(q, spec)))
		return 0;
	bytes = size_of(q, j->id, e);
	n = bytes < 0 ? (int)bytes : store_attempts(q->s.store, j->id, q->scratch, &last, 1, e);
	if (n < 0)
		return n;
	if (n && last.ended_ms > last.started_ms)
		ms = last.ended_ms - last.started_ms;
	q->n++;
	q->bytes += bytes;
	q->ms += ms;
	if (q->json && !q->count)
		add_json(q, j, why, bytes, ms);
	else if (!q->json && !q->count)
		add_row(q, j, why, bytes);
	return 0;
}

/* ---- all */

static int walk(struct asking *q, struct err *e)
{
	static const enum job_state states[] = { JOB_DONE, JOB_READY, JOB_UPLOADING };
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(states); i++) {
		struct job_filter f = { .state = (int)states[i] };

		rc = store_job_each(q->s.store, &f, on_job, q, e);
	}
	return rc;
}

/* A model that cannot be looked at hides what changed: said, not passed over. */
static void say_unknown_sources(const struct asking *q)
{
	for (size_t i = 0; q->source_changed && i < q->s.cfg->n_models; i++) {
		const struct resolved *r = sources_seen(q->s.sources, i);

		if (r && r->fault)
			fprintf(stderr, "quern: %s: not known whether it has changed: %s\n",
				r->model->name, r->fault);
	}
}

static int answer_json(struct asking *q, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, CHUNK_MAX);
	jw_init(&q->w, &b, 1);
	jw_object(&q->w);
	jw_karray(&q->w, "jobs");
	rc = walk(q, e);
	jw_end_array(&q->w);
	jw_kint(&q->w, "count", q->n);
	jw_kint(&q->w, "artifact_bytes", q->bytes);
	jw_kint(&q->w, "duration_ms", q->ms);
	jw_end_object(&q->w);
	buf_addc(&b, '\n');
	jw_flush(&q->w);
	buf_release(&b);
	return rc;
}

static int answer_text(struct asking *q, struct err *e)
{
	static const struct column columns[] = {
		{ "job", ALIGN_RIGHT, 0 },  { "", ALIGN_LEFT, 20 }, { "made by", ALIGN_LEFT, 8 },
		{ "size", ALIGN_RIGHT, 0 }, { "", ALIGN_LEFT, 8 },
	};
	char size[32], took[32];
	int rc;

	q->t = table_new(columns, ARRAY_LEN(columns));
	rc = walk(q, e);
	if (rc >= 0 && q->n && !q->count)
		table_print(q->t, stdout, table_width_limit());
	table_free(q->t);
	units_format_size((uint64_t)q->bytes, size, sizeof(size));
	units_format_duration(q->ms, took, sizeof(took));
	if (rc >= 0 && q->n)
		printf("%lld done job%s would be made anew: %s, which took %s\n", (long long)q->n,
		       q->n == 1 ? "" : "s", size, took);
	else if (rc >= 0)
		puts("no done job is affected");
	return rc;
}

static int answer(struct asking *q, struct err *e)
{
	int rc = session_open(&q->s, SESSION_LOOK, q->file, NULL, "affected", e);

	if (rc < 0)
		return rc;
	q->scratch = arena_new();
	q->files = mem_array(FILES_MAX, sizeof(*q->files));
	if (!q->s.store)
		rc = err_set(e, ERR_ENV, "nothing has run here yet");
	else
		rc = q->json ? answer_json(q, e) : answer_text(q, e);
	if (rc >= 0)
		say_unknown_sources(q);
	free(q->files);
	arena_free(q->scratch);
	session_close(&q->s);
	return rc;
}

int cmd_affected(int argc, char **argv)
{
	struct asking q = { .file = "jobs.yaml", .a = arena_new() };
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE", "the matrix (default jobs.yaml)", &q.file },
		{ "engine", 'e', OPT_STRING, "ENGINE", "made by this engine: 'gguf<1.3'",
		  &q.engine },
		{ "toolkit", 0, OPT_STRING, "VERSION",
		  "made with such a version of its toolkit: '<1.2.3'", &q.toolkit },
		{ "model", 'm', OPT_STRING, "GLOB", "of these models", &q.model },
		{ "quant", 'q', OPT_STRING, "GLOB", "of these quants", &q.quant },
		{ "platform", 0, OPT_STRING, "GLOB", "for these platforms", &q.platform },
		{ "source-changed", 0, OPT_FLAG, NULL, "whose source is another one by now",
		  &q.source_changed },
		{ "count", 0, OPT_FLAG, NULL, "only how many, how large, how long", &q.count },
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &q.json },
	};
	struct err e = ERR_INIT;
	bool help;
	int rc = cli_parse("affected", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (!help && rc >= 0 && rc < argc)
		rc = err_set(&e, ERR_INVALID,
			     "affected takes no operand; quern explain %s is about one job",
			     argv[rc]);
	if (!help && rc >= 0)
		rc = read_question(&q, &e);
	if (!help && rc >= 0)
		rc = answer(&q, &e);
	arena_free(q.a);
	return rc < 0 ? cli_fail(&e) : EXIT_GOOD;
}
