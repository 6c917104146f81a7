#include "orchestrator/view/report.h"

#include <string.h>

int report_load(struct store *s, const char *work, struct arena *a, struct report *out,
		struct err *e)
{
	struct report r = { .work = work };
	struct status st;
	int rc = store_run_get(s, 0, a, &r.run, e);

	if (rc >= 0)
		rc = status_load(s, work, r.run.id, false, a, &st, e);
	if (rc < 0)
		return rc;
	r.now_ms = st.now_ms;
	r.life = st.life;
	r.total = st.total;
	memcpy(r.counts, st.counts, sizeof(r.counts));
	r.samples = arena_array(a, SAMPLES_MAX, sizeof(*r.samples));
	rc = report_load_jobs(s, &r, a, e);
	if (rc >= 0)
		rc = report_load_refusals(s, &r, a, e);
	if (rc >= 0)
		rc = store_samples(s, r.run.id, r.samples, SAMPLES_MAX, e);
	if (rc >= 0)
		r.n_samples = (size_t)rc;
	if (rc >= 0)
		rc = r.n_nights = store_nights(s, r.nights, REPORT_NIGHTS, e);
	r.measured = arena_array(a, REPORT_MEASURED_MAX, sizeof(*r.measured));
	if (rc >= 0)
		rc = r.n_measured =
			store_measures_of_run(s, r.run.id, a, r.measured, REPORT_MEASURED_MAX, e);
	if (rc < 0)
		return rc;
	*out = r;
	return 0;
}

const struct report_job *report_largest_error(const struct report *r)
{
	const struct report_job *found = NULL;

	for (size_t i = 0; i < r->n_jobs; i++) {
		const struct report_job *j = &r->jobs[i];

		if (j->quality &&
		    (!found || j->quality->all.relative > found->quality->all.relative))
			found = j;
	}
	return found;
}

size_t report_longest(const struct report *r, size_t *out, size_t n)
{
	size_t found = 0;

	for (size_t i = 0; i < r->n_jobs; i++) {
		size_t at = found;

		if (!r->jobs[i].took_ms)
			continue;
		while (at > 0 && r->jobs[out[at - 1]].took_ms < r->jobs[i].took_ms)
			at--;
		if (at == n)
			continue;
		if (found < n)
			found++;
		memmove(out + at + 1, out + at, (found - 1 - at) * sizeof(*out));
		out[at] = i;
	}
	return found;
}
