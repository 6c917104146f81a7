#include "db/facts.h"

#include <stdbool.h>
#include <string.h>

#include "core/mem.h"

#define TEXT_MAX ((size_t)16 << 20) /* as large as a result may be: orchestrator/run/jobdir.c */
#define SHOWN 60		    /* bytes of a value in a message */

static const char *const origins[FACT_ORIGIN_COUNT] = {
	[FACT_FILE] = "file",	  [FACT_NAME] = "name",	    [FACT_RUNG] = "rung",
	[FACT_WORKER] = "worker", [FACT_SOURCE] = "source",
};

const char *fact_origin_name(enum fact_origin o)
{
	return origins[o];
}

int facts_parse(struct arena *a, const char *text, struct facts *out, struct err *e)
{
	struct json *nothing, *root;
	struct facts f;
	int rc = json_parse(a, text, strlen(text), &root, e);

	if (rc >= 0)
		rc = json_parse(a, "{}", 2, &nothing, e);
	if (rc >= 0 && root->type != JSON_OBJECT)
		rc = err_set(e, ERR_CORRUPT, "the facts are not an object");
	if (rc < 0)
		return e->code = ERR_CORRUPT;
	for (int o = 0; o < FACT_ORIGIN_COUNT; o++) {
		f.of[o] = json_get(root, origins[o]);
		if (!f.of[o])
			f.of[o] = nothing;
		if (f.of[o]->type != JSON_OBJECT)
			return err_set(e, ERR_CORRUPT,
				       "the facts of origin \"%s\" are not an object", origins[o]);
	}
	*out = f;
	return 0;
}

void facts_write(struct json_out *w, const struct facts *f)
{
	jw_object(w);
	for (int o = 0; o < FACT_ORIGIN_COUNT; o++) {
		if ((o == FACT_NAME || o == FACT_RUNG) && f->of[o]->count == 0)
			continue;
		jw_key(w, origins[o]);
		jw_value(w, f->of[o]);
	}
	jw_end_object(w);
}

const char *facts_text(struct arena *a, const struct facts *f)
{
	struct json_out w;
	const char *text;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	jw_init(&w, &b, 0);
	facts_write(&w, f);
	text = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return text;
}

static const struct json *said(const struct facts *f, enum fact_origin o, const char *name)
{
	const struct json *v = json_get(f->of[o], name);

	return v && v->type != JSON_NULL ? v : NULL;
}

const struct json *facts_get(const struct facts *f, const char *name)
{
	const struct json *v = said(f, FACT_FILE, name);

	return v ? v : said(f, FACT_WORKER, name);
}

const struct json *facts_claimed(const struct facts *f, const char *name)
{
	return said(f, FACT_NAME, name);
}

const char *facts_str(const struct facts *f, enum fact_origin o, const char *name)
{
	return json_str(f->of[o], name, NULL);
}

const char *facts_with(struct arena *a, const struct facts *f, const char *asked)
{
	const struct json *set = json_get(f->of[FACT_RUNG], "with");
	struct err ignored = ERR_INIT;
	struct json *base, *v;
	const char *text = asked;
	struct json_out w;
	struct buf b;

	if (!set || set->type != JSON_OBJECT || !set->count ||
	    json_parse(a, asked, strlen(asked), &base, &ignored) < 0 || base->type != JSON_OBJECT)
		return asked;
	buf_init(&b, TEXT_MAX);
	jw_init(&w, &b, 0);
	jw_object(&w);
	for (size_t i = 0; i < base->count; i++) {
		if (json_get(set, base->members[i].key))
			continue;
		jw_key(&w, base->members[i].key);
		jw_value(&w, base->members[i].value);
	}
	for (size_t i = 0; i < set->count; i++) {
		jw_key(&w, set->members[i].key);
		jw_value(&w, set->members[i].value);
	}
	jw_end_object(&w);
	if (json_parse(a, buf_str(&b), b.len, &v, &ignored) == 0) {
		buf_clear(&b);
		json_write_canonical(&b, v);
		text = arena_strdup(a, buf_str(&b));
	}
	buf_release(&b);
	return text;
}

/* ---- parameters */

static const struct {
	enum job_param bit;
	const char *name;
} params[] = {
	{ JOB_PARAM_PLATFORM, "platform" },
	{ JOB_PARAM_QUANT, "quant" },
	{ JOB_PARAM_HYBRID, "hybrid" },
	{ JOB_PARAM_OPT, "opt" },
};

static bool is_text(const struct json *v, const char *text)
{
	return v->type == JSON_STRING && v->len == strlen(text) &&
	       memcmp(v->str, text, v->len) == 0;
}

static bool is_asked(const struct json *v, enum job_param p, const struct job_spec *asked)
{
	switch (p) {
	case JOB_PARAM_PLATFORM:
		return is_text(v, asked->platform);
	case JOB_PARAM_QUANT:
		return is_text(v, asked->quant);
	case JOB_PARAM_HYBRID:
		return v->type == JSON_NUMBER && v->number == asked->hybrid;
	case JOB_PARAM_OPT:
		return v->type == JSON_NUMBER && v->number == asked->opt;
	}
	return false;
}

unsigned facts_confirmed(const struct facts *f, const struct job_spec *asked)
{
	unsigned bits = asked->platform[0] ? 0 : JOB_PARAM_PLATFORM;

	for (size_t i = 0; i < ARRAY_LEN(params); i++) {
		const struct json *v = facts_get(f, params[i].name);

		if (v && is_asked(v, params[i].bit, asked))
			bits |= params[i].bit;
	}
	return bits;
}

static void show_asked(struct buf *b, enum job_param p, const struct job_spec *asked)
{
	char number[32];

	if (p == JOB_PARAM_PLATFORM || p == JOB_PARAM_QUANT) {
		buf_addf(b, "\"%s\"", p == JOB_PARAM_QUANT ? asked->quant : asked->platform);
		return;
	}
	json_format_number(p == JOB_PARAM_HYBRID ? asked->hybrid : asked->opt, number);
	buf_adds(b, number);
}

static const char *who(enum fact_origin o)
{
	return o == FACT_FILE ? "its own validation reads" : "the worker reports";
}

static int refuse_value(size_t i, enum fact_origin o, const struct json *v,
			const struct job_spec *asked, struct err *e)
{
	struct buf shown, wanted;

	buf_init(&shown, TEXT_MAX);
	buf_init(&wanted, TEXT_MAX);
	json_write_canonical(&shown, v);
	show_asked(&wanted, params[i].bit, asked);
	err_set(e, ERR_INVALID, "asked for %s %s, %s %.*s", params[i].name, buf_str(&wanted),
		who(o), SHOWN, buf_str(&shown));
	buf_release(&shown);
	buf_release(&wanted);
	return ERR_INVALID;
}

static int check_params(const struct facts *f, enum fact_origin o, const struct job_spec *asked,
			struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(params); i++) {
		const struct json *v = said(f, o, params[i].name);

		if (v && !is_asked(v, params[i].bit, asked))
			return refuse_value(i, o, v, asked, e);
	}
	return 0;
}

/* One member that the file and the worker both have. */
static int check_member(const char *name, const struct json *file, const struct json *worker,
			struct err *e)
{
	struct buf a, b;
	int rc = 0;

	buf_init(&a, TEXT_MAX);
	buf_init(&b, TEXT_MAX);
	json_write_canonical(&a, file);
	json_write_canonical(&b, worker);
	if (strcmp(buf_str(&a), buf_str(&b)) != 0)
		rc = err_set(e, ERR_INVALID,
			     "%.60s: the worker reports %.*s, its own validation "
			     "reads %.*s",
			     name, SHOWN, buf_str(&b), SHOWN, buf_str(&a));
	buf_release(&a);
	buf_release(&b);
	return rc;
}

int facts_check(const struct facts *f, const struct job_spec *asked, struct err *e)
{
	const struct json *file = f->of[FACT_FILE];
	int rc = check_params(f, FACT_WORKER, asked, e);

	if (rc >= 0)
		rc = check_params(f, FACT_FILE, asked, e);
	for (size_t i = 0; rc >= 0 && i < file->count; i++) {
		const struct json *worker = said(f, FACT_WORKER, file->members[i].key);

		if (worker && file->members[i].value->type != JSON_NULL)
			rc = check_member(file->members[i].key, file->members[i].value, worker, e);
	}
	return rc;
}
