/* orchestrator/measure/result.c -- what came of a measurement: warnings, JSON and back, and the
 * comparison with an earlier one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "orchestrator/measure/measure.h"

#define TEXT_SHOWN 512

const char *measure_counter_name(enum measure_counter c)
{
	static const char *const names[COUNTED_COUNT] = { "nobody",    "usage",	 "timings",
							  "tokenizer", "chunks", "runtime" };

	return names[c];
}

const struct measure_row *measure_main_row(const struct measure_result *r)
{
	return r->n_rows ? &r->rows[0] : NULL;
}

static const char *shown(struct arena *a, const char *text)
{
	char out[TEXT_SHOWN];

	text_visible(text ? text : "", out, sizeof(out));
	return arena_strdup(a, out);
}

void measure_say_version(struct measure_result *r, const char *name, const char *value)
{
	if (!value || !*value || r->n_versions == MEASURE_FACTS_MAX)
		return;
	for (size_t i = 0; i < r->n_versions; i++)
		if (strcmp(r->versions[i].name, name) == 0)
			return;
	r->versions[r->n_versions++] =
		(struct measure_fact){ shown(r->a, name), shown(r->a, value) };
}

void measure_warn(struct measure_result *r, const char *kind, const char *prompt, const char *fmt,
		  ...)
{
	char text[TEXT_SHOWN];
	va_list ap;

	if (r->n_warnings == MEASURE_WARNINGS_MAX) {
		r->more_warnings++;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->warnings[r->n_warnings++] =
		(struct measure_warning){ kind, shown(r->a, prompt), shown(r->a, text) };
}

/* ---- JSON */

static void put_stat(struct json_out *w, const char *key, const struct measure_stat *s)
{
	jw_key(w, key);
	if (s->n == 0) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_knum(w, "max", s->max);
	jw_knum(w, "mean", s->mean);
	jw_knum(w, "median", s->median);
	jw_knum(w, "min", s->min);
	jw_kint(w, "runs", s->n);
	jw_end_object(w);
}

static void put_known(struct json_out *w, const char *key, int64_t v)
{
	jw_key(w, key);
	if (v < 0)
		jw_null(w);
	else
		jw_int(w, v);
}

static void put_rows(struct json_out *w, const struct measure_result *r)
{
	jw_karray(w, "rows");
	for (size_t i = 0; i < r->n_rows; i++) {
		const struct measure_row *row = &r->rows[i];

		jw_object(w);
		put_stat(w, "generate_per_s", &row->generate_per_s);
		put_known(w, "new_tokens", row->new_tokens);
		jw_kstr(w, "prompt", row->prompt);
		put_stat(w, "prompt_per_s", &row->prompt_per_s);
		put_known(w, "seqlen", row->seqlen);
		put_stat(w, "total_ms", &row->total_ms);
		put_stat(w, "ttft_ms", &row->ttft_ms);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void put_warnings(struct json_out *w, const struct measure_result *r)
{
	jw_karray(w, "warnings");
	for (size_t i = 0; i < r->n_warnings; i++) {
		jw_object(w);
		jw_kstr(w, "kind", r->warnings[i].kind);
		jw_kstr(w, "prompt", r->warnings[i].prompt);
		jw_kstr(w, "text", r->warnings[i].text);
		jw_end_object(w);
	}
	jw_end_array(w);
}

void measure_result_write(struct json_out *w, const struct measure_result *r)
{
	jw_object(w);
	jw_kint(w, "at_ms", r->at_ms);
	jw_kstr(w, "counted_by", measure_counter_name(r->counted_by));
	jw_kstr(w, "host", r->host);
	jw_kstr(w, "kind", measure_kind_name(r->kind));
	jw_kstr(w, "machine", r->machine);
	put_known(w, "memory_bytes", r->memory_bytes);
	jw_kint(w, "more_warnings", (int64_t)r->more_warnings);
	jw_kstr(w, "prompts", r->prompts);
	jw_kstr(w, "prompts_hash", r->prompts_hash);
	jw_kint(w, "quality_asked", r->quality_asked);
	jw_kint(w, "quality_bad", r->quality_bad);
	put_rows(w, r);
	jw_kint(w, "runs", r->runs);
	jw_kobject(w, "versions");
	for (size_t i = 0; i < r->n_versions; i++)
		jw_kstr(w, r->versions[i].name, r->versions[i].value);
	jw_end_object(w);
	jw_kint(w, "warmup", r->warmup);
	put_warnings(w, r);
	jw_end_object(w);
}

/* ---- and back */

static double known_number(const struct json *v, const char *key)
{
	double d = json_num(v, key, -1);

	return isfinite(d) && d >= 0 ? d : 0;
}

static struct measure_stat get_stat(const struct json *row, const char *key)
{
	const struct json *v = json_get(row, key);
	int64_t n = json_int(v, "runs", 0);

	return (struct measure_stat){ .n = n > 0 && n <= 1000000 ? (int)n : 0,
				      .mean = known_number(v, "mean"),
				      .median = known_number(v, "median"),
				      .min = known_number(v, "min"),
				      .max = known_number(v, "max") };
}

static int64_t get_known(const struct json *v, const char *key)
{
	int64_t n = json_int(v, key, -1);

	return n < 0 ? -1 : n;
}

static const struct json *list_of(const struct json *v, const char *key, size_t max)
{
	const struct json *l = json_get(v, key);

	return l && l->type == JSON_ARRAY && l->count <= max ? l : NULL;
}

static void get_rows(const struct json *v, struct measure_result *out)
{
	const struct json *rows = list_of(v, "rows", MEASURE_PROMPTS_MAX);

	out->rows = arena_array(out->a, (rows ? rows->count : 0) + 1, sizeof(*out->rows));
	for (size_t i = 0; rows && i < rows->count; i++) {
		const struct json *row = rows->members[i].value;

		out->rows[out->n_rows++] = (struct measure_row){
			.prompt = shown(out->a, json_str(row, "prompt", "")),
			.seqlen = get_known(row, "seqlen"),
			.new_tokens = get_known(row, "new_tokens"),
			.ttft_ms = get_stat(row, "ttft_ms"),
			.prompt_per_s = get_stat(row, "prompt_per_s"),
			.generate_per_s = get_stat(row, "generate_per_s"),
			.total_ms = get_stat(row, "total_ms"),
		};
	}
}

static const char *known_kind(const char *word)
{
	static const char *const kinds[] = { MEASURE_WARN_GARBAGE, MEASURE_WARN_MISMATCH,
					     MEASURE_WARN_REGRESSION, MEASURE_WARN_TARGET };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i], word) == 0)
			return kinds[i];
	return MEASURE_WARN_TARGET;
}

static void get_rest(const struct json *v, struct measure_result *out)
{
	const struct json *versions = json_get(v, "versions");
	const struct json *warnings = list_of(v, "warnings", MEASURE_WARNINGS_MAX);

	for (size_t i = 0; versions && versions->type == JSON_OBJECT && i < versions->count; i++)
		measure_say_version(out, versions->members[i].key,
				    json_str(versions, versions->members[i].key, ""));
	for (size_t i = 0; warnings && i < warnings->count; i++) {
		const struct json *w = warnings->members[i].value;

		measure_warn(out, known_kind(json_str(w, "kind", "")), json_str(w, "prompt", ""),
			     "%s", json_str(w, "text", ""));
	}
}

int measure_result_read(struct arena *a, const struct json *v, struct measure_result *out,
			struct err *e)
{
	const char *kind = json_str(v, "kind", ""), *counter = json_str(v, "counted_by", "");

	memset(out, 0, sizeof(*out));
	out->a = a;
	while (out->kind < MEASURE_KIND_COUNT && strcmp(measure_kind_name(out->kind), kind) != 0)
		out->kind++;
	if (out->kind == MEASURE_KIND_COUNT)
		return err_set(e, ERR_INVALID, "a measurement of no known kind");
	for (int c = 0; c < COUNTED_COUNT; c++)
		if (strcmp(measure_counter_name((enum measure_counter)c), counter) == 0)
			out->counted_by = (enum measure_counter)c;
	out->machine = shown(a, json_str(v, "machine", ""));
	out->host = shown(a, json_str(v, "host", ""));
	out->prompts = shown(a, json_str(v, "prompts", ""));
	out->prompts_hash = shown(a, json_str(v, "prompts_hash", ""));
	out->at_ms = json_int(v, "at_ms", 0);
	out->runs = (int)json_int(v, "runs", 0);
	out->warmup = (int)json_int(v, "warmup", 0);
	out->memory_bytes = get_known(v, "memory_bytes");
	out->quality_asked = (int)json_int(v, "quality_asked", 0);
	out->quality_bad = (int)json_int(v, "quality_bad", 0);
	out->more_warnings = (size_t)json_int(v, "more_warnings", 0);
	get_rows(v, out);
	get_rest(v, out);
	return 0;
}

/* ---- comparison */

static int slower(struct measure_result *now, const struct measure_row *row, const char *what,
		  const char *unit, double was, double is, double change, const char *when)
{
	measure_warn(now, MEASURE_WARN_REGRESSION, row->prompt,
		     "%s with \"%s\" went from %.4g to %.4g %s since %s (%+.0f %%)", what,
		     row->prompt, was, is, unit, when, change * 100);
	return 1;
}

static int compare_row(struct measure_result *now, const struct measure_row *n,
		       const struct measure_row *b, double threshold, bool same_tokens,
		       const char *when)
{
	double was, is;
	int found = 0;

	was = b->generate_per_s.median;
	is = n->generate_per_s.median;
	if (same_tokens && n->generate_per_s.n && b->generate_per_s.n && is < was * (1 - threshold))
		found += slower(now, n, "generation", "tokens/s", was, is, is / was - 1, when);
	was = b->ttft_ms.median;
	is = n->ttft_ms.median;
	if (n->ttft_ms.n && b->ttft_ms.n && was > 0 && is > was * (1 + threshold))
		found += slower(now, n, "the time to the first token", "ms", was, is, is / was - 1,
				when);
	return found;
}

int measure_compare(struct measure_result *now, const struct measure_result *before,
		    double threshold, const char *when)
{
	int found = 0;

	if (threshold <= 0 || now->kind != before->kind ||
	    strcmp(now->prompts_hash, before->prompts_hash) != 0 ||
	    strcmp(now->host, before->host) != 0 || strcmp(now->machine, before->machine) != 0)
		return 0;
	for (size_t i = 0; i < now->n_rows; i++)
		for (size_t k = 0; k < before->n_rows; k++)
			if (strcmp(now->rows[i].prompt, before->rows[k].prompt) == 0)
				found +=
					compare_row(now, &now->rows[i], &before->rows[k], threshold,
						    now->counted_by == before->counted_by, when);
	if (now->memory_bytes > 0 && before->memory_bytes > 0 &&
	    (double)now->memory_bytes > (double)before->memory_bytes * (1 + threshold)) {
		measure_warn(now, MEASURE_WARN_REGRESSION, "",
			     "memory went from %.4g to %.4g MiB since %s (%+.0f %%)",
			     (double)before->memory_bytes / 1048576,
			     (double)now->memory_bytes / 1048576, when,
			     ((double)now->memory_bytes / (double)before->memory_bytes - 1) * 100);
		found++;
	}
	return found;
}
