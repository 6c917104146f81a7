#include "orchestrator/plan/preflight.h"

#include <stdio.h>
#include <string.h>

#include "db/job.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/engine/version.h"

/* ---- what a version of the toolkit has */

static int newer(const char *since, const char *version)
{
	return since && version && version_compare(version, since) < 0;
}

static int refuse_since(const struct engine *en, const char *check, const char *what,
			const char *name, const char *since, const char *param,
			const struct engine_case *c, struct err *e)
{
	char note[RULE_NOTE_MAX];

	return err_set(e, ERR_INVALID,
		       "%s%s%s needs version %s of the toolkit, and the environment has %s; add an "
		       "environment of %s or newer%s",
		       what, name[0] ? " " : "", name, since, c->version, since,
		       engine_rule_note(en, check, param, note));
}

static int check_platform(const struct engine_case *c, struct err *e)
{
	const struct engine *en = c->engine;
	int at = engine_platform_index(en, c->spec->platform);
	const struct engine_platform *p =
		at >= 0 && en->platform_facts ? &en->platform_facts[at] : NULL;

	if (p && newer(p->since, c->version))
		return refuse_since(en, "since", "platform", c->spec->platform, p->since, NULL, c,
				    e);
	for (size_t i = 0; i < en->n_quants; i++) {
		const struct engine_quant *q = &en->quants[i];

		if (strcmp(q->name, c->spec->quant) == 0 && newer(q->since, c->version))
			return refuse_since(en, "since", "quant", q->name, q->since, NULL, c, e);
	}
	return 0;
}

/* ---- parameters */

static const char *values_text(struct arena *a, const struct engine_platform_values *v)
{
	const char *text = "";

	for (size_t i = 0; i < v->n; i++)
		text = arena_printf(a, "%s%s%s", text, i ? ", " : "", v->values[i]);
	return text;
}

/* Values that the platform has the list of: cores, for instance. */
static int check_platform_values(struct arena *a, const struct engine_case *c,
				 const struct engine_param *p, const char *value, struct err *e)
{
	const struct engine *en = c->engine;
	int at = engine_platform_index(en, c->spec->platform);
	char note[RULE_NOTE_MAX];

	if (!p->by_platform || at < 0 || !en->platform_facts)
		return 0;
	for (size_t i = 0; i < en->platform_facts[at].n_values; i++) {
		const struct engine_platform_values *v = &en->platform_facts[at].values[i];

		if (strcmp(v->param, p->name) != 0 ||
		    engine_value_index(v->values, v->n, value) >= 0)
			continue;
		return err_set(e, ERR_INVALID, "%s is %s; legal for platform %s: %s%s", p->name,
			       value, c->spec->platform, values_text(a, v),
			       engine_rule_note(en, "platform_values", p->name, note));
	}
	return 0;
}

static int check_params(struct arena *a, const struct engine_case *c, struct err *e)
{
	for (size_t i = 0; c->with && i < c->with->count; i++) {
		const char *name = c->with->members[i].key, *value;
		const struct engine_param *p = engine_find_param(c->engine, name);
		char text[32];
		int at;

		value = p ? engine_value_text(c->with->members[i].value, text) : NULL;
		if (!p)
			continue;
		if (newer(p->since, c->version))
			return refuse_since(c->engine, "since", "parameter", name, p->since, name,
					    c, e);
		if (!value)
			continue;
		at = engine_value_index(p->values, p->n_values, value);
		if (at >= 0 && p->values_since && newer(p->values_since[at], c->version))
			return refuse_since(c->engine, "value_since", name, value,
					    p->values_since[at], name, c, e);
		if (check_platform_values(a, c, p, value, e) < 0)
			return e->code;
	}
	return 0;
}

/* ---- architectures */

static int check_architecture(const struct engine_case *c, struct err *e)
{
	const struct engine *en = c->engine;
	const char *name = c->facts->architecture ? c->facts->architecture : "";

	for (size_t i = 0; en->architectures_since && i < en->n_architectures; i++) {
		if (strcmp(en->architectures[i], name) == 0 &&
		    newer(en->architectures_since[i], c->version))
			return refuse_since(en, "architecture", "architecture", name,
					    en->architectures_since[i], NULL, c, e);
	}
	return 0;
}

/* ---- rules */

static int is_allowed(const struct target *t, int number)
{
	for (size_t i = 0; t && number && i < t->allow.n; i++) {
		if (t->allow.v[i] == number)
			return 1;
	}
	return 0;
}

static const char *rule_text(struct arena *a, const struct engine_rule *r)
{
	const char *text = r->refuse ? r->refuse : r->warn;

	if (r->instead)
		text = arena_printf(a, "%s; instead: %s", text, r->instead);
	return r->number ? arena_printf(a, "%s (rule %d)", text, r->number) : text;
}

static int check_rules(struct arena *a, const struct preflight *p, const struct engine_case *c,
		       const char **warning, struct err *e)
{
	for (size_t i = 0; i < c->engine->n_rules; i++) {
		const struct engine_rule *r = &c->engine->rules[i];

		if (r->check || !engine_when_holds(&r->when, c))
			continue;
		if (r->refuse && !(r->can_allow && is_allowed(p->target, r->number)))
			return err_set(e, ERR_INVALID, "%s%s", rule_text(a, r),
				       r->can_allow ? arena_printf(a,
								   "; `allow: %d` in the target "
								   "tries it all the same",
								   r->number)
						    : "");
		*warning = *warning ? arena_printf(a, "%s; %s", *warning, rule_text(a, r))
				    : rule_text(a, r);
	}
	return 0;
}

/* ---- one environment, and which */

/* version NULL: the engine has no environments. */
static int check_with(struct arena *a, const struct preflight *p, const struct environment *env,
		      const char **warning, struct err *e)
{
	const struct engine_case c = { .engine = p->engine,
				       .spec = p->spec,
				       .with = p->with,
				       .facts = &p->source->facts,
				       .version = env ? env->version : NULL,
				       .gpu = environment_gpu(env) };
	int rc = check_platform(&c, e);

	*warning = NULL;
	if (rc == 0 && engine_renews(p->engine, p->spec)) {
		if (newer(p->engine->renew_since, c.version))
			return refuse_since(c.engine, "since", "renewing a file of format",
					    c.engine->renew_format, c.engine->renew_since, NULL, &c,
					    e);
		return 0;
	}
	if (rc == 0)
		rc = check_params(a, &c, e);
	if (rc == 0)
		rc = check_rules(a, p, &c, warning, e);
	if (rc == 0)
		rc = check_architecture(&c, e);
	if (rc == 0)
		rc = preflight_quantized(p, c.version, e);
	return rc;
}

static const char *no_environment(struct arena *a, const struct engine *en)
{
	return arena_printf(a,
			    "engine %s needs an environment that holds %s; write `engines: {%s: "
			    "{environments: [{path: FOLDER}]}}` into jobs.yaml, FOLDER being a "
			    "Python virtual environment with the toolkit's wheel",
			    en->name, en->package, en->name);
}

/* The reasons of environments that were tried, each said once. */
static const char *add_reason(struct arena *a, const char *before, const struct environment *env,
			      const char *why)
{
	const char *id = environment_id(a, env);

	if (!before)
		return arena_printf(a, "%s: %s", id, why);
	return strstr(before, why) ? before : arena_printf(a, "%s; %s: %s", before, id, why);
}

/* The order in which environments are tried: those that name the architecture, then those that name
 * none, each as jobs.yaml has them; at last those for others, which say so. */
static size_t in_order(struct arena *a, const struct engine_settings *s, const char *architecture,
		       const struct environment ***out)
{
	size_t n = 0;

	*out = arena_array(a, s->n_environments + 1, sizeof(const struct environment *));
	for (int level = 2; level >= 0; level--) {
		for (size_t i = 0; i < s->n_environments; i++) {
			if (environment_is_for(&s->environments[i], architecture) == level)
				(*out)[n++] = &s->environments[i];
		}
	}
	return n;
}

/* Why an environment that stands earlier in jobs.yaml was not asked; NULL: it was. */
static const char *say_chosen(struct arena *a, const struct engine_settings *s,
			      const struct environment *env, const char *architecture,
			      const char *reasons)
{
	if (environment_is_for(env, architecture) != 2)
		return reasons;
	for (const struct environment *x = s->environments; x < env; x++) {
		if (x->version && environment_is_for(x, architecture) != 2)
			reasons = add_reason(a, reasons, x,
					     arena_printf(a, "environment %s names %s",
							  environment_id(a, env), architecture));
	}
	return reasons;
}

static int check_environment(struct arena *a, const struct preflight *p,
			     const struct environment *env, const char **warning, struct err *e)
{
	const char *architecture = p->source->facts.architecture;

	if (architecture && !environment_is_for(env, architecture))
		return err_set(e, ERR_INVALID,
			       "the environment is not for the architecture %s; add it to its "
			       "`architectures`, or another environment",
			       architecture);
	return check_with(a, p, env, warning, e);
}

static void choose(struct arena *a, const struct preflight *p, struct preflight_result *out)
{
	const struct engine_settings *s = environments_of(p->cfg, p->engine->name);
	const char *reasons = NULL, *last = "", *architecture = p->source->facts.architecture;
	const struct environment **v = NULL;
	struct err why = ERR_INIT;
	size_t n = s ? in_order(a, s, architecture, &v) : 0;
	int all_same = 1;

	for (size_t i = 0; i < n; i++) {
		const struct environment *env = v[i];
		int rc = env->version ? check_environment(a, p, env, &out->warning, &why) : 0;

		if (rc < 0) {
			all_same &= !*last || strcmp(last, why.msg) == 0;
			last = arena_strdup(a, why.msg);
			reasons = add_reason(a, reasons, env, last);
			continue;
		}
		out->environment = env;
		out->refusal = env->fault;
		out->cause = "environment";
		out->passed_over =
			architecture ? say_chosen(a, s, env, architecture, reasons) : reasons;
		return;
	}
	if (!n) {
		out->refusal = no_environment(a, p->engine);
		out->cause = "environment";
	} else {
		out->refusal = all_same ? last : reasons;
	}
}

/* Is it the model that nobody here knows, and not what is asked of it? */
static bool knows_model(const struct preflight *p, const struct preflight_result *r)
{
	const struct engine_settings *s = environments_of(p->cfg, p->engine->name);
	struct err ignored = ERR_INIT;
	bool known = !p->engine->package || r->environment || !s || !s->n_environments;

	if (engine_check_model(p->engine, &p->source->facts, &ignored) < 0)
		return false;
	for (size_t i = 0; s && i < s->n_environments && !known; i++) {
		const struct engine_case c = { .engine = p->engine,
					       .spec = p->spec,
					       .facts = &p->source->facts,
					       .version = s->environments[i].version };

		known = check_architecture(&c, &ignored) == 0;
	}
	return known;
}

void preflight(struct arena *a, const struct preflight *p, struct preflight_result *out)
{
	struct err why = ERR_INIT;

	*out = (struct preflight_result){ .cause = "illegal parameters" };
	if (preflight_source(p, &why) < 0)
		out->refusal = arena_strdup(a, why.msg);
	else if (p->engine->package)
		choose(a, p, out);
	else if (check_with(a, p, NULL, &out->warning, &why) < 0)
		out->refusal = arena_strdup(a, why.msg);
	if (out->refusal && !knows_model(p, out))
		out->cause = "unsupported architecture";
}
