/* What result.json says of a conversion: types, quality, what it was made of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "workers/gguf/conversion.h"

static void write_type_counts(struct conversion *c, struct json_out *w)
{
	jw_kobject(w, "tensor_types");
	for (uint32_t id = 0; id <= TYPE_ID_MAX; id++) {
		const struct type *t = type_by_id(id);
		int64_t n = 0;

		for (size_t i = 0; t && i < c->layout.n; i++)
			n += c->layout.v[i].type == t;
		if (n)
			jw_kint(w, t->name, n);
	}
	jw_end_object(w);
}

/* Four digits: more say nothing. */
static double short_number(double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.4g", v);
	return strtod(text, NULL);
}

static void write_measures(const struct quality *q, struct json_out *w)
{
	jw_num(w, short_number(quality_rmse(q)));
	jw_num(w, short_number(quality_relative(q)));
	if (q->error > 0)
		jw_num(w, short_number(quality_snr(q)));
	else
		jw_null(w);
	jw_num(w, short_number(q->worst));
	jw_num(w, short_number(quality_saturated(q)));
}

/* One row for the whole and one for each matrix; columns are named once. */
static void write_quality(struct conversion *c, struct json_out *w)
{
	static const char *const columns[] = { "rmse", "relative", "snr_db", "max_error",
					       "saturated" };
	struct quality all = { 0 };

	jw_kobject(w, "quality");
	jw_karray(w, "columns");
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		jw_strn(w, columns[i], strlen(columns[i]));
	jw_end_array(w);
	jw_kobject(w, "tensors");
	for (size_t i = 0; i < c->layout.n; i++) {
		const struct out_tensor *t = &c->layout.v[i];

		if (!c->quality[i].n)
			continue;
		quality_join(&all, &c->quality[i]);
		jw_key(w, t->name);
		jw_array(w);
		jw_strn(w, t->type->name, strlen(t->type->name));
		write_measures(&c->quality[i], w);
		jw_end_array(w);
	}
	jw_end_object(w);
	jw_karray(w, "all");
	write_measures(&all, w);
	jw_end_array(w);
	jw_end_object(w);
}

static void write_promoted(struct conversion *c, struct json_out *w)
{
	jw_karray(w, "promoted");
	for (size_t i = 0; i < c->layout.n; i++) {
		if (c->layout.v[i].promoted)
			jw_strn(w, c->layout.v[i].name, strlen(c->layout.v[i].name));
	}
	jw_end_array(w);
}

static void write_numbers(struct conversion *c, struct json_out *w)
{
	const struct gguf_input *in = c->input;
	uint64_t context = in ? in->context : c->h.context;
	uint64_t vocabulary = in ? in->vocabulary : c->h.vocab; /* with the padding of the file */
	const char *pre = in ? in->pre : c->tokenizer.pre;

	if (context)
		jw_kint(w, "context_length", (int64_t)context);
	if (pre)
		jw_kstr(w, "pre_tokenizer", pre);
	if (vocabulary)
		jw_kint(w, "vocabulary", (int64_t)vocabulary);
}

const char *conversion_facts(struct conversion *c)
{
	int64_t fallbacks = 0;
	uint64_t elements = 0;
	struct json_out w;
	const char *text;
	struct buf b;

	for (size_t i = 0; i < c->layout.n; i++) {
		fallbacks += c->layout.v[i].fallback;
		elements += c->layout.v[i].n; /* as validation counts them, derived ones too */
	}
	buf_init(&b, 1u << 20);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "architecture", c->architecture);
	jw_kstr(&w, "quant", c->job.quant);
	jw_knum(&w, "hybrid", c->job.hybrid);
	jw_kint(&w, "opt", c->job.opt);
	jw_kint(&w, "tensors", (int64_t)c->layout.n);
	write_type_counts(c, &w);
	jw_kint(&w, "fallback_tensors", fallbacks);
	if (c->job.hybrid > 0)
		write_promoted(c, &w);
	write_quality(c, &w);
	jw_kint(&w, "parameters", (int64_t)elements);
	write_numbers(c, &w);
	jw_kobject(&w, "tools");
	jw_kstr(&w, "quern-gguf", QUERN_VERSION);
	jw_end_object(&w);
	if (c->n_zeroed)
		jw_kint(&w, "nonfinite_weights_zeroed", (int64_t)c->n_zeroed);
	jw_end_object(&w);
	text = arena_strdup(c->a, buf_str(&b));
	buf_release(&b);
	return text;
}
