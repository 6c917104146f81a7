#include "orchestrator/run/ladder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/config/rung_name.h"
#include "orchestrator/plan/matrix.h"
#include "orchestrator/plan/preflight.h"

#define WITH_MAX (4u << 20)
#define NAME_MAX_BYTES 80
#define ENVIRONMENT_PREFIX "environment "

/* ---- names in a list */

/* The next of "a, b, c"; false at the end. */
static bool next_name(const char **p, char out[NAME_MAX_BYTES])
{
	size_t n;

	*p += strspn(*p, ", ");
	n = strcspn(*p, ",");
	if (!n)
		return false;
	snprintf(out, NAME_MAX_BYTES, "%.*s", (int)n, *p);
	*p += n;
	return true;
}

static bool has_name(const char *names, const char *name)
{
	char one[NAME_MAX_BYTES];

	while (next_name(&names, one)) {
		if (strcmp(one, name) == 0)
			return true;
	}
	return false;
}

static const struct retry_rule *rule_of(const struct config *c, const struct cause *cause)
{
	for (size_t i = 0; i < c->retry.n_rules; i++) {
		if (c->retry.rules[i].cause == cause)
			return &c->retry.rules[i];
	}
	return NULL;
}

/* ---- what they mean */

static void read_one(struct arena *a, const struct engine *en, const char *name, struct rungs *r)
{
	const struct engine_rung *own = en ? engine_find_rung(en, name) : NULL;
	double factor = 1;

	switch (rung_kind(name, &factor)) {
	case RUNG_ALONE:
		r->alone = true;
		return;
	case RUNG_MEMORY:
		r->memory = factor > r->memory ? factor : r->memory;
		return;
	case RUNG_TIME:
		r->time = factor > r->time ? factor : r->time;
		return;
	default:
		break;
	}
	if (strncmp(name, ENVIRONMENT_PREFIX, sizeof(ENVIRONMENT_PREFIX) - 1) == 0)
		r->environment = arena_strdup(a, name + sizeof(ENVIRONMENT_PREFIX) - 1);
	else if (own && r->n_own < RUNGS_OWN_MAX)
		r->own[r->n_own++] = own;
}

void rungs_read(struct arena *a, const struct engine *en, const char *names, struct rungs *out)
{
	char name[NAME_MAX_BYTES];

	*out = (struct rungs){ .memory = 1, .time = 1 };
	while (names && next_name(&names, name))
		read_one(a, en, name, out);
}

static const struct param *set_by(const struct rungs *r, const char *name)
{
	for (size_t i = r->n_own; i-- > 0;) { /* the last one wins */
		for (size_t k = 0; k < r->own[i]->n_with; k++) {
			if (strcmp(r->own[i]->with[k].name, name) == 0)
				return &r->own[i]->with[k];
		}
	}
	return NULL;
}

static void put_param(struct arena *a, struct json_out *w, const struct param *p)
{
	struct err ignored = ERR_INIT; /* the manifest's reader wrote it */
	struct json *v;

	jw_key(w, p->name);
	if (json_parse(a, p->value, strlen(p->value), &v, &ignored) == 0)
		jw_value(w, v);
	else
		jw_null(w);
}

/* Members of base that no rung sets, then what the rungs set. */
static void put_with(struct arena *a, struct json_out *w, const struct rungs *r,
		     const struct json *base)
{
	jw_object(w);
	for (size_t i = 0; base && base->type == JSON_OBJECT && i < base->count; i++) {
		if (set_by(r, base->members[i].key))
			continue;
		jw_key(w, base->members[i].key);
		jw_value(w, base->members[i].value);
	}
	for (size_t i = 0; i < r->n_own; i++) {
		for (size_t k = 0; k < r->own[i]->n_with; k++) {
			const struct param *p = &r->own[i]->with[k];

			if (set_by(r, p->name) == p)
				put_param(a, w, p);
		}
	}
	jw_end_object(w);
}

static const char *canonical(struct arena *a, struct buf *b)
{
	struct err e = ERR_INIT;
	struct json *v;
	const char *text = NULL;

	if (!b->overflow && json_parse(a, buf_str(b), b->len, &v, &e) == 0) {
		buf_clear(b);
		if (json_write_canonical(b, v) == 0 && !b->overflow)
			text = arena_strdup(a, buf_str(b));
	}
	return text;
}

const char *rungs_with(struct arena *a, const struct rungs *r, const char *with)
{
	struct err ignored = ERR_INIT; /* we wrote it */
	struct json *base = NULL;
	struct json_out w;
	const char *text;
	struct buf b;

	if (!r->n_own)
		return with;
	(void)json_parse(a, with, strlen(with), &base, &ignored);
	buf_init(&b, WITH_MAX);
	jw_init(&w, &b, 0);
	put_with(a, &w, r, base);
	text = canonical(a, &b);
	buf_release(&b);
	return text ? text : with;
}

int64_t rungs_memory(const struct rungs *r, int64_t memory_bytes, uint64_t limit_bytes)
{
	double claim = (double)memory_bytes * r->memory;

	if (claim > (double)limit_bytes && (uint64_t)memory_bytes <= limit_bytes)
		return (int64_t)limit_bytes;
	return (int64_t)claim;
}

/* ---- what the artifact has to say of them */

/* The names that stand after a cause: jobs.yaml's, the engine's, quern's own. */
static struct string_list ladder_of(struct arena *a, const struct config *c,
				    const struct engine *en, const struct cause *cause)
{
	const struct retry_rule *rule = rule_of(c, cause);
	const struct engine_ladder *l = en ? engine_ladder_of(en, cause) : NULL;
	struct string_list own = { 0 };
	const char *p = cause->ladder;
	char name[NAME_MAX_BYTES];

	if (rule && rule->ladder.n)
		return rule->ladder;
	if (l)
		return l->rungs;
	own.v = arena_array(a, strlen(cause->ladder) / 2 + 1, sizeof(*own.v));
	while (next_name(&p, name))
		own.v[own.n++] = arena_strdup(a, name);
	return own;
}

static const char *because(struct arena *a, const struct config *c, const struct engine *en,
			   const char *rung)
{
	for (size_t i = 0; i < n_causes; i++) {
		struct string_list l = ladder_of(a, c, en, &causes[i]);

		for (size_t k = 0; k < l.n; k++) {
			if (strcmp(l.v[k], rung) == 0)
				return causes[i].name;
		}
	}
	return NULL;
}

static bool alters_output(const struct engine *en, const struct engine_rung *rung)
{
	for (size_t i = 0; i < rung->n_with; i++) {
		for (size_t k = 0; k < en->n_params; k++) {
			if (strcmp(en->params[k].name, rung->with[i].name) == 0 &&
			    en->params[k].affects_output)
				return true;
		}
	}
	return false;
}

const char *rungs_facts(struct arena *a, const struct config *c, const struct engine *en,
			const struct rungs *r)
{
	const char *cause = NULL, *text;
	struct json_out w;
	struct buf b;
	bool any = false;

	buf_init(&b, WITH_MAX);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_karray(&w, "rungs");
	for (size_t i = 0; en && i < r->n_own; i++) {
		if (!alters_output(en, r->own[i]))
			continue;
		jw_str(&w, r->own[i]->name);
		cause = cause ? cause : because(a, c, en, r->own[i]->name);
		any = true;
	}
	if (r->environment) {
		jw_str(&w, "environment");
		cause = cause ? cause : because(a, c, en, "environment");
		any = true;
	}
	jw_end_array(&w);
	jw_kstr(&w, "because", cause);
	jw_kstr(&w, "toolkit", r->environment);
	jw_key(&w, "with");
	put_with(a, &w, r, NULL);
	jw_end_object(&w);
	text = any ? canonical(a, &b) : NULL;
	buf_release(&b);
	return text;
}

/* ---- climbing */

/* Could the job be done so? env NULL: in the environment of its key. */
static bool can_be_done(struct arena *a, const struct ladder_ask *ask, const char *with,
			const struct environment *env)
{
	struct engine_settings only = { .engine = ask->engine->name,
					.environments = (struct environment *)env,
					.n_environments = 1 };
	struct config c = *ask->cfg;
	struct job_spec spec = ask->job->spec;
	struct preflight p = {
		.cfg = &c, .engine = ask->engine, .spec = &spec, .source = ask->source
	};
	struct err ignored = ERR_INIT;
	struct preflight_result r;
	struct json *v = NULL;

	if (!ask->source || json_parse(a, with, strlen(with), &v, &ignored) < 0)
		return false;
	spec.with = with;
	p.with = v;
	if (env) {
		c.engines = &only;
		c.n_engines = 1;
	}
	preflight(a, &p, &r);
	return !r.refusal;
}

/* Another one, whose version no name of the artifact would belie. NULL: none. */
static const char *other_environment(struct arena *a, const struct ladder_ask *ask,
				     const struct rungs *r)
{
	const struct engine_settings *s = environments_of(ask->cfg, ask->engine->name);
	const char *plus = strchr(ask->job->spec.engine_version, '+');
	const char *with = rungs_with(a, r, ask->job->spec.with);

	if (strstr(matrix_file_template(ask->cfg, ask->engine), "{toolkit}") ||
	    strstr(matrix_repo_template(ask->cfg, ask->engine), "{toolkit}"))
		return NULL;
	for (size_t i = 0; plus && s && i < s->n_environments; i++) {
		const struct environment *env = &s->environments[i];
		const char *name;

		if (!env->version || env->fault || strcmp(environment_id(a, env), plus + 1) == 0)
			continue;
		name = arena_printf(a, ENVIRONMENT_PREFIX "%s", environment_id(a, env));
		if (!has_name(ask->job->rungs, name) && can_be_done(a, ask, with, env))
			return name;
	}
	return NULL;
}

static bool sets_something_new(struct arena *a, const struct ladder_ask *ask, const struct rungs *r,
			       const struct engine_rung *own)
{
	const char *version = r->environment ? arena_printf(a, "+%s", r->environment)
					     : ask->job->spec.engine_version;
	const struct environment *env =
		ask->engine->package ? environment_of_version(ask->cfg, ask->engine->name, version)
				     : NULL;
	const char *now = rungs_with(a, r, ask->job->spec.with), *then;
	struct rungs more = *r;

	if (more.n_own == RUNGS_OWN_MAX || (ask->engine->package && !env))
		return false;
	more.own[more.n_own++] = own;
	then = rungs_with(a, &more, ask->job->spec.with);
	return strcmp(now, then) != 0 && can_be_done(a, ask, then, env);
}

/* The name under which a rung would be taken; NULL: it changes nothing here. */
static const char *taken_as(struct arena *a, const struct ladder_ask *ask, const struct rungs *r,
			    const char *rung)
{
	const struct engine_rung *own = ask->engine ? engine_find_rung(ask->engine, rung) : NULL;
	uint64_t limit = ask->cfg->resources.memory_bytes;
	struct rungs more = *r;
	double factor = 1;
	bool news = false;

	if (has_name(ask->job->rungs, rung))
		return NULL;
	switch (rung_kind(rung, &factor)) {
	case RUNG_ALONE:
		news = ask->cfg->resources.jobs > 1;
		break;
	case RUNG_MEMORY:
		more.memory = factor;
		news = rungs_memory(&more, ask->job->memory_bytes, limit) >
		       rungs_memory(r, ask->job->memory_bytes, limit);
		break;
	case RUNG_TIME:
		news = factor > r->time;
		break;
	case RUNG_ENVIRONMENT:
		return ask->engine && ask->engine->package ? other_environment(a, ask, r) : NULL;
	case RUNG_NONE:
		news = own && sets_something_new(a, ask, r, own);
		break;
	}
	return news ? rung : NULL;
}

static void climb(struct arena *a, const struct ladder_ask *ask, const struct cause *cause,
		  struct ladder_step *out)
{
	struct string_list l = ladder_of(a, ask->cfg, ask->engine, cause);
	const char *sep = ask->job->rungs[0] ? ", " : "";
	struct rungs r;

	rungs_read(a, ask->engine, ask->job->rungs, &r);
	for (size_t i = 0; i < l.n && !out->rung; i++)
		out->rung = taken_as(a, ask, &r, l.v[i]);
	if (out->rung)
		out->rungs = arena_printf(a, "%s%s%s", ask->job->rungs, sep, out->rung);
}

static enum cause_policy policy_of(const struct ladder_ask *ask, const struct cause *cause)
{
	const struct retry_rule *rule = rule_of(ask->cfg, cause);

	if (rule && rule->policy >= 0)
		return (enum cause_policy)rule->policy;
	if (ask->engine && engine_ladder_of(ask->engine, cause))
		return CAUSE_CHANGED;
	if (ask->said == 0)
		return CAUSE_STOP;
	if (ask->said == 1 && cause->policy == CAUSE_STOP)
		return CAUSE_LATER;
	return cause->policy;
}

void ladder_next(struct arena *a, const struct ladder_ask *ask, struct ladder_step *out)
{
	const struct cause *cause = cause_find(ask->cause);
	const struct retry_rule *rule = cause ? rule_of(ask->cfg, cause) : NULL;
	int attempts = rule && rule->attempts ? rule->attempts : ask->cfg->retry.attempts;
	enum cause_policy policy = cause ? policy_of(ask, cause) : CAUSE_LATER;

	*out = (struct ladder_step){ .rungs = ask->job->rungs };
	out->backoff_ms =
		rule && rule->backoff_ms >= 0 ? rule->backoff_ms : ask->cfg->retry.backoff_ms;
	if (policy == CAUSE_STOP || ask->job->attempts + 1 >= attempts)
		return;
	if (policy == CAUSE_CHANGED)
		climb(a, ask, cause, out);
	/* A ladder that has no rung at all for this job counts as "later"; and so does the word of
	 * a worker that knows better. */
	out->exhausted =
		policy == CAUSE_CHANGED && !out->rung && ask->job->rungs[0] && ask->said != 1;
	out->again = !out->exhausted;
}
