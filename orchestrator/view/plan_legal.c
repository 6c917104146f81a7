/* orchestrator/view/plan_legal.c -- quern plan --legal PLATFORM: what its engines can do
 * on a platform, by the version of the toolkit, from their manifests. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/cmd_plan.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/engine/version.h"
#include "orchestrator/view/engines_view.h"
#include "orchestrator/view/json_rows.h"

#define NAME_WIDTH 20

static int is_on(const struct engine_quant *q, const char *platform)
{
	for (size_t i = 0; i < q->n_platforms; i++) {
		if (strcmp(q->platforms[i], platform) == 0)
			return 1;
	}
	return q->n_platforms == 0;
}

static int any_glob(const struct string_list *globs, const char *text)
{
	for (size_t i = 0; i < globs->n; i++) {
		if (glob_match(globs->v[i], text))
			return 1;
	}
	return globs->n == 0;
}

/* Can the rule's condition be met on the platform at all? */
static int concerns(const struct engine *en, const struct engine_rule *r, const char *platform)
{
	if (r->check || !any_glob(&r->when.platform, platform))
		return 0;
	for (size_t i = 0; i < en->n_quants; i++) {
		if (is_on(&en->quants[i], platform) && any_glob(&r->when.quant, en->quants[i].name))
			return 1;
	}
	return 0;
}

static const struct engine_platform *facts_of(const struct engine *en, const char *platform)
{
	int at = engine_platform_index(en, platform);

	return at >= 0 && en->platform_facts ? &en->platform_facts[at] : NULL;
}

/* The platform's own list of a parameter's values; NULL: none. */
static const struct engine_platform_values *values_of(const struct engine_platform *f,
						      const char *param)
{
	for (size_t i = 0; f && i < f->n_values; i++) {
		if (strcmp(f->values[i].param, param) == 0)
			return &f->values[i];
	}
	return NULL;
}

/* ---- for a person */

static void name(const char *text)
{
	printf("  %-*s ", NAME_WIDTH, text);
}

static void print_words(const char *const *v, const char *const *since, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		printf("%s%s", i ? ", " : "", v[i]);
		if (since && since[i])
			printf(" (%s)", since[i]);
	}
}

static void print_quants(const struct engine *en, const char *platform)
{
	const char *comma = "";

	name("quant");
	for (size_t i = 0; i < en->n_quants; i++) {
		const struct engine_quant *q = &en->quants[i];

		if (!is_on(q, platform))
			continue;
		printf("%s%s", comma, q->name);
		if (q->since)
			printf(" (%s)", q->since);
		comma = ", ";
	}
	putchar('\n');
}

static void print_renews(const struct engine *en)
{
	if (!en->renew_quant)
		return;
	name(en->renew_quant);
	printf("a quant for finished .%s files, which are renewed", en->renew_format);
	if (en->renew_since)
		printf(" (%s)", en->renew_since);
	putchar('\n');
}

static void print_numbers(const struct engine *en)
{
	name("hybrid");
	for (size_t i = 0; i < en->n_hybrids; i++)
		printf("%s%g", i ? ", " : "", en->hybrids[i]);
	if (!en->n_hybrids)
		printf("%g %s %g", en->hybrid_min, en->hybrid_max_open ? "to below" : "to",
		       en->hybrid_max);
	putchar('\n');
	name("opt");
	for (size_t i = 0; i < en->n_opts; i++)
		printf("%s%d", i ? ", " : "", en->opts[i]);
	putchar('\n');
}

static void print_param(const struct engine_param *p, const struct engine_platform *f)
{
	const struct engine_platform_values *own = values_of(f, p->name);

	name(p->name);
	if (own)
		print_words(own->values, NULL, own->n);
	else if (p->n_values)
		print_words(p->values, p->values_since, p->n_values);
	else if (p->min > -INFINITY && p->max < INFINITY)
		printf("%g to %g", p->min, p->max);
	else
		fputs(p->type, stdout);
	if (p->multiple_of)
		printf(", a multiple of %d", p->multiple_of);
	if (p->since)
		printf(" (%s)", p->since);
	putchar('\n');
}

/* Once for each version that brought some, oldest first. */
static void print_architectures(const struct engine *en)
{
	const char *last = NULL;

	for (;;) {
		const char *next = NULL, *comma = "";

		for (size_t i = 0; en->architectures_since && i < en->n_architectures; i++) {
			const char *s = en->architectures_since[i];

			if (s && (!last || version_compare(s, last) > 0) &&
			    (!next || version_compare(s, next) < 0))
				next = s;
		}
		if (!next)
			break;
		printf("  from %-*s ", NAME_WIDTH - 5, next);
		for (size_t i = 0; i < en->n_architectures; i++) {
			const char *s = en->architectures_since[i];

			if (!s || version_compare(s, next) != 0)
				continue;
			printf("%s%s", comma, en->architectures[i]);
			comma = ", ";
		}
		putchar('\n');
		last = next;
	}
	if (!en->architectures_since && en->n_architectures) {
		name("architectures");
		print_words(en->architectures, NULL, en->n_architectures);
		putchar('\n');
	}
}

static void print_rules(const struct engine *en, const char *platform)
{
	for (size_t i = 0; i < en->n_rules; i++) {
		const struct engine_rule *r = &en->rules[i];

		if (!concerns(en, r, platform))
			continue;
		name(r->refuse ? "refused" : "warning");
		cli_print_text(stdout, r->refuse ? r->refuse : r->warn);
		if (r->instead) {
			fputs("; instead: ", stdout);
			cli_print_text(stdout, r->instead);
		}
		if (r->number)
			printf(" (rule %d)", r->number);
		putchar('\n');
	}
}

static void print_engine(const struct engine *en, const char *platform)
{
	const struct engine_platform *f = facts_of(en, platform);

	printf("%s %s on %s", en->name, en->version, platform);
	if (f && f->since)
		printf(", from toolkit %s", f->since);
	puts(en->package ? " (in brackets: the first version of the toolkit)" : "");
	print_quants(en, platform);
	print_renews(en);
	print_numbers(en);
	for (size_t i = 0; i < en->n_params; i++)
		print_param(&en->params[i], f);
	print_architectures(en);
	print_rules(en, platform);
}

/* ---- JSON */

static void json_dated(struct json_out *w, const char *key, const char *const *v,
		       const char *const *since, size_t n)
{
	jw_karray(w, key);
	for (size_t i = 0; i < n; i++) {
		jw_object(w);
		jw_kstr(w, "name", v[i]);
		jw_kstr(w, "since", since ? since[i] : NULL);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_quants(struct json_out *w, const struct engine *en, const char *platform)
{
	jw_karray(w, "quants");
	for (size_t i = 0; i < en->n_quants; i++) {
		const struct engine_quant *q = &en->quants[i];

		if (!is_on(q, platform))
			continue;
		jw_object(w);
		jw_kstr(w, "name", q->name);
		jw_kstr(w, "since", q->since);
		jw_kint(w, "group", q->group);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_numbers(struct json_out *w, const struct engine *en)
{
	jw_kobject(w, "hybrid");
	jw_karray(w, "values");
	for (size_t i = 0; i < en->n_hybrids; i++)
		jw_num(w, en->hybrids[i]);
	jw_end_array(w);
	if (!en->n_hybrids) {
		jw_knum(w, "min", en->hybrid_min);
		jw_knum(w, "max", en->hybrid_max);
		jw_kbool(w, "max_open", en->hybrid_max_open);
	}
	jw_end_object(w);
	jw_karray(w, "opt");
	for (size_t i = 0; i < en->n_opts; i++)
		jw_int(w, en->opts[i]);
	jw_end_array(w);
}

static void json_params(struct json_out *w, const struct engine *en,
			const struct engine_platform *f)
{
	jw_karray(w, "parameters");
	for (size_t i = 0; i < en->n_params; i++) {
		const struct engine_param *p = &en->params[i];
		const struct engine_platform_values *own = values_of(f, p->name);

		jw_object(w);
		jw_kstr(w, "name", p->name);
		jw_kstr(w, "type", p->type);
		jw_kstr(w, "since", p->since);
		if (own)
			json_dated(w, "values", own->values, NULL, own->n);
		else
			json_dated(w, "values", p->values, p->values_since, p->n_values);
		if (p->min > -INFINITY)
			jw_knum(w, "min", p->min);
		if (p->max < INFINITY)
			jw_knum(w, "max", p->max);
		if (p->multiple_of)
			jw_kint(w, "multiple_of", p->multiple_of);
		jw_kstr(w, "help", p->help);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_rules(struct json_out *w, const struct engine *en, const char *platform)
{
	jw_karray(w, "rules");
	for (size_t i = 0; i < en->n_rules; i++) {
		const struct engine_rule *r = &en->rules[i];

		if (!concerns(en, r, platform))
			continue;
		jw_object(w);
		jw_kint(w, "rule", r->number);
		jw_kbool(w, "refuses", r->refuse != NULL);
		jw_kstr(w, "text", r->refuse ? r->refuse : r->warn);
		jw_kstr(w, "instead", r->instead);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_engine(struct json_out *w, const struct engine *en, const char *platform)
{
	const struct engine_platform *f = facts_of(en, platform);

	jw_object(w);
	jw_kstr(w, "engine", en->name);
	jw_kstr(w, "version", en->version);
	jw_kstr(w, "since", f ? f->since : NULL);
	json_quants(w, en, platform);
	if (en->renew_quant)
		json_renews(w, en);
	json_numbers(w, en);
	json_params(w, en, f);
	json_dated(w, "architectures", en->architectures, en->architectures_since,
		   en->n_architectures);
	json_rules(w, en, platform);
	jw_end_object(w);
}

/* ---- both */

static int unknown(struct arena *a, const struct engines *es, const char *platform)
{
	const char *names = "", **v = NULL, *near;
	struct err e = ERR_INIT;
	size_t n = 0;

	for (size_t i = 0; i < es->n; i++)
		n += es->v[i].n_platforms;
	v = arena_array(a, n + 1, sizeof(*v));
	n = 0;
	for (size_t i = 0; i < es->n; i++) {
		for (size_t k = 0; k < es->v[i].n_platforms; k++)
			v[n++] = es->v[i].platforms[k];
	}
	for (size_t i = 0; i < n; i++)
		names = arena_printf(a, "%s%s%s", names, i ? ", " : "", v[i]);
	near = nearest_name(platform, v, n);
	err_set(&e, ERR_INVALID, "no engine has the platform %.60s; %s%s%sthere is: %s", platform,
		near ? "did you mean " : "", near ? near : "", near ? "? " : "", names);
	return cli_fail(&e);
}

int plan_legal(const char *platform, bool json)
{
	struct arena *a = arena_new();
	struct engines es;
	struct json_out w;
	struct buf b;
	size_t n = 0;
	int rc = engines_or_say(a, &es);

	buf_init(&b, 4u << 20);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kstr(&w, "platform", platform);
	jw_karray(&w, "engines");
	for (size_t i = 0; rc == 0 && i < es.n; i++) {
		if (engine_platform_index(&es.v[i], platform) < 0)
			continue;
		if (json)
			json_engine(&w, &es.v[i], platform);
		else
			print_engine(&es.v[i], platform);
		n++;
	}
	jw_end_array(&w);
	jw_end_object(&w);
	if (rc == 0 && !n)
		rc = unknown(a, &es, platform);
	else if (rc == 0 && json)
		puts(buf_str(&b));
	buf_release(&b);
	arena_free(a);
	return rc;
}
