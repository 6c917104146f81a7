/* orchestrator/run/recover.c -- what a run finds that a dead one left. Nothing here
 * is special: each finding is an ordinary edge of the state table, and doing it
 * twice does no harm. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/host/spawn.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/jobdir.h"
#include "orchestrator/run/scheduler_private.h"

struct found {
	struct job_row *v;
	size_t n, cap;
	struct arena *a;
};

static int keep(void *ctx, const struct job_row *row, struct err *e)
{
	struct found *f = ctx;
	struct job_row *copy;

	(void)e;
	MEM_GROW(f->v, f->n, f->cap);
	copy = &f->v[f->n++];
	*copy = *row;
	/* Only the number and the key are kept: the row is read again when it is its turn. */
	memset(&copy->spec, 0, sizeof(copy->spec));
	return 0;
}

static int move_plain(struct scheduler *s, int64_t id, enum job_state from, enum job_event ev,
		      const char *why, struct err *e)
{
	struct job_move m = { .id = id,
			      .from = from,
			      .ev = ev,
			      .now_ms = sched_now(s),
			      .cause = why ? "interrupted" : "",
			      .message = why ? why : "",
			      .run_id = s->opt.run_id };
	enum job_state to;
	int rc = store_job_move(s->store, &m, &to, e);

	return rc == ERR_CONFLICT ? 0 : rc;
}

static int lost(struct scheduler *s, const struct job_row *job, const struct attempt_row *at,
		struct err *e)
{
	struct attempt_row end;
	int rc = store_begin(s->store, e);

	if (rc >= 0 && at) {
		end = *at;
		end.ended_ms = sched_now(s);
		end.exit_code = -1;
		end.cause = "interrupted";
		end.message = "quern was killed, and the worker with it";
		rc = store_attempt_end(s->store, &end, e);
	}
	if (rc >= 0)
		rc = move_plain(s, job->id, job->state, EV_LOST, "quern was killed", e);
	if (rc >= 0)
		return store_commit(s->store, e);
	store_rollback(s->store);
	return rc;
}

/* A process of a dead run that nobody waits for: it is ended, and with it its lock comes free. The
 * loop has not begun: waiting here blocks nobody. */
static void end_holder(const char *lock)
{
	const struct timespec pause = { 0, 1000000 };
	struct err ignored = ERR_INIT;
	pid_t pid = lock_held(lock, &ignored) == 1 ? lock_signer(lock, SPAWN_LOCK_FD) : 0;

	if (pid)
		(void)kill(-pid, SIGKILL);
	for (int i = 0; i < 5000 && lock_held(lock, &ignored) == 1; i++)
		nanosleep(&pause, NULL);
}

/* A job that was in work: is its worker alive, is its result there, or is it lost? */
static int in_work(struct scheduler *s, int64_t id, struct err *e)
{
	struct arena *a = arena_new();
	struct job_row job;
	struct attempt_row at;
	char said[256];
	const char *dir, *lock;
	pid_t pid;
	int rc = store_job_get(s->store, id, a, &job, e), n = 0, alive;

	if (rc >= 0)
		rc = n = store_attempts(s->store, id, a, &at, 1, e);
	if (rc < 0)
		goto out;
	dir = n ? workdir_job(a, s->cfg->work, job.key, at.number) : "";
	lock = arena_printf(a, "%s/lock", dir);
	alive = n ? lock_held(lock, e) : 0;
	if (alive < 0) {
		rc = alive;
	} else if (n && engine_find(&s->session->engines, job.spec.engine) &&
		   (alive || jobdir_result(dir, said, sizeof(said), NULL) == JOBDIR_OK)) {
		if (!alive && job.state == JOB_RUNNING) {
			rc = move_plain(s, id, JOB_RUNNING, EV_EXIT_OK, NULL, e);
			job.state = JOB_VALIDATING;
		}
		if (rc >= 0) {
			s->res->adopted++;
			if (!alive) /* its validation only reads, and is made again */
				end_holder(arena_printf(a, "%s/lock.validate", dir));
			task_adopt(s, &job, &at, alive);
		}
	} else {
		pid = alive ? lock_signer(lock, SPAWN_LOCK_FD) : 0;
		if (pid)
			(void)kill(-pid, SIGKILL); /* its engine is gone: nobody could judge it */
		rc = lost(s, &job, n ? &at : NULL, e);
	}
out:
	arena_free(a);
	return rc < 0 ? rc : 0;
}

static int each_in(struct scheduler *s, enum job_state state, struct err *e)
{
	struct job_filter f = { .state = (int)state };
	struct found found = { 0 };
	int rc = store_job_each(s->store, &f, keep, &found, e);

	for (size_t i = 0; rc >= 0 && i < found.n; i++) {
		rc = state == JOB_UPLOADING
			     ? move_plain(s, found.v[i].id, state, EV_LOST, "quern was killed", e)
			     : in_work(s, found.v[i].id, e);
	}
	free(found.v);
	return rc;
}

/* ---- jobs that a person cancelled, perhaps took up again, while no quern lived */

struct lefts {
	struct attempt_left *v;
	size_t n, cap;
};

static int keep_left(void *ctx, const struct attempt_left *left, struct err *e)
{
	struct lefts *l = ctx;

	(void)e;
	MEM_GROW(l->v, l->n, l->cap);
	l->v[l->n++] = *left;
	return 0;
}

static int end_left(struct scheduler *s, const struct attempt_left *left, struct err *e)
{
	struct attempt_row end = { .id = left->id,
				   .ended_ms = sched_now(s),
				   .exit_code = -1,
				   .cause = "interrupted",
				   .message = "its job was cancelled while quern was not running" };
	struct arena *a = arena_new();
	const char *dir = workdir_job(a, s->cfg->work, left->key, left->number);
	int rc;

	end_holder(arena_printf(a, "%s/lock", dir));
	end_holder(arena_printf(a, "%s/lock.validate", dir));
	rc = store_attempt_end(s->store, &end, e);
	arena_free(a);
	return rc;
}

static int end_lefts(struct scheduler *s, struct err *e)
{
	struct lefts lefts = { 0 };
	int rc = store_attempts_left(s->store, keep_left, &lefts, e);

	for (size_t i = 0; rc >= 0 && i < lefts.n; i++)
		rc = end_left(s, &lefts.v[i], e);
	free(lefts.v);
	return rc;
}

int recover(struct scheduler *s, struct err *e)
{
	int rc = end_lefts(s, e);

	if (rc >= 0) /* before RUNNING, whose jobs may become VALIDATING here */
		rc = each_in(s, JOB_VALIDATING, e);
	if (rc >= 0)
		rc = each_in(s, JOB_RUNNING, e);
	if (rc >= 0)
		rc = each_in(s, JOB_UPLOADING, e);
	return rc;
}
