/* orchestrator/making_hub.c -- an `id:` model and its adapter, fetched by a child
 * of quern that alone holds the token. Killed at any time, the next one goes on
 * with the ranges that are missing. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/making_private.h"

static void fetch_next(struct making *m);

static void on_line(struct child *c, const char *line, size_t len)
{
	struct making *m = c->data;
	struct err ignored = ERR_INIT;
	struct arena *a = arena_new();
	struct json *v;

	if (json_parse(a, line, len, &v, &ignored) == 0 && hub_source_error(v, &m->err) == 0 &&
	    strcmp(json_str(v, "event", ""), "progress") == 0) {
		m->done = json_int(v, "done", 0);
		m->total = json_int(v, "total", 0);
	}
	arena_free(a);
}

static void on_done(struct child *c)
{
	struct making *m = c->data;

	if (m->sched->stop >= STOP_WORKERS) {
		m->running = false; /* goes on with the next run */
		sched_kick(m->sched);
	} else if (!c->spawn_err && !c->signal && c->exit_code == 0) {
		fetch_next(m);
	} else if (m->err.code < 0) {
		making_fail(m, m->err.msg, m->err.code == ERR_BUSY || m->err.code == ERR_IO);
	} else if (c->signal) {
		making_fail(m, arena_printf(m->a, "the fetcher was killed by signal %d", c->signal),
			    true);
	} else {
		making_fail(m, "the fetcher could not be started", false);
	}
}

/* The cache may be on another disk than the work folder; its parent is there when it is not. */
static bool has_room(struct making *m, const struct hub_source *h)
{
	uint64_t need = hub_source_missing_bytes(h), reserve, free_bytes;
	char *dir = path_join(h->cache, ""), need_text[24], free_text[24];
	struct err ignored = ERR_INIT;
	bool room = true;

	reserve = m->sched->cfg->resources.disk_reserve_bytes;
	while (access(dir, F_OK) != 0 && strcmp(dir, "/") != 0) {
		char *up = path_dirname(dir);

		free(dir);
		dir = up;
	}
	if (path_free_space(dir, &free_bytes, &ignored) >= 0 &&
	    (free_bytes < reserve || free_bytes - reserve < need)) {
		units_format_size(need, need_text, sizeof(need_text));
		units_format_size(free_bytes, free_text, sizeof(free_text));
		making_fail(m,
			    arena_printf(m->a,
					 "%s has %s still to fetch into %s, where %s is free and "
					 "resources.disk_reserve is kept; make room, or set "
					 "HF_HUB_CACHE to another disk",
					 h->repo, need_text, h->cache, free_text),
			    false);
		room = false;
	}
	free(dir);
	return room;
}

static void fetch(struct making *m, const struct hub_source *h)
{
	if (!has_room(m, h))
		return;
	m->fetching = h;
	m->err = (struct err)ERR_INIT;
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
			making_fail(m, "the fetcher ended well, but files are missing", false);
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
