/* orchestrator/engine/engine_rules.c -- a manifest's conditions over one point, and the
 * look-ups that the checks share. Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/units.h"
#include "db/job.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/engine/version.h"

const struct engine_rule *engine_rule_of(const struct engine *en, const char *check,
					 const char *parameter)
{
	const struct engine_rule *found = NULL;

	for (size_t i = 0; i < en->n_rules; i++) {
		const struct engine_rule *r = &en->rules[i];

		if (!r->check || strcmp(r->check, check) != 0)
			continue;
		if (r->parameter && parameter && strcmp(r->parameter, parameter) == 0)
			return r;
		if (!r->parameter && !found)
			found = r;
	}
	return found;
}

const char *engine_rule_note(const struct engine *en, const char *check, const char *parameter,
			     char out[RULE_NOTE_MAX])
{
	const struct engine_rule *r = engine_rule_of(en, check, parameter);

	out[0] = '\0';
	if (r && r->number)
		(void)snprintf(out, RULE_NOTE_MAX, " (rule %d)", r->number);
	return out;
}

int engine_platform_index(const struct engine *en, const char *name)
{
	for (size_t i = 0; i < en->n_platforms; i++) {
		if (strcmp(en->platforms[i], name) == 0)
			return (int)i;
	}
	return -1;
}

/* "a_r{1..64}" against "a_r7". */
static int is_of_range(const char *value, const char *text)
{
	const char *brace = strchr(value, '{');
	size_t n = brace ? (size_t)(brace - value) : 0;
	long from, to, number;
	char *end;

	if (!brace || strncmp(value, text, n) != 0)
		return 0;
	from = strtol(brace + 1, &end, 10);
	if (strncmp(end, "..", 2) != 0)
		return 0;
	to = strtol(end + 2, &end, 10);
	if (strcmp(end, "}") != 0 || text[n] < '1' || text[n] > '9' || strlen(text + n) > 9)
		return 0;
	number = strtol(text + n, &end, 10);
	return !*end && number >= from && number <= to;
}

int engine_value_index(const char *const *values, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(values[i], text) == 0 || is_of_range(values[i], text))
			return (int)i;
	}
	return -1;
}

/* ---- values as the manifest writes them */

const char *engine_value_text(const struct json *v, char out[32])
{
	switch (v ? v->type : JSON_NULL) {
	case JSON_STRING:
		return v->str;
	case JSON_NUMBER:
		json_format_number(v->number, out);
		return out;
	case JSON_BOOL:
		return v->boolean ? "true" : "false";
	default:
		return NULL;
	}
}

const char *engine_case_value(const struct engine_case *c, const char *name, char out[32])
{
	const struct json *v = json_get(c->with, name);
	const struct engine_param *p = v ? NULL : engine_find_param(c->engine, name);

	if (v)
		return engine_value_text(v, out);
	if (!p || !p->dflt)
		return NULL;
	if (p->dflt[0] != '"')
		return p->dflt;
	/* A default text is short and plain: quotes go, nothing is escaped. */
	(void)snprintf(out, 32, "%.*s", (int)(strlen(p->dflt) - 2), p->dflt + 1);
	return out;
}

/* ---- conditions */

static int any_glob(const struct string_list *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++) {
		if (text && glob_match(l->v[i], text))
			return 1;
	}
	return l->n == 0;
}

static int any_comparison(const struct string_list *l, const char *have, int is_version)
{
	for (size_t i = 0; i < l->n; i++) {
		if (have && comparison_holds(l->v[i], have, is_version) == 1)
			return 1;
	}
	return l->n == 0;
}

static int any_number(const struct string_list *l, double number)
{
	char text[32];

	json_format_number(number, text);
	return any_comparison(l, text, 0);
}

/* Comparisons for what begins with one, globs for the rest. */
static int any_value(const struct string_list *l, const char *have)
{
	for (size_t i = 0; have && i < l->n; i++) {
		int compares = strchr("<>=", l->v[i][0]) != NULL;

		if (compares ? comparison_holds(l->v[i], have, 0) == 1 : glob_match(l->v[i], have))
			return 1;
	}
	return 0;
}

static int with_holds(const struct engine_when *w, const struct engine_case *c)
{
	char text[32];

	for (size_t i = 0; i < w->n_with; i++) {
		if (!any_value(&w->with[i].value, engine_case_value(c, w->with[i].name, text)))
			return 0;
	}
	for (size_t i = 0; i < w->without.n; i++) {
		if (json_get(c->with, w->without.v[i]))
			return 0;
	}
	return 1;
}

const char *engine_source_quantization(const struct source_facts *f)
{
	if (f->format && strcmp(f->format, "gguf") == 0)
		return f->dtype ? f->dtype : "";
	return f->quant_form ? f->quant_form : "none";
}

static int source_holds(const struct engine_when *w, const struct source_facts *f)
{
	if (!w->source_format.n && !w->source_quantization.n && !w->source_architecture.n)
		return 1;
	return f && any_glob(&w->source_format, f->format) &&
	       any_glob(&w->source_quantization, engine_source_quantization(f)) &&
	       any_glob(&w->source_architecture, f->architecture);
}

int engine_when_holds(const struct engine_when *w, const struct engine_case *c)
{
	const struct job_spec *s = c->spec;

	return any_glob(&w->platform, s->platform) && any_glob(&w->quant, s->quant) &&
	       any_number(&w->hybrid, s->hybrid) && any_number(&w->opt, s->opt) &&
	       any_comparison(&w->environment, c->version, 1) &&
	       (w->lora < 0 || w->lora == (s->lora != NULL)) &&
	       (w->gpu < 0 || w->gpu == (c->gpu != 0)) && with_holds(w, c) &&
	       source_holds(w, c->facts);
}
