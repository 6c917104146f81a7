/* orchestrator/run/making_hub.c -- an `id:` model and its adapter, fetched by a child
 * of quern that alone holds the token. Killed at any time, the next one goes on
 * with the ranges that are missing. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/units.h"
#include "orchestrator/run/making_private.h"

static void fetch_next(struct making *m);

static void on_line(struct child *c, const char *line, size_t len)
{
	struct making *m = c->data;
	struct err ignored = ERR_INIT;
	struct arena *a = arena_new();
	struct json *v;

	if (json_parse(a, line, len, &v, &ignored) < 0) {
		arena_free(a);
		return;
	}
	if (hub_source_error(v, &m->err) < 0) {
		snprintf(m->said_cause, sizeof(m->said_cause), "%s", json_str(v, "cause", ""));
	} else if (strcmp(json_str(v, "event", ""), "progress") == 0) {
		m->done = json_int(v, "done", 0);
		m->total = json_int(v, "total", 0);
	}
	arena_free(a);
}

/* In the middle: others write to the disk too. What came stays, and is gone on with when something
 * ended or was dropped, or by the next run. */
static void disk_is_full(struct making *m)
{
	snprintf(m->text, sizeof(m->text), "%s", m->err.msg);
	m->refused = true;
	m->refused_at = m->sched->room_changes;
	making_wait(m);
	sched_kick(m->sched);
}

static void on_done(struct child *c)
{
	struct making *m = c->data;

	if (m->sched->stop >= STOP_WORKERS) {
		m->running = false; /* goes on with the next run */
		sched_kick(m->sched);
	} else if (!c->spawn_err && !c->signal && c->exit_code == 0) {
		m->sched->disk_written += m->fetching->size_bytes;
		fetch_next(m);
	} else if (m->err.code == ERR_NOSPACE) {
		disk_is_full(m);
	} else if (m->err.code < 0) {
		making_fail(m, m->said_cause[0] ? m->said_cause : "source", m->err.msg,
			    m->err.code == ERR_BUSY || m->err.code == ERR_IO);
	} else if (c->signal) {
		making_fail(m, c->signal == SIGKILL ? "killed" : "crash",
			    arena_printf(m->a, "the fetcher was killed by signal %d", c->signal),
			    true);
	} else {
		making_fail(m, "launch", "the fetcher could not be started", false);
	}
}

/* Room for what is missing of it; else what can be dropped goes, and its jobs wait meanwhile. */
static bool has_room(struct making *m, const struct hub_source *h)
{
	uint64_t need = hub_source_room_bytes(h), have = 0;
	char need_text[24], have_text[24];
	struct err ignored = ERR_INIT; /* the child will say what is wrong with the cache */

	if (room_for_fetch(m->sched, m, &have, &ignored) < 0 || have >= need)
		return true;
	units_format_size(need, need_text, sizeof(need_text));
	units_format_size(have, have_text, sizeof(have_text));
	snprintf(m->text, sizeof(m->text),
		 "%s has %s still to fetch into %s, where %s is free with resources.disk_reserve "
		 "kept; make room, or set HF_HUB_CACHE to another disk, and run again",
		 h->repo, need_text, h->cache, have_text);
	(void)drop_for_room(m->sched, need - have, false);
	if (room_is_shared(m->sched))
		publish_for_room(m->sched);
	making_wait(m);
	return false;
}

static void fetch(struct making *m, const struct hub_source *h)
{
	if (!has_room(m, h))
		return;
	m->fetching = h;
	m->err = (struct err)ERR_INIT;
	m->said_cause[0] = '\0';
	m->done = 0;
	m->total = (int64_t)h->size_bytes;
	m->child = (struct child){ .argv = hub_source_argv(m->a, m->sched->cfg->work, h),
				   .log_fd = -1,
				   .lock_fd = -1,
				   .on_line = on_line,
				   .on_done = on_done,
				   .data = m };
	child_start(&m->child, &m->sched->children);
}

/* The model, then the adapter, then ready. A child that left files out has done nothing. */
static void fetch_next(struct making *m)
{
	const struct hub_source *all[] = { m->source->hub, m->source->lora };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!all[i] || hub_source_ready(all[i]))
			continue;
		if (m->fetching == all[i])
			making_fail(m, "source", "the fetcher ended well, but files are missing",
				    false);
		else
			fetch(m, all[i]);
		return;
	}
	making_done(m);
}

void making_hub_begin(struct making *m)
{
	m->fetching = NULL;
	fetch_next(m);
}

void making_hub_stop(struct making *m, int sig)
{
	if (m->child.pid > 0)
		child_signal(&m->child, sig);
}
