#include "orchestrator/view/report.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define ATTEMPTS_LOOKED_AT 8 /* of one job, for the time line */
#define ARTIFACTS_MAX 4096   /* of one job: what seal.c allows */

/* ---- names by number, in order of appearance */

struct interner {
	struct report_names *names;
	size_t *slots; /* index + 1; 0: free */
	size_t n_slots, cap;
};

static void interner_init(struct interner *in, struct arena *a, struct report_names *names,
			  size_t max)
{
	in->names = names;
	in->cap = max;
	in->n_slots = 2 * max + 1;
	in->slots = arena_array(a, in->n_slots, sizeof(*in->slots));
	memset(in->slots, 0, in->n_slots * sizeof(*in->slots));
	*names = (struct report_names){ arena_array(a, max + 1, sizeof(*names->v)), 0 };
}

static size_t hash_text(const char *s)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return (size_t)h;
}

static size_t intern(struct interner *in, struct arena *a, const char *s)
{
	size_t at = hash_text(s) % in->n_slots;

	for (; in->slots[at]; at = (at + 1) % in->n_slots) {
		if (strcmp(in->names->v[in->slots[at] - 1], s) == 0)
			return in->slots[at] - 1;
	}
	in->names->v[in->names->n++] = arena_strdup(a, s);
	in->slots[at] = in->names->n;
	return in->names->n - 1;
}

/* ---- jobs */

struct loading {
	struct store *s;
	struct arena *a, *scratch;
	struct report *r;
	struct interner models, variants;
	size_t causes_cap, repos_cap, spans_cap, jobs_cap;
	struct upload_row *uploads;
	struct artifact_row *artifacts;
};

/* "rkllm rk3588 w8a8 opt 1 hybrid 0.5" */
static const char *variant_of(struct arena *a, const struct job_spec *p)
{
	char opt[16] = "", hybrid[32] = "";

	if (p->opt)
		(void)snprintf(opt, sizeof(opt), " opt %d", p->opt);
	if (p->hybrid != 0)
		(void)snprintf(hybrid, sizeof(hybrid), " hybrid %.6g", p->hybrid);
	return arena_printf(a, "%s %s%s%s%s%s", p->engine, p->platform, p->platform[0] ? " " : "",
			    p->quant, opt, hybrid);
}

static void add_cause(struct loading *l, const struct job_row *row)
{
	struct report *r = l->r;
	struct report_cause *c = NULL;

	for (size_t i = 0; i < r->n_causes && !c; i++) {
		if (strcmp(r->causes[i].cause, row->cause) == 0)
			c = &r->causes[i];
	}
	if (!c) {
		MEM_GROW(r->causes, r->n_causes, l->causes_cap);
		c = &r->causes[r->n_causes++];
		*c = (struct report_cause){ .cause = arena_strdup(l->a, row->cause),
					    .message = arena_strdup(l->a, row->message) };
	}
	if (c->n < REPORT_NAMED)
		c->jobs[c->n] = row->id;
	c->n++;
}

static int add_attempts(struct loading *l, struct report_job *j, struct err *e)
{
	struct attempt_row at[ATTEMPTS_LOOKED_AT];
	struct report *r = l->r;
	int n = store_attempts(l->s, j->id, l->scratch, at, ATTEMPTS_LOOKED_AT, e);

	for (int i = 0; i < n; i++) {
		int64_t ended = at[i].ended_ms ? at[i].ended_ms : r->now_ms;

		if (i == 0 && at[i].ended_ms > at[i].started_ms)
			j->took_ms = at[i].ended_ms - at[i].started_ms;
		if (i == 0) {
			j->peak_bytes = at[i].peak_rss_bytes;
			j->evidence_from = arena_strdup(l->a, at[i].evidence_from);
			j->evidence = arena_strdup(l->a, at[i].evidence);
			j->rungs = arena_strdup(l->a, at[i].rungs);
		}
		if (at[i].run_id != r->run.id)
			continue;
		MEM_GROW(r->spans, r->n_spans, l->spans_cap);
		r->spans[r->n_spans++] = (struct report_span){
			.job_id = j->id,
			.label = j->label,
			.started_ms = at[i].started_ms,
			.ended_ms = ended > at[i].started_ms ? ended : at[i].started_ms,
			.failed = at[i].cause[0] != '\0',
		};
	}
	return n < 0 ? n : 0;
}

static void add_upload(struct loading *l, const struct upload_row *u)
{
	struct report *r = l->r;
	struct report_repo *p = NULL;

	/* Jobs of one repository stand together: look at the newest first. */
	for (size_t i = r->n_repos; i > 0 && !p; i--) {
		if (strcmp(r->repos[i - 1].name, u->repo) == 0)
			p = &r->repos[i - 1];
	}
	if (!p) {
		MEM_GROW(r->repos, r->n_repos, l->repos_cap);
		p = &r->repos[r->n_repos++];
		*p = (struct report_repo){ .hub = arena_strdup(l->a, u->hub),
					   .name = arena_strdup(l->a, u->repo) };
	}
	p->files++;
	p->bytes += u->size_bytes;
}

/* Files of one job share their facts. */
static int add_quality(struct loading *l, struct report_job *j, const struct artifact_row *file,
		       struct err *e)
{
	struct quality_facts q, *kept;
	struct facts f;

	if (facts_parse(l->scratch, file->facts, &f, e) < 0)
		return err_wrap(e, "job %lld", (long long)j->id);
	if (!quality_read(&f, &q))
		return 0;
	for (size_t i = 0; i < q.n_worst; i++) {
		q.worst[i].tensor = arena_strdup(l->a, q.worst[i].tensor);
		q.worst[i].type = arena_strdup(l->a, q.worst[i].type);
	}
	kept = arena_alloc(l->a, sizeof(*kept));
	*kept = q;
	j->quality = kept;
	return 0;
}

static int add_files(struct loading *l, struct report_job *j, struct err *e)
{
	int n = store_artifacts(l->s, j->id, l->scratch, l->artifacts, ARTIFACTS_MAX, e);

	for (int i = 0; i < n; i++)
		j->artifact_bytes += l->artifacts[i].size_bytes;
	if (n > 0 && add_quality(l, j, &l->artifacts[0], e) < 0)
		return e->code;
	if (n < 0 || !j->repo[0])
		return n;
	n = store_job_uploads(l->s, j->id, l->scratch, l->uploads, ARTIFACTS_MAX, e);
	for (int i = 0; i < n; i++) {
		if (strcmp(l->uploads[i].state, "done") == 0 &&
		    l->uploads[i].changed_ms >= l->r->run.started_ms)
			add_upload(l, &l->uploads[i]);
	}
	return n;
}

static int add_job(void *ctx, const struct job_row *row, struct err *e)
{
	struct loading *l = ctx;
	struct report *r = l->r;
	struct report_job *j;
	int rc;

	if (row->state == JOB_FAILED)
		add_cause(l, row);
	if (r->n_jobs == REPORT_JOBS_MAX)
		return 0;
	arena_reset(l->scratch);
	MEM_GROW(r->jobs, r->n_jobs, l->jobs_cap);
	j = &r->jobs[r->n_jobs++];
	*j = (struct report_job){ .id = row->id,
				  .state = row->state,
				  .label = arena_strdup(l->a, row->label),
				  .cause = arena_strdup(l->a, row->cause),
				  .message = arena_strdup(l->a, row->message),
				  .repo = arena_strdup(l->a, row->repo),
				  .evidence_from = "",
				  .evidence = "",
				  .rungs = "",
				  .tries = row->tries,
				  .model = intern(&l->models, l->a, row->spec.model),
				  .variant = intern(&l->variants, l->a,
						    variant_of(l->scratch, &row->spec)) };
	rc = add_attempts(l, j, e);
	return rc < 0 ? rc : add_files(l, j, e);
}

/* ---- order */

static int by_frequency(const void *x, const void *y)
{
	const struct report_cause *a = x, *b = y;

	return (a->n < b->n) - (a->n > b->n);
}

static int by_start(const void *x, const void *y)
{
	const struct report_span *a = x, *b = y;

	if (a->started_ms != b->started_ms)
		return a->started_ms < b->started_ms ? -1 : 1;
	return (a->job_id > b->job_id) - (a->job_id < b->job_id);
}

/* Each span goes to the first lane that is free when it starts. */
static void find_lanes(struct report *r)
{
	int64_t free_at[64] = { 0 };

	for (size_t i = 0; i < r->n_spans; i++) {
		int lane = 0;

		while (lane + 1 < (int)ARRAY_LEN(free_at) && free_at[lane] > r->spans[i].started_ms)
			lane++;
		free_at[lane] = r->spans[i].ended_ms;
		r->spans[i].lane = lane;
		r->lanes = lane + 1 > r->lanes ? lane + 1 : r->lanes;
	}
}

/* The engine's name in front tells nothing when there is one engine only. */
static void strip_engine(struct report_names *variants)
{
	size_t len = variants->n ? strcspn(variants->v[0], " ") + 1 : 0;

	for (size_t i = 1; i < variants->n; i++) {
		if (strncmp(variants->v[i], variants->v[0], len) != 0)
			return;
	}
	for (size_t i = 0; i < variants->n; i++)
		variants->v[i] += len;
}

/* Heap arrays that grew end in the arena, where their strings are. */
static void *keep(struct arena *a, void *v, size_t n, size_t size)
{
	void *kept = arena_array(a, n, size);

	if (n)
		memcpy(kept, v, n * size);
	free(v);
	return kept;
}

static void settle(struct report *r, struct arena *a)
{
	r->jobs = keep(a, r->jobs, r->n_jobs, sizeof(*r->jobs));
	r->causes = keep(a, r->causes, r->n_causes, sizeof(*r->causes));
	r->repos = keep(a, r->repos, r->n_repos, sizeof(*r->repos));
	r->spans = keep(a, r->spans, r->n_spans, sizeof(*r->spans));
	if (r->n_causes)
		qsort(r->causes, r->n_causes, sizeof(*r->causes), by_frequency);
	for (size_t i = 0; i < r->n_causes; i++)
		report_advice(a, &r->causes[i]);
	if (r->n_spans)
		qsort(r->spans, r->n_spans, sizeof(*r->spans), by_start);
	find_lanes(r);
	strip_engine(&r->variants);
}

static int load_jobs(struct store *s, struct report *r, struct arena *a, struct err *e)
{
	struct job_filter f = { .run_id = r->run.id, .state = -1 };
	struct loading l = { .s = s, .a = a, .scratch = arena_new(), .r = r };
	size_t max = r->total < REPORT_JOBS_MAX ? (size_t)r->total : REPORT_JOBS_MAX;
	int rc;

	interner_init(&l.models, a, &r->models, max);
	interner_init(&l.variants, a, &r->variants, max);
	l.uploads = mem_array(ARTIFACTS_MAX, sizeof(*l.uploads));
	l.artifacts = mem_array(ARTIFACTS_MAX, sizeof(*l.artifacts));
	rc = store_job_each(s, &f, add_job, &l, e);
	settle(r, a);
	free(l.uploads);
	free(l.artifacts);
	arena_free(l.scratch);
	return rc;
}

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
	rc = load_jobs(s, &r, a, e);
	if (rc >= 0)
		rc = r.n_nights = store_nights(s, r.nights, REPORT_NIGHTS, e);
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
