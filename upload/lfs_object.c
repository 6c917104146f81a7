/* upload/lfs_object.c -- one object on its way: a PUT or many parts, the
 * completion, the verification; and when an address runs out, the batch again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crash.h"
#include "core/mem.h"
#include "upload/lfs_send_private.h"

#define RENEWALS_MAX 5		       /* of addresses, without a part stored in between */
#define BULK_BYTES ((uint64_t)1 << 20) /* from here on a connection of its own pays */
#define STALL_S 60		       /* without a byte, also while a server hashes what came */
#define THINKING_S 120		       /* servers join and hash the parts before they answer */
#define COMPLETIONS_MAX 3	       /* refused ones; each sends all parts again */
#define HEADERS_ROOM 72		       /* lfs_batch.c lets 64 through, and ours */

enum step { STEP_PUT, STEP_PART, STEP_COMPLETE, STEP_VERIFY, STEP_RENEW };

/* One request of an object; it owns what the request points to. */
struct step_request {
	struct lfs_object *o;
	enum step step;
	size_t part;
	char *url;
	struct buf body;
	struct http_header headers[HEADERS_ROOM];
	size_t n_headers;
};

static void on_done(void *ctx, const struct http_request *rq, struct http_response *rs,
		    const struct err *e);

static void fail(struct lfs_object *o, const struct err *e)
{
	struct err wrapped = *e;

	(void)err_wrap(&wrapped, "%s", o->f->path);
	lfs_sender_fail(o->sender, &wrapped);
	lfs_object_over(o);
}

static void fail_with(struct lfs_object *o, int code, const char *what)
{
	struct err e = ERR_INIT;

	(void)err_set(&e, code, "%s", what);
	fail(o, &e);
}

/* ---- making requests */

static struct step_request *step_new(struct lfs_object *o, enum step step)
{
	struct step_request *q = mem_zalloc(sizeof(*q));

	q->o = o;
	q->step = step;
	buf_init(&q->body, (size_t)16 << 20);
	return q;
}

static void step_free(struct step_request *q)
{
	buf_release(&q->body);
	free(q->url);
	free(q);
}

/* An address of the server's answer, as it is to be used: absolute, and at home behind a mirror. */
static char *resolve(const struct lfs_object *o, const char *href)
{
	const struct lfs_remote *r = o->sender->r;
	char *base = mem_printf("%s%s/", http_endpoint(r->http), r->path);
	char *joined = http_url_join(base, href);
	char *home = joined ? http_url_rehome(r->http, joined) : NULL;

	free(joined);
	free(base);
	return home;
}

static void add_header(struct step_request *q, const char *name, const char *value)
{
	if (q->n_headers < HEADERS_ROOM)
		q->headers[q->n_headers++] = (struct http_header){ name, value };
}

/* The action's own headers; returns whether they say who we are. */
static bool add_action_headers(struct step_request *q, const struct lfs_action *action)
{
	bool has_auth = false;

	for (size_t i = 0; i < action->n_headers; i++) {
		const char *name = action->headers[i].name;

		/* What the client itself decides. */
		if (strcasecmp(name, "content-length") == 0 ||
		    strcasecmp(name, "transfer-encoding") == 0 || strcasecmp(name, "host") == 0)
			continue;
		has_auth |= strcasecmp(name, "authorization") == 0;
		add_header(q, name, action->headers[i].value);
	}
	return has_auth;
}

static void submit(struct step_request *q, struct http_request *rq)
{
	const struct lfs_object *o = q->o;

	rq->url = q->url;
	rq->headers = q->headers;
	rq->n_headers = q->n_headers;
	rq->about.repo = o->sender->r->about.repo;
	rq->about.page = o->sender->r->about.page;
	rq->floor_s = q->step == STEP_PUT || q->step == STEP_PART ? STALL_S : THINKING_S;
	rq->on_done = on_done;
	rq->ctx = q;
	http_pool_add(o->sender->pool, rq);
}

/* q with the address, or NULL: the object has failed. */
static struct step_request *step_to(struct lfs_object *o, enum step step, const char *href)
{
	struct step_request *q = step_new(o, step);

	q->url = resolve(o, href);
	if (q->url)
		return q;
	step_free(q);
	fail_with(o, ERR_IO, "the LFS server gives an address that is none");
	return NULL;
}

static void set_body(struct http_request *rq, const struct lfs_object *o, uint64_t offset,
		     uint64_t n)
{
	rq->body_bytes = n;
	rq->bulk = n >= BULK_BYTES;
	if (o->f->local) {
		rq->body_fd = o->fd;
		rq->body_offset = offset;
	} else {
		rq->body = o->f->data + offset;
	}
}

static void send_put(struct lfs_object *o)
{
	struct http_request rq = { .method = HTTP_PUT, .redirects = HTTP_REDIRECT_ANY };
	struct step_request *q = step_to(o, STEP_PUT, o->answer.upload.href);

	if (!q)
		return;
	/* The Hub signs its addresses. A git server may take the object itself, and wants to know
	 * from whom. */
	rq.no_token =
		add_action_headers(q, &o->answer.upload) || !http_is_basic(o->sender->r->http);
	set_body(&rq, o, 0, o->f->size_bytes);
	submit(q, &rq);
}

static void send_part(struct lfs_object *o, size_t part)
{
	uint64_t offset = part * o->answer.chunk_bytes, left = o->f->size_bytes - offset;
	struct http_request rq = { .method = HTTP_PUT,
				   .redirects = HTTP_REDIRECT_ANY,
				   .no_token = true };
	struct step_request *q = step_to(o, STEP_PART, o->answer.parts[part]);

	if (!q)
		return;
	q->part = part;
	o->parts_active++;
	set_body(&rq, o, offset, left < o->answer.chunk_bytes ? left : o->answer.chunk_bytes);
	submit(q, &rq);
}

static void send_complete(struct lfs_object *o)
{
	struct http_request rq = { .method = HTTP_POST,
				   .redirects = HTTP_REDIRECT_ANY,
				   .no_token = true };
	struct step_request *q = step_to(o, STEP_COMPLETE, o->answer.upload.href);

	if (!q)
		return;
	CRASH_POINT("upload:before_complete");
	lfs_complete_write(&q->body, o->f, (const char *const *)o->etags, o->answer.n_parts);
	add_header(q, "Accept", LFS_MIME);
	add_header(q, "Content-Type", LFS_MIME);
	rq.body = q->body.data;
	rq.body_bytes = q->body.len;
	submit(q, &rq);
}

static void send_verify(struct lfs_object *o)
{
	struct http_request rq = { .method = HTTP_POST };
	struct step_request *q = step_to(o, STEP_VERIFY, o->answer.verify.href);

	if (!q)
		return;
	CRASH_POINT("upload:before_verify");
	lfs_verify_write(&q->body, o->f);
	add_header(q, "Accept", LFS_MIME);
	add_header(q, "Content-Type", LFS_MIME);
	rq.no_token = add_action_headers(q, &o->answer.verify);
	rq.body = q->body.data;
	rq.body_bytes = q->body.len;
	submit(q, &rq);
}

static void send_renew(struct lfs_object *o)
{
	struct step_request *q = step_new(o, STEP_RENEW);
	struct http_header headers[2];
	struct http_request rq;

	q->url = mem_printf("%s%s/objects/batch", http_endpoint(o->sender->r->http),
			    o->sender->r->path);
	lfs_batch_write(&q->body, LFS_UPLOAD, o->f, 1);
	lfs_batch_request(o->sender->r, &q->body, q->url, headers, &rq);
	for (size_t i = 0; i < rq.n_headers; i++)
		add_header(q, headers[i].name, headers[i].value);
	submit(q, &rq);
}

/* ---- parts */

/* What names a multipart upload: the address that completes it, without what is signed anew each
 * time. NULL when nothing does. */
static char *upload_name(const char *href)
{
	const char *id = strcasestr(href, "uploadid=");
	char *public = http_url_public(href), *name = NULL;

	if (public && id)
		name = mem_printf("%s#%.*s", public, (int)strcspn(id + 9, "&"), id + 9);
	free(public);
	return name;
}

static void forget_parts(struct lfs_object *o)
{
	for (size_t i = 0; o->etags && i < o->answer.n_parts; i++)
		free(o->etags[i]);
	free(o->etags);
	free(o->upload_name);
	o->etags = NULL;
	o->upload_name = NULL;
	o->parts_stored = 0;
}

static struct hub_part part_of(const struct lfs_object *o, size_t part)
{
	return (struct hub_part){ .upload = o->upload_name,
				  .chunk_bytes = o->answer.chunk_bytes,
				  .number = part };
}

/* Parts that an earlier life has stored in this same upload. */
static int recall_parts(struct lfs_object *o, struct err *e)
{
	const struct hub_put *report = o->sender->report;
	int rc = 0;

	if (!report->part_known || !o->upload_name || o->distrusted)
		return 0;
	for (size_t i = 0; rc >= 0 && i < o->answer.n_parts; i++) {
		struct hub_part p = part_of(o, i);

		rc = report->part_known(report->ctx, o->sender->order[o->first], &p, &o->etags[i],
					e);
		o->parts_stored += o->etags[i] != NULL;
	}
	return rc;
}

static int note_part(struct lfs_object *o, size_t part, struct err *e)
{
	const struct hub_put *report = o->sender->report;
	struct hub_part p = part_of(o, part);

	if (!report->part_stored || !o->upload_name)
		return 0;
	return report->part_stored(report->ctx, o->sender->order[o->first], &p, o->etags[part], e);
}

static void pump_parts(struct lfs_object *o)
{
	if (o->parts_stored == o->answer.n_parts) {
		if (o->hash_ok && o->parts_active == 0)
			send_complete(o);
		return;
	}
	while (!o->over && !o->expired && o->sender->err.code == 0 &&
	       o->parts_active < o->sender->r->jobs && o->next_part < o->answer.n_parts) {
		size_t part = o->next_part++;

		if (!o->etags[part])
			send_part(o, part);
	}
}

static void start_parts(struct lfs_object *o)
{
	struct err e = ERR_INIT;

	if (!o->etags) {
		o->etags = mem_array(o->answer.n_parts, sizeof(*o->etags));
		o->upload_name = upload_name(o->answer.upload.href);
		if (recall_parts(o, &e) < 0) {
			fail(o, &e);
			return;
		}
	}
	o->next_part = 0;
	pump_parts(o);
}

static void start_way(struct lfs_object *o)
{
	if (o->answer.way == LFS_MULTIPART)
		start_parts(o);
	else
		send_put(o);
}

/* ---- the file */

/* The file that was hashed, if it was; else any of that size. */
static bool is_expected(const struct lfs_object *o, const struct stat *st)
{
	const struct stat *was;

	if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != o->f->size_bytes)
		return false;
	if (!o->hash_ok)
		return true;
	was = &lfs_hasher_result(o->sender->hasher, o->place)->st;
	return was->st_dev == st->st_dev && was->st_ino == st->st_ino &&
	       was->st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       was->st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

static int open_file(struct lfs_object *o, struct err *e)
{
	struct stat st;

	if (!o->f->local)
		return 0;
	o->fd = open(o->f->local, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (o->fd < 0 || fstat(o->fd, &st) < 0)
		return err_errno(e, "%s", o->f->local);
	if (!is_expected(o, &st))
		return err_set(e, ERR_CORRUPT, "%s changed while it was being sent", o->f->local);
	return 0;
}

void lfs_object_start(struct lfs_object *o)
{
	struct err e = ERR_INIT;

	if (open_file(o, &e) < 0)
		fail(o, &e);
	else
		start_way(o);
}

void lfs_object_hashed(struct lfs_object *o)
{
	o->hash_ok = true;
	if (o->started && o->answer.way == LFS_MULTIPART)
		pump_parts(o);
}

void lfs_object_release(struct lfs_object *o)
{
	forget_parts(o);
	if (o->fd >= 0)
		(void)close(o->fd);
	o->fd = -1;
	arena_free(o->a);
	o->a = NULL;
}

/* ---- endings */

static void stored(struct lfs_object *o, bool sent)
{
	struct lfs_sender *s = o->sender;
	struct err e = ERR_INIT;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < o->n; i++)
		rc = s->report->stored(s->report->ctx, s->order[o->first + i], sent && i == 0, &e);
	if (rc < 0)
		lfs_sender_fail(s, &e);
	lfs_object_over(o);
}

static void sent(struct lfs_object *o)
{
	if (o->answer.verify.href)
		send_verify(o);
	else
		stored(o, true);
}

static void part_done(struct step_request *q, const struct http_response *rs)
{
	const char *etag = http_header(rs, "etag");
	struct lfs_object *o = q->o;
	struct err e = ERR_INIT;

	if (!etag || !*etag) {
		fail_with(o, ERR_IO, "the LFS server stores a part without naming its ETag");
		return;
	}
	o->etags[q->part] = mem_strdup(etag);
	o->parts_stored++;
	o->renewals = 0;
	if (note_part(o, q->part, &e) < 0) {
		fail(o, &e);
		return;
	}
	CRASH_POINT("upload:part_put");
	pump_parts(o);
}

/* Parts that are stored stay so when the server goes on with the same upload. */
static bool same_upload(const struct lfs_answer *x, const struct lfs_answer *y)
{
	char *a, *b;
	bool same;

	if (x->way != LFS_MULTIPART || y->way != LFS_MULTIPART ||
	    x->chunk_bytes != y->chunk_bytes || x->n_parts != y->n_parts)
		return false;
	a = upload_name(x->upload.href);
	b = upload_name(y->upload.href);
	same = a && b && strcmp(a, b) == 0;
	free(a);
	free(b);
	return same;
}

static void renewed(struct lfs_object *o, const struct http_response *rs)
{
	struct arena *a = arena_new();
	struct lfs_answer answer;
	struct err e = ERR_INIT;

	if (lfs_read_batch(o->sender->r, a, rs, LFS_UPLOAD, o->f, 1, &answer, &e) < 0) {
		arena_free(a);
		fail(o, &e);
		return;
	}
	if (!same_upload(&o->answer, &answer))
		forget_parts(o);
	arena_free(o->a);
	o->a = a;
	o->answer = answer;
	if (answer.way == LFS_STORED)
		stored(o, true);
	else if (answer.way == LFS_REFUSED)
		fail_with(o, ERR_INVALID, answer.error);
	else if (answer.way == LFS_BASIC && !o->hash_ok)
		fail_with(o, ERR_BUSY, "the LFS server changed its mind about how to send it");
	else
		start_way(o);
}

/* The addresses ran out, or the server does not know this upload any more: ask for new ones, once
 * nothing of the old ones is under way. */
static void expire(struct lfs_object *o, const struct err *e)
{
	o->expired = true;
	o->next_part = o->answer.n_parts;
	if (++o->renewals > RENEWALS_MAX)
		fail(o, e);
}

static bool is_expiry(const struct step_request *q, const struct http_fault *f)
{
	if (q->step != STEP_PUT && q->step != STEP_PART && q->step != STEP_COMPLETE)
		return false;
	return f->class == HTTP_FAULT_EXPIRED ||
	       (q->step != STEP_PUT && f->class == HTTP_FAULT_NOT_FOUND);
}

static void failed(struct step_request *q, const struct http_response *rs, const struct err *e)
{
	struct lfs_object *o = q->o;

	if (is_expiry(q, &rs->fault)) {
		expire(o, e);
	} else if (q->step == STEP_COMPLETE && rs->fault.class == HTTP_FAULT_INVALID &&
		   ++o->completions < COMPLETIONS_MAX) {
		forget_parts(o); /* it does not take the parts as it named them: all anew */
		o->distrusted = true;
		expire(o, e);
	} else {
		if (rs->fault.class == HTTP_FAULT_SLOW_DOWN && o->sender->r->slow_down)
			*o->sender->r->slow_down = true;
		fail(o, e);
	}
}

static void succeeded(struct step_request *q, const struct http_response *rs)
{
	switch (q->step) {
	case STEP_PUT:
	case STEP_COMPLETE:
		sent(q->o);
		break;
	case STEP_PART:
		part_done(q, rs);
		break;
	case STEP_VERIFY:
		stored(q->o, true);
		break;
	case STEP_RENEW:
		renewed(q->o, rs);
		break;
	}
}

static void on_done(void *ctx, const struct http_request *rq, struct http_response *rs,
		    const struct err *e)
{
	struct step_request *q = ctx;
	struct lfs_object *o = q->o;
	struct lfs_sender *s = o->sender;

	(void)rq;
	if (q->step == STEP_PART)
		o->parts_active--;
	if (!o->over && e->code < 0)
		failed(q, rs, e);
	else if (!o->over)
		succeeded(q, rs);
	step_free(q);
	if (o->parts_active == 0 && o->over) {
		lfs_object_release(o);
	} else if (o->parts_active == 0 && o->expired) {
		o->expired = false;
		send_renew(o);
	}
	lfs_sender_pump(s);
}
