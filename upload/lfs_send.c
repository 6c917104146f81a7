#include "upload/lfs_send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "upload/lfs_send_private.h"

/* Of an answer: 256 objects with an action of a few KB each, or a part of 20 MB of each of 500 GB.
 */
#define ANSWER_MAX ((size_t)64 << 20)
#define THINKING_S 120 /* a server may read the objects of a batch before it answers */

/* ---- batch */

void lfs_batch_request(const struct lfs_remote *r, const struct buf *body, const char *path,
		       struct http_header headers[2], struct http_request *rq)
{
	size_t n = 0;

	headers[n++] = (struct http_header){ "Accept", LFS_MIME };
	headers[n++] = (struct http_header){ "Content-Type", LFS_MIME };
	*rq = (struct http_request){ .method = HTTP_POST,
				     .url = path,
				     .headers = headers,
				     .n_headers = n,
				     .about = r->about,
				     .body = body->data,
				     .body_bytes = body->len,
				     .body_max = ANSWER_MAX,
				     .want_json = true,
				     .floor_s = THINKING_S };
}

int lfs_read_batch(const struct lfs_remote *r, struct arena *a, const struct http_response *rs,
		   enum lfs_operation op, const struct hub_file *files, size_t n,
		   struct lfs_answer *out, struct err *e)
{
	int rc = lfs_batch_parse(a, op, buf_str(&rs->body), rs->body.len, files, n, out, e);

	return rc < 0 ? err_wrap(e, "%s", r->about.repo) : 0;
}

static void note_slow_down(const struct lfs_remote *r, const struct http_fault *f)
{
	if (r->slow_down)
		*r->slow_down = f->class == HTTP_FAULT_SLOW_DOWN;
}

int lfs_ask_batch(const struct lfs_remote *r, struct arena *a, enum lfs_operation op,
		  const struct hub_file *files, size_t n, struct lfs_answer *out, struct err *e)
{
	char *path = mem_printf("%s/objects/batch", r->path);
	struct http_header headers[2];
	struct http_response rs;
	struct http_request rq;
	struct buf body;
	int rc;

	buf_init(&body, (size_t)1 << 20);
	lfs_batch_write(&body, op, files, n);
	lfs_batch_request(r, &body, path, headers, &rq);
	rc = http_call(r->http, &rq, &rs, e);
	if (rc >= 0)
		rc = lfs_read_batch(r, a, &rs, op, files, n, out, e);
	else
		note_slow_down(r, &rs.fault);
	http_response_release(&rs);
	buf_release(&body);
	free(path);
	return rc;
}

/* ---- each content once */

static int by_content(const void *x, const void *y, void *ctx)
{
	const struct hub_file *files = ctx;
	size_t a = *(const size_t *)x, b = *(const size_t *)y;
	int cmp = memcmp(files[a].sha256, files[b].sha256, SHA256_LEN);

	return cmp ? cmp : (a > b) - (a < b);
}

static bool same_content(const struct hub_file *files, size_t a, size_t b)
{
	return memcmp(files[a].sha256, files[b].sha256, SHA256_LEN) == 0;
}

/* Indices of files[n], those with one content beside each other. */
static size_t *order_by_content(const struct hub_file *files, size_t n)
{
	size_t *order = mem_array(n, sizeof(*order));

	for (size_t i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof(*order), by_content, (void *)files);
	return order;
}

/* The next batch of contents: files from *at of order on. Returns how many; starts[i] is the place
 * of the i-th in order. */
static size_t next_batch(const struct hub_file *files, const size_t *order, size_t n, size_t *at,
			 struct hub_file batch[LFS_BATCH_MAX], size_t starts[LFS_BATCH_MAX + 1])
{
	size_t count = 0;

	while (*at < n && count < LFS_BATCH_MAX) {
		starts[count] = *at;
		batch[count++] = files[order[*at]];
		do {
			++*at;
		} while (*at < n && same_content(files, order[*at - 1], order[*at]));
	}
	starts[count] = *at;
	return count;
}

int lfs_refusal(const struct hub_file *f, const struct lfs_answer *answer, struct err *e)
{
	int code = answer->error_code;
	int rc = code == 408 || code == 429 || code >= 500 ? ERR_BUSY
		 : code == 401 || code == 403		   ? ERR_ENV
							   : ERR_INVALID;

	return err_set(e, rc, "%s: the hub does not take it: %.300s (%d)", f->path, answer->error,
		       code);
}

int lfs_ask(const struct lfs_remote *r, enum lfs_operation op, const struct hub_file *files,
	    size_t n, bool *have, struct err *e)
{
	size_t *order = order_by_content(files, n), starts[LFS_BATCH_MAX + 1], at = 0;
	struct hub_file batch[LFS_BATCH_MAX];
	struct arena *a = arena_new();
	int rc = 0;

	while (rc >= 0 && at < n) {
		size_t count = next_batch(files, order, n, &at, batch, starts);
		struct lfs_answer *answers = arena_array(a, count, sizeof(*answers));

		rc = lfs_ask_batch(r, a, op, batch, count, answers, e);
		for (size_t i = 0; rc >= 0 && i < count; i++)
			for (size_t k = starts[i]; k < starts[i + 1]; k++)
				have[order[k]] = answers[i].way == LFS_STORED;
		arena_reset(a);
	}
	arena_free(a);
	free(order);
	return rc;
}

/* ---- what is in flight */

void lfs_sender_fail(struct lfs_sender *s, const struct err *e)
{
	if (s->err.code == 0)
		s->err = *e;
	http_pool_hold(s->pool, false);
}

void lfs_object_over(struct lfs_object *o)
{
	struct lfs_sender *s = o->sender;

	if (o->over)
		return;
	o->over = true;
	lfs_hasher_release(s->hasher, o->place);
	if (o->started)
		s->active--;
	if (o->parts_active == 0)
		lfs_object_release(o);
}

/* May it start, as far as its hash goes? */
static bool is_startable(const struct lfs_object *o)
{
	return o->hash_ok || o->answer.way == LFS_MULTIPART;
}

void lfs_sender_pump(struct lfs_sender *s)
{
	while (s->err.code == 0 && s->next < s->n_objects && s->active < s->r->jobs) {
		struct lfs_object *o = &s->objects[s->next];

		if (!o->over && !is_startable(o))
			break; /* the hasher goes in the same order */
		s->next++;
		if (o->over)
			continue;
		o->started = true;
		s->active++;
		lfs_object_start(o);
	}
}

static void report_changed(struct lfs_object *o, const char *why)
{
	struct lfs_sender *s = o->sender;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < o->n; i++) {
		if (s->report->changed(s->report->ctx, s->order[o->first + i], why, &e) < 0) {
			lfs_sender_fail(s, &e);
			break;
		}
	}
	lfs_object_over(o);
}

static void look_at_hash(struct lfs_object *o, const struct lfs_hash *h)
{
	if (o->over)
		return;
	if (h->code < 0 && h->code != ERR_NOTFOUND)
		lfs_sender_fail(o->sender, &h->err);
	else if (h->code < 0)
		report_changed(o, "is missing");
	else if (memcmp(h->sha256, o->f->sha256, SHA256_LEN) != 0)
		report_changed(o, "does not have the hash it was sealed with");
	else
		lfs_object_hashed(o);
}

static void on_wake(void *ctx)
{
	struct lfs_sender *s = ctx;
	size_t done = lfs_hasher_done(s->hasher);

	for (; s->n_hashed < done; s->n_hashed++)
		look_at_hash(&s->objects[s->n_hashed], lfs_hasher_result(s->hasher, s->n_hashed));
	http_pool_hold(s->pool, s->n_hashed < s->n_objects && s->err.code == 0);
	lfs_sender_pump(s);
}

static void wake(void *ctx)
{
	struct lfs_sender *s = ctx;

	http_pool_wake(s->pool);
}

/* ---- a batch, from question to end */

static void add_object(struct lfs_sender *s, const struct hub_file *f,
		       const struct lfs_answer *answer, size_t first, size_t n)
{
	struct lfs_object *o = &s->objects[s->n_objects];

	*o = (struct lfs_object){ .sender = s,
				  .f = f,
				  .place = s->n_objects++,
				  .first = first,
				  .n = n,
				  .answer = *answer,
				  .fd = -1 };
}

static int report_stored(struct lfs_sender *s, size_t first, size_t end, struct err *e)
{
	int rc = 0;

	for (size_t i = first; rc >= 0 && i < end; i++)
		rc = s->report->stored(s->report->ctx, s->order[i], false, e);
	return rc;
}

static int run_objects(struct lfs_sender *s, struct err *e)
{
	const struct hub_file *files[LFS_BATCH_MAX];
	int rc;

	for (size_t i = 0; i < s->n_objects; i++)
		files[i] = s->objects[i].f;
	rc = lfs_hasher_new(files, s->n_objects, wake, s, &s->hasher, e);
	if (rc < 0)
		return rc;
	http_pool_hold(s->pool, true);
	lfs_sender_pump(s);
	rc = http_pool_run(s->pool, e);
	for (size_t i = 0; i < s->n_objects; i++)
		lfs_object_over(&s->objects[i]);
	lfs_hasher_free(s->hasher);
	s->hasher = NULL;
	if (rc >= 0 && s->err.code < 0) {
		rc = s->err.code;
		*e = s->err;
	}
	return rc;
}

/* One refused object does not stop the others of its batch. */
static int send_batch(struct lfs_sender *s, const struct hub_file *batch, const size_t *starts,
		      size_t n, struct arena *a, struct err *e)
{
	struct lfs_answer *answers = arena_array(a, n, sizeof(*answers));
	struct err refused = ERR_INIT;
	int rc = lfs_ask_batch(s->r, a, LFS_UPLOAD, batch, n, answers, e);

	s->objects = arena_array(a, n, sizeof(*s->objects));
	s->n_objects = s->next = s->n_hashed = 0;
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		if (answers[i].way == LFS_STORED)
			rc = report_stored(s, starts[i], starts[i + 1], e);
		else if (answers[i].way != LFS_REFUSED)
			add_object(s, &batch[i], &answers[i], starts[i], starts[i + 1] - starts[i]);
		else if (refused.code == 0)
			(void)lfs_refusal(&batch[i], &answers[i], &refused);
	}
	if (rc >= 0 && s->n_objects)
		rc = run_objects(s, e);
	if (rc >= 0 && refused.code < 0) {
		*e = refused;
		rc = refused.code;
	}
	return rc;
}

int lfs_send(const struct lfs_remote *r, const struct hub_file *files, size_t n,
	     const struct hub_put *report, struct err *e)
{
	struct lfs_sender s = { .r = r, .files = files, .report = report, .err = ERR_INIT };
	size_t starts[LFS_BATCH_MAX + 1], at = 0;
	struct hub_file batch[LFS_BATCH_MAX];
	struct arena *a = arena_new();
	int rc = 0;

	s.order = order_by_content(files, n);
	s.pool = http_pool_new(r->http, r->jobs);
	http_pool_on_wake(s.pool, on_wake, &s);
	while (rc >= 0 && at < n) {
		size_t count = next_batch(files, s.order, n, &at, batch, starts);

		rc = send_batch(&s, batch, starts, count, a, e);
		arena_reset(a);
	}
	http_pool_free(s.pool);
	arena_free(a);
	free(s.order);
	return rc;
}
