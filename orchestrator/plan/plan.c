#include "orchestrator/plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/plan/learn.h"
#include "orchestrator/plan/preflight.h"
#include "orchestrator/plan/turns.h"
#include "upload/hub.h"

/* ---- a set of 64-bit hashes: open addressing, doubled at half full. Two different names meet by
 * accident once in 10^7 matrices of a million points. */
struct name_set {
	uint64_t *v;
	size_t n, cap;
};

static int set_add(struct name_set *s, uint64_t h)
{
	size_t i;

	h += h == 0;
	if (2 * (s->n + 1) > s->cap) {
		struct name_set bigger = { .cap = s->cap ? 2 * s->cap : 1024 };

		bigger.v = mem_array(bigger.cap, sizeof(*bigger.v));
		for (i = 0; i < s->cap; i++) {
			if (s->v[i])
				set_add(&bigger, s->v[i]);
		}
		free(s->v);
		*s = bigger;
	}
	for (i = h & (s->cap - 1); s->v[i]; i = (i + 1) & (s->cap - 1)) {
		if (s->v[i] == h)
			return 0;
	}
	s->v[i] = h;
	s->n++;
	return 1;
}

struct walk {
	struct session *s;
	struct plan_totals *t;
	struct arena *scratch; /* reset for each point */
	struct buf text;
	struct name_set names;
	struct arena *whole; /* of the walk */
	struct turns turns;
	uint64_t free_memory_bytes; /* when the walk began */
	size_t last_model;	    /* whose source was counted */
	int64_t run_id;		    /* 0: only looking */
	bool had_jobs; /* before this walk: an empty store need not be asked about each point */
};

const char *plan_status_name(enum plan_status s)
{
	static const char *const names[PLAN_STATUS_COUNT] = {
		[PLAN_NEW] = "new",
		[PLAN_CHANGED] = "changed",
		[PLAN_UNFINISHED] = "unfinished",
		[PLAN_LOST] = "lost",
		[PLAN_CONVERTED] = "converted",
		[PLAN_DONE] = "done",
		[PLAN_FAILED] = "failed",
		[PLAN_CANCELLED] = "cancelled",
		[PLAN_ILLEGAL] = "not legal",
		[PLAN_DUPLICATE] = "duplicate",
	};

	return names[s];
}

static void changed_part(struct buf *b, const char *what, const char *old, const char *now,
			 int brief)
{
	if (strcmp(old, now) == 0)
		return;
	if (brief) /* hashes and commits: the first digits are enough */
		buf_addf(b, "%s%s %.10s -> %.10s", b->len ? ", " : "", what, old, now);
	else
		buf_addf(b, "%s%s %s -> %s", b->len ? ", " : "", what, old, now);
}

static const char *what_changed(struct walk *w, const struct job_spec *old,
				const struct job_spec *now)
{
	struct buf *b = &w->text;

	buf_clear(b);
	changed_part(b, "engine version", old->engine_version, now->engine_version, 0);
	if (strcmp(now->source_kind, "path") != 0 || strcmp(old->source_kind, "path") != 0)
		changed_part(b, "source", old->source, now->source, 0);
	changed_part(b, "source content", old->source_version, now->source_version, 1);
	changed_part(b, "lora", old->lora ? old->lora : "none", now->lora ? now->lora : "none", 0);
	changed_part(b, "lora version", old->lora_version ? old->lora_version : "",
		     now->lora_version ? now->lora_version : "", 1);
	changed_part(b, "with", old->with, now->with, 0);
	return arena_strdup(w->scratch, b->len ? buf_str(b) : "parameters");
}

/* Are the files of a finished job still there, with the sizes they had? Those that left the disk
 * for the hub are there as long as the hub should have them: published says so. */
static int artifacts_there(struct walk *w, const struct plan_point *p, bool published,
			   struct err *e)
{
	struct artifact_row files[256];
	const char *dir = workdir_artifact(w->scratch, w->s->cfg->work, p->key);
	int n = store_artifacts(w->s->store, p->job_id, w->scratch, files, ARRAY_LEN(files), e);

	if (n <= 0)
		return n;
	for (int i = 0; i < n; i++) {
		const char *path = arena_printf(w->scratch, "%s/%s", dir, files[i].name);
		struct stat st;

		if (files[i].dropped_ms && published)
			continue;
		if (stat(path, &st) != 0 || st.st_size != files[i].size_bytes)
			return 0;
	}
	return 1;
}

/* row: what the store has of it. A replaced job that a matrix has again is to be published again.
 */
static int judge_known(struct walk *w, const struct job_row *row, struct plan_point *p,
		       struct err *e)
{
	int there, published;

	switch (p->state) {
	case JOB_FAILED:
		p->status = PLAN_FAILED;
		return 0;
	case JOB_CANCELLED:
		p->status = PLAN_CANCELLED;
		return 0;
	case JOB_DONE:
	case JOB_READY:
		published = p->state == JOB_DONE && strcmp(row->cause, JOB_CAUSE_REPLACED) != 0;
		there = artifacts_there(w, p, published, e);
		if (there < 0)
			return there;
		p->status = !there ? PLAN_LOST : published ? PLAN_DONE : PLAN_CONVERTED;
		if (!there)
			p->why = "its artifact is gone";
		return 0;
	default:
		p->status = PLAN_UNFINISHED;
		p->why = job_state_name(p->state);
		return 0;
	}
}

/* New, changed or known: by the key, then by the point. */
static int judge_by_store(struct walk *w, struct plan_point *p, struct err *e)
{
	struct job_row row;
	int rc;

	p->status = PLAN_NEW;
	if (!w->had_jobs)
		return 0;
	rc = store_job_by_key(w->s->store, p->key, w->scratch, &row, e);
	if (rc == 1) {
		p->job_id = row.id;
		p->state = row.state;
		if (row.message[0])
			p->why = row.message;
		return judge_known(w, &row, p, e);
	}
	if (rc == 0)
		rc = store_job_same_point(w->s->store, &p->spec, p->key, w->scratch, &row, e);
	if (rc == 1 && (!w->run_id || row.run_id != w->run_id)) {
		p->status = PLAN_CHANGED;
		p->why = what_changed(w, &row.spec, &p->spec);
	}
	return rc < 0 ? rc : 0;
}

static int illegal(struct plan_point *p, const char *cause, const char *why)
{
	p->status = PLAN_ILLEGAL;
	p->cause = cause;
	p->why = why;
	return 1;
}

/* Memory and swap that nobody uses now; 0: not known. */
static uint64_t free_memory(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib, sum = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1 ||
		    sscanf(line, "SwapFree: %llu", &kib) == 1)
			sum += kib;
	}
	if (f)
		fclose(f);
	return sum * 1024;
}

/* A toolkit that runs out of memory is killed hours later: said before. */
static void warn_of_memory(struct walk *w, struct plan_point *p)
{
	const struct engine_rule *r = engine_rule_of(p->engine, "room", NULL);
	char need[24], have[24], note[RULE_NOTE_MAX];
	const char *text;

	if (!r || !w->free_memory_bytes || p->need.memory_bytes <= w->free_memory_bytes)
		return;
	units_format_size(p->need.memory_bytes, need, sizeof(need));
	units_format_size(w->free_memory_bytes, have, sizeof(have));
	text = arena_printf(w->scratch, "it needs %s of memory, and %s with swap are free now%s",
			    need, have, engine_rule_note(p->engine, "room", NULL, note));
	p->warning = p->warning ? arena_printf(w->scratch, "%s; %s", p->warning, text) : text;
}

/* The rules of the engine; and the version of the toolkit that will do it enters the key. */
static int judge_preflight(struct walk *w, const struct matrix_point *m, struct plan_point *p)
{
	const struct preflight in = { .cfg = w->s->cfg,
				      .engine = p->engine,
				      .target = m->target,
				      .spec = &p->spec,
				      .with = p->with,
				      .source = p->source };
	struct preflight_result r;

	preflight(w->scratch, &in, &r);
	p->environment = r.environment;
	p->passed_over = r.passed_over;
	p->warning = r.warning;
	warn_of_memory(w, p);
	if (r.environment && r.environment->version) {
		p->spec.toolkit = r.environment->version;
		p->spec.engine_version = arena_printf(w->scratch, "%s+%s", p->engine->version,
						      environment_id(w->scratch, r.environment));
	}
	return r.refusal ? illegal(p, r.cause, r.refusal) : 0;
}

/* What was measured of the like stands for the manifest's formula. A job that was measured had room
 * within the budget, or ran out of memory at it: it may have all of it. */
static void learn_point(struct walk *w, struct plan_point *p)
{
	const uint64_t budget = w->s->cfg->resources.memory_bytes;
	struct err ignored = ERR_INIT; /* then the formula stands */
	uint64_t formula = p->need.memory_bytes;

	p->learned = (struct learned){ .need = p->need };
	if (!w->had_jobs || learn_ask(w->s->store, p->engine, &p->spec, p->with, &p->source->facts,
				      w->s->cfg->resources.threads, &p->learned, &ignored) < 0)
		return;
	p->need = p->learned.need;
	if (p->need.memory_bytes > budget && (formula <= budget || p->learned.basis == LEARN_SAME))
		p->need.memory_bytes = budget;
}

/* 1 when the point cannot be done, with why. */
static int judge_legal(struct walk *w, const struct matrix_point *m, struct plan_point *p)
{
	const struct config *c = w->s->cfg;
	char need[24], have[24], note[RULE_NOTE_MAX];

	if (m->illegal)
		return illegal(p, p->engine ? "illegal parameters" : "environment", m->illegal);
	if (p->source->fault)
		return illegal(p, p->source->fault_cause, p->source->fault);
	if (!p->engine) /* m->illegal has said so; this keeps it true */
		return illegal(p, "environment", "its engine is not installed");
	if (p->engine->missing)
		return illegal(p, "environment", p->engine->missing);
	if (p->spec.lora && !p->engine->lora)
		return illegal(
			p, "illegal parameters",
			arena_printf(w->scratch,
				     "lora %s: engine %s merges no adapters; merge it and name "
				     "the merged folder with `path`",
				     p->spec.lora, p->engine->name));
	if (p->spec.lora && p->source->lora_fault)
		return illegal(p, p->source->lora_cause, p->source->lora_fault);
	if (judge_preflight(w, m, p))
		return 1;
	learn_point(w, p);
	if (p->need.memory_bytes > c->resources.memory_bytes) {
		units_format_size(p->need.memory_bytes, need, sizeof(need));
		units_format_size(c->resources.memory_bytes, have, sizeof(have));
		return illegal(
			p, "out of memory",
			arena_printf(w->scratch,
				     "needs %s of memory, resources.memory is %s; raise it if the "
				     "machine has more%s",
				     need, have, engine_rule_note(p->engine, "room", NULL, note)));
	}
	return 0;
}

/* A name that no hub takes is known now, not after the conversion. */
static int repo_is_refused(struct walk *w, struct plan_point *p)
{
	struct err why = ERR_INIT;

	if (!p->repo[0] || hub_repo_check(p->repo, &why) >= 0)
		return 0;
	return illegal(p, "illegal parameters", arena_strdup(w->scratch, why.msg));
}

static int claims_taken_name(struct walk *w, struct plan_point *p)
{
	const char *name;
	char note[RULE_NOTE_MAX];
	uint8_t sha[SHA256_LEN];
	uint64_t h;

	if (!p->repo[0])
		return 0; /* not published: each artifact has a folder of its own */
	name = arena_printf(w->scratch, "%s/%s%s", p->repo, p->file, p->engine->extension);
	sha256_bytes(name, strlen(name), sha);
	memcpy(&h, sha, sizeof(h));
	if (set_add(&w->names, h))
		return 0;
	return illegal(
		p, "illegal parameters",
		arena_printf(
			w->scratch,
			"its file %s%s is already the name of another point; let upload.file tell "
			"them apart, for instance with {opt}, {hybrid} or {platform}%s",
			p->file, p->engine->extension,
			engine_rule_note(p->engine, "path", NULL, note)));
}

static void fill_names(struct walk *w, struct plan_point *p)
{
	const struct config *c = w->s->cfg;
	const char *file = matrix_file_template(c, p->engine);
	const char *repo = matrix_repo_template(c, p->engine);

	p->file = template_fill(w->scratch, file, &p->spec);
	p->file_params = template_params(file, &p->spec);
	p->repo = "";
	if (c->upload.kind == HUB_NONE)
		return;
	p->repo_params = template_params(repo, &p->spec);
	p->repo = arena_printf(w->scratch, "%s/%s", c->upload.namespace_,
			       template_fill(w->scratch, repo, &p->spec));
}

static const struct json *parse_with(struct walk *w, const struct job_spec *s)
{
	struct err ignored = ERR_INIT; /* we wrote it */
	struct json *v = NULL;

	if (strcmp(s->with, "{}") != 0)
		(void)json_parse(w->scratch, s->with, strlen(s->with), &v, &ignored);
	return v;
}

static int fill_point(struct walk *w, const struct matrix_point *m, struct plan_point *p,
		      struct err *e)
{
	const struct config *c = w->s->cfg;
	int keys = w->run_id || w->s->store, legal;

	memset(p, 0, sizeof(*p));
	p->why = "";
	p->spec = m->spec;
	p->engine = m->engine;
	p->turn = turns_of(&w->turns, c, m->model_index, m->target);
	p->source = p->spec.lora && p->engine && p->engine->lora
			    ? sources_lora(w->s->sources, m->model_index, keys)
			    : sources_get(w->s->sources, m->model_index, keys);
	if (p->source->lora_version)
		p->spec.lora_version = p->source->lora_version;
	p->spec.source_kind = p->source->kind;
	p->spec.source = p->source->origin;
	p->spec.source_version = p->source->version;
	/* A folder's version is that of the file already. */
	p->spec.source_file = p->source->hub ? p->source->facts.file : NULL;
	p->spec.runs_code = p->source->facts.remote_code && p->source->model->trust_remote_code;
	job_label(&p->spec, p->label, sizeof(p->label));
	if (m->duplicate) {
		fill_names(w, p);
		p->status = PLAN_DUPLICATE;
		return 0;
	}
	p->with = parse_with(w, &p->spec);
	if (!p->source->fault && p->engine)
		engine_estimate(p->engine, &p->spec, p->with, &p->source->facts,
				c->resources.threads, &p->need);
	legal = !judge_legal(w, m, p);
	fill_names(w, p); /* the toolkit may stand in them */
	if (!legal || repo_is_refused(w, p) || claims_taken_name(w, p))
		return 0;
	if (!keys)
		return 0;
	job_key(&p->spec, &w->text, p->key);
	return judge_by_store(w, p, e);
}

static void add_totals(struct walk *w, const struct plan_point *p, size_t model_index)
{
	struct plan_totals *t = w->t;
	int to_do = p->status <= PLAN_LOST;
	uint64_t fetch = 0;

	t->count[p->status]++;
	if (p->status != PLAN_DUPLICATE)
		t->points++;
	if (p->repo && p->repo[0] && (to_do || p->status == PLAN_CONVERTED))
		t->upload_bytes += p->need.output_bytes;
	if (!to_do)
		return;
	t->output_bytes += p->need.output_bytes;
	if (p->need.memory_bytes > t->largest_memory_bytes)
		t->largest_memory_bytes = p->need.memory_bytes;
	if (w->last_model != model_index && p->source->fake && !source_is_ready(p->source))
		t->source_bytes += p->source->facts.size_bytes;
	if (w->last_model != model_index && p->source->hub)
		fetch += hub_source_missing_bytes(p->source->hub);
	if (w->last_model != model_index && p->source->lora)
		fetch += hub_source_missing_bytes(p->source->lora);
	t->source_bytes += fetch;
	t->fetch_bytes += fetch;
	w->last_model = model_index;
}

static bool store_has_jobs(struct store *store)
{
	int64_t counts[JOB_STATE_COUNT], n = 0;
	struct err ignored = ERR_INIT; /* then each point is asked about, and says it */

	if (!store)
		return false;
	if (store_job_counts(store, 0, counts, &ignored) < 0)
		return true;
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		n += counts[i];
	return n > 0;
}

/* Hubs are asked about all models at once: point after point would be a round trip after the other.
 */
int plan_ask(struct session *s, const char *only, struct err *e)
{
	bool *model = mem_array(s->cfg->n_models + 1, sizeof(*model));
	bool *lora = mem_array(s->cfg->n_models + 1, sizeof(*lora));
	struct matrix *m = matrix_new(s->cfg, &s->engines, only);
	struct matrix_point p;
	int rc;

	while (matrix_next(m, &p)) {
		model[p.model_index] = true;
		lora[p.model_index] |= p.spec.lora && p.engine && p.engine->lora;
		if (!p.spec.lora || lora[p.model_index])
			matrix_next_model(m);
	}
	rc = sources_ask(s->sources, model, lora, e);
	matrix_free(m);
	free(lora);
	free(model);
	return rc;
}

int plan_walk(struct session *s, const char *only, int64_t run_id, plan_fn fn, void *ctx,
	      struct plan_totals *t, struct err *e)
{
	struct matrix *m = matrix_new(s->cfg, &s->engines, only);
	struct walk w = { .s = s, .t = t, .scratch = arena_new(), .last_model = SIZE_MAX };
	struct matrix_point point;
	struct err ignored = ERR_INIT;
	int rc = 0;

	memset(t, 0, sizeof(*t));
	w.run_id = run_id;
	w.whole = arena_new();
	turns_init(w.whole, s->cfg, &w.turns);
	w.free_memory_bytes = free_memory();
	w.had_jobs = store_has_jobs(s->store);
	buf_init(&w.text, 1u << 20);
	rc = plan_ask(s, only, e);
	while (rc >= 0 && matrix_next(m, &point)) {
		struct plan_point p;

		arena_reset(w.scratch);
		rc = fill_point(&w, &point, &p, e);
		if (rc < 0)
			break;
		add_totals(&w, &p, point.model_index);
		rc = fn(ctx, &p, e);
	}
	t->excluded = matrix_excluded(m);
	t->peak_memory_bytes = t->largest_memory_bytes * (uint64_t)s->cfg->resources.jobs;
	if (t->peak_memory_bytes > s->cfg->resources.memory_bytes)
		t->peak_memory_bytes = s->cfg->resources.memory_bytes;
	(void)path_free_space(access(s->cfg->work, F_OK) == 0 ? s->cfg->work : s->cfg->dir,
			      &t->disk_free_bytes, &ignored);
	buf_release(&w.text);
	free(w.names.v);
	arena_free(w.scratch);
	arena_free(w.whole);
	matrix_free(m);
	return rc < 0 ? rc : 0;
}

struct job_new plan_job(const struct plan_point *p)
{
	return (struct job_new){ .spec = p->spec,
				 .key = p->key,
				 .label = p->label,
				 .repo = p->repo,
				 .file = p->file,
				 .repo_params = p->repo_params,
				 .file_params = p->file_params,
				 .turn = p->turn,
				 .memory_bytes = (int64_t)p->need.memory_bytes,
				 .output_bytes = (int64_t)p->need.output_bytes,
				 .scratch_bytes = (int64_t)p->need.scratch_bytes };
}
