/* upload/lfs_step.c -- the requests that bring an object to its server: where
 * each goes, what it says of who asks, what it carries. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/crash.h"
#include "core/mem.h"
#include "upload/lfs_send_private.h"

#define BULK_BYTES ((uint64_t)1 << 20) /* from here on a connection of its own pays */
#define STALL_S 60		       /* without a byte, also while a server hashes what came */
#define THINKING_S 120		       /* servers join and hash the parts before they answer */

static struct lfs_step *step_new(struct lfs_object *o, enum lfs_step_kind kind)
{
	struct lfs_step *q = mem_zalloc(sizeof(*q));

	q->o = o;
	q->kind = kind;
	buf_init(&q->body, (size_t)16 << 20);
	return q;
}

void lfs_step_free(struct lfs_step *q)
{
	buf_release(&q->body);
	free(q->url);
	free(q);
}

char *lfs_address(const struct lfs_remote *r, const char *href)
{
	char *base = mem_printf("%s%s/", http_endpoint(r->http), r->path);
	char *joined = http_url_join(base, href);
	char *home = joined ? http_url_rehome(r->http, joined) : NULL;

	free(joined);
	free(base);
	return home;
}

static void append(struct http_header headers[LFS_HEADERS_ROOM], size_t *n, const char *name,
		   const char *value)
{
	if (*n < LFS_HEADERS_ROOM)
		headers[(*n)++] = (struct http_header){ name, value };
}

bool lfs_action_headers(const struct lfs_action *action,
			struct http_header headers[LFS_HEADERS_ROOM], size_t *n)
{
	bool has_auth = false;

	for (size_t i = 0; i < action->n_headers; i++) {
		const char *name = action->headers[i].name;

		if (strcasecmp(name, "content-length") == 0 ||
		    strcasecmp(name, "transfer-encoding") == 0 || strcasecmp(name, "host") == 0)
			continue;
		has_auth |= strcasecmp(name, "authorization") == 0;
		append(headers, n, name, action->headers[i].value);
	}
	return has_auth;
}

static void add_header(struct lfs_step *q, const char *name, const char *value)
{
	append(q->headers, &q->n_headers, name, value);
}

static bool add_action_headers(struct lfs_step *q, const struct lfs_action *action)
{
	return lfs_action_headers(action, q->headers, &q->n_headers);
}

static void submit(struct lfs_step *q, struct http_request *rq)
{
	const struct lfs_object *o = q->o;

	rq->url = q->url;
	rq->headers = q->headers;
	rq->n_headers = q->n_headers;
	rq->about.repo = o->sender->r->about.repo;
	rq->about.page = o->sender->r->about.page;
	rq->floor_s = q->kind == LFS_STEP_PUT || q->kind == LFS_STEP_PART ? STALL_S : THINKING_S;
	rq->on_done = lfs_object_on_done;
	rq->ctx = q;
	http_pool_add(o->sender->pool, rq);
}

/* q with the address, or NULL: the object has failed. */
static struct lfs_step *step_to(struct lfs_object *o, enum lfs_step_kind kind, const char *href)
{
	struct lfs_step *q = step_new(o, kind);

	q->url = lfs_address(o->sender->r, href);
	if (q->url)
		return q;
	lfs_step_free(q);
	lfs_object_fail_with(o, ERR_IO, "the LFS server gives an address that is none");
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

void lfs_step_put(struct lfs_object *o)
{
	struct http_request rq = { .method = HTTP_PUT, .redirects = HTTP_REDIRECT_ANY };
	struct lfs_step *q = step_to(o, LFS_STEP_PUT, o->answer.upload.href);

	if (!q)
		return;
	/* The Hub signs its addresses. A git server may take the object itself, and wants to know
	 * from whom. */
	rq.no_token =
		add_action_headers(q, &o->answer.upload) || !http_is_basic(o->sender->r->http);
	set_body(&rq, o, 0, o->f->size_bytes);
	submit(q, &rq);
}

void lfs_step_part(struct lfs_object *o, size_t part)
{
	uint64_t offset = part * o->answer.chunk_bytes, left = o->f->size_bytes - offset;
	struct http_request rq = { .method = HTTP_PUT,
				   .redirects = HTTP_REDIRECT_ANY,
				   .no_token = true };
	struct lfs_step *q = step_to(o, LFS_STEP_PART, o->answer.parts[part]);

	if (!q)
		return;
	q->part = part;
	o->parts_active++;
	set_body(&rq, o, offset, left < o->answer.chunk_bytes ? left : o->answer.chunk_bytes);
	submit(q, &rq);
}

void lfs_step_complete(struct lfs_object *o)
{
	struct http_request rq = { .method = HTTP_POST,
				   .redirects = HTTP_REDIRECT_ANY,
				   .no_token = true };
	struct lfs_step *q = step_to(o, LFS_STEP_COMPLETE, o->answer.upload.href);

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

void lfs_step_verify(struct lfs_object *o)
{
	struct http_request rq = { .method = HTTP_POST };
	struct lfs_step *q = step_to(o, LFS_STEP_VERIFY, o->answer.verify.href);

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

void lfs_step_renew(struct lfs_object *o)
{
	struct lfs_step *q = step_new(o, LFS_STEP_RENEW);
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
