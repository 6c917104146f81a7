/* orchestrator/run/task.c -- one job from its claim to its next resting state:
 * setup (pool) -> convert (worker) -> validate (worker) -> seal (pool). Each
 * arrow is one transaction; what a crash leaves between them, recover.c reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/crash.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/jobdir.h"
#include "orchestrator/run/task_private.h"

#define SEALING_MAX 8 /* outputs that wait for the disk while their slots work on */

static struct task *task_new(struct scheduler *s, const struct job_row *job, int number)
{
	struct task *t = mem_zalloc(sizeof(*t));
	char hex[SHA256_HEX];

	t->sched = s;
	t->a = arena_new();
	t->lock_fd = -1;
	t->job = *job;
	t->job.label = arena_strdup(t->a, job->label);
	t->job.rungs = arena_strdup(t->a, job->rungs);
	t->job.repo = arena_strdup(t->a, job->repo);
	t->job.file = arena_strdup(t->a, job->file);
	t->job.spec.model = arena_strdup(t->a, job->spec.model);
	t->job.spec.engine = arena_strdup(t->a, job->spec.engine);
	t->job.spec.engine_version = arena_strdup(t->a, job->spec.engine_version);
	t->job.spec.source_kind = arena_strdup(t->a, job->spec.source_kind);
	t->job.spec.source = arena_strdup(t->a, job->spec.source);
	t->job.spec.source_version = arena_strdup(t->a, job->spec.source_version);
	t->job.spec.lora = arena_strdup(t->a, job->spec.lora);
	t->job.spec.lora_version = arena_strdup(t->a, job->spec.lora_version);
	t->job.spec.platform = arena_strdup(t->a, job->spec.platform);
	t->job.spec.quant = arena_strdup(t->a, job->spec.quant);
	t->job.spec.with = arena_strdup(t->a, job->spec.with);
	t->number = number;
	hex_encode(job->key, SHA256_LEN, hex);
	t->key_hex = arena_strdup(t->a, hex);
	t->dir = workdir_job(t->a, s->cfg->work, job->key, number);
	t->artifact = workdir_artifact(t->a, s->cfg->work, job->key);
	t->engine = engine_find(&s->session->engines, job->spec.engine);
	rungs_read(t->a, t->engine, t->job.rungs, &t->rungs);
	t->job.memory_bytes = sched_claim(s, job, NULL);
	if (t->engine && t->engine->package)
		t->environment = environment_of_version(
			s->cfg, job->spec.engine,
			t->rungs.environment ? arena_printf(t->a, "+%s", t->rungs.environment)
					     : job->spec.engine_version);
	t->source = sched_source(s, job);
	t->phase_ms = t->progress_ms = clock_mono_ms();
	t->memory_by = "";
	t->claim_bytes = (uint64_t)t->job.memory_bytes;
	t->limit_bytes = t->rungs.alone
				 ? s->cfg->resources.memory_bytes
				 : admit_limit(t->claim_bytes, s->cfg->resources.memory_bytes);
	t->next = s->tasks;
	s->tasks = t;
	admit_started(&s->adm, job->id, t->claim_bytes,
		      (uint64_t)(job->output_bytes + job->scratch_bytes));
	if (t->rungs.alone)
		admit_alone(&s->adm, job->id);
	return t;
}

static void release_slot(struct task *t)
{
	if (!t->slot_free)
		admit_worker_ended(&t->sched->adm, t->claim_bytes);
	admit_alone_ended(&t->sched->adm, t->job.id);
	t->slot_free = true;
}

void task_free(struct task *t)
{
	struct scheduler *s = t->sched;
	struct task **p = &s->tasks;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	watch_forget(t);
	release_slot(t);
	admit_disk_free(&s->adm, (uint64_t)(t->job.output_bytes + t->job.scratch_bytes));
	s->sealing -= t->phase == TASK_SEAL;
	early_drop(t->early);
	drop_reconsider(s);
	if (t->lock_fd >= 0)
		close(t->lock_fd);
	arena_free(t->a);
	free(t);
	sched_kick(s);
}

/* ---- moving the job, always together with the attempt's end */

static int64_t retry_time(struct task *t, int64_t backoff_ms)
{
	const struct config *c = t->sched->cfg;
	int64_t wait = backoff_ms;
	int64_t max = wait > c->retry.backoff_max_ms ? wait : c->retry.backoff_max_ms;
	int doublings = t->job.attempts; /* counts the attempts before this one */
	double jitter;

	while (doublings-- > 0 && wait < max)
		wait *= 2;
	if (wait > max)
		wait = max;
	/* 0.5 to 1.5, from the key: jobs that failed together do not come back together. */
	jitter = 0.5 + (double)t->job.key[t->number % SHA256_LEN] / 255.0;
	return sched_now(t->sched) + (int64_t)((double)wait * jitter);
}

static void fill_attempt(const struct task *t, const struct verdict *v, struct attempt_row *r)
{
	memset(r, 0, sizeof(*r));
	r->id = t->attempt_id;
	r->job_id = t->job.id;
	r->number = t->number;
	r->ended_ms = sched_now(t->sched);
	r->verb = t->phase == TASK_VALIDATE ? "validate" : "convert";
	r->exit_code = t->x.signal ? -1 : t->x.exit_code;
	r->signal = t->x.signal;
	r->cause = v->cause;
	r->message = v->message;
	r->evidence_from = v->evidence_from;
	r->evidence = v->evidence;
	r->peak_rss_bytes = (int64_t)t->used.peak_rss_bytes;
	r->user_ms = t->used.user_ms;
	r->system_ms = t->used.system_ms;
	r->done = t->done;
	r->total = t->total;
	r->stage = t->stage;
	r->unit = t->unit;
}

/* In this turn's transaction: end the attempt (when v ends it), move the job, put its artifacts.
 * next: of a job that is tried again. */
static int commit_move(struct task *t, enum job_event ev, const struct verdict *v, bool ends,
		       const struct ladder_step *next, struct err *e)
{
	struct scheduler *s = t->sched;
	struct job_move m = { .id = t->job.id,
			      .from = t->job.state,
			      .ev = ev,
			      .now_ms = sched_now(s),
			      .cause = v->cause,
			      .message = v->message,
			      .run_id = s->opt.run_id };
	struct attempt_row at;
	int rc = sched_batch(s, e);

	if (rc < 0)
		return rc;
	if (next) {
		m.not_before_ms = retry_time(t, next->backoff_ms);
		m.rungs = next->rungs;
	}
	fill_attempt(t, v, &at);
	rc = ends ? store_attempt_end(s->store, &at, e) : 0;
	if (rc >= 0 && ends)
		rc = task_memory_record(t, ev == EV_VALID, v, e);
	if (rc >= 0)
		rc = store_job_move(s->store, &m, &t->job.state, e);
	for (size_t i = 0; rc >= 0 && (ev == EV_VALID || ev == EV_FOUND) && i < t->seal.sealed.n;
	     i++) {
		const struct sealed_file *f = &t->seal.sealed.files[i];
		struct artifact_row row = { .job_id = t->job.id,
					    .name = f->name,
					    .size_bytes = (int64_t)f->size_bytes,
					    .mtime_ns = f->mtime_ns,
					    .facts = t->seal.sealed.facts,
					    .created_ms = m.now_ms };

		memcpy(row.sha256, f->sha256, SHA256_LEN);
		rc = store_artifact_put(s->store, &row, e);
	}
	return rc;
}

/* Move, or learn that a person moved it first (cancel), or that the store is gone. 1 moved, 0 not.
 */
static int move_to(struct task *t, enum job_event ev, const struct verdict *v, bool ends,
		   const struct ladder_step *next)
{
	struct err e = ERR_INIT;
	int rc = commit_move(t, ev, v, ends, next, &e);

	if (rc >= 0)
		return 1;
	if (rc != ERR_CONFLICT)
		sched_fatal(t->sched, &e);
	return 0;
}

int task_move(struct task *t, enum job_event ev, const struct verdict *v, bool ends)
{
	return move_to(t, ev, v, ends, NULL);
}

const struct verdict no_fault = { .cause = "", .message = "" };

static void finish_ready(struct task *t, enum job_event ev)
{
	struct scheduler *s = t->sched;

	for (size_t i = 0; i < t->seal.sealed.n; i++)
		s->disk_written += t->seal.sealed.files[i].size_bytes;
	if (task_move(t, ev, &no_fault, true)) {
		struct err e = ERR_INIT;

		s->res->finished++;
		if (measuring_job_ready(s, &t->job, &e) < 0)
			sched_fatal(s, &e);
		else
			publish_job_ready(s, t->job.repo);
	}
	task_free(t);
}

void task_fail(struct task *t, const struct verdict *v)
{
	struct scheduler *s = t->sched;
	bool validating = t->job.state == JOB_VALIDATING;
	struct ladder_step next = { 0 };
	enum job_event ev;

	if (v->lost && validating) {
		/* Its result stands: as after a crash, the next run only validates again. */
		task_free(t);
		return;
	}
	ladder_next(t->a,
		    &(struct ladder_ask){ .cfg = s->cfg,
					  .engine = t->engine,
					  .source = t->source,
					  .job = &t->job,
					  .cause = v->cause,
					  .said = v->said },
		    &next);
	if (v->lost)
		ev = EV_LOST;
	else if (next.again)
		ev = validating ? EV_INVALID_RETRY : EV_EXIT_RETRY;
	else
		ev = validating ? EV_INVALID_FAIL : EV_EXIT_FAIL;
	if (move_to(t, ev, v, true, !v->lost && next.again ? &next : NULL) && !v->lost) {
		if (next.again) {
			s->res->retried++;
			display_say(s->display, "%s: %s: %s; will be tried again%s%s", t->job.label,
				    v->cause, v->message, next.rung ? ", changed: " : "",
				    next.rung ? next.rung : "");
		} else {
			s->res->failed++;
			display_say(s->display, "%s: failed: %s: %s%s (quern show %lld)",
				    t->job.label, v->cause, v->message,
				    next.exhausted ? "; nothing is left to change" : "",
				    (long long)t->job.id);
			if (s->opt.fail_fast && s->stop == STOP_NOT)
				s->stop = STOP_STARTING;
		}
	}
	task_free(t);
}

/* ---- setup, in a pool thread */

static int set_aside(const char *artifact, struct err *e)
{
	char *dir = path_dirname(artifact), *aside;
	int rc;

	aside = mem_printf("%s/.tmp-damaged-%s", dir, path_basename(artifact));
	rc = path_remove_tree(aside, e);
	if (rc == 0)
		rc = path_rename(artifact, aside, e);
	free(aside);
	free(dir);
	return rc;
}

/* A crash may have come between the rename of an artifact and its row. 1 it is there, 0 not. */
static int look_for_artifact(struct task *t)
{
	int rc = seal_read(t->artifact, t->key_hex, t->a, &t->seal.sealed, &t->work_err);

	return rc == ERR_CORRUPT ? set_aside(t->artifact, &t->work_err) : rc;
}

/* What the worker gets: what was asked for, and what the rungs set. */
const char *task_with(struct task *t)
{
	return rungs_with(t->a, &t->rungs, matrix_with(t->sched->matrix, &t->job.spec));
}

static void setup_work(uv_work_t *w)
{
	struct task *t = w->data;
	struct jobdir_job j = { .dir = t->dir,
				.spec = &t->job.spec,
				.key_hex = t->key_hex,
				.attempt = t->number,
				.file = t->job.file,
				.source_dir = t->source->dir,
				.source_format = t->source->facts.format,
				.source_file = t->source->facts.file,
				.lora_dir = t->job.spec.lora ? t->source->lora_dir : NULL,
				.with = task_with(t),
				.environment = t->environment && !t->environment->container
						       ? t->environment->path
						       : NULL,
				.container = t->environment ? t->environment->container : NULL,
				.toolkit = t->environment ? t->environment->version : NULL,
				.trust_remote_code = t->source->model->trust_remote_code,
				.threads = t->sched->cfg->resources.threads };

	t->work_rc = look_for_artifact(t);
	if (t->work_rc != 0)
		return;
	t->lock_fd = jobdir_create(&j, &t->work_err);
	t->work_rc = t->lock_fd < 0 ? t->lock_fd : 0;
}

/* The thread found the artifact, or failed: work_rc is not 0. */
static void end_by_look(struct task *t)
{
	struct verdict v;

	if (t->work_rc == 1) {
		finish_ready(t, EV_FOUND);
	} else {
		verdict_of_error(&t->work_err, &v);
		task_fail(t, &v);
	}
}

static void after_setup(uv_work_t *w, int status)
{
	struct task *t = w->data;
	struct verdict v;

	(void)status;
	if (t->work_rc != 0) {
		end_by_look(t);
	} else if (t->sched->stop >= STOP_WORKERS) {
		verdict_lost("stopped before it began", &v);
		task_fail(t, &v);
	} else {
		task_spawn(t, "convert");
	}
}

void task_cancelled(struct task *t, const struct verdict *v)
{
	struct attempt_row at;
	struct err e = ERR_INIT;
	int rc = t->sched->fatal.code ? ERR_CONFLICT : sched_batch(t->sched, &e);

	fill_attempt(t, v, &at);
	at.cause = "cancelled";
	if (rc >= 0)
		rc = store_attempt_end(t->sched->store, &at, &e);
	if (rc < 0 && !t->sched->fatal.code) /* else: as if we had been killed before */
		sched_fatal(t->sched, &e);
	task_free(t);
}

static bool has_task(const struct scheduler *s, int64_t job_id)
{
	const struct task *t = s->tasks;

	while (t && t->job.id != job_id)
		t = t->next;
	return t != NULL;
}

int task_start(struct scheduler *s, const struct job_row *job, struct err *e)
{
	struct job_move m = { .id = job->id,
			      .from = JOB_PENDING,
			      .ev = EV_CLAIM,
			      .now_ms = sched_now(s),
			      .run_id = s->opt.run_id };
	int number = job->tries + 1, rc;
	enum job_state state;
	int64_t attempt_id;
	struct task *t;

	if (has_task(s, job->id))
		return 0; /* cancelled and taken up again: its worker of before is about to end */
	rc = sched_batch(s, e);
	if (rc >= 0)
		rc = store_job_move(s->store, &m, &state, e);
	if (rc >= 0)
		rc = store_attempt_begin(s->store, job->id, number, s->opt.run_id, m.now_ms,
					 &attempt_id, e);
	if (rc < 0)
		return rc == ERR_CONFLICT ? 0 : rc;
	CRASH_POINT("task:claimed");
	t = task_new(s, job, number);
	t->attempt_id = attempt_id;
	t->job.state = state;
	t->work.data = t;
	uv_queue_work(&s->loop, &t->work, setup_work, after_setup);
	return 1;
}

/* ---- sealing */

void task_sealed(struct task *t)
{
	struct verdict v;

	if (t->seal.rc == 0) {
		finish_ready(t, EV_VALID);
		return;
	}
	verdict_of_error(&t->seal.err, &v);
	task_fail(t, &v);
}

static void hashed_early(void *data)
{
	sealing_add(data);
}

void task_seal(struct task *t)
{
	t->phase = TASK_SEAL;
	/* Sealing waits for the disk: the next worker may begin meanwhile, unless the disk falls
	 * behind. */
	if (++t->sched->sealing <= SEALING_MAX)
		release_slot(t);
	snprintf(t->stage, sizeof(t->stage), "sealing");
	if (!early_wait(t->early, hashed_early, t))
		sealing_add(t);
	sched_kick(t->sched);
}

/* ---- recovery's ways in */

static void adopt_work(uv_work_t *w)
{
	struct task *t = w->data;

	t->work_rc = look_for_artifact(t);
}

static void after_adopt(uv_work_t *w, int status)
{
	struct task *t = w->data;

	(void)status;
	if (t->work_rc != 0) {
		end_by_look(t);
	} else if (t->sched->stop >= STOP_WORKERS) {
		task_free(t); /* as it was: the next run adopts it */
	} else if (engine_has_verb(t->engine, "validate")) {
		task_spawn(t, "validate");
	} else {
		task_seal(t);
	}
}

void task_adopt(struct scheduler *s, const struct job_row *job, const struct attempt_row *at,
		bool alive)
{
	struct task *t = task_new(s, job, at->number);

	/* task_new() counts attempts before this one; the claim was counted when it was made. */
	t->job.attempts = job->attempts > 0 ? job->attempts - 1 : 0;
	t->attempt_id = at->id;
	t->adopted = true;
	if (t->source && t->source->hub)
		making_used(s, t->source);
	if (alive) {
		task_reattach(t);
		return;
	}
	t->work.data = t;
	uv_queue_work(&s->loop, &t->work, adopt_work, after_adopt);
}
