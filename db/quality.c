#include "db/quality.h"

#include <string.h>

#define COLUMNS_MAX 16

/* Where the measures stand in a row; -1: not at all. */
struct places {
	int relative, snr_db, max_error;
};

static bool find_places(const struct json *columns, struct places *p)
{
	*p = (struct places){ -1, -1, -1 };
	if (!columns || columns->type != JSON_ARRAY || columns->count > COLUMNS_MAX)
		return false;
	for (size_t i = 0; i < columns->count; i++) {
		const struct json *name = columns->members[i].value;

		if (name->type != JSON_STRING)
			return false;
		if (strcmp(name->str, "relative") == 0)
			p->relative = (int)i;
		else if (strcmp(name->str, "snr_db") == 0)
			p->snr_db = (int)i;
		else if (strcmp(name->str, "max_error") == 0)
			p->max_error = (int)i;
	}
	return p->relative >= 0;
}

static double number_at(const struct json *row, int place, size_t skip)
{
	const struct json *v;

	if (place < 0 || (size_t)place + skip >= row->count)
		return 0;
	v = row->members[(size_t)place + skip].value;
	return v->type == JSON_NUMBER ? v->number : 0;
}

/* skip: members before the measures. */
static bool read_row(const struct json *row, const struct places *p, size_t skip,
		     struct quality_row *out)
{
	if (!row || row->type != JSON_ARRAY || row->count < skip + 1)
		return false;
	out->relative = number_at(row, p->relative, skip);
	out->snr_db = number_at(row, p->snr_db, skip);
	out->max_error = number_at(row, p->max_error, skip);
	out->tensor = out->type = "";
	return true;
}

/* Among the worst so far, in order; the first of equal ones stays first. */
static void note(struct quality_facts *q, const struct quality_row *r)
{
	size_t at = q->n_worst;

	while (at > 0 && q->worst[at - 1].relative < r->relative)
		at--;
	if (at == QUALITY_WORST)
		return;
	if (q->n_worst < QUALITY_WORST)
		q->n_worst++;
	memmove(q->worst + at + 1, q->worst + at, (q->n_worst - 1 - at) * sizeof(*r));
	q->worst[at] = *r;
}

bool quality_read(const struct facts *f, struct quality_facts *out)
{
	const struct json *quality = json_get(f->of[FACT_WORKER], "quality");
	const struct json *tensors = json_get(quality, "tensors");
	struct quality_facts q = { 0 };
	struct places p;

	if (!find_places(json_get(quality, "columns"), &p) ||
	    !read_row(json_get(quality, "all"), &p, 0, &q.all) || !tensors ||
	    tensors->type != JSON_OBJECT)
		return false;
	for (size_t i = 0; i < tensors->count; i++) {
		const struct json *row = tensors->members[i].value;
		struct quality_row r;

		if (!read_row(row, &p, 1, &r) || row->members[0].value->type != JSON_STRING)
			return false;
		r.tensor = tensors->members[i].key;
		r.type = row->members[0].value->str;
		note(&q, &r);
		q.n_tensors++;
	}
	*out = q;
	return true;
}

const char *quality_error_text(struct arena *a, const struct quality_row *r)
{
	return r->relative > 0 ? arena_printf(a, "%.3g", r->relative) : "none";
}

const char *quality_snr_text(struct arena *a, const struct quality_row *r)
{
	return r->relative > 0 ? arena_printf(a, "%.1f dB", r->snr_db) : "exact";
}

void quality_row_json(struct json_out *w, const struct quality_row *r)
{
	jw_knum(w, "relative_error", r->relative);
	jw_key(w, "snr_db");
	if (r->relative > 0)
		jw_num(w, r->snr_db);
	else
		jw_null(w);
	jw_knum(w, "max_error", r->max_error);
}
