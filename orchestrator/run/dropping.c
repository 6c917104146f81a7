/* orchestrator/run/dropping.c -- the disk is short: sources that no unfinished job of this run
 * needs go out of the cache, by a pool thread. Which these are, the store says. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/making_private.h"
#include "upload/fetch.h"
#include "upload/fetch_drop.h"

struct dropped {
	const char *repo, *commit; /* commit NULL: remains of a fetch or a drop */
	uint64_t bytes;
};

struct dropping {
	struct scheduler *sched;
	struct arena *a; /* of one attempt */
	bool running;
	bool fruitless; /* the last attempt freed nothing, and nothing ended since */
	uv_work_t work;
	int64_t begun_at; /* scheduler.room_changes */
	uint64_t need_bytes, freed_bytes;
	struct source_row *wanted;
	size_t n_wanted;
	const char **keep;
	size_t n_keep;
	struct dropped *v; /* heap */
	size_t n, cap;
	int rc;
	struct err err;
};

void drop_init(struct scheduler *s)
{
	s->dropping = mem_zalloc(sizeof(*s->dropping));
	s->dropping->sched = s;
	s->dropping->a = arena_new();
}

void drop_free(struct scheduler *s)
{
	arena_free(s->dropping->a);
	free(s->dropping->v);
	free(s->dropping);
}

bool drop_busy(const struct scheduler *s)
{
	return s->dropping->running;
}

void drop_reconsider(struct scheduler *s)
{
	s->dropping->fruitless = false;
	s->room_changes++;
}

/* ---- the end */

static void tell(struct dropping *d, const struct dropped *v)
{
	char size[24];

	units_format_size(v->bytes, size, sizeof(size));
	if (v->commit)
		display_say(d->sched->display,
			    "%s at %.10s was taken out of the cache (%s): the disk is short, and "
			    "no job waits for it",
			    v->repo, v->commit, size);
	else
		display_say(d->sched->display,
			    "remains of %s were taken out of the cache (%s): the disk is short",
			    v->repo, size);
}

static void finish(struct dropping *d)
{
	struct scheduler *s = d->sched;

	if (d->rc < 0)
		display_say(s->display, "the cache cannot be tidied: %s", d->err.msg);
	for (size_t i = 0; i < d->n; i++) {
		tell(d, &d->v[i]);
		s->res->dropped += d->v[i].commit != NULL;
		s->res->dropped_bytes += d->v[i].bytes;
	}
	/* What ended meanwhile may not have been seen. */
	d->fruitless = d->rc < 0 || (d->freed_bytes == 0 && d->begun_at == s->room_changes);
	s->room_changes += d->rc >= 0 && d->freed_bytes;
	d->running = false;
	sched_kick(s);
}

/* ---- dropping, in a pool thread */

static void told(void *ctx, const char *repo, const char *commit, uint64_t bytes)
{
	struct dropping *d = ctx;

	MEM_GROW(d->v, d->n, d->cap);
	d->v[d->n++] = (struct dropped){ .repo = arena_strdup(d->a, repo),
					 .commit = arena_strdup(d->a, commit),
					 .bytes = bytes };
}

static void drop_work(uv_work_t *w)
{
	struct dropping *d = w->data;
	const struct fetch_drop o = { .cache = d->sched->cache,
				      .need_bytes = d->need_bytes,
				      .keep = d->keep,
				      .n_keep = d->n_keep,
				      .told = told,
				      .ctx = d };

	d->rc = fetch_drop(&o, &d->freed_bytes, &d->err);
}

static void after_drop(uv_work_t *w, int status)
{
	(void)status;
	finish(w->data);
}

/* ---- who needs what */

static void wanted_work(uv_work_t *w)
{
	struct dropping *d = w->data;
	struct scheduler *s = d->sched;
	struct store *own;

	d->rc = store_open_again(s->store, &own, &d->err);
	if (d->rc < 0)
		return;
	d->rc = store_sources_wanted(own, s->opt.run_id, d->a, &d->wanted, &d->n_wanted, &d->err);
	store_close(own);
}

static void keep(struct dropping *d, const struct hub_source *h)
{
	if (h)
		d->keep[d->n_keep++] = arena_strdup(d->a, h->dir);
}

static bool is_kept(const struct dropping *d, const struct hub_source *h)
{
	for (size_t i = 0; h && i < d->n_keep; i++) {
		if (strcmp(d->keep[i], h->dir) == 0)
			return true;
	}
	return h == NULL;
}

/* Wanted by jobs, being fetched, or read by a job that the store may call finished already. */
static void list_kept(struct dropping *d)
{
	struct scheduler *s = d->sched;
	size_t n = d->n_wanted;

	for (const struct making *m = s->makings; m; m = m->next)
		n += 2;
	for (const struct task *t = s->tasks; t; t = t->next)
		n += 2;
	d->keep = arena_array(d->a, n + 1, sizeof(*d->keep));
	d->n_keep = 0;
	for (size_t i = 0; i < d->n_wanted; i++)
		d->keep[d->n_keep++] =
			fetch_snapshot(d->a, s->cache, d->wanted[i].repo, d->wanted[i].commit);
	for (const struct task *t = s->tasks; t; t = t->next) {
		keep(d, t->source ? t->source->hub : NULL);
		keep(d, t->source ? t->source->lora : NULL);
	}
	for (const struct making *m = s->makings; m; m = m->next) {
		if (m->running) {
			keep(d, m->source->hub);
			keep(d, m->source->lora);
		}
	}
}

static void after_wanted(uv_work_t *w, int status)
{
	struct dropping *d = w->data;

	(void)status;
	if (d->rc < 0) {
		finish(d);
		return;
	}
	list_kept(d);
	for (struct making *m = d->sched->makings; m; m = m->next) {
		if (!is_kept(d, m->source->hub) || !is_kept(d, m->source->lora))
			making_release(m);
	}
	uv_queue_work(&d->sched->loop, &d->work, drop_work, after_drop);
}

bool drop_for_room(struct scheduler *s, uint64_t bytes)
{
	struct dropping *d = s->dropping;

	if (d->running)
		return true;
	if (d->fruitless || !s->cache || access(s->cache, F_OK) != 0 || s->stop != STOP_NOT)
		return false;
	sched_flush(s); /* the thread asks the store */
	arena_reset(d->a);
	d->running = true;
	d->begun_at = s->room_changes;
	d->need_bytes = bytes;
	d->freed_bytes = 0;
	d->n = 0;
	d->err = (struct err)ERR_INIT;
	d->work.data = d;
	uv_queue_work(&s->loop, &d->work, wanted_work, after_wanted);
	return true;
}
