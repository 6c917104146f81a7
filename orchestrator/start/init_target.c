/* orchestrator/start/init_target.c -- quern init: the settings of the engine, as its manifest has
 * them.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "db/job.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/start/init.h"
#include "orchestrator/start/model_word.h"

#define VALUES_MAX 64 /* numbers in one answer */

/* ---- what is legal */

/* One point; platform, hybrid and opt may be left at what every engine has. */
static int legal(const struct init *x, const char *platform, const char *quant, double hybrid,
		 int opt, struct err *e)
{
	const struct job_spec spec = { .model = "",
				       .engine = x->engine->name,
				       .engine_version = "",
				       .source_kind = "path",
				       .source = "",
				       .source_version = "",
				       .platform = platform,
				       .quant = quant,
				       .hybrid = hybrid,
				       .opt = opt,
				       .with = "{}" };

	return engine_check(x->engine, &spec, e);
}

/* Is there any chosen platform and quant that takes these two? */
static int any_legal(const struct init *x, double hybrid, int opt, struct err *e)
{
	for (size_t p = 0; p < x->platforms.n; p++) {
		for (size_t q = 0; q < x->quants.n; q++) {
			*e = (struct err)ERR_INIT;
			if (legal(x, x->platforms.v[p], x->quants.v[q], hybrid, opt, e) >= 0)
				return 1;
		}
	}
	return 0;
}

/* The least values that the manifest allows, to look at a quant alone. */
static double plain_hybrid(const struct engine *en)
{
	return en->n_hybrids ? en->hybrids[0] : en->hybrid_min;
}

static int plain_opt(const struct engine *en)
{
	return en->n_opts ? en->opts[0] : 0;
}

static int quant_legal_on(const struct init *x, const char *platform, const char *quant)
{
	struct err ignored = ERR_INIT;

	return legal(x, platform, quant, plain_hybrid(x->engine), plain_opt(x->engine), &ignored) >=
	       0;
}

/* ---- platforms and quants */

struct picking {
	struct init *x;
	const struct choice *c;
	size_t n;
	struct string_list *out;
};

static int take_names(void *ctx, const char *answer, struct err *e)
{
	const struct picking *p = ctx;
	size_t *at = arena_array(p->x->a, p->n, sizeof(*at));
	int n = ask_choices(p->c, p->n, answer, at, e);

	if (n < 0)
		return n;
	p->out->v = arena_array(p->x->a, (size_t)n, sizeof(*p->out->v));
	for (int i = 0; i < n; i++)
		p->out->v[i] = p->c[at[i]].name;
	p->out->n = (size_t)n;
	return 0;
}

static int ask_platforms(struct init *x, struct err *e)
{
	const struct engine *en = x->engine;
	struct choice *c = arena_array(x->a, en->n_platforms + 1, sizeof(*c));
	struct picking p = { x, c, en->n_platforms, &x->platforms };
	const struct question q = { .flag = "--platform PLATFORM",
				    .text = "Platforms?",
				    .given = x->flags->platform,
				    .dflt = en->n_platforms ? en->platforms[0] : NULL,
				    .take = take_names,
				    .ctx = &p };
	static const char *none = "";

	if (!en->n_platforms) {
		x->platforms = (struct string_list){ .v = &none, .n = 1 };
		return x->flags->platform
			       ? err_set(e, ERR_INVALID, "--platform: engine %s has no platforms",
					 en->name)
			       : 0;
	}
	for (size_t i = 0; i < en->n_platforms; i++)
		c[i].name = en->platforms[i];
	if (!q.given)
		ask_show(&x->ask, c, en->n_platforms);
	return ask(&x->ask, &q, e);
}

/* The vendors' and llama.cpp's own advice for a first try, where the engine has it. */
static const char *usual_quant(const struct choice *c, size_t n)
{
	static const char *const usual[] = { "Q4_K_M", "w8a8", "w4a16" };

	for (size_t u = 0; u < ARRAY_LEN(usual); u++) {
		for (size_t i = 0; i < n; i++) {
			if (strcmp(c[i].name, usual[u]) == 0)
				return c[i].name;
		}
	}
	return c[0].name;
}

static int ask_quants(struct init *x, struct err *e)
{
	const struct engine *en = x->engine;
	struct choice *c = arena_array(x->a, en->n_quants + 1, sizeof(*c));
	struct picking p = { x, c, 0, &x->quants };
	struct question q = { .flag = "--quant QUANT",
			      .text = "Quantizations?",
			      .given = x->flags->quant,
			      .take = take_names,
			      .ctx = &p };

	for (size_t i = 0; i < en->n_quants; i++) {
		bool on_any = false;

		for (size_t k = 0; k < x->platforms.n; k++)
			on_any |= quant_legal_on(x, x->platforms.v[k], en->quants[i].name) != 0;
		if (on_any)
			c[p.n++].name = en->quants[i].name;
	}
	if (!p.n)
		return err_set(e, ERR_ENV, "engine %s has no quantization for these platforms",
			       en->name);
	q.dflt = usual_quant(c, p.n);
	if (!q.given)
		ask_show(&x->ask, c, p.n);
	return ask(&x->ask, &q, e);
}

/* ---- hybrid and opt */

/* "0, 0.5" to numbers; no more than VALUES_MAX of them. */
static int read_numbers(const char *answer, double *v, struct err *e)
{
	char *words = mem_strdup(answer), *rest = words, *word, *end;
	int n = 0;

	while (n >= 0 && (word = strtok_r(rest, ", \t", &rest)) != NULL) {
		errno = 0;
		if (n == VALUES_MAX) {
			n = err_set(e, ERR_INVALID, "more than %d values", VALUES_MAX);
			break;
		}
		v[n] = strtod(word, &end);
		if (errno || *end || !isfinite(v[n]))
			n = err_set(e, ERR_INVALID, "\"%.40s\" is not a number", word);
		else
			n++;
	}
	free(words);
	return n ? n : err_set(e, ERR_INVALID, "no number; write one, or several with commas");
}

static int take_hybrids(void *ctx, const char *answer, struct err *e)
{
	struct init *x = ctx;
	double v[VALUES_MAX] = { 0 };
	int n = read_numbers(answer, v, e);

	for (int i = 0; i < n; i++) {
		if (!any_legal(x, v[i], plain_opt(x->engine), e))
			return ERR_INVALID;
	}
	if (n < 0)
		return n;
	*e = (struct err)ERR_INIT;
	x->hybrids.v = arena_array(x->a, (size_t)n, sizeof(double));
	memcpy(x->hybrids.v, v, (size_t)n * sizeof(double));
	x->hybrids.n = (size_t)n;
	return 0;
}

static int take_opts(void *ctx, const char *answer, struct err *e)
{
	struct init *x = ctx;
	double v[VALUES_MAX] = { 0 };
	int n = read_numbers(answer, v, e);

	for (int i = 0; i < n; i++) {
		if (v[i] < 0 || v[i] > 9 || v[i] != floor(v[i]))
			return err_set(e, ERR_INVALID, "%g is not a whole number from 0 to 9",
				       v[i]);
		if (!any_legal(x, x->hybrids.v[0], (int)v[i], e))
			return ERR_INVALID;
	}
	if (n < 0)
		return n;
	*e = (struct err)ERR_INIT;
	x->opts.v = arena_array(x->a, (size_t)n, sizeof(int));
	for (int i = 0; i < n; i++)
		x->opts.v[i] = (int)v[i];
	x->opts.n = (size_t)n;
	return 0;
}

static int ask_hybrid_and_opt(struct init *x, struct err *e)
{
	char hybrid[32], opt[32];
	const struct question h = { .flag = "--hybrid R",
				    .text = "Hybrid: share kept at higher precision (a list is "
					    "fine)?",
				    .given = x->flags->hybrid,
				    .dflt = hybrid,
				    .take = take_hybrids,
				    .ctx = x };
	const struct question o = { .flag = "--opt N",
				    .text = "Optimization level (a list is fine)?",
				    .given = x->flags->opt,
				    .dflt = opt,
				    .take = take_opts,
				    .ctx = x };
	int rc;

	json_format_number(plain_hybrid(x->engine), hybrid);
	snprintf(opt, sizeof(opt), "%d", plain_opt(x->engine));
	rc = ask(&x->ask, &h, e);
	return rc < 0 ? rc : ask(&x->ask, &o, e);
}

/* ---- parameters */

static int is_text(void *ctx, const char *name)
{
	const struct init *x = ctx;
	const struct engine_param *p = engine_find_param(x->engine, name);

	return p && (strcmp(p->type, "string") == 0 || strcmp(p->type, "file") == 0);
}

static int add_with(struct init *x, const char *word, struct err *e)
{
	struct param *all = arena_array(x->a, x->n_with + 1, sizeof(*all)), *p = &all[x->n_with];
	const struct engine_param *known;
	int rc = with_word(x->a, word, is_text, x, p, e);

	if (rc < 0)
		return rc;
	known = engine_find_param(x->engine, p->name);
	if (!known)
		return err_set(e, ERR_INVALID,
			       "--with: engine %s has no parameter \"%.60s\"; 'quern engines "
			       "--json' lists them",
			       x->engine->name, p->name);
	rc = engine_check_value(x->a, known, p->value, e);
	if (rc >= 0)
		rc = with_file(x->a, known, x->dir, p, e);
	if (rc < 0)
		return rc;
	if (x->n_with)
		memcpy(all, x->with, x->n_with * sizeof(*all));
	x->with = all;
	x->n_with++;
	return 0;
}

static int given_with(struct init *x, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < x->flags->with.n; i++)
		rc = add_with(x, x->flags->with.v[i], e);
	return rc;
}

static bool has_with(const struct init *x, const char *name)
{
	for (size_t i = 0; i < x->n_with; i++) {
		if (strcmp(x->with[i].name, name) == 0)
			return true;
	}
	return false;
}

struct asked_param {
	struct init *x;
	const struct engine_param *p;
};

static int take_param(void *ctx, const char *answer, struct err *e)
{
	const struct asked_param *q = ctx;

	/* What is written out with its default value counts as not written. */
	if (!*answer || (q->p->dflt && strcmp(answer, q->p->dflt) == 0))
		return 0;
	return add_with(q->x, arena_printf(q->x->a, "%s=%s", q->p->name, answer), e);
}

static const char *param_text(struct arena *a, const struct engine_param *p)
{
	return arena_printf(a, "%s%s%s%s%s?", p->name, p->help ? " (" : "", p->help ? p->help : "",
			    p->help ? ")" : "", p->dflt ? "" : "; Enter leaves it to the engine");
}

/* Whole numbers, like the context: what is set for a board. The rest is for who knows what it does:
 * --with, and the file. */
static int ask_params(struct init *x, struct err *e)
{
	int rc = given_with(x, e);

	for (size_t i = 0; rc >= 0 && i < x->engine->n_params; i++) {
		const struct engine_param *p = &x->engine->params[i];
		struct asked_param asked = { x, p };
		const struct question q = { .flag = arena_printf(x->a, "--with %s=N", p->name),
					    .text = param_text(x->a, p),
					    .dflt = p->dflt ? p->dflt : "",
					    .take = take_param,
					    .ctx = &asked };

		if (strcmp(p->type, "integer") != 0 || has_with(x, p->name) || !x->ask.terminal)
			continue;
		rc = ask(&x->ask, &q, e);
	}
	return rc;
}

int init_settings(struct init *x, struct err *e)
{
	int rc = ask_platforms(x, e);

	if (rc >= 0)
		rc = ask_quants(x, e);
	if (rc >= 0)
		rc = ask_hybrid_and_opt(x, e);
	return rc < 0 ? rc : ask_params(x, e);
}

/* ---- targets */

static struct target *add_target(struct init *x)
{
	struct target *t = &x->sketch.targets[x->sketch.n_targets++];

	*t = (struct target){ .engine = x->engine->name,
			      .quant = x->quants,
			      .hybrid = x->hybrids,
			      .opt = x->opts,
			      .with = x->with,
			      .n_with = x->n_with };
	return t;
}

static struct string_list quants_on(struct init *x, const char *platform)
{
	struct string_list l = { .v = arena_array(x->a, x->quants.n, sizeof(*l.v)) };

	for (size_t i = 0; i < x->quants.n; i++) {
		if (quant_legal_on(x, platform, x->quants.v[i]))
			l.v[l.n++] = x->quants.v[i];
	}
	return l;
}

void init_targets(struct init *x)
{
	bool same = true;
	struct target *t;

	x->sketch.targets = arena_array(x->a, x->platforms.n + 1, sizeof(*x->sketch.targets));
	x->sketch.n_targets = 0;
	for (size_t i = 0; i < x->platforms.n; i++)
		same &= quants_on(x, x->platforms.v[i]).n == x->quants.n;
	if (same) {
		t = add_target(x);
		if (x->engine->n_platforms)
			t->platform = x->platforms;
		return;
	}
	for (size_t i = 0; i < x->platforms.n; i++) {
		struct string_list q = quants_on(x, x->platforms.v[i]);

		if (!q.n)
			continue;
		t = add_target(x);
		t->platform = (struct string_list){ .v = &x->platforms.v[i], .n = 1 };
		t->quant = q;
	}
}
