/* orchestrator/view/report_jobs.c -- what the store has of the jobs of one run, for the report. */
#include "orchestrator/view/report.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define ARTIFACTS_MAX 4096 /* of one job: what seal.c allows */
#define TEXTS_OF_JOB 12	   /* those of add_job() */

/* ---- jobs */

struct loading {
	struct store *s;
	struct arena *a, *scratch;
	struct report *r;
	struct interner models, variants, texts;
	struct report_names texts_kept;
	size_t causes_cap, repos_cap, spans_cap, jobs_cap;
	struct upload_row *uploads;
	struct artifact_row *artifacts;
};

/* "rkllm rk3588" and "w8a8 opt 1 hybrid 0.5" */
static struct report_column column_of(struct arena *a, const struct job_spec *p)
{
	char opt[16] = "", hybrid[32] = "";

	if (p->opt)
		(void)snprintf(opt, sizeof(opt), " opt %d", p->opt);
	if (p->hybrid != 0)
		(void)snprintf(hybrid, sizeof(hybrid), " hybrid %.6g", p->hybrid);
	return (struct report_column){
		arena_printf(a, "%s%s%s", p->engine, p->platform[0] ? " " : "", p->platform),
		arena_printf(a, "%s%s%s", p->quant, opt, hybrid),
	};
}

static size_t variant_of(struct loading *l, const struct job_spec *p)
{
	struct report_column c = column_of(l->scratch, p);
	size_t known = l->r->variants.n;
	size_t v = intern(&l->variants, l->a, arena_printf(l->scratch, "%s %s", c.group, c.name));

	if (v == known)
		l->r->columns[v] = (struct report_column){ arena_strdup(l->a, c.group),
							   arena_strdup(l->a, c.name) };
	return v;
}

/* Most jobs share these. */
static const char *shared(struct loading *l, const char *s)
{
	return s && s[0] ? l->texts_kept.v[intern(&l->texts, l->a, s)] : "";
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

static void add_span(struct loading *l, const struct report_job *j, const struct attempt_row *at)
{
	struct report *r = l->r;
	int64_t ended = at->ended_ms ? at->ended_ms : r->now_ms;

	MEM_GROW(r->spans, r->n_spans, l->spans_cap);
	r->spans[r->n_spans++] = (struct report_span){
		.job_id = j->id,
		.label = j->label,
		.started_ms = at->started_ms,
		.ended_ms = ended > at->started_ms ? ended : at->started_ms,
		.failed = at->cause[0] != '\0',
	};
}

static int add_attempts(struct loading *l, struct report_job *j, struct err *e)
{
	struct attempt_row at[REPORT_ATTEMPTS_MAX];
	int n = store_attempts(l->s, j->id, l->scratch, at, REPORT_ATTEMPTS_MAX, e);

	if (n <= 0)
		return n;
	j->attempts = arena_array(l->a, (size_t)n, sizeof(*j->attempts));
	j->n_attempts = (size_t)n;
	j->peak_bytes = at[0].peak_rss_bytes;
	j->evidence_from = shared(l, at[0].evidence_from);
	j->evidence = shared(l, at[0].evidence);
	j->rungs = shared(l, at[0].rungs);
	if (at[0].ended_ms > at[0].started_ms)
		j->took_ms = at[0].ended_ms - at[0].started_ms;
	for (int i = 0; i < n; i++) {
		j->attempts[i] =
			(struct report_attempt){ .number = at[i].number,
						 .exit_code = at[i].exit_code,
						 .signal = at[i].signal,
						 .started_ms = at[i].started_ms,
						 .ended_ms = at[i].ended_ms,
						 .peak_bytes = at[i].peak_rss_bytes,
						 .cause = shared(l, at[i].cause),
						 .message = shared(l, at[i].message),
						 .evidence_from = shared(l, at[i].evidence_from),
						 .evidence = shared(l, at[i].evidence),
						 .rungs = shared(l, at[i].rungs) };
		if (at[i].run_id == l->r->run.id)
			add_span(l, j, &at[i]);
	}
	return 0;
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

	j->n_files = n < 0 ? 0 : n < REPORT_FILES_MAX ? (size_t)n : REPORT_FILES_MAX;
	j->files = arena_array(l->a, j->n_files, sizeof(*j->files));
	for (int i = 0; i < n; i++) {
		const struct artifact_row *f = &l->artifacts[i];

		j->artifact_bytes += f->size_bytes;
		if ((size_t)i >= j->n_files)
			continue;
		j->files[i] =
			(struct report_file){ arena_strdup(l->a, f->name), f->size_bytes, { 0 } };
		memcpy(j->files[i].sha256, f->sha256, SHA256_LEN);
	}
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
				  .cause = shared(l, row->cause),
				  .message = shared(l, row->message),
				  .repo = shared(l, row->repo),
				  .evidence_from = "",
				  .evidence = "",
				  .rungs = "",
				  .engine_version = shared(l, row->spec.engine_version),
				  .with = shared(l, row->spec.with),
				  .source = shared(l, row->spec.source),
				  .source_version = shared(l, row->spec.source_version),
				  .lora = shared(l, row->spec.lora),
				  .tries = row->tries,
				  .model = intern(&l->models, l->a, row->spec.model),
				  .variant = variant_of(l, &row->spec) };
	memcpy(j->key, row->key, SHA256_LEN);
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

/* Of the first job of each cause, where that is among those that are kept. */
static void find_evidence(struct report *r)
{
	for (size_t i = 0; i < r->n_causes; i++) {
		struct report_cause *c = &r->causes[i];

		c->evidence_from = c->evidence = "";
		for (size_t k = 0; k < r->n_jobs && !c->evidence[0]; k++) {
			if (r->jobs[k].id == c->jobs[0] &&
			    strcmp(r->jobs[k].evidence, c->message) != 0) {
				c->evidence_from = r->jobs[k].evidence_from;
				c->evidence = r->jobs[k].evidence;
			}
		}
	}
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
	find_evidence(r);
	if (r->n_spans)
		qsort(r->spans, r->n_spans, sizeof(*r->spans), by_start);
	find_lanes(r);
	strip_engine(&r->variants);
}

int report_load_jobs(struct store *s, struct report *r, struct arena *a, struct err *e)
{
	struct job_filter f = { .run_id = r->run.id, .state = -1 };
	struct loading l = { .s = s, .a = a, .scratch = arena_new(), .r = r };
	size_t max = r->total < REPORT_JOBS_MAX ? (size_t)r->total : REPORT_JOBS_MAX;
	int rc;

	interner_init(&l.models, a, &r->models, max);
	interner_init(&l.variants, a, &r->variants, max);
	interner_init(&l.texts, a, &l.texts_kept, max * (TEXTS_OF_JOB + 5 * REPORT_ATTEMPTS_MAX));
	r->columns = arena_array(a, max, sizeof(*r->columns));
	l.uploads = mem_array(ARTIFACTS_MAX, sizeof(*l.uploads));
	l.artifacts = mem_array(ARTIFACTS_MAX, sizeof(*l.artifacts));
	rc = store_job_each(s, &f, add_job, &l, e);
	settle(r, a);
	free(l.uploads);
	free(l.artifacts);
	arena_free(l.scratch);
	return rc;
}
