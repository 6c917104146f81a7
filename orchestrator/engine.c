#include "orchestrator/engine.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "db/job.h"
#include "orchestrator/config.h"
#include "orchestrator/engine_private.h"

#define MANIFEST_MAX (1u << 20)
#define FOLDERS_MAX 32
#define ENGINES_MAX 1000
#define TEXT_MAX 4096 /* bytes of a list of names in a message; what goes beyond is left out */

/* ---- finding manifests */

const struct engine *engine_find(const struct engines *es, const char *name)
{
	for (size_t i = 0; i < es->n; i++) {
		if (strcmp(es->v[i].name, name) == 0)
			return &es->v[i];
	}
	return NULL;
}

int engine_has_verb(const struct engine *en, const char *verb)
{
	for (size_t i = 0; i < en->n_verbs; i++) {
		if (strcmp(en->verbs[i], verb) == 0)
			return 1;
	}
	return 0;
}

static void add_engine(struct engines *es, const struct engine *en)
{
	struct engine *bigger = arena_array(es->a, es->n + 1, sizeof(*bigger));

	if (es->n)
		memcpy(bigger, es->v, es->n * sizeof(*bigger));
	bigger[es->n++] = *en;
	es->v = bigger;
}

static void load_one(struct engines *es, const char *path, struct faults *f)
{
	struct faults own = { .a = es->a, .file = path };
	struct err e = ERR_INIT;
	struct engine en;
	struct buf b;

	buf_init(&b, MANIFEST_MAX);
	if (path_read(path, MANIFEST_MAX, &b, &e) < 0)
		faults_add(f, (struct mark){ 0, 0 }, "%s; this engine is left out", e.msg);
	else if (manifest_read(es->a, path, buf_str(&b), b.len, &own, &en) == 0 &&
		 !engine_find(es, en.name))
		add_engine(es, &en);
	buf_release(&b);
	faults_sort(&own);
	for (size_t i = 0; i < own.n; i++)
		faults_add(f, (struct mark){ 0, 0 }, "%s:%d:%d: %s", path, own.v[i].at.line,
			   own.v[i].at.column, own.v[i].text);
}

static int is_manifest(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && strcmp(d->d_name + n - 5, ".yaml") == 0;
}

/* The manifests of one folder; a folder that is not there has none. */
static void load_folder(struct engines *es, const char *dir, struct faults *f)
{
	struct err why = ERR_INIT;
	/* Absolute: workers are started in folders of their own. */
	char *real = path_real(dir, &why);
	struct dirent **names;
	int count = real ? scandir(real, &names, is_manifest, alphasort) : -1;

	if (real && count < 0)
		(void)err_errno(&why, "%s", dir);
	if (count < 0 && why.code != ERR_NOTFOUND)
		faults_add(f, (struct mark){ 0, 0 }, "%s; its engines are left out", why.msg);
	for (int k = 0; k < count; k++) {
		load_one(es, arena_printf(es->a, "%s/%s", real, names[k]->d_name), f);
		free(names[k]);
	}
	if (count >= 0)
		free(names);
	free(real);
}

int engines_load_from(struct arena *a, const char *const *dirs, size_t n, struct engines *out,
		      struct faults *f, struct err *e)
{
	*out = (struct engines){ .a = a };
	for (size_t i = 0; i < n; i++) {
		load_folder(out, dirs[i], f);
		if (out->n > ENGINES_MAX)
			return err_set(e, ERR_INVALID,
				       "%s: more than %d engines; remove some manifests", dirs[i],
				       ENGINES_MAX);
	}
	return 0;
}

int engines_load(struct arena *a, struct engines *out, struct faults *f, struct err *e)
{
	const char *dirs[FOLDERS_MAX], *env = getenv("QUERN_ENGINES"),
				       *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char *here = path_program_dir();
	size_t n = 0;

	while (env && *env && n < FOLDERS_MAX - 4) {
		size_t len = strcspn(env, ":");

		if (len)
			dirs[n++] = arena_strndup(a, env, len);
		env += len + (env[len] == ':');
	}
	if (xdg && xdg[0] == '/')
		dirs[n++] = arena_printf(a, "%s/quern/engines", xdg);
	else if (home && home[0] == '/')
		dirs[n++] = arena_printf(a, "%s/.config/quern/engines", home);
	dirs[n++] = "/etc/quern/engines";
	if (here) {
		dirs[n++] = arena_printf(a, "%s/../share/quern/engines", here);
		free(here);
	}
	return engines_load_from(a, dirs, n, out, f, e);
}

/* ---- legality */

static void list_names(struct buf *b, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s%s", i ? ", " : "", v[i]);
}

static int has(const char *const *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i], name) == 0)
			return 1;
	}
	return 0;
}

static int quant_fits(const struct engine_quant *q, const char *platform)
{
	return !q->n_platforms || has(q->platforms, q->n_platforms, platform);
}

static int refuse_quant(const struct engine *en, const struct job_spec *s, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < en->n_quants; i++) {
		if (quant_fits(&en->quants[i], s->platform))
			buf_addf(&b, "%s%s", b.len ? ", " : "", en->quants[i].name);
	}
	rc = err_set(e, ERR_INVALID, "quant %s is not legal%s%s in engine %s %s; legal: %s",
		     s->quant, s->platform[0] ? " for platform " : "", s->platform, en->name,
		     en->version, buf_str(&b));
	buf_release(&b);
	return rc;
}

static int check_platform(const struct engine *en, const struct job_spec *s, struct err *e)
{
	struct buf b;
	int rc;

	if (en->n_platforms == 0)
		return s->platform[0] ? err_set(e, ERR_INVALID,
						"engine %s has no platforms; remove platform %s",
						en->name, s->platform)
				      : 0;
	if (has(en->platforms, en->n_platforms, s->platform))
		return 0;
	buf_init(&b, TEXT_MAX);
	list_names(&b, en->platforms, en->n_platforms);
	rc = err_set(e, ERR_INVALID, "platform %s is not legal in engine %s %s; legal: %s",
		     s->platform[0] ? s->platform : "(none)", en->name, en->version, buf_str(&b));
	buf_release(&b);
	return rc;
}

static int refuse_hybrid(const struct engine *en, const struct job_spec *s, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < en->n_hybrids; i++)
		buf_addf(&b, "%s%g", i ? ", " : "", en->hybrids[i]);
	if (!en->n_hybrids)
		buf_addf(&b, "%g %s %g", en->hybrid_min, en->hybrid_max_open ? "to below" : "to",
			 en->hybrid_max);
	rc = err_set(e, ERR_INVALID, "hybrid %g is not legal in engine %s %s; legal: %s", s->hybrid,
		     en->name, en->version, buf_str(&b));
	buf_release(&b);
	return rc;
}

static int hybrid_legal(const struct engine *en, double hybrid)
{
	for (size_t i = 0; i < en->n_hybrids; i++) {
		if (en->hybrids[i] == hybrid)
			return 1;
	}
	return !en->n_hybrids && hybrid >= en->hybrid_min &&
	       (hybrid < en->hybrid_max || (hybrid == en->hybrid_max && !en->hybrid_max_open));
}

static int refuse_opt(const struct engine *en, const struct job_spec *s, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < en->n_opts; i++)
		buf_addf(&b, "%s%d", i ? ", " : "", en->opts[i]);
	rc = err_set(e, ERR_INVALID, "opt %d is not legal in engine %s %s; legal: %s", s->opt,
		     en->name, en->version, buf_str(&b));
	buf_release(&b);
	return rc;
}

static int quant_legal(const struct engine *en, const struct job_spec *s)
{
	for (size_t i = 0; i < en->n_quants; i++) {
		if (strcmp(en->quants[i].name, s->quant) == 0)
			return quant_fits(&en->quants[i], s->platform);
	}
	return 0;
}

int engine_check(const struct engine *en, const struct job_spec *s, struct err *e)
{
	if (check_platform(en, s, e) < 0)
		return ERR_INVALID;
	if (!quant_legal(en, s))
		return refuse_quant(en, s, e);
	if (!hybrid_legal(en, s->hybrid))
		return refuse_hybrid(en, s, e);
	for (size_t i = 0; i < en->n_opts; i++) {
		if (en->opts[i] == s->opt)
			return 0;
	}
	return refuse_opt(en, s, e);
}

/* ---- parameters */

const struct engine_param *engine_find_param(const struct engine *en, const char *name)
{
	for (size_t i = 0; i < en->n_params; i++) {
		if (strcmp(en->params[i].name, name) == 0)
			return &en->params[i];
	}
	return NULL;
}

static int type_fits(const char *type, const struct json *v)
{
	if (strcmp(type, "integer") == 0)
		return v->type == JSON_NUMBER && v->is_integer;
	if (strcmp(type, "number") == 0)
		return v->type == JSON_NUMBER;
	if (strcmp(type, "boolean") == 0)
		return v->type == JSON_BOOL;
	if (strcmp(type, "object") == 0)
		return v->type == JSON_OBJECT;
	return v->type == JSON_STRING;
}

static int refuse_range(const struct engine_param *p, const char *value, struct err *e)
{
	if (p->min > -INFINITY && p->max < INFINITY)
		return err_set(e, ERR_INVALID, "%s is %.60s; it goes from %g to %g", p->name, value,
			       p->min, p->max);
	if (p->min > -INFINITY)
		return err_set(e, ERR_INVALID, "%s is %.60s; it is at least %g", p->name, value,
			       p->min);
	return err_set(e, ERR_INVALID, "%s is %.60s; it is at most %g", p->name, value, p->max);
}

static int refuse_value(const struct engine_param *p, const char *value, struct err *e)
{
	const char *near = nearest_name(value, p->values, p->n_values);
	struct buf b;
	int rc;

	if (near)
		return err_set(e, ERR_INVALID, "%s is \"%.60s\"; did you mean \"%s\"?", p->name,
			       value, near);
	buf_init(&b, TEXT_MAX);
	list_names(&b, p->values, p->n_values);
	rc = err_set(e, ERR_INVALID, "%s is \"%.60s\"; legal: %s", p->name, value, buf_str(&b));
	buf_release(&b);
	return rc;
}

int engine_check_value(struct arena *a, const struct engine_param *p, const char *value,
		       struct err *e)
{
	struct err why = ERR_INIT;
	struct json *v;

	if (json_parse(a, value, strlen(value), &v, &why) < 0 || !type_fits(p->type, v))
		return err_set(e, ERR_INVALID, "%s is %.60s; a value of type %s is wanted", p->name,
			       value, p->type);
	if (v->type == JSON_NUMBER && (v->number < p->min || v->number > p->max))
		return refuse_range(p, value, e);
	if (v->type == JSON_STRING && p->n_values && !has(p->values, p->n_values, v->str))
		return refuse_value(p, v->str, e);
	return 0;
}

/* ---- the model */

static int refuse_model(const struct engine *en, const char *does, const char *what,
			const char *const *legal, size_t n, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	list_names(&b, legal, n);
	rc = err_set(e, ERR_INVALID, "engine %s %s does not %s %s; legal: %s", en->name,
		     en->version, does, what, buf_str(&b));
	buf_release(&b);
	return rc;
}

int engine_check_model(const struct engine *en, const struct source_facts *facts, struct err *e)
{
	const char *architecture = facts->architecture ? facts->architecture : "(none)";

	if (en->n_inputs && !has(en->inputs, en->n_inputs, facts->format))
		return refuse_model(en, "read", facts->format, en->inputs, en->n_inputs, e);
	/* The list has classes of transformers; GGUF names architectures in its own way. */
	if (strcmp(facts->format, "gguf") == 0)
		return 0;
	if (en->n_architectures && !has(en->architectures, en->n_architectures, architecture))
		return refuse_model(en, "know the architecture", architecture, en->architectures,
				    en->n_architectures, e);
	return 0;
}
/* ---- estimates */

static uint64_t bytes(double v)
{
	return v <= 0 ? 0 : v >= 9e18 ? (uint64_t)9e18 : (uint64_t)v;
}

void engine_estimate(const struct engine *en, const struct job_spec *spec,
		     const struct source_facts *facts, int threads, struct estimate *out)
{
	double bits = 0, output;

	for (size_t i = 0; i < en->n_quants; i++) {
		if (strcmp(en->quants[i].name, spec->quant) == 0)
			bits = en->quants[i].bits;
	}
	output = (double)facts->matrix_params * bits / 8 +
		 (double)facts->vector_params * en->vector_bits / 8 +
		 (double)facts->tokenizer_bytes + en->out_base;
	out->output_bytes = bytes(output);
	out->scratch_bytes = bytes(output * en->scratch_output_share);
	out->memory_bytes = bytes(en->mem_base + en->mem_per_thread * threads +
				  en->mem_per_row * (double)facts->max_row +
				  en->mem_source_share * (double)facts->size_bytes);
}
