/* orchestrator/start/import_script.c -- the lists of a batch script as a matrix. Names of variables
 * and how their values were used are those of c0zaut/ez-er-rkllm-toolkit
 * (noninteractive_pipeline.py) and Randomblock1/ez-rkllm-converter (config.py, main.py). */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/start/import.h"
#include "orchestrator/start/pylist.h"

#define MODELS_MAX 10000
#define TARGETS_MAX 256
#define CONTEXT_STEP 32 /* the toolkit's: max_context is a multiple of it */

struct list {
	const char **v;
	size_t n;
	int line; /* 0: the script has no such list */
};

struct importing {
	struct arena *a;
	const char *path;
	struct py_script script;
	const struct engine *engine; /* NULL: not here */
	struct buf *notes;
	struct err *e;
	struct list models, loras, platforms, quants, hybrids, opts, contexts, cores;
};

static void note(struct importing *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void note(struct importing *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addv(x->notes, fmt, ap);
	va_end(ap);
	buf_addc(x->notes, '\n');
}

/* "; " and the first of what was noted, which may be why something is missing. */
static const char *because(const struct importing *x)
{
	const char *text = buf_str(x->notes);

	return *text ? arena_printf(x->a, "; %.*s", (int)strcspn(text, "\n"), text) : "";
}

static int fail(struct importing *x, int line, const char *name, const char *what)
{
	return err_set(x->e, ERR_INVALID, "%s:%d: %s: %s", x->path, line, name, what);
}

/* ---- from values to lists of texts */

static bool in_list(const struct list *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i], text) == 0)
			return true;
	}
	return false;
}

static int add_text(struct importing *x, const struct py_value *v, const char *name, struct list *l)
{
	if (v->type == PY_NONE || (v->type == PY_TEXT && !*v->text))
		return 0; /* a place that was left empty */
	if (v->type != PY_TEXT && v->type != PY_NUMBER)
		return fail(x, v->line, name, "neither a text nor a number");
	if (!in_list(l, v->text))
		l->v[l->n++] = v->text;
	return 0;
}

static int take_value(struct importing *x, const struct py_assign *s, struct list *l)
{
	const struct py_value *v = &s->value;
	bool is_list = v->type == PY_LIST;
	size_t n = is_list ? v->n : 1;
	int rc = 0;

	*l = (struct list){ .v = arena_array(x->a, n + 1, sizeof(*l->v)), .line = s->line };
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = add_text(x, is_list ? &v->items[i] : v, s->name, l);
	return rc;
}

/* The last value under one of the names (NULL-ended) counts, as it would when the script runs. */
static int take_list(struct importing *x, const char *const *names, struct list *l)
{
	const struct py_assign *value = NULL, *unread = NULL;

	for (size_t i = 0; i < x->script.n; i++) {
		const struct py_assign *s = &x->script.v[i];

		for (const char *const *name = names; *name; name++) {
			if (strcasecmp(s->name, *name) == 0 && s->why)
				unread = s;
			else if (strcasecmp(s->name, *name) == 0)
				value = s;
		}
	}
	if (unread && (!value || unread->line > value->line))
		note(x, "%s:%d: %s: %s; it is not taken over", x->path, unread->line, unread->name,
		     unread->why);
	return value ? take_value(x, value, l) : 0;
}

static int take_lists(struct importing *x)
{
	static const char *const models[] = { "model_ids", "model_id", "models", NULL },
				 *const loras[] = { "lora_ids", "lora_id", "loras", NULL },
				 *const platforms[] = { "platforms", "platform", "target_platforms",
							"target_platform", NULL },
				 *const quants[] = { "qtypes", "qtype", "quantized_dtypes",
						     "quantized_dtype", NULL },
				 *const hybrids[] = { "hybrid_rates", "hybrid_rate", NULL },
				 *const opts[] = { "optimizations", "optimization",
						   "optimization_levels", "optimization_level",
						   NULL },
				 *const contexts[] = { "context_lengths", "context_length",
						       "max_contexts", "max_context", NULL },
				 *const cores[] = { "npu_cores", "num_npu_core", "num_npu_cores",
						    NULL };
	const struct {
		const char *const *names;
		struct list *list;
	} all[] = {
		{ models, &x->models },	    { loras, &x->loras },     { platforms, &x->platforms },
		{ quants, &x->quants },	    { hybrids, &x->hybrids }, { opts, &x->opts },
		{ contexts, &x->contexts }, { cores, &x->cores },
	};
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(all); i++)
		rc = take_list(x, all[i].names, all[i].list);
	return rc;
}

/* ---- models */

static const char *name_of(struct importing *x, const char *id, const char *lora, bool full)
{
	char *name = full ? arena_strdup(x->a, id) : arena_strdup(x->a, path_basename(id));

	for (char *p = name; *p; p++) {
		if (*p == '/')
			*p = '-';
	}
	return lora ? arena_printf(x->a, "%s-%s", name, path_basename(lora)) : name;
}

/* Do two of them end in the same word? Then their full ids name them. */
static bool shares_name(const struct list *l, size_t at)
{
	for (size_t i = 0; i < l->n; i++) {
		if (i != at && strcmp(path_basename(l->v[i]), path_basename(l->v[at])) == 0)
			return true;
	}
	return false;
}

static int take_models(struct importing *x, struct jobs_sketch *out)
{
	size_t loras = x->loras.n ? x->loras.n : 1;

	if (!x->models.n)
		return err_set(x->e, ERR_INVALID,
			       "%s: no model in it; a list like model_ids = [\"org/name\"] is "
			       "looked for%s",
			       x->path, because(x));
	if (x->models.n * loras > MODELS_MAX)
		return fail(x, x->models.line, "models", "more than 10000 of them");
	if (x->loras.n && (x->models.n > 1 || x->loras.n > 1))
		note(x, "each model is paired with each LoRA; take out the pairs that do not fit");
	out->models = arena_array(x->a, x->models.n * loras, sizeof(*out->models));
	for (size_t i = 0; i < x->models.n; i++) {
		for (size_t k = 0; k < loras; k++) {
			struct model *m = &out->models[out->n_models++];
			bool full = shares_name(&x->models, i);

			m->id = x->models.v[i];
			m->lora = x->loras.n ? x->loras.v[k] : NULL;
			if (m->lora || full)
				m->name = name_of(x, m->id, m->lora, full);
		}
	}
	return 0;
}

/* ---- numbers */

static bool read_number(const char *text, double *v)
{
	char *end;

	errno = 0;
	*v = strtod(text, &end);
	return !errno && end != text && !*end && isfinite(*v);
}

static int hybrids(struct importing *x, struct number_list *out)
{
	out->v = arena_array(x->a, x->hybrids.n + 1, sizeof(*out->v));
	for (size_t i = 0; i < x->hybrids.n; i++) {
		double v;

		if (!read_number(x->hybrids.v[i], &v))
			return fail(x, x->hybrids.line, "hybrid rates", "not a number");
		if (v < 0 || v >= 1)
			note(x, "hybrid %s is left out: the toolkit takes 0 and more, below 1",
			     x->hybrids.v[i]);
		else
			out->v[out->n++] = v;
	}
	if (out->n > 1 || (out->n && out->v[0] != 0))
		note(x, "hybrid reaches the toolkit now; the known scripts wrote it into names and "
			"did not pass it on, so these files will differ from theirs");
	return 0;
}

static int opts(struct importing *x, struct int_list *out)
{
	out->v = arena_array(x->a, x->opts.n + 1, sizeof(*out->v));
	for (size_t i = 0; i < x->opts.n; i++) {
		double v;

		if (!read_number(x->opts.v[i], &v) || v < 0 || v > 9 || v != floor(v))
			return fail(x, x->opts.line, "optimizations", "not a level like 0 or 1");
		out->v[out->n++] = (int)v;
	}
	return 0;
}

/* "4k", "4096": to the next multiple of 32, as the toolkit wants it. */
static int context(struct importing *x, const char *text, int64_t *out)
{
	char number[32];
	size_t n = strlen(text);
	double v;
	bool k = n && tolower((unsigned char)text[n - 1]) == 'k';

	snprintf(number, sizeof(number), "%.*s", (int)(k ? n - 1 : n), text);
	if (n >= sizeof(number) || !read_number(number, &v) || v <= 0 || v > 1e6)
		return fail(x, x->contexts.line, "context lengths", "not like 4096 or 4k");
	v = k ? v * 1024 : v;
	*out = (int64_t)ceil(v / CONTEXT_STEP) * CONTEXT_STEP;
	if ((double)*out != v)
		note(x, "context %s became %lld, the next multiple of %d", text, (long long)*out,
		     CONTEXT_STEP);
	return 0;
}

/* ---- targets */

static bool allows(const struct engine *en, const char *platform, const char *quant)
{
	bool known = false;

	for (size_t i = 0; i < en->n_quants; i++) {
		const struct engine_quant *q = &en->quants[i];

		if (strcmp(q->name, quant) != 0)
			continue;
		known = q->n_platforms == 0;
		for (size_t k = 0; k < q->n_platforms; k++)
			known |= strcmp(q->platforms[k], platform) == 0;
	}
	return known;
}

static struct string_list quants_for(struct importing *x, const char *platform)
{
	struct string_list out = { .v = arena_array(x->a, x->quants.n + 1, sizeof(*out.v)) };

	for (size_t i = 0; i < x->quants.n; i++) {
		if (!x->engine || allows(x->engine, platform, x->quants.v[i]))
			out.v[out.n++] = x->quants.v[i];
		else
			note(x, "%s on %s is left out: %s %s does not make it", x->quants.v[i],
			     platform, x->engine->name, x->engine->version);
	}
	return out;
}

static void set_with(struct importing *x, struct target *t, const char *name, int64_t v)
{
	t->with[t->n_with++] =
		(struct param){ .name = name, .value = arena_printf(x->a, "%lld", (long long)v) };
}

/* One target; where 0 is given for context or cores, the toolkit's default is meant. */
static int add_target(struct importing *x, struct jobs_sketch *out, struct target t,
		      int64_t max_context, int64_t cores)
{
	if (out->n_targets == TARGETS_MAX)
		return fail(x, x->contexts.line, "targets", "more than 256 of them");
	t.with = arena_array(x->a, 2, sizeof(*t.with));
	if (max_context)
		set_with(x, &t, "max_context", max_context);
	if (cores)
		set_with(x, &t, "num_npu_core", cores);
	out->targets[out->n_targets++] = t;
	return 0;
}

static int each_setting(struct importing *x, struct jobs_sketch *out, const struct target *t)
{
	size_t n_contexts = x->contexts.n ? x->contexts.n : 1,
	       n_cores = x->cores.n ? x->cores.n : 1;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < n_contexts; i++) {
		int64_t max_context = 0;

		if (x->contexts.n)
			rc = context(x, x->contexts.v[i], &max_context);
		for (size_t k = 0; rc >= 0 && k < n_cores; k++) {
			double cores = 0;

			if (x->cores.n && (!read_number(x->cores.v[k], &cores) || cores < 1 ||
					   cores > 64 || cores != floor(cores)))
				return fail(x, x->cores.line, "cores", "not a number of cores");
			rc = add_target(x, out, *t, max_context, (int64_t)cores);
		}
	}
	return rc;
}

static int take_targets(struct importing *x, const char *engine, struct jobs_sketch *out)
{
	struct target t = { .engine = engine };
	int rc;

	if (!x->quants.n)
		return err_set(x->e, ERR_INVALID,
			       "%s: no quantization in it; a list like qtypes = [\"w8a8\"] is "
			       "looked for%s",
			       x->path, because(x));
	if (!x->platforms.n) {
		note(x, "no platform is named; rk3588, the default of these scripts, was taken");
		x->platforms.v = arena_array(x->a, 1, sizeof(*x->platforms.v));
		x->platforms.v[x->platforms.n++] = "rk3588";
	}
	rc = hybrids(x, &t.hybrid);
	if (rc >= 0)
		rc = opts(x, &t.opt);
	out->targets = arena_array(x->a, TARGETS_MAX, sizeof(*out->targets));
	for (size_t i = 0; rc >= 0 && i < x->platforms.n; i++) {
		t.platform = (struct string_list){ .v = &x->platforms.v[i], .n = 1 };
		t.quant = quants_for(x, x->platforms.v[i]);
		if (t.quant.n)
			rc = each_setting(x, out, &t);
	}
	if (rc >= 0 && !out->n_targets)
		return err_set(x->e, ERR_INVALID,
			       "%s: engine %s makes none of its quantizations on its platforms",
			       x->path, engine);
	return rc;
}

/* ---- the script */

static int read_script(struct importing *x)
{
	struct buf b;
	int rc;

	buf_init(&b, PYLIST_TEXT_MAX);
	rc = path_read(x->path, PYLIST_TEXT_MAX, &b, x->e);
	if (rc >= 0) {
		rc = pylist_read(x->a, buf_str(&b), b.len, &x->script, x->e);
		if (rc < 0)
			err_wrap(x->e, "%s", x->path);
	}
	buf_release(&b);
	return rc;
}

int import_script(struct arena *a, const struct engines *es, const char *name, const char *path,
		  struct jobs_sketch *out, struct buf *notes, struct err *e)
{
	struct importing x = {
		.a = a, .path = path, .engine = engine_find(es, name), .notes = notes, .e = e
	};
	int rc = read_script(&x);

	if (rc >= 0)
		rc = take_lists(&x);
	if (rc >= 0)
		rc = take_models(&x, out);
	if (rc >= 0)
		rc = take_targets(&x, name, out);
	if (rc < 0)
		return rc;
	if (!x.engine)
		note(&x,
		     "engine %s is not installed here: quern plan refuses this file until it is",
		     name);
	if (x.engine && x.engine->package && !out->environment)
		note(&x, "where the toolkit is, no script says: `engines` of this file, or "
			 "--environment, "
			 "names it");
	/* The names that those who used the script know, where they are not the engine's own. */
	if (x.engine && x.engine->repo_template && x.engine->file_template)
		return 0;
	out->repo = "{model}-{platform}";
	out->file = "{model}-{platform}-{quant}-opt-{opt}-hybrid-ratio-{hybrid}";
	if (x.contexts.n > 1 || x.cores.n > 1)
		note(&x,
		     "names of files have no context and no cores in them: publish one of each, "
		     "or give the targets different `upload.repo`s in files of their own");
	return 0;
}
