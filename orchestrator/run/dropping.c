/* orchestrator/run/dropping.c -- the disk is short: sources that no unfinished job of this run
 * needs leave it, by a pool thread: first generated ones, which need no network to come back, then
 * those of the cache. Which these are, the store says. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/making_private.h"
#include "upload/fetch.h"
#include "upload/fetch_drop.h"

struct dropped {
	const char *repo, *commit; /* commit NULL: remains of a fetch or a drop */
	bool made;		   /* repo is the folder's name */
	uint64_t bytes;
};

struct dropping {
	struct scheduler *sched;
	struct arena *a; /* of one attempt */
	bool running;
	/* the last attempt for the cache's disk, and for the work folder's, freed nothing, and
	 * nothing ended since */
	bool fruitless[2];
	bool for_work, in_cache, in_sources; /* whose disk is short, and what lies on it */
	uv_work_t work;
	int64_t begun_at; /* scheduler.room_changes */
	uint64_t need_bytes, freed_bytes;
	struct source_row *wanted, *made_wanted;
	size_t n_wanted, n_made_wanted;
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
	s->dropping->fruitless[0] = s->dropping->fruitless[1] = false;
	s->room_changes++;
}

/* ---- the end */

/* What a generated model is called in the matrix, when it is in it. */
static const char *made_name(const struct dropping *d, const char *folder)
{
	const struct scheduler *s = d->sched;

	for (size_t i = 0; i < s->cfg->n_models; i++) {
		const struct resolved *r = sources_seen(s->session->sources, i);

		if (r && r->fake && strcmp(path_basename(r->dir), folder) == 0)
			return r->model->name;
	}
	return folder;
}

static void tell(struct dropping *d, const struct dropped *v)
{
	char size[24];

	units_format_size(v->bytes, size, sizeof(size));
	if (v->made)
		display_say(
			d->sched->display,
			"%s, a generated model, was removed (%s): the disk is short, and no job "
			"waits for it",
			made_name(d, v->repo), size);
	else if (v->commit)
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
	d->fruitless[d->for_work] =
		d->rc < 0 || (d->freed_bytes == 0 && d->begun_at == s->room_changes);
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

static void told_made(void *ctx, const char *folder, uint64_t bytes)
{
	struct dropping *d = ctx;

	told(d, folder, NULL, bytes);
	d->v[d->n - 1].made = true;
}

static void drop_work(uv_work_t *w)
{
	struct dropping *d = w->data;
	struct fetch_drop o = { .cache = d->sched->cache,
				.need_bytes = d->need_bytes,
				.keep = d->keep,
				.n_keep = d->n_keep,
				.told = told,
				.ctx = d };
	uint64_t made_bytes = 0;

	if (d->in_sources)
		d->rc = drop_made(d->sched->cfg->work, &o, told_made, &made_bytes, &d->err);
	if (d->rc >= 0 && d->in_cache && made_bytes < d->need_bytes) {
		o.need_bytes -= made_bytes;
		d->rc = fetch_drop(&o, &d->freed_bytes, &d->err);
	}
	d->freed_bytes += made_bytes;
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
	d->rc = store_sources_wanted(own, s->opt.run_id, false, d->a, &d->wanted, &d->n_wanted,
				     &d->err);
	if (d->rc >= 0)
		d->rc = store_sources_wanted(own, s->opt.run_id, true, d->a, &d->made_wanted,
					     &d->n_made_wanted, &d->err);
	store_close(own);
}

static void keep(struct dropping *d, const char *dir)
{
	d->keep[d->n_keep++] = arena_strdup(d->a, dir);
}

static void keep_source(struct dropping *d, const struct resolved *r)
{
	if (r->fake)
		keep(d, r->dir);
	if (r->hub)
		keep(d, r->hub->dir);
	if (r->lora)
		keep(d, r->lora->dir);
}

static bool dir_is_kept(const struct dropping *d, const char *dir)
{
	for (size_t i = 0; i < d->n_keep; i++) {
		if (strcmp(d->keep[i], dir) == 0)
			return true;
	}
	return false;
}

static bool is_kept(const struct dropping *d, const struct resolved *r)
{
	return (!r->fake || dir_is_kept(d, r->dir)) && (!r->hub || dir_is_kept(d, r->hub->dir)) &&
	       (!r->lora || dir_is_kept(d, r->lora->dir));
}

/* Wanted by jobs, being fetched or made, or read by a job that the store may call finished already.
 */
static void list_kept(struct dropping *d)
{
	struct scheduler *s = d->sched;
	size_t n = d->n_wanted + d->n_made_wanted;

	for (const struct making *m = s->makings; m; m = m->next)
		n += 3;
	for (const struct task *t = s->tasks; t; t = t->next)
		n += 3;
	d->keep = arena_array(d->a, n + 1, sizeof(*d->keep));
	d->n_keep = 0;
	for (size_t i = 0; i < d->n_wanted; i++)
		keep(d, fetch_snapshot(d->a, s->cache, d->wanted[i].repo, d->wanted[i].commit));
	for (size_t i = 0; i < d->n_made_wanted; i++)
		keep(d, workdir_source(d->a, s->cfg->work, d->made_wanted[i].commit,
				       d->made_wanted[i].repo));
	for (const struct task *t = s->tasks; t; t = t->next) {
		if (t->source)
			keep_source(d, t->source);
	}
	for (const struct making *m = s->makings; m; m = m->next) {
		if (m->running)
			keep_source(d, m->source);
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
		if (!is_kept(d, m->source))
			making_release(m);
	}
	uv_queue_work(&d->sched->loop, &d->work, drop_work, after_drop);
}

bool drop_for_room(struct scheduler *s, uint64_t bytes, bool for_work)
{
	struct dropping *d = s->dropping;
	bool shared = room_is_shared(s);

	if (d->running)
		return true;
	d->in_cache = (shared || !for_work) && s->cache && access(s->cache, F_OK) == 0;
	d->in_sources =
		(shared || for_work) && access(workdir_sources(d->a, s->cfg->work), F_OK) == 0;
	if (d->fruitless[for_work] || s->stop != STOP_NOT || !(d->in_cache || d->in_sources))
		return false;
	sched_flush(s); /* the thread asks the store */
	arena_reset(d->a);
	d->running = true;
	d->for_work = for_work;
	d->begun_at = s->room_changes;
	d->need_bytes = bytes;
	d->freed_bytes = 0;
	d->n = 0;
	d->rc = 0;
	d->err = (struct err)ERR_INIT;
	d->work.data = d;
	uv_queue_work(&s->loop, &d->work, wanted_work, after_wanted);
	return true;
}
