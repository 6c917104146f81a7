/* upload/lfs_parts.c -- the parts of an object that goes in such: which are stored,
 * in this life or an earlier one, which go next, and when all are there. */
#include <stdlib.h>
#include <string.h>

#include "core/crash.h"
#include "core/mem.h"
#include "upload/lfs_send_private.h"

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

void lfs_parts_forget(struct lfs_object *o)
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

void lfs_parts_pump(struct lfs_object *o)
{
	if (o->parts_stored == o->answer.n_parts) {
		if (o->hash_ok && o->parts_active == 0)
			lfs_step_complete(o);
		return;
	}
	while (!o->over && !o->expired && o->sender->err.code == 0 &&
	       o->parts_active < o->sender->r->jobs && o->next_part < o->answer.n_parts) {
		size_t part = o->next_part++;

		if (!o->etags[part])
			lfs_step_part(o, part);
	}
}

void lfs_parts_start(struct lfs_object *o)
{
	struct err e = ERR_INIT;

	if (!o->etags) {
		o->etags = mem_array(o->answer.n_parts, sizeof(*o->etags));
		o->upload_name = upload_name(o->answer.upload.href);
		if (recall_parts(o, &e) < 0) {
			lfs_object_fail(o, &e);
			return;
		}
	}
	o->next_part = 0;
	lfs_parts_pump(o);
}

void lfs_parts_stored(struct lfs_step *q, const struct http_response *rs)
{
	const char *etag = http_header(rs, "etag");
	struct lfs_object *o = q->o;
	struct err e = ERR_INIT;

	if (!etag || !*etag) {
		lfs_object_fail_with(o, ERR_IO,
				     "the LFS server stores a part without naming its ETag");
		return;
	}
	o->etags[q->part] = mem_strdup(etag);
	o->parts_stored++;
	o->renewals = 0;
	if (note_part(o, q->part, &e) < 0) {
		lfs_object_fail(o, &e);
		return;
	}
	CRASH_POINT("upload:part_put");
	lfs_parts_pump(o);
}

bool lfs_parts_same(const struct lfs_answer *x, const struct lfs_answer *y)
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
