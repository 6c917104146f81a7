/* orchestrator/making.c -- sources that are made here: `fake:` models. Made once
 * for all jobs that need them, under sources/.making-NAME, then renamed: a
 * folder under its final name is complete. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/launch.h"
#include "orchestrator/scheduler_private.h"
#include "orchestrator/verdict.h"

struct making {
	struct making *next;
	struct scheduler *sched;
	struct arena *a;
	const struct resolved *source;
	enum making_state state;
	const char *why;  /* when it failed */
	const char *temp; /* .making-NAME */
	bool running;
	uv_work_t work; /* clearing an old temp, or the final rename */
	int work_rc;
	struct err err;
	struct execution x;
	enum task_end end_reason;
};

static void fail(struct making *m, const char *message)
{
	m->state = MAKING_FAILED;
	m->running = false;
	m->why = arena_strdup(m->a, message);
	display_say(m->sched->display, "%s: cannot make it: %s", m->source->model->name, message);
	sched_kick(m->sched);
}

static void rename_work(uv_work_t *w)
{
	struct making *m = w->data;
	const char *made = arena_printf(m->a, "%s/model", m->temp);

	m->work_rc = path_sync_tree(made, &m->err);
	if (m->work_rc == 0)
		m->work_rc = path_rename(made, m->source->dir, &m->err);
	if (m->work_rc == 0)
		(void)path_remove_tree(m->temp, &m->err);
}

static void after_rename(uv_work_t *w, int status)
{
	struct making *m = w->data;

	(void)status;
	if (m->work_rc < 0) {
		fail(m, m->err.msg);
		return;
	}
	m->running = false;
	m->state = MAKING_READY;
	sched_kick(m->sched);
}

static void on_line(struct execution *x, const char *line, size_t len)
{
	(void)x;
	(void)line;
	(void)len; /* progress of a making is not shown */
}

static void on_done(struct execution *x)
{
	struct making *m = x->data;
	struct verdict v;

	if (x->start_error || x->signal || x->exit_code != 0) {
		verdict_of_worker(x, m->end_reason, m->temp, &v);
		fail(m, v.message);
		return;
	}
	m->work.data = m;
	uv_queue_work(&m->sched->loop, &m->work, rename_work, after_rename);
}

/* Pool thread: a making that was interrupted starts from nothing; one that still goes on is left
 * alone. */
static void clear_work(uv_work_t *w)
{
	struct making *m = w->data;
	const char *lock = arena_printf(m->a, "%s/lock", m->temp);

	m->work_rc = lock_held(lock, &m->err);
	if (m->work_rc == 1)
		return;
	m->work_rc = path_remove_tree(m->temp, &m->err);
	if (m->work_rc == 0)
		m->work_rc = path_mkdirs(m->temp, 0755, &m->err);
	if (m->work_rc == 0) {
		m->x.lock_fd = lock_take(lock, &m->err);
		m->work_rc = m->x.lock_fd < 0 ? m->x.lock_fd : 0;
	}
}

static void after_clear(uv_work_t *w, int status)
{
	struct making *m = w->data;
	struct scheduler *s = m->sched;
	const char *argv[] = { launch_program(m->a, "quern-fake"), "make", m->source->fake,
			       arena_printf(m->a, "%s/model", m->temp), NULL };
	struct place place = { .job = m->temp, .program = argv };

	(void)status;
	if (m->work_rc == 1) { /* a worker of a dead run is at it: look again with the next tick */
		m->running = false;
		return;
	}
	if (m->work_rc < 0) {
		fail(m, m->err.msg);
		return;
	}
	if (!argv[0]) {
		close(m->x.lock_fd);
		fail(m, "quern-fake is missing; install quern completely");
		return;
	}
	m->x.dir = m->temp;
	m->x.on_line = on_line;
	m->x.on_done = on_done;
	m->x.data = m;
	s->ex->start(s->ex, &s->children, &m->x, &place);
}

static void begin(struct making *m)
{
	m->running = true;
	m->work.data = m;
	uv_queue_work(&m->sched->loop, &m->work, clear_work, after_clear);
}

static struct making *making_of(struct scheduler *s, const struct resolved *r)
{
	struct making *m;
	char *parent;

	for (m = s->makings; m; m = m->next) {
		if (m->source == r)
			return m;
	}
	m = mem_zalloc(sizeof(*m));
	m->sched = s;
	m->a = arena_new();
	m->source = r;
	m->state = MAKING_BUSY;
	m->x.lock_fd = -1;
	parent = path_dirname(r->dir);
	m->temp = arena_printf(m->a, "%s/.making-%s", parent, path_basename(r->dir));
	free(parent);
	m->next = s->makings;
	s->makings = m;
	return m;
}

enum making_state making_need(struct scheduler *s, const struct resolved *r, const char **why)
{
	struct making *m;

	if (source_is_ready(r))
		return MAKING_READY;
	m = making_of(s, r);
	if (m->state == MAKING_FAILED)
		*why = m->why;
	else if (!m->running && s->stop == STOP_NOT)
		begin(m);
	return m->state == MAKING_READY ? MAKING_BUSY : m->state;
}

bool making_busy(const struct scheduler *s)
{
	for (const struct making *m = s->makings; m; m = m->next) {
		if (m->running || (m->state == MAKING_BUSY && s->stop == STOP_NOT))
			return true;
	}
	return false;
}

void making_stop(struct scheduler *s, int sig)
{
	for (struct making *m = s->makings; m; m = m->next) {
		if (m->running && m->x.impl) {
			m->end_reason = END_STOP;
			s->ex->signal(s->ex, &m->x, sig);
		}
	}
}

void making_free(struct scheduler *s)
{
	while (s->makings) {
		struct making *m = s->makings;

		s->makings = m->next;
		arena_free(m->a);
		free(m);
	}
}
