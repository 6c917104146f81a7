/* upload/lfs_object.c -- one object on its way, from its start to its end: what an
 * ended request means, and when an address runs out, the batch again. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "upload/lfs_send_private.h"

#define RENEWALS_MAX 5	  /* of addresses, without a part stored in between */
#define COMPLETIONS_MAX 3 /* refused ones; each sends all parts again */

void lfs_object_fail(struct lfs_object *o, const struct err *e)
{
	struct err wrapped = *e;

	(void)err_wrap(&wrapped, "%s", o->f->path);
	lfs_sender_fail(o->sender, &wrapped);
	lfs_object_over(o);
}

void lfs_object_fail_with(struct lfs_object *o, int code, const char *what)
{
	struct err e = ERR_INIT;

	(void)err_set(&e, code, "%s", what);
	lfs_object_fail(o, &e);
}

static void start_way(struct lfs_object *o)
{
	if (o->answer.way == LFS_MULTIPART)
		lfs_parts_start(o);
	else
		lfs_step_put(o);
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
		lfs_object_fail(o, &e);
	else
		start_way(o);
}

void lfs_object_hashed(struct lfs_object *o)
{
	o->hash_ok = true;
	if (o->started && o->answer.way == LFS_MULTIPART)
		lfs_parts_pump(o);
}

void lfs_object_release(struct lfs_object *o)
{
	lfs_parts_forget(o);
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
		lfs_step_verify(o);
	else
		stored(o, true);
}

static void renewed(struct lfs_object *o, const struct http_response *rs)
{
	struct arena *a = arena_new();
	struct lfs_answer answer;
	struct err e = ERR_INIT;

	if (lfs_read_batch(o->sender->r, a, rs, LFS_UPLOAD, o->f, 1, &answer, &e) < 0) {
		arena_free(a);
		lfs_object_fail(o, &e);
		return;
	}
	if (!lfs_parts_same(&o->answer, &answer))
		lfs_parts_forget(o);
	arena_free(o->a);
	o->a = a;
	o->answer = answer;
	if (answer.way == LFS_STORED)
		stored(o, true);
	else if (answer.way == LFS_REFUSED)
		lfs_object_fail_with(o, ERR_INVALID, answer.error);
	else if (answer.way == LFS_BASIC && !o->hash_ok)
		lfs_object_fail_with(o, ERR_BUSY,
				     "the LFS server changed its mind about how to send it");
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
		lfs_object_fail(o, e);
}

static bool is_expiry(const struct lfs_step *q, const struct http_fault *f)
{
	if (q->kind != LFS_STEP_PUT && q->kind != LFS_STEP_PART && q->kind != LFS_STEP_COMPLETE)
		return false;
	return f->class == HTTP_FAULT_EXPIRED ||
	       (q->kind != LFS_STEP_PUT && f->class == HTTP_FAULT_NOT_FOUND);
}

static void failed(struct lfs_step *q, const struct http_response *rs, const struct err *e)
{
	struct lfs_object *o = q->o;

	if (is_expiry(q, &rs->fault)) {
		expire(o, e);
	} else if (q->kind == LFS_STEP_COMPLETE && rs->fault.class == HTTP_FAULT_INVALID &&
		   ++o->completions < COMPLETIONS_MAX) {
		lfs_parts_forget(o); /* it does not take the parts as it named them: all anew */
		o->distrusted = true;
		expire(o, e);
	} else {
		if (rs->fault.class == HTTP_FAULT_SLOW_DOWN && o->sender->r->slow_down)
			*o->sender->r->slow_down = true;
		lfs_object_fail(o, e);
	}
}

static void succeeded(struct lfs_step *q, const struct http_response *rs)
{
	switch (q->kind) {
	case LFS_STEP_PUT:
	case LFS_STEP_COMPLETE:
		sent(q->o);
		break;
	case LFS_STEP_PART:
		lfs_parts_stored(q, rs);
		break;
	case LFS_STEP_VERIFY:
		if (rs->status >= 300)
			lfs_object_fail_with(
				q->o, ERR_IO,
				"the LFS server does not verify it, and names another");
		else
			stored(q->o, true);
		break;
	case LFS_STEP_RENEW:
		renewed(q->o, rs);
		break;
	}
}

void lfs_object_on_done(void *ctx, const struct http_request *rq, struct http_response *rs,
			const struct err *e)
{
	struct lfs_step *q = ctx;
	struct lfs_object *o = q->o;
	struct lfs_sender *s = o->sender;

	(void)rq;
	if (q->kind == LFS_STEP_PART)
		o->parts_active--;
	if (!o->over && e->code < 0)
		failed(q, rs, e);
	else if (!o->over)
		succeeded(q, rs);
	lfs_step_free(q);
	if (o->parts_active == 0 && o->over) {
		lfs_object_release(o);
	} else if (o->parts_active == 0 && o->expired) {
		o->expired = false;
		lfs_step_renew(o);
	}
	lfs_sender_pump(s);
}
