/* upload/fetch_range.c -- the requests that bring a file: where it is, and its ranges,
 * several of a large one at once. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "upload/fetch_wanted.h"

#define RELOCATIONS_MAX 5 /* signed addresses asked for, without a range in between */

struct piece { /* one request */
	struct piece *next;
	struct wanted *w;
	uint64_t chunk;
	char *url;
	struct http_request rq;
};

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

/* ---- ranges */

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
	fetch_tell(w->f, fetch_part_done_bytes(&w->part) - before);
	if (rc >= 0)
		fetch_arrived(w);
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
		fetch_give_up(f, &e);
	else
		fetch_fill(f);
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
		fetch_give_up(f, &e);
	else
		fetch_fill(f);
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

bool fetch_go_on(struct wanted *w)
{
	if (w->state != FILE_OPEN)
		return false;
	if (w->url)
		return ask_range(w);
	locate(w);
	return true;
}

void fetch_pieces_free(struct fetching *f)
{
	while (f->pieces) {
		struct piece *p = f->pieces;

		f->pieces = p->next;
		free(p->url);
		free(p);
	}
}
