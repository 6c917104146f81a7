/* orchestrator/engine/engine_legal.c -- what a manifest allows: a point, a parameter's
 * value, a model. What depends on a toolkit's version is in preflight.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/units.h"
#include "db/job.h"
#include "orchestrator/engine/engine_private.h"

#define TEXT_MAX 4096 /* bytes of a list of names in a message; what goes beyond is left out */

/* ---- points */

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

/* Of the legal quants that with the nearest size, and of those the nearest name. */
static const char *nearest_quant(const struct engine *en, const struct job_spec *s)
{
	const struct engine_quant *best = NULL;
	double bits = 0;

	for (size_t i = 0; i < en->n_quants; i++) {
		if (strcmp(en->quants[i].name, s->quant) == 0)
			bits = en->quants[i].bits;
	}
	for (size_t i = 0; bits > 0 && i < en->n_quants; i++) {
		const struct engine_quant *q = &en->quants[i];
		double d = fabs(q->bits - bits), least = best ? fabs(best->bits - bits) : INFINITY;

		if (quant_fits(q, s->platform) &&
		    (d < least - 0.5 ||
		     (d < least + 0.5 && best &&
		      edit_distance(q->name, s->quant) < edit_distance(best->name, s->quant))))
			best = q;
	}
	return best ? best->name : NULL;
}

static int refuse_quant(const struct engine *en, const struct job_spec *s, struct err *e)
{
	const char *near = nearest_quant(en, s);
	char note[RULE_NOTE_MAX];
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < en->n_quants; i++) {
		if (quant_fits(&en->quants[i], s->platform))
			buf_addf(&b, "%s%s", b.len ? ", " : "", en->quants[i].name);
	}
	rc = err_set(e, ERR_INVALID, "quant %s is not legal%s%s in engine %s %s; legal: %s%s%s%s",
		     s->quant, s->platform[0] ? " for platform " : "", s->platform, en->name,
		     en->version, buf_str(&b), near ? "; nearest: " : "", near ? near : "",
		     engine_rule_note(en, "quant", NULL, note));
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
	char note[RULE_NOTE_MAX];
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < en->n_hybrids; i++)
		buf_addf(&b, "%s%g", i ? ", " : "", en->hybrids[i]);
	if (!en->n_hybrids)
		buf_addf(&b, "%g %s %g", en->hybrid_min, en->hybrid_max_open ? "to below" : "to",
			 en->hybrid_max);
	rc = err_set(e, ERR_INVALID, "hybrid %g is not legal in engine %s %s; legal: %s%s",
		     s->hybrid, en->name, en->version, buf_str(&b),
		     engine_rule_note(en, "hybrid", NULL, note));
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
	char note[RULE_NOTE_MAX];
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < en->n_opts; i++)
		buf_addf(&b, "%s%d", i ? ", " : "", en->opts[i]);
	rc = err_set(e, ERR_INVALID, "opt %d is not legal in engine %s %s; legal: %s%s", s->opt,
		     en->name, en->version, buf_str(&b), engine_rule_note(en, "opt", NULL, note));
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

int engine_renews(const struct engine *en, const struct job_spec *s)
{
	return en->renew_quant && strcmp(en->renew_quant, s->quant) == 0;
}

/* A finished file has its platform, quant and all else already. */
static int check_renewal(const struct engine *en, const struct job_spec *s, struct err *e)
{
	if (s->platform[0] && check_platform(en, s, e) < 0)
		return ERR_INVALID;
	if (s->hybrid != 0)
		return err_set(e, ERR_INVALID,
			       "quant %s: a finished file is renewed as it is, hybrid %g cannot be "
			       "given to it; hybrid: 0",
			       s->quant, s->hybrid);
	if (s->opt != 0)
		return err_set(e, ERR_INVALID,
			       "quant %s: a finished file is renewed as it is, opt %d cannot be "
			       "given to it; opt: 0",
			       s->quant, s->opt);
	return 0;
}

int engine_check(const struct engine *en, const struct job_spec *s, struct err *e)
{
	if (engine_renews(en, s))
		return check_renewal(en, s, e);
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

/* The multiples around it that are legal themselves. */
static int refuse_multiple(const struct engine_param *p, int64_t v, struct err *e)
{
	int64_t below = v - v % p->multiple_of, above = below + p->multiple_of;
	double low = p->min > -INFINITY ? p->min : 0;

	if ((double)below < low || below == 0)
		return err_set(e, ERR_INVALID, "%s is %lld; a multiple of %d is wanted, like %lld",
			       p->name, (long long)v, p->multiple_of, (long long)above);
	if ((double)above > p->max)
		return err_set(e, ERR_INVALID, "%s is %lld; a multiple of %d is wanted, like %lld",
			       p->name, (long long)v, p->multiple_of, (long long)below);
	return err_set(e, ERR_INVALID, "%s is %lld; a multiple of %d is wanted, like %lld or %lld",
		       p->name, (long long)v, p->multiple_of, (long long)below, (long long)above);
}

int engine_check_value(struct arena *a, const struct engine_param *p, const char *value,
		       struct err *e)
{
	struct err why = ERR_INIT;
	struct json *v;

	if (json_parse(a, value, strlen(value), &v, &why) < 0 || !type_fits(p->type, v) ||
	    (strcmp(p->type, "file") == 0 && !v->str[0]))
		return err_set(e, ERR_INVALID, "%s is %.60s; a value of type %s is wanted", p->name,
			       value, p->type);
	if (v->type == JSON_NUMBER && (v->number < p->min || v->number > p->max))
		return refuse_range(p, value, e);
	if (v->type == JSON_NUMBER && p->multiple_of && v->integer % p->multiple_of != 0)
		return refuse_multiple(p, v->integer, e);
	if (v->type == JSON_STRING && p->n_values &&
	    engine_value_index(p->values, p->n_values, v->str) < 0)
		return refuse_value(p, v->str, e);
	return 0;
}

/* ---- the model */

static int refuse_model(const struct engine *en, const char *check, const char *does,
			const char *what, const char *const *legal, size_t n, struct err *e)
{
	char note[RULE_NOTE_MAX];
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	list_names(&b, legal, n);
	rc = err_set(e, ERR_INVALID, "engine %s %s does not %s %s; legal: %s%s", en->name,
		     en->version, does, what, buf_str(&b), engine_rule_note(en, check, NULL, note));
	buf_release(&b);
	return rc;
}

int engine_check_model(const struct engine *en, const struct source_facts *facts, struct err *e)
{
	const char *architecture = facts->architecture ? facts->architecture : "(none)";

	const char *format = facts->format ? facts->format : "(none)";
	const int is_gguf = strcmp(format, "gguf") == 0;

	if (en->n_inputs && !has(en->inputs, en->n_inputs, format))
		return refuse_model(en, "source_format", "read", format, en->inputs, en->n_inputs,
				    e);
	if (en->renew_format && strcmp(format, en->renew_format) == 0)
		return 0; /* it does not say what it is */
	/* A list of transformers' classes says nothing of GGUF, which names architectures in its
	 * own way; one with both says so by the check. */
	if (is_gguf && !engine_rule_of(en, "gguf_tensors", NULL))
		return 0;
	if (en->n_architectures && !has(en->architectures, en->n_architectures, architecture))
		return refuse_model(en, is_gguf ? "gguf_tensors" : "architecture",
				    "know the architecture", architecture, en->architectures,
				    en->n_architectures, e);
	return 0;
}
