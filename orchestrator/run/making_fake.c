/* orchestrator/run/making_fake.c -- a `fake:` model, made by quern-fake under
 * sources/.making-NAME, then renamed: a folder under its final name is complete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/path.h"
#include "core/proc.h"
#include "core/units.h"
#include "orchestrator/host/launch.h"
#include "orchestrator/run/making_private.h"
#include "orchestrator/run/verdict.h"

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
		making_fail(m, "source", m->err.msg, false);
		return;
	}
	making_done(m);
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
		making_fail(m, "source", v.message, false);
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
		making_fail(m, "source", m->err.msg, false);
		return;
	}
	if (!argv[0]) {
		close(m->x.lock_fd);
		making_fail(m, "source", "quern-fake is missing; install quern completely", false);
		return;
	}
	m->x.dir = m->temp;
	m->x.on_line = on_line;
	m->x.on_done = on_done;
	m->x.data = m;
	s->ex->start(s->ex, &s->children, &m->x, &place);
}

/* Weights of zeros are a hole in the file. */
static uint64_t room_bytes(const struct resolved *r)
{
	return strstr(r->fake, "fill=random") ? r->facts.size_bytes : 0;
}

/* As a fetch: what runs has its place, the reserve is kept, and what nobody needs goes. */
static bool has_room(struct making *m)
{
	struct scheduler *s = m->sched;
	uint64_t need = room_bytes(m->source), have = 0;
	uint64_t taken = s->cfg->resources.disk_reserve_bytes + s->adm.disk_claimed;
	char need_text[24], have_text[24];
	struct err ignored = ERR_INIT; /* the generator will say what is wrong with the disk */

	for (const struct making *o = s->makings; o; o = o->next)
		if (o != m && o->running && o->source->fake)
			taken += room_bytes(o->source);
	if (need == 0 || room_for_jobs(s, &have, &ignored) < 0)
		return true;
	have -= taken < have ? taken : have;
	if (have >= need)
		return true;
	units_format_size(need, need_text, sizeof(need_text));
	units_format_size(have, have_text, sizeof(have_text));
	snprintf(m->text, sizeof(m->text),
		 "it takes %s under %s, where %s is free with resources.disk_reserve kept; make "
		 "room and run again",
		 need_text, s->cfg->work, have_text);
	(void)drop_for_room(s, need - have, true);
	publish_for_room(s);
	making_wait(m);
	return false;
}

void making_fake_begin(struct making *m)
{
	char *parent;

	if (!has_room(m))
		return;
	parent = path_dirname(m->source->dir);
	m->temp = arena_printf(m->a, "%s/.making-%s", parent, path_basename(m->source->dir));
	free(parent);
	m->x.lock_fd = -1;
	m->work.data = m;
	uv_queue_work(&m->sched->loop, &m->work, clear_work, after_clear);
}

void making_fake_stop(struct making *m, int sig)
{
	if (!m->x.impl)
		return;
	m->end_reason = END_STOP;
	m->sched->ex->signal(m->sched->ex, &m->x, sig);
}
