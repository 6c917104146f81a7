/* upload/fetch.c -- the files of a model, several at once, through one pool of
 * connections: which is taken up next, and how each ends. */
#include "upload/fetch.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_wanted.h"

#define SETTLING_MAX 64 /* files, of three descriptors each: a process may have 1024 */

void fetch_give_up(struct fetching *f, const struct err *e)
{
	if (!f->err.code)
		f->err = *e;
	http_pool_stop(f->pool);
}

void fetch_tell(struct fetching *f, uint64_t more_bytes)
{
	f->done_bytes += more_bytes;
	if (f->o->progress)
		f->o->progress(f->o->ctx, f->done_bytes, f->m->size_bytes);
}

/* ---- a file's ending */

static int keep(struct wanted *w, struct err *e)
{
	int rc = fetch_cache_link(&w->f->cache, w->file, e);

	w->state = FILE_DONE;
	w->f->r->files_kept++;
	fetch_tell(w->f, w->file->size_bytes);
	return rc;
}

void fetch_arrived(struct wanted *w)
{
	bool all = w->part.n_done == w->part.n_chunks;

	if (all) {
		w->state = FILE_SETTLING;
		http_pool_hold(w->f->pool, ++w->f->settling > 0);
	}
	fetch_settle(w->f->settler, &w->settling, fetch_part_ready(&w->part), all);
}

/* Wrong bytes were thrown away, and are asked for once more. */
static int settled(struct wanted *w, struct err *e)
{
	int rc = w->settling.rc;

	if (rc < 0) {
		*e = w->settling.err;
	} else if (rc == 1) {
		w->f->r->files_fetched++;
		w->state = FILE_DONE;
		fetch_part_close(&w->part);
	} else if (rc == 0 && w->bad_hashes++) {
		rc = err_set(
			e, ERR_IO,
			"%s: %s does not have the hash that the hub names; its bytes were thrown "
			"away, and a second time they were wrong too",
			w->f->o->repo, w->file->name);
	} else {
		w->f->done_bytes -= w->file->size_bytes;
		w->state = FILE_OPEN;
		if (w->part.n_chunks == 0) /* there is nothing to ask for */
			fetch_arrived(w);
	}
	return rc < 0 ? rc : 0;
}

/* ---- files */

/* Take a file up: it is here already, or its part is opened. wait: for another process. */
static int begin(struct wanted *w, bool wait, struct err *e)
{
	struct fetching *f = w->f;
	int lock_fd = -1, rc;

	if (!w->file->etag[0] || fetch_cache_has(&f->cache, w->file)) {
		w->state = FILE_DONE;
		f->r->files_kept++;
		fetch_tell(f, w->file->size_bytes);
		return 0;
	}
	rc = fetch_cache_lock(&f->cache, w->file->etag, wait, &lock_fd, e);
	if (rc == ERR_BUSY) {
		w->state = FILE_LOCKED_AWAY;
		return 0;
	}
	if (rc < 0)
		return rc;
	if (fetch_cache_has_blob(&f->cache, w->file)) {
		fetch_part_forget(&f->cache, w->file->etag);
		fetch_part_close(
			&(struct fetch_part){ .fd = -1, .journal_fd = -1, .lock_fd = lock_fd });
		return keep(w, e);
	}
	rc = fetch_part_open(&w->part, &f->cache, w->file, lock_fd, e);
	if (rc < 0)
		return rc;
	fetch_tell(f, fetch_part_done_bytes(&w->part));
	w->state = FILE_OPEN;
	w->settling.part = &w->part;
	w->resolve = fetch_resolve_path(f->o->repo, f->m->commit, w->file->name);
	if (w->part.n_chunks == 1)
		w->url = mem_strdup(w->resolve); /* one request finds and brings it */
	if (fetch_part_ready(&w->part) || w->part.n_chunks == 0)
		fetch_arrived(w); /* what an earlier try left; or it is empty */
	return 0;
}

void fetch_fill(struct fetching *f)
{
	struct err e = ERR_INIT;

	while (f->first < f->m->n_files && f->v[f->first].state == FILE_DONE)
		f->first++;
	for (size_t i = f->first; i < f->m->n_files && f->in_flight < FETCH_CONNECTIONS; i++) {
		struct wanted *w = &f->v[i];

		if (w->state == FILE_TODO && f->settling >= SETTLING_MAX)
			return;
		if (w->state == FILE_TODO && begin(w, false, &e) < 0) {
			fetch_give_up(f, &e);
			return;
		}
		while (f->in_flight < FETCH_CONNECTIONS && fetch_go_on(w))
			;
	}
}

static void wake(void *ctx)
{
	struct fetching *f = ctx;

	http_pool_wake(f->pool);
}

static void on_wake(void *ctx)
{
	struct fetching *f = ctx;
	struct fetch_settling *t;
	struct err e = ERR_INIT;

	while ((t = fetch_settled(f->settler))) {
		struct wanted *w = (struct wanted *)((char *)t - offsetof(struct wanted, settling));

		if (w->state == FILE_SETTLING)
			http_pool_hold(f->pool, --f->settling > 0);
		if (settled(w, &e) < 0) {
			fetch_give_up(f, &e);
			return;
		}
	}
	fetch_fill(f);
}

/* Files that another process had: wait for one, holding nothing ourselves. */
static int take_locked(struct fetching *f, bool *any, struct err *e)
{
	*any = false;
	for (size_t i = 0; i < f->m->n_files; i++) {
		if (f->v[i].state == FILE_LOCKED_AWAY) {
			*any = true;
			return begin(&f->v[i], true, e);
		}
	}
	return 0;
}

static int run(struct fetching *f, struct err *e)
{
	bool again = true;
	int rc = 0;

	while (rc >= 0 && again) {
		fetch_fill(f);
		rc = f->err.code;
		if (rc >= 0)
			rc = http_pool_run(f->pool, e);
		if (f->err.code < 0) {
			*e = f->err;
			rc = f->err.code;
		}
		if (rc >= 0)
			rc = take_locked(f, &again, e);
	}
	return rc;
}

static void close_all(struct fetching *f)
{
	fetch_settler_free(f->settler);
	http_pool_free(f->pool);
	fetch_pieces_free(f);
	for (size_t i = 0; i < f->m->n_files; i++) {
		struct fetch_part *p = &f->v[i].part;

		/* On a full disk, room without a whole range in it is better given back. */
		if (p->path && f->err.code == ERR_NOSPACE && p->n_done == 0)
			fetch_part_forget(&f->cache, p->file->etag);
		if (p->path)
			fetch_part_close(p);
		free(f->v[i].resolve);
		free(f->v[i].url);
	}
	free(f->v);
	fetch_cache_close(&f->cache);
}

int fetch_files(const struct fetch_options *o, const struct fetch_model *m, struct fetch_result *r,
		struct err *e)
{
	struct fetching f = { .o = o, .m = m, .r = r, .err = ERR_INIT };
	int rc;

	memset(r, 0, sizeof(*r));
	f.v = mem_array(m->n_files + 1, sizeof(*f.v));
	for (size_t i = 0; i < m->n_files; i++) {
		f.v[i].f = &f;
		f.v[i].file = &m->files[i];
		f.v[i].part.fd = f.v[i].part.journal_fd = f.v[i].part.lock_fd = -1;
	}
	f.pool = http_pool_new(o->http, FETCH_CONNECTIONS);
	http_pool_on_wake(f.pool, on_wake, &f);
	rc = fetch_cache_open(&f.cache, o, m->commit, e);
	if (rc >= 0)
		rc = fetch_settler_new(wake, &f, &f.settler, e);
	if (rc >= 0)
		rc = run(&f, e);
	if (rc >= 0)
		rc = path_sync(f.cache.blobs, e);
	if (rc >= 0)
		rc = path_sync(f.cache.snapshot, e);
	if (rc >= 0)
		rc = fetch_cache_ref(o, m->commit, e);
	close_all(&f);
	return rc < 0 ? rc : 0;
}
