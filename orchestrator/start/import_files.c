#include "orchestrator/start/import_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/cli.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/start/import_private.h"

#define FILES_MAX 10000 /* of one call */

/* ---- which files */

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return m && n > m && strcasecmp(s + n - m, end) == 0;
}

static bool is_meant(const char *name)
{
	return ends_in(name, ".gguf") || ends_in(name, ".rkllm");
}

static int add_file(struct importer *x, const char *path, struct err *e)
{
	struct import_file *f;

	if (x->n == FILES_MAX)
		return err_set(e, ERR_INVALID, "more than %d files at a time", FILES_MAX);
	MEM_GROW(x->v, x->n, x->cap);
	f = &x->v[x->n++];
	*f = (struct import_file){ .path = path, .name = path_basename(path) };
	f->has_claims = file_name_claims(x->a, path, &f->claims) == 1;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths of what is meant in the folder, sorted. */
static int list_folder(struct importer *x, DIR *d, const char *dir, const char **names, size_t *n,
		       struct err *e)
{
	struct dirent *de;

	*n = 0;
	while ((errno = 0, de = readdir(d)) != NULL) {
		if (!is_meant(de->d_name))
			continue;
		if (*n == FILES_MAX)
			return err_set(e, ERR_INVALID, "%s: more than %d files", dir, FILES_MAX);
		names[(*n)++] = arena_printf(x->a, "%s/%s", dir, de->d_name);
	}
	if (errno)
		return err_errno(e, "%s", dir);
	if (*n)
		qsort(names, *n, sizeof(*names), by_text);
	return 0;
}

static int add_folder(struct importer *x, const char *dir, struct err *e)
{
	const char **names;
	DIR *d = opendir(dir);
	size_t n;
	int rc;

	if (!d)
		return err_errno(e, "%s", dir);
	names = mem_array(FILES_MAX, sizeof(*names));
	rc = list_folder(x, d, dir, names, &n, e);
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = add_file(x, names[i], e);
	closedir(d);
	free(names);
	return rc;
}

static int add_all(struct importer *x, char *const *names, size_t n, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < n; i++) {
		struct stat st;

		if (stat(names[i], &st) != 0)
			rc = err_errno(e, "%s", names[i]);
		else if (S_ISDIR(st.st_mode))
			rc = add_folder(x, names[i], e);
		else if (S_ISREG(st.st_mode) && is_meant(names[i]))
			rc = add_file(x, names[i], e);
		else
			rc = err_set(e, ERR_INVALID,
				     "%s is no .gguf or .rkllm file, no folder of them and no "
				     "script",
				     names[i]);
	}
	if (rc >= 0 && x->n == 0)
		rc = err_set(e, ERR_NOTFOUND, "there is no .gguf and no .rkllm file in %s",
			     names[0]);
	return rc;
}

/* ---- which point */

static bool same_word(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

/* "org/base" as "org_base", the way a server names its files. */
static bool is_source(struct arena *a, const char *model, const char *source)
{
	char *text = arena_strdup(a, source), *slash = strchr(text, '/');

	if (slash)
		*slash = '_';
	return same_word(model, text);
}

/* Has the point this value? A parameter that neither it nor the manifest names is the toolkit's to
 * choose, and contradicts nothing. */
static bool has_number(struct arena *a, const struct plan_point *p, const char *name, int64_t value)
{
	const struct engine_param *known = engine_find_param(p->engine, name);
	int64_t dflt = known && known->dflt ? strtoll(known->dflt, NULL, 10) : value;
	struct err ignored = ERR_INIT;
	struct json *v;

	if (json_parse(a, p->spec.with, strlen(p->spec.with), &v, &ignored) < 0)
		return false;
	return json_int(v, name, dflt) == value;
}

static bool claims_fit(struct arena *a, const struct name_claims *c, const struct plan_point *p)
{
	const struct job_spec *s = &p->spec;

	if (!same_word(c->model, s->model) && !is_source(a, c->model, s->source))
		return false;
	if ((c->platform && !same_word(c->platform, s->platform)) ||
	    (c->quant && !same_word(c->quant, s->quant)))
		return false;
	if ((c->has_hybrid && c->hybrid != s->hybrid) || (c->has_opt && c->opt != s->opt))
		return false;
	if (c->max_context && !has_number(a, p, "max_context", c->max_context))
		return false;
	return !c->cores || has_number(a, p, "num_npu_core", c->cores);
}

/* The name that quern would give it, or MODEL-QUANT and the like of a plain conversion. */
static bool name_fits(struct arena *a, const struct import_file *f, const struct plan_point *p)
{
	const struct job_spec *s = &p->spec;
	const char *stem =
		arena_strndup(a, f->name, strlen(f->name) - strlen(p->engine->extension));

	if (same_word(stem, p->file))
		return true;
	if (s->hybrid != 0 || s->opt != 0 || strcmp(s->with, "{}") != 0)
		return false;
	for (const char *sep = "-._"; *sep; sep++) {
		if (same_word(stem, arena_printf(a, "%s%c%s", s->model, *sep, s->quant)))
			return true;
	}
	return false;
}

static bool fits(struct arena *a, const struct import_file *f, const struct plan_point *p)
{
	if (!p->engine || !ends_in(f->name, p->engine->extension))
		return false;
	return name_fits(a, f, p) || (f->has_claims && claims_fit(a, &f->claims, p));
}

/* Keep the first point that fits; of the others, how many and one name are enough. */
static void keep_point(struct importer *x, struct import_file *f, const struct plan_point *p)
{
	struct import_point *k;

	if (p->status == PLAN_ILLEGAL) {
		f->not_legal = arena_printf(x->a, "%s: %s", p->label, p->why);
		return;
	}
	if (f->n_fit++) {
		f->other = arena_strdup(x->a, p->label);
		return;
	}
	k = f->point = arena_alloc(x->a, sizeof(*k));
	k->plan = *p;
	k->plan.spec.model = arena_strdup(x->a, p->spec.model);
	k->plan.spec.engine = arena_strdup(x->a, p->spec.engine);
	k->plan.spec.engine_version = arena_strdup(x->a, p->spec.engine_version);
	k->plan.spec.source_kind = arena_strdup(x->a, p->spec.source_kind);
	k->plan.spec.source = arena_strdup(x->a, p->spec.source);
	k->plan.spec.source_version = arena_strdup(x->a, p->spec.source_version);
	k->plan.spec.lora = arena_strdup(x->a, p->spec.lora);
	k->plan.spec.lora_version = arena_strdup(x->a, p->spec.lora_version);
	k->plan.spec.platform = arena_strdup(x->a, p->spec.platform);
	k->plan.spec.quant = arena_strdup(x->a, p->spec.quant);
	k->plan.spec.with = arena_strdup(x->a, p->spec.with);
	k->plan.repo = arena_strdup(x->a, p->repo);
	k->plan.file = arena_strdup(x->a, p->file);
}

static int each_point(void *ctx, const struct plan_point *p, struct err *e)
{
	struct importer *x = ctx;
	struct arena *scratch;

	(void)e;
	if (p->status == PLAN_DUPLICATE)
		return 0;
	scratch = arena_new();
	for (size_t i = 0; i < x->n; i++) {
		if (fits(scratch, &x->v[i], p))
			keep_point(x, &x->v[i], p);
	}
	arena_free(scratch);
	return 0;
}

/* ---- one file after the other */

static int no_point(const struct import_file *f, struct err *e)
{
	if (f->n_fit > 1)
		return err_set(e, ERR_INVALID,
			       "%d points fit, %s and %s among them: its name does not tell them "
			       "apart; choose with --only LABEL",
			       f->n_fit, f->point->plan.label, f->other);
	if (f->not_legal)
		return err_set(e, ERR_INVALID, "the point that fits cannot be done: %s",
			       f->not_legal);
	if (!f->has_claims)
		return err_set(e, ERR_INVALID,
			       "its name is like that of no point, and claims no settings");
	return err_set(e, ERR_INVALID,
		       "no point of the matrix fits what its name claims: model %s, %s%s%s",
		       f->claims.model, f->claims.platform ? f->claims.platform : "",
		       f->claims.platform && f->claims.quant ? ", " : "",
		       f->claims.quant ? f->claims.quant : "");
}

static bool taken(const struct importer *x, const struct import_file *f)
{
	for (const struct import_file *o = x->v; o < f; o++) {
		if (o->n_fit == 1 && o->done &&
		    memcmp(o->point->plan.key, f->point->plan.key, SHA256_LEN) == 0)
			return true;
	}
	return false;
}

/* 1 imported, 0 there already, ERR_INVALID: said, and the others go on. */
static int take_file(struct importer *x, struct import_file *f, struct err *e)
{
	enum plan_status st;
	int rc;

	if (f->n_fit != 1)
		return no_point(f, e);
	st = f->point->plan.status;
	if (taken(x, f))
		return err_set(e, ERR_INVALID, "another file was taken for %s",
			       f->point->plan.label);
	if (st == PLAN_DONE || st == PLAN_CONVERTED)
		return 0;
	if (f->point->plan.job_id && f->point->plan.state != JOB_PENDING)
		return err_set(e, ERR_INVALID,
			       "job %lld %s is %s; `quern retry %lld` makes it one to be done",
			       (long long)f->point->plan.job_id, f->point->plan.label,
			       plan_status_name(st), (long long)f->point->plan.job_id);
	rc = import_store(x, f, e);
	f->done = rc >= 0;
	return rc < 0 ? rc : 1;
}

static void say(const struct import_file *f, const char *what, const char *more)
{
	fputs(what, stdout);
	cli_print_text(stdout, f->path);
	fputs(": ", stdout);
	cli_print_text(stdout, more);
	fputc('\n', stdout);
}

static int take_all(struct importer *x, struct import_result *out, struct err *e)
{
	for (size_t i = 0; i < x->n; i++) {
		struct import_file *f = &x->v[i];
		struct err why = ERR_INIT;
		int rc = take_file(x, f, &why);

		if (rc < 0 && rc != ERR_INVALID && rc != ERR_CORRUPT && rc != ERR_NOTFOUND) {
			*e = why;
			return err_wrap(e, "%s", f->path);
		}
		out->imported += rc == 1;
		out->there += rc == 0;
		out->refused += rc < 0;
		if (rc < 0)
			say(f, "not imported  ", why.msg);
		else
			say(f, rc ? "imported      " : "there already ", f->point->plan.label);
	}
	return 0;
}

int import_files(struct session *s, char *const *names, size_t n, const char *only, bool move,
		 struct import_result *out, struct err *e)
{
	struct importer x = { .s = s, .a = s->a, .move = move };
	struct plan_totals t;
	int rc = add_all(&x, names, n, e);

	*out = (struct import_result){ 0 };
	if (rc >= 0)
		rc = plan_walk(s, only, 0, each_point, &x, &t, e);
	if (rc >= 0)
		rc = take_all(&x, out, e);
	import_end(&x, (int64_t)out->imported, rc < 0);
	free(x.v);
	return rc;
}
