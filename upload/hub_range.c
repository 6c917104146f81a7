#include "upload/hub_range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/scratch.h"

void hub_range_init(struct hub_range *r, const char *folder)
{
	*r = (struct hub_range){ .folder = folder, .fd = -1 };
}

void hub_range_release(struct hub_range *r)
{
	if (r->fd >= 0)
		(void)close(r->fd);
	free(r->name);
	hub_range_init(r, r->folder);
}

static int wrong_size(const struct hub_range_ask *q, uint64_t real, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "the server has %llu bytes of it, and lists %llu",
		       (unsigned long long)real, (unsigned long long)q->size_bytes);
}

/* ---- one range */

struct target {
	unsigned char *data;
	uint64_t offset;
	size_t len;
};

static int on_range(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct target *t = ctx;
	uint64_t at = offset - t->offset;

	if (offset < t->offset || at > t->len || n > t->len - at)
		return err_set(e, ERR_IO, "the hub sends more than it was asked for");
	memcpy(t->data + at, p, n);
	return 0;
}

/* 1; 0: the server does not answer ranges. */
static int read_range(const struct hub_range_ask *q, struct target *t, struct http_fault *fault,
		      struct err *e)
{
	struct http_request rq = *q->rq;
	struct http_response rs;
	int rc;

	rq.range_first = t->offset;
	rq.range_bytes = t->len;
	rq.on_data = on_range;
	rq.ctx = t;
	rc = http_call(q->http, &rq, &rs, e);
	*fault = rs.fault;
	if (rc >= 0)
		rc = !rs.total_bytes || rs.total_bytes == q->size_bytes
			     ? 1
			     : wrong_size(q, rs.total_bytes, e);
	else if (fault->class == HTTP_FAULT_RANGE && rs.status == 200)
		rc = 0;
	else if (fault->class == HTTP_FAULT_RANGE && rs.got_bytes)
		rc = wrong_size(q, t->offset + rs.got_bytes, e);
	else if (fault->class == HTTP_FAULT_RANGE && rs.status == 416)
		rc = err_set(e, ERR_CORRUPT,
			     "the server has less of it than the %llu bytes that it lists",
			     (unsigned long long)q->size_bytes);
	http_response_release(&rs);
	return rc;
}

/* ---- the whole */

struct copying {
	int fd;
	uint64_t size_bytes, max_bytes;
};

static int on_whole(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct copying *c = ctx;

	if (offset > c->max_bytes || n > c->max_bytes - offset)
		return err_set(e, ERR_CORRUPT,
			       "the server sends more of it than the %llu bytes that it lists",
			       (unsigned long long)c->max_bytes);
	c->size_bytes = offset + n;
	return scratch_write(c->fd, p, n, offset, e);
}

static int copy_whole(struct hub_range *r, const struct hub_range_ask *q, struct http_fault *fault,
		      struct err *e)
{
	struct copying c = { .max_bytes = q->size_bytes };
	struct http_request rq = *q->rq;
	struct http_response rs;
	int rc;

	hub_range_release(r);
	rc = path_mkdirs(r->folder, 0777, e);
	if (rc >= 0)
		rc = c.fd = scratch_open(r->folder, e);
	if (rc < 0)
		return rc;
	rq.on_data = on_whole;
	rq.ctx = &c;
	rc = http_call(q->http, &rq, &rs, e);
	*fault = rs.fault;
	http_response_release(&rs);
	if (rc >= 0 && c.size_bytes != q->size_bytes)
		rc = wrong_size(q, c.size_bytes, e);
	if (rc < 0) {
		(void)close(c.fd);
		return rc;
	}
	r->fd = c.fd;
	r->name = mem_strdup(q->name);
	return 0;
}

static int read_copy(const struct hub_range *r, const struct target *t, struct err *e)
{
	size_t at = 0;

	while (at < t->len) {
		ssize_t n = pread(r->fd, t->data + at, t->len - at, (off_t)(t->offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_IO, "%s: the copy of %s cannot be read", r->folder,
				       r->name);
		at += (size_t)n;
	}
	return 0;
}

int hub_range_read(struct hub_range *r, const struct hub_range_ask *q, uint64_t offset, void *data,
		   size_t len, size_t *got, struct http_fault *fault, struct err *e)
{
	struct target t = { data, offset, len };
	int rc = 0;

	*fault = (struct http_fault){ .wait_ms = -1 };
	if (offset >= q->size_bytes || len == 0) {
		*got = 0;
		return 0;
	}
	if (t.len > q->size_bytes - offset)
		t.len = (size_t)(q->size_bytes - offset);
	if (!r->name || strcmp(r->name, q->name) != 0) {
		rc = read_range(q, &t, fault, e);
		if (rc == 0)
			rc = copy_whole(r, q, fault, e);
	}
	if (rc == 0)
		rc = read_copy(r, &t, e);
	if (rc < 0)
		return rc;
	*got = t.len;
	return 0;
}
