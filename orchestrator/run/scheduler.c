#include "orchestrator/run/scheduler.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/scheduler_private.h"
#include "orchestrator/view/metrics.h"

#define TICK_MS 250
#define WINDOW 64		 /* pending jobs looked at together */
#define LOOK_AHEAD (16 * WINDOW) /* waiting jobs that others may overtake in one look */
#define CHECKPOINT_MS 5000 /* how often the WAL is moved into the database, by a pool thread */
#define METRICS_MS 60000   /* by the same thread */
#define DRAW_JOBS_MAX 64
#define POOL_THREADS "8"

int64_t sched_now(const struct scheduler *s)
{
	return s->wall_base_ms + (clock_mono_ms() - s->mono_base_ms);
}

/* ---- one transaction a turn */

int sched_batch(struct scheduler *s, struct err *e)
{
	int rc = s->in_batch ? 0 : store_begin(s->store, e);

	if (rc >= 0)
		s->in_batch = true;
	return rc;
}

void sched_flush(struct scheduler *s)
{
	struct err e = ERR_INIT;

	if (!s->in_batch)
		return;
	s->in_batch = false;
	if (store_commit(s->store, &e) < 0) {
		/* As if we had been killed before it: the next run finds the same. */
		store_rollback(s->store);
		sched_fatal(s, &e);
	}
}

static void on_prepare(uv_prepare_t *h)
{
	sched_flush(h->data);
}

static void on_check(uv_check_t *h)
{
	sched_flush(h->data);
}

/* ---- stopping */

static void signal_all(struct scheduler *s, int sig)
{
	for (struct task *t = s->tasks; t; t = t->next)
		task_stop(t, END_STOP, sig);
	making_stop(s, sig);
	publish_stop(s, sig);
	measuring_stop(s, sig);
}

void sched_raise_stop(struct scheduler *s, enum stop_level level)
{
	if (level <= s->stop)
		return;
	s->stop = level;
	s->stop_ms = clock_mono_ms();
	if (level == STOP_WORKERS)
		signal_all(s, SIGTERM);
	else if (level == STOP_NOW)
		signal_all(s, SIGKILL);
}

void sched_fatal(struct scheduler *s, const struct err *e)
{
	if (s->fatal.code)
		return;
	s->fatal = *e;
	display_say(s->display, "stopping: %s", e->msg);
	sched_raise_stop(s, STOP_WORKERS);
}

static void on_signal(uv_signal_t *h, int sig)
{
	struct scheduler *s = h->data;

	(void)sig;
	s->res->interrupted = true;
	if (s->stop == STOP_NOT) {
		display_say(
			s->display,
			"stopping: workers may finish for %lld s; a second signal ends them now",
			(long long)(s->cfg->resources.grace_ms / 1000));
		sched_raise_stop(s, STOP_STARTING);
	} else {
		sched_raise_stop(s, STOP_NOW);
	}
	sched_kick(s);
}

static void advance_stop(struct scheduler *s, int64_t mono_ms)
{
	if (s->stop == STOP_NOT || s->stop == STOP_NOW)
		return;
	if (!s->res->interrupted && !s->fatal.code && !s->control.deadline_met)
		return; /* --fail-fast: what runs may finish in its own time */
	if (mono_ms - s->stop_ms < s->cfg->resources.grace_ms)
		return;
	sched_raise_stop(s, s->stop == STOP_STARTING ? STOP_WORKERS : STOP_NOW);
}

/* ---- starting */

static int refill(struct scheduler *s, int skip, struct err *e)
{
	arena_reset(s->window_arena);
	s->window = arena_array(s->window_arena, WINDOW, sizeof(*s->window));
	s->window_at = 0;
	s->next_retry_ms = 0;
	s->window_n = store_job_candidates(s->store, s->opt.run_id, sched_now(s), skip, WINDOW,
					   s->window_arena, s->window, &s->next_retry_ms, e);
	if (s->window_n < 0) {
		int rc = s->window_n;

		s->window_n = 0;
		return rc;
	}
	return s->window_n;
}

const struct resolved *sched_source(const struct scheduler *s, const struct job_row *job)
{
	for (size_t i = 0; i < s->cfg->n_models; i++) {
		if (strcmp(s->cfg->models[i].name, job->spec.model) == 0)
			return job->spec.lora ? sources_lora(s->session->sources, i, true)
					      : sources_get(s->session->sources, i, true);
	}
	return NULL;
}

static bool is_tried_again(struct scheduler *s, const struct job_row *job, const char *cause)
{
	struct arena *a = arena_new();
	struct ladder_step next;

	ladder_next(a, &(struct ladder_ask){ .cfg = s->cfg, .job = job, .cause = cause, .said = 1 },
		    &next);
	arena_free(a);
	return next.again;
}

/* A job whose source cannot be made fails without an attempt's cost: claimed and failed in one
 * transaction. retry_ms: when the source is tried again, 0: not; the job is, as often as others. */
static int fail_unstarted(struct scheduler *s, const struct job_row *job, const char *cause,
			  const char *why, int64_t retry_ms, struct err *e)
{
	bool again = retry_ms && is_tried_again(s, job, cause);
	struct job_move claim = { .id = job->id,
				  .from = JOB_PENDING,
				  .ev = EV_CLAIM,
				  .now_ms = sched_now(s),
				  .run_id = s->opt.run_id };
	struct job_move fail = claim;
	enum job_state state;
	int rc = sched_batch(s, e);

	fail.from = JOB_RUNNING;
	fail.ev = again ? EV_EXIT_RETRY : EV_EXIT_FAIL;
	fail.not_before_ms = again ? retry_ms : 0;
	fail.cause = cause;
	fail.message = why;
	if (rc >= 0)
		rc = store_job_move(s->store, &claim, &state, e);
	if (rc >= 0)
		rc = store_job_move(s->store, &fail, &state, e);
	if (rc >= 0 && again)
		s->res->retried++;
	else if (rc >= 0)
		s->res->failed++;
	if (!again)
		drop_reconsider(s);
	return rc == ERR_CONFLICT ? 0 : rc;
}

int64_t sched_claim(const struct scheduler *s, const struct job_row *job, bool *alone)
{
	int64_t claim = job->memory_bytes;
	struct arena *a;
	struct rungs r;

	if (alone)
		*alone = false;
	if (!job->rungs[0])
		return claim;
	a = arena_new();
	rungs_read(a, engine_find(&s->session->engines, job->spec.engine), job->rungs, &r);
	claim = rungs_memory(&r, job->memory_bytes, s->adm.memory_bytes);
	if (alone)
		*alone = r.alone;
	arena_free(a);
	return claim;
}

/* Slots, company, memory, disk. */
static enum admit may_start(struct scheduler *s, const struct job_row *job, uint64_t disk_bytes,
			    uint64_t disk_free)
{
	bool alone;
	uint64_t memory_bytes = (uint64_t)sched_claim(s, job, &alone);
	enum admit answer = admit_check(&s->adm, job->id, memory_bytes, disk_bytes, disk_free);

	return answer == ADMIT_YES && !admit_beside(&s->adm, alone) ? ADMIT_NOT_ALONE : answer;
}

/* What it will write is counted by the admission from now on. */
static void leave_to_others(struct scheduler *s, const struct job_row *job,
			    const struct resolved *source)
{
	struct model_work *w = s->opt.work ? &s->opt.work[source->model - s->cfg->models] : NULL;
	uint64_t bytes = (uint64_t)job->output_bytes;

	if (w)
		w->output_bytes -= bytes < w->output_bytes ? bytes : w->output_bytes;
}

/* Try one candidate. 1: dealt with, 0: must wait, negative: fatal. */
static int consider(struct scheduler *s, struct job_row *job, struct err *e)
{
	const struct resolved *source = sched_source(s, job);
	uint64_t disk_free = 0, disk;
	const char *why = "its model is no longer usable", *cause = "source";
	enum making_state making;
	enum admit admit;
	int64_t retry_ms = 0;
	int rc;

	if (!source || source->fault)
		return fail_unstarted(s, job, cause, source ? source->fault : why, 0, e) < 0
			       ? e->code
			       : 1;
	if (job->spec.lora && source->lora_fault)
		return fail_unstarted(s, job, cause, source->lora_fault, 0, e) < 0 ? e->code : 1;
	making = making_need(s, source, &cause, &why, &retry_ms);
	if (making == MAKING_FAILED)
		return fail_unstarted(s, job, cause, why, retry_ms, e) < 0 ? e->code : 1;
	if (making != MAKING_READY)
		return 0;
	if (task_memory_estimate(s, job, source, e) < 0 || room_for_jobs(s, &disk_free, e) < 0)
		return e->code;
	disk = (uint64_t)(job->output_bytes + job->scratch_bytes);
	admit = may_start(s, job, disk, disk_free);
	waiting_note(s, job, admit, disk, disk_free);
	switch (admit) {
	case ADMIT_YES:
		if (!control_fits(s, job))
			return 0;
		rc = task_start(s, job, e);
		if (rc > 0)
			making_used(s, source);
		leave_to_others(s, job, source);
		return rc < 0 ? rc : 1;
	case ADMIT_NO_DISK:
		/* What is free counted to the refusal, so that this is more than nothing. */
		(void)drop_for_room(
			s, disk + s->adm.disk_claimed + s->adm.disk_reserve_bytes - disk_free,
			true);
		publish_for_room(s);
		admit_blocked(&s->adm, job->id);
		return 0;
	case ADMIT_NO_MACHINE:
	case ADMIT_NOT_ALONE:
	case ADMIT_NO_MEMORY:
		admit_blocked(&s->adm, job->id);
		return 0;
	default:
		return 0;
	}
}

/* Walk the window: start what may start; what must wait comes again with the next refill. *waiting
 * grows by the jobs passed over. Returns 1 when there may be more to look at behind them. */
static int start_some(struct scheduler *s, int *waiting, struct err *e)
{
	int rc;

	if (s->window_at >= s->window_n && (rc = refill(s, *waiting, e)) <= 0)
		return rc;
	while (s->window_at < s->window_n) {
		if (s->adm.running >= s->adm.slots || s->stop != STOP_NOT || !control_may_start(s))
			return 0;
		rc = consider(s, &s->window[s->window_at], e);
		if (rc < 0)
			return rc;
		s->window_at++;
		*waiting += rc == 0;
	}
	return s->window_n == WINDOW;
}

/* Nothing runs or is sealed, yet jobs are there that did not start: only disk can be missing
 * (of the budget for memory all is free then, and what the machine lacks is waited for). */
static bool stuck_for_disk(struct scheduler *s)
{
	return !s->tasks && s->window_n > 0 && control_may_start(s) && s->adm.blocked_id &&
	       !s->machine_short && !s->disk_taken && !making_busy(s) && !drop_busy(s) &&
	       !publish_busy(s) && !measuring_busy(s);
}

static void stop_loop(struct scheduler *s)
{
	sched_flush(s);
	s->finished = true;
	uv_stop(&s->loop);
}

/* A job waits for its next attempt, and there is time for it. */
static bool retry_comes(const struct scheduler *s)
{
	return s->next_retry_ms && (!s->opt.deadline_ms || s->next_retry_ms < s->opt.deadline_ms);
}

static bool all_over(struct scheduler *s)
{
	bool idle = s->adm.running == 0 && !s->tasks && !making_busy(s) && !drop_busy(s);

	if (!idle || s->checkpointing)
		return false;
	if (s->stop != STOP_NOT)
		return !publish_busy(s) && !measuring_busy(s);
	if (control_waits(s))
		return false;
	if (!control_is_closing(s) &&
	    (s->window_at < s->window_n || retry_comes(s) || s->machine_short || s->disk_taken))
		return false;
	if (publish_at_end(s) || measuring_start(s, true))
		return false;
	if (!s->opt.upload || !measuring_refresh(s))
		return true;
	publish_again(s, measuring_refresh(s));
	return false;
}

static void look_for_work(struct scheduler *s)
{
	struct err e = ERR_INIT;
	int rc = 1, waiting = 0;

	s->kicks++;
	waiting_begin(s);
	if (s->adm.running ==
	    0) /* it may be over: every source that jobs wait for is asked about */
		s->window_at = s->window_n = 0;
	while (rc > 0 && waiting < LOOK_AHEAD && s->stop == STOP_NOT && control_may_start(s) &&
	       s->adm.running < s->adm.slots && !measuring_alone(s))
		rc = start_some(s, &waiting, &e);
	waiting_end(s);
	if (rc < 0) {
		sched_fatal(s, &e);
	} else if (s->stop == STOP_NOT && stuck_for_disk(s) && !measuring_start(s, true)) {
		char *dir = path_join(s->cfg->work, "");

		display_say(s->display,
			    "stopping: no job fits the free disk under %s with "
			    "resources.disk_reserve kept; make room and run again",
			    dir);
		free(dir);
		s->res->blocked = true;
		s->stop = STOP_STARTING;
	}
	making_ahead(s);
	(void)measuring_start(s, false);
	if (!all_over(s))
		return;
	if (s->stop == STOP_NOT && making_say_waiting(s))
		s->res->blocked = true;
	stop_loop(s);
}

void sched_kick(struct scheduler *s)
{
	s->kick_again = true;
	if (s->kicking) /* what is looked at now may have changed: once more, when it is done */
		return;
	s->kicking = true;
	while (s->kick_again && !s->finished) {
		s->kick_again = false;
		look_for_work(s);
	}
	s->kicking = false;
}

/* ---- the clock of the loop */

static void checkpoint_work(uv_work_t *w)
{
	struct scheduler *s = w->data;
	struct err ignored = ERR_INIT; /* the WAL just grows until the next time */
	struct store *own;

	if (store_open_again(s->store, &own, &ignored) >= 0) {
		(void)store_checkpoint(own, &ignored);
		if (s->cfg->metrics && clock_mono_ms() - s->metrics_ms > METRICS_MS) {
			(void)metrics_write(own, s->cfg, true, &s->metrics_err);
			s->metrics_ms = clock_mono_ms();
		}
		store_close(own);
	}
}

static void after_checkpoint(uv_work_t *w, int status)
{
	struct scheduler *s = w->data;

	(void)status;
	s->checkpointing = false;
	s->checkpoint_ms = clock_mono_ms();
	if (s->metrics_err.code && !s->metrics_said)
		display_say(s->display, "metrics are not written: %s", s->metrics_err.msg);
	s->metrics_said = s->metrics_err.code != 0;
	sched_kick(s);
}

static void draw(struct scheduler *s, int64_t mono_ms)
{
	struct display_job jobs[DRAW_JOBS_MAX];
	int n = making_draw(s, mono_ms, jobs, DRAW_JOBS_MAX);

	n += measuring_draw(s, mono_ms, jobs + n, DRAW_JOBS_MAX - n);

	for (struct task *t = s->tasks; t && n < DRAW_JOBS_MAX; t = t->next) {
		jobs[n++] = (struct display_job){ .label = t->job.label,
						  .stage = t->stage,
						  .unit = t->unit,
						  .done = t->done,
						  .total = t->total,
						  .elapsed_ms = mono_ms - t->phase_ms };
	}
	display_draw(s->display, jobs, n, s->res->finished, s->res->failed);
}

static void on_tick(uv_timer_t *timer)
{
	struct scheduler *s = timer->data;
	int64_t mono_ms = clock_mono_ms();
	struct task *t, *next;

	control_tick(s, mono_ms); /* first: a stopped worker meets no limit */
	for (t = s->tasks; t; t = next) {
		next = t->next;
		task_tick(t, mono_ms);
	}
	watch_tick(s, mono_ms);
	advance_stop(s, mono_ms);
	measuring_tick(s, mono_ms);
	draw(s, mono_ms);
	if (!s->checkpointing && mono_ms - s->checkpoint_ms > CHECKPOINT_MS) {
		s->checkpointing = true;
		s->checkpoint.data = s;
		uv_queue_work(&s->loop, &s->checkpoint, checkpoint_work, after_checkpoint);
	}
	sched_kick(s);
}

/* ---- one run */

static void setup(struct scheduler *s, struct session *session, const struct scheduler_options *o,
		  struct scheduler_result *r)
{
	struct err ignored = ERR_INIT;

	memset(s, 0, sizeof(*s));
	memset(r, 0, sizeof(*r));
	s->session = session;
	s->cfg = session->cfg;
	s->store = session->store;
	s->opt = *o;
	s->res = r;
	s->ex = &exec_local;
	s->display = display_new(o->to_do);
	s->window_arena = arena_new();
	turns_init(session->a, session->cfg, &s->turns);
	s->matrix = matrix_new(session->cfg, &session->engines, NULL);
	s->wall_base_ms = clock_wall_ms();
	s->mono_base_ms = s->checkpoint_ms = clock_mono_ms();
	s->adm.slots = s->cfg->resources.jobs;
	s->adm.memory_bytes = s->cfg->resources.memory_bytes;
	s->adm.disk_reserve_bytes = s->cfg->resources.disk_reserve_bytes;
	signal(SIGPIPE, SIG_IGN); /* a closed terminal or `| head` is no reason to lose a night */
	/* libuv has four: outputs being sealed would hold them all, and no job could begin. */
	setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 0);
	publish_init(s);
	drop_init(s);
	watch_init(s);
	ballast_take(s);
	(void)room_for_jobs(s, &s->disk_at_start, &ignored);
	admit_machine(&s->adm, watch_now(s)->machine.available_bytes, 0,
		      watch_now(s)->machine.pressure);
	uv_loop_init(&s->loop);
	uv_timer_init(&s->loop, &s->tick);
	uv_signal_init(&s->loop, &s->sigint);
	uv_signal_init(&s->loop, &s->sigterm);
	s->tick.data = s->sigint.data = s->sigterm.data = s;
	uv_prepare_init(&s->loop, &s->before_wait);
	uv_check_init(&s->loop, &s->after_events);
	s->before_wait.data = s->after_events.data = s;
	uv_prepare_start(&s->before_wait, on_prepare);
	uv_check_start(&s->after_events, on_check);
	uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	uv_signal_start(&s->sigint, on_signal, SIGINT);
	uv_signal_start(&s->sigterm, on_signal, SIGTERM);
	children_open(&s->children, &s->loop);
}

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void teardown(struct scheduler *s)
{
	/* When recovery failed, pool threads are at work for jobs that it adopted: nothing is
	 * started when they come back, and what they opened is closed. */
	s->stop = STOP_NOW;
	s->finished = true;
	do {
		uv_walk(&s->loop, close_handle, NULL);
		uv_run(&s->loop, UV_RUN_DEFAULT);
	} while (uv_loop_close(&s->loop) == UV_EBUSY);
	making_free(s);
	publish_free(s);
	measuring_free(s);
	drop_free(s);
	watch_free(s);
	display_free(s->display);
	matrix_free(s->matrix);
	arena_free(s->window_arena);
}

int scheduler_run(struct session *session, const struct scheduler_options *o,
		  struct scheduler_result *r, struct err *e)
{
	struct scheduler *s = mem_zalloc(sizeof(*s));
	int rc;

	setup(s, session, o, r);
	rc = recover(s, e);
	if (rc >= 0)
		rc = measuring_init(s, e);
	sched_flush(s);
	if (rc >= 0) {
		sched_kick(s);
		if (!s->finished)
			uv_run(&s->loop, UV_RUN_DEFAULT);
		if (s->fatal.code) {
			*e = s->fatal;
			rc = e->code;
		}
	}
	teardown(s);
	free(s);
	return rc;
}
