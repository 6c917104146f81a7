/* upload/fetch.c -- the files of a model, several at once and several ranges of
 * a large one, through one pool of connections. */
#include "upload/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_private.h"

#define RELOCATIONS_MAX 5 /* signed addresses asked for, without a range in between */

enum file_state {
	FILE_TODO,
	FILE_LOCKED_AWAY, /* another process fetches it: looked at again at the end */
	FILE_LOCATING,	  /* its signed address is being asked for */
	FILE_OPEN,	  /* ranges are asked for */
	FILE_DONE,
};

struct wanted {
	struct fetching *f;
	const struct fetch_file *file;
	enum file_state state;
	struct fetch_part part;
	char *resolve; /* path below the endpoint */
	char *url;     /* where its ranges are asked for: signed, or resolve */
	int in_flight, relocations, bad_hashes;
	bool whole; /* the server answers no ranges: all in one */
};

struct piece { /* one request */
	struct piece *next;
	struct wanted *w;
	uint64_t chunk;
	char *url;
	struct http_request rq;
};

struct fetching {
	const struct fetch_options *o;
	const struct fetch_model *m;
	struct fetch_cache cache;
	struct http_pool *pool;
	struct wanted *v;
	struct piece *pieces; /* in flight */
	int in_flight;
	uint64_t done_bytes;
	struct fetch_result *r;
	struct err err;
};

static void give_up(struct fetching *f, const struct err *e)
{
	if (!f->err.code)
		f->err = *e;
	http_pool_stop(f->pool);
}

static void tell(struct fetching *f, uint64_t more_bytes)
{
	f->done_bytes += more_bytes;
	if (f->o->progress)
		f->o->progress(f->o->ctx, f->done_bytes, f->m->size_bytes);
}

/* ---- pieces */

static struct piece *piece_new(struct wanted *w, const char *url, http_done_fn on_done)
{
	struct piece *p = mem_zalloc(sizeof(*p));

	p->w = w;
	p->url = mem_strdup(url);
	p->rq.url = p->url;
	p->rq.about = (struct http_subject){ .repo = w->f->o->repo,
					     .revision = w->f->o->revision,
					     .file = w->file->name };
	p->rq.on_done = on_done;
	p->rq.ctx = p;
	p->rq.bulk = true;
	p->rq.floor_s = w->f->o->stall_s;
	p->next = w->f->pieces;
	w->f->pieces = p;
	w->f->in_flight++;
	w->in_flight++;
	return p;
}

static void piece_free(struct piece *p)
{
	struct piece **at = &p->w->f->pieces;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->w->f->in_flight--;
	p->w->in_flight--;
	free(p->url);
	free(p);
}

/* ---- a file's ending */

static int keep(struct wanted *w, struct err *e)
{
	int rc = fetch_cache_link(&w->f->cache, w->file, e);

	w->state = FILE_DONE;
	w->f->r->files_kept++;
	tell(w->f, w->file->size_bytes);
	return rc;
}

/* All ranges are there. Wrong bytes are thrown away, and asked for once more. */
static int complete(struct wanted *w, struct err *e)
{
	int rc = fetch_part_finish(&w->part, e);

	if (rc == 1) {
		w->f->r->files_fetched++;
		w->state = FILE_DONE;
		fetch_part_close(&w->part);
	} else if (rc == 0 && w->bad_hashes++) {
		rc = err_set(
			e, ERR_IO,
			"%s: %s does not have the hash that the hub names; its bytes were thrown "
			"away, and a second time they were wrong too",
			w->f->o->repo, w->file->name);
	} else if (rc == 0) {
		w->f->done_bytes -= w->file->size_bytes;
	}
	return rc < 0 ? rc : 0;
}

/* ---- ranges */

static void fill(struct fetching *f);

static int on_data(void *ctx, uint64_t offset, const void *data, size_t n, struct err *e)
{
	struct piece *p = ctx;
	int rc = fetch_part_write(&p->w->part, offset, data, n, e);

	if (rc >= 0)
		p->w->f->r->bytes_fetched += n;
	return rc;
}

static int chunk_over(struct piece *p, struct err *e)
{
	struct wanted *w = p->w;
	uint64_t before = fetch_part_done_bytes(&w->part);
	int rc = 0;

	if (!p->rq.range_bytes) {
		for (uint64_t i = 0; rc >= 0 && i < w->part.n_chunks; i++) {
			if (w->part.chunks[i] != CHUNK_DONE)
				rc = fetch_part_chunk_done(&w->part, i, e);
		}
	} else {
		rc = fetch_part_chunk_done(&w->part, p->chunk, e);
	}
	w->relocations = 0;
	tell(w->f, fetch_part_done_bytes(&w->part) - before);
	if (rc >= 0 && w->part.n_done == w->part.n_chunks)
		rc = complete(w, e);
	return rc;
}

/* The signed address ran out: another one, a few times. */
static bool may_relocate(struct wanted *w, const char *url, const struct http_fault *fault)
{
	if (fault->class != HTTP_FAULT_EXPIRED || w->relocations >= RELOCATIONS_MAX)
		return false;
	if (w->url && strcmp(w->url, url) == 0) { /* nobody asked for a newer one meanwhile */
		free(w->url);
		w->url = NULL;
		w->relocations++;
	}
	return true;
}

static int after_range(struct piece *p, struct http_response *rs, struct err *e)
{
	struct wanted *w = p->w;
	bool ranged = p->rq.range_bytes > 0;

	if (e->code >= 0 && !ranged && rs->got_bytes != w->file->size_bytes)
		return err_set(e, ERR_IO, "%s: %s has %llu bytes, the hub told %llu", w->f->o->repo,
			       w->file->name, (unsigned long long)rs->got_bytes,
			       (unsigned long long)w->file->size_bytes);
	if (e->code >= 0)
		return chunk_over(p, e);
	if (ranged)
		w->part.chunks[p->chunk] = CHUNK_TODO;
	if (may_relocate(w, p->url, &rs->fault))
		return 0;
	if (rs->fault.class == HTTP_FAULT_RANGE && rs->status == 200 && ranged) {
		w->whole = true;
		return 0;
	}
	return e->code;
}

static void range_done(void *ctx, const struct http_request *rq, struct http_response *rs,
		       const struct err *ending)
{
	struct piece *p = ctx;
	struct fetching *f = p->w->f;
	struct err e = *ending;
	int rc = after_range(p, rs, &e);

	(void)rq;
	piece_free(p);
	if (rc < 0)
		give_up(f, &e);
	else
		fill(f);
}

static bool ask_range(struct wanted *w)
{
	uint64_t chunk = 0, first = 0, bytes = 0;
	struct piece *p;

	if (w->whole ? w->in_flight > 0 : fetch_part_next(&w->part, &chunk, &first, &bytes) == 0)
		return false;
	p = piece_new(w, w->url, range_done);
	p->chunk = chunk;
	p->rq.on_data = on_data;
	p->rq.redirects = HTTP_REDIRECT_ANY;
	p->rq.range_first = first;
	p->rq.range_bytes = bytes;
	http_pool_add(w->f->pool, &p->rq);
	return true;
}

/* ---- where the ranges of a large file are */

/* "\"abc\"", "W/\"abc\"": abc. */
static bool etag_is(const char *header, const char *etag)
{
	size_t n = strlen(etag);

	if (strncmp(header, "W/", 2) == 0)
		header += 2;
	if (*header != '"')
		return strcmp(header, etag) == 0;
	return strncmp(header + 1, etag, n) == 0 && strcmp(header + 1 + n, "\"") == 0;
}

static int check_location(struct wanted *w, const struct http_response *rs, struct err *e)
{
	const char *etag = http_header(rs, "x-linked-etag");
	const char *size = http_header(rs, "x-linked-size");
	const char *commit = http_header(rs, "x-repo-commit");

	if (!etag && rs->status < 300)
		etag = http_header(rs, "etag");
	if (etag && !etag_is(etag, w->file->etag))
		return err_set(e, ERR_IO, "%s: the hub lists %s with another hash than it serves",
			       w->f->o->repo, w->file->name);
	if (size && strtoull(size, NULL, 10) != w->file->size_bytes)
		return err_set(e, ERR_IO, "%s: the hub lists %s with another size than it serves",
			       w->f->o->repo, w->file->name);
	if (commit && strcmp(commit, w->f->m->commit) != 0)
		return err_set(e, ERR_IO, "%s: the hub serves commit %.40s instead of %s",
			       w->f->o->repo, commit, w->f->m->commit);
	return 0;
}

static void located(void *ctx, const struct http_request *rq, struct http_response *rs,
		    const struct err *ending)
{
	struct piece *p = ctx;
	struct wanted *w = p->w;
	struct fetching *f = w->f;
	const char *location = http_header(rs, "location");
	struct err e = *ending;
	int rc = e.code;

	(void)rq;
	if (rc >= 0)
		rc = check_location(w, rs, &e);
	if (rc >= 0 && rs->status >= 300 && location)
		w->url = http_url_join(rs->url, location);
	else if (rc >= 0)
		w->url = mem_strdup(w->resolve);
	if (rc >= 0 && !w->url)
		rc = err_set(&e, ERR_IO, "%s: the hub names no address for %s", f->o->repo,
			     w->file->name);
	w->state = FILE_OPEN;
	piece_free(p);
	if (rc < 0)
		give_up(f, &e);
	else
		fill(f);
}

static void locate(struct wanted *w)
{
	struct piece *p = piece_new(w, w->resolve, located);

	w->state = FILE_LOCATING;
	p->rq.method = HTTP_HEAD;
	p->rq.redirects = HTTP_REDIRECT_SAME;
	p->rq.bulk = false;
	http_pool_add(w->f->pool, &p->rq);
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
		tell(f, w->file->size_bytes);
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
	tell(f, fetch_part_done_bytes(&w->part));
	w->state = FILE_OPEN;
	w->resolve = fetch_resolve_path(f->o->repo, f->m->commit, w->file->name);
	if (w->part.n_done == w->part.n_chunks) /* empty, or only its ending was missing */
		return complete(w, e);
	if (w->part.n_chunks == 1)
		w->url = mem_strdup(w->resolve); /* one request finds and brings it */
	return 0;
}

/* One more request for this file. */
static bool go_on(struct wanted *w)
{
	if (w->state != FILE_OPEN)
		return false;
	if (w->url)
		return ask_range(w);
	locate(w);
	return true;
}

static void fill(struct fetching *f)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < f->m->n_files && f->in_flight < FETCH_CONNECTIONS; i++) {
		struct wanted *w = &f->v[i];

		if (w->state == FILE_TODO && begin(w, false, &e) < 0) {
			give_up(f, &e);
			return;
		}
		while (f->in_flight < FETCH_CONNECTIONS && go_on(w))
			;
	}
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
		fill(f);
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
	http_pool_free(f->pool);
	while (f->pieces) {
		struct piece *p = f->pieces;

		f->pieces = p->next;
		free(p->url);
		free(p);
	}
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
	rc = fetch_cache_open(&f.cache, o, m->commit, e);
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
