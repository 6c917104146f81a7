#include "orchestrator/measure/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/measure/turn.h"
#include "upload/fetch.h"
#include "upload/hub_env.h"

#define FILES_MAX 1000
#define SETTINGS_MAX ((size_t)1 << 20)

/* ---- the artifact */

static const char *without_extension(struct arena *a, const char *file)
{
	const char *base = path_basename(file), *dot = strrchr(base, '.');

	return dot && dot != base ? arena_strndup(a, base, (size_t)(dot - base))
				  : arena_strdup(a, base);
}

/* The one that has the job's name, else the largest. */
static const struct artifact_row *main_file(const struct job_row *job, const struct artifact_row *v,
					    int n)
{
	const struct artifact_row *best = NULL;
	size_t len = strlen(job->file);
	bool named = false;

	for (int i = 0; i < n; i++) {
		bool own = len && strncmp(v[i].name, job->file, len) == 0;

		if (!best || (own && !named) ||
		    (own == named && v[i].size_bytes > best->size_bytes))
			best = &v[i];
		named |= own;
	}
	return best;
}

/* A number that the job asked for; 0: it left it to the engine. */
static int64_t with_number(struct arena *a, const char *with, const char *key)
{
	struct err ignored = ERR_INIT;
	struct json *v;

	if (json_parse(a, with, strlen(with), &v, &ignored) < 0)
		return 0;
	return json_int(v, key, 0);
}

/* NULL: not known. What it names need not be there. */
static const char *source_of(struct arena *a, const char *work, const struct job_spec *spec)
{
	const char *out = NULL;
	char *cache;

	if (strcmp(spec->source_kind, "path") == 0)
		return arena_strdup(a, spec->source);
	if (strcmp(spec->source_kind, "fake") == 0)
		return workdir_source(a, work, spec->source_version, spec->source);
	cache = hub_env_cache();
	if (cache)
		out = fetch_snapshot(a, cache, spec->source, spec->source_version);
	free(cache);
	return out;
}

int measure_artifact_of_job(struct arena *a, struct store *s, const char *work,
			    const struct job_row *job, struct measure_artifact *out, struct err *e)
{
	struct artifact_row *rows = arena_array(a, FILES_MAX, sizeof(*rows));
	int n = store_artifacts(s, job->id, a, rows, FILES_MAX, e);
	const struct artifact_row *file;
	const char *plus;

	if (n < 0)
		return n;
	file = main_file(job, rows, n);
	if (!file)
		return err_set(e, ERR_NOTFOUND, "job %lld (%s) has no artifact; it is %s",
			       (long long)job->id, job->label, job_state_name(job->state));
	memset(out, 0, sizeof(*out));
	out->folder = workdir_artifact(a, work, job->key);
	out->file = arena_printf(a, "%s/%s", out->folder, file->name);
	if (access(out->file, R_OK) != 0)
		return err_set(e, ERR_NOTFOUND, "%s is not there any more", out->file);
	out->source = source_of(a, work, &job->spec);
	plus = strchr(job->spec.engine_version, '+');
	out->label = arena_strdup(a, job->label);
	out->name = without_extension(a, file->name);
	out->model = arena_strdup(a, job->spec.model);
	out->engine = arena_strdup(a, job->spec.engine);
	out->platform = arena_strdup(a, job->spec.platform);
	out->quant = arena_strdup(a, job->spec.quant);
	out->toolkit = plus ? arena_strdup(a, plus + 1) : NULL;
	out->max_context = with_number(a, job->spec.with, "max_context");
	out->npu_cores = (int)with_number(a, job->spec.with, "num_npu_core");
	return 0;
}

int measure_artifact_of_file(struct arena *a, const char *path, struct measure_artifact *out,
			     struct err *e)
{
	char *real = path_real(path, e), *dir;
	struct stat st;

	if (!real)
		return e->code;
	memset(out, 0, sizeof(*out));
	out->file = arena_strdup(a, real);
	dir = path_dirname(real);
	out->folder =
		stat(real, &st) == 0 && S_ISDIR(st.st_mode) ? out->file : arena_strdup(a, dir);
	out->label = arena_strdup(a, path_basename(out->file));
	out->name = without_extension(a, out->file);
	out->model = out->name;
	out->engine = out->platform = out->quant = "";
	free(dir);
	free(real);
	return 0;
}

/* ---- the stage */

static bool any_matches(const struct string_list *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++)
		if (glob_match(l->v[i], text))
			return true;
	return l->n == 0;
}

bool measure_stage_is_for(const struct measure_stage *st, const struct job_spec *spec)
{
	const struct pattern *p = &st->when;
	const char *board = st->where.kind == MEASURE_BOARD ? st->where.board.platform : NULL;
	bool hybrid = p->hybrid.n == 0, opt = p->opt.n == 0;

	for (size_t i = 0; i < p->hybrid.n; i++)
		hybrid |= p->hybrid.v[i] == spec->hybrid;
	for (size_t i = 0; i < p->opt.n; i++)
		opt |= p->opt.v[i] == spec->opt;
	return hybrid && opt && any_matches(&p->model, spec->model) &&
	       any_matches(&p->engine, spec->engine) && any_matches(&p->quant, spec->quant) &&
	       any_matches(&p->platform, spec->platform) &&
	       (!board || strcmp(board, spec->platform) == 0);
}

static const char *default_prompts(struct arena *a)
{
	char *here = path_program_dir();
	const char *path = arena_printf(a, "%s/../share/quern/prompts.json", here ? here : ".");

	free(here);
	return path;
}

int measure_stage_prompts(struct arena *a, const struct measure_stage *st,
			  struct measure_prompt_set *out, struct err *e)
{
	return measure_prompts_load(a, st->prompts ? st->prompts : default_prompts(a), out, e);
}

static void put_call(struct json_out *w, const char *key, const struct measure_call *c)
{
	jw_key(w, key);
	jw_array(w);
	jw_str(w, c->method);
	jw_str(w, c->path);
	jw_str(w, c->body);
	jw_end_array(w);
}

static void put_endpoint(struct json_out *w, const struct measure_endpoint *at)
{
	jw_kstr(w, "url", at->url);
	jw_kstr(w, "model", at->model);
	put_call(w, "load", &at->load);
}

static void put_where(struct json_out *w, const struct measure_where *where)
{
	jw_kstr(w, "kind", measure_kind_name(where->kind));
	if (where->kind == MEASURE_ENDPOINT) {
		put_endpoint(w, &where->endpoint);
	} else if (where->kind == MEASURE_SERVE) {
		put_endpoint(w, &where->serve.at);
		jw_karray(w, "command");
		for (size_t i = 0; i < where->serve.n_command; i++)
			jw_str(w, where->serve.command[i]);
		jw_end_array(w);
	} else {
		jw_kstr(w, "host", where->board.host);
		jw_kint(w, "port", where->board.port);
		jw_kstr(w, "runtime", where->board.runtime);
		jw_kbool(w, "clocks", where->board.clocks);
	}
}

int measure_stage_settings(struct arena *a, const struct measure_stage *st, const char **out,
			   struct err *e)
{
	struct measure_prompt_set set;
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX];
	struct json_out w;
	struct buf b;
	int rc = measure_stage_prompts(a, st, &set, e);

	if (rc < 0)
		return rc;
	buf_init(&b, SETTINGS_MAX);
	jw_init(&w, &b, 0);
	jw_object(&w);
	put_where(&w, &st->where);
	jw_kstr(&w, "prompts", set.hash);
	jw_kint(&w, "runs", st->runs);
	jw_kint(&w, "warmup", st->warmup);
	jw_end_object(&w);
	sha256_bytes(buf_str(&b), b.len, hash);
	buf_release(&b);
	hex_encode(hash, SHA256_LEN, hex);
	*out = arena_strdup(a, hex);
	return 0;
}

int measure_stage_run(const struct measure_stage *st, const struct measure_artifact *art,
		      const char *dir,
		      void (*progress)(void *ctx, const char *stage, int done, int total),
		      void *ctx, struct measure_result *out, struct err *e)
{
	struct measure_target *t = NULL;
	struct measure_prompt_set set;
	struct measure_options o = { .where = &st->where,
				     .prompts = &set,
				     .runs = st->runs,
				     .warmup = st->warmup,
				     .timeout_ms = st->timeout_ms,
				     .answer_ms = st->answer_ms,
				     .dir = dir,
				     .artifact = art->folder,
				     .file = art->file,
				     .source = art->source,
				     .label = art->label,
				     .name = art->name,
				     .model = art->model,
				     .engine = art->engine,
				     .platform = art->platform,
				     .quant = art->quant,
				     .toolkit = art->toolkit,
				     .max_context = art->max_context,
				     .npu_cores = art->npu_cores,
				     .progress = progress,
				     .ctx = ctx };
	/* The set's texts end in the result. */
	int rc = measure_stage_prompts(out->a, st, &set, e), turn = -1;

	if (rc >= 0)
		rc = path_mkdirs(dir, 0755, e);
	if (rc >= 0)
		rc = turn = measure_turn(&o, e);
	if (rc >= 0)
		rc = measure_target_new(&o, &t, e);
	if (rc >= 0)
		rc = measure_run(t, out, e);
	if (rc >= 0 && st->machine)
		out->machine = arena_strdup(out->a, st->machine);
	measure_target_free(t);
	if (turn >= 0)
		close(turn);
	return rc;
}
