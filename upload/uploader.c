/* upload/uploader.c -- the steps of an upload, each safe to repeat:
 *
 *   recover -> load -> list -> check files -> take -> put objects -> commit
 *           -> list again and compare -> done
 */
#include "upload/uploader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/crash.h"
#include "core/mem.h"
#include "upload/uploader_private.h"

/* Another writer may move the branch between our listing and our commit; not for ever. */
#define CONFLICTS_MAX 5
#define MESSAGE_FILES 20 /* named in a commit message */

/* ---- list and check */

static int list(struct upload *u, struct err *e)
{
	return u->hub->ops->list(u->hub, u->repo, u->a, &u->listing, &u->n_listing, &u->head, e);
}

/* 0 the file is there with the store's size (and hash, when asked); 1 not, with the reason in why.
 */
static int local_fault(const struct up_file *f, bool with_hash, char *why, size_t size,
		       struct err *e)
{
	uint8_t sha256[SHA256_LEN];
	struct stat st;
	int rc;

	if (lstat(f->local, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return err_errno(e, "%s", f->local);
		(void)snprintf(why, size, "%s is missing", f->row.name);
		return 1;
	}
	if (!S_ISREG(st.st_mode) || (int64_t)st.st_size != f->row.size_bytes) {
		(void)snprintf(why, size, "%s does not have the size it was sealed with",
			       f->row.name);
		return 1;
	}
	if (!with_hash)
		return 0;
	rc = sha256_file(f->local, sha256, NULL, e);
	if (rc < 0)
		return rc;
	if (memcmp(sha256, f->row.sha256, SHA256_LEN) == 0)
		return 0;
	(void)snprintf(why, size, "%s does not have the hash it was sealed with", f->row.name);
	return 1;
}

/* What the hub has of f, and whether we can give the rest. As local_fault(). A file of a done job
 * that is listed may be gone here: that is what upload is for. */
static int check_file(struct upload *u, const struct up_job *j, struct up_file *f, char *why,
		      size_t size, struct err *e)
{
	int rc;

	f->listed = up_is_listed(u, f->path, f->row.sha256);
	if (f->listed)
		return j->row.state == JOB_DONE ? 0 : local_fault(f, false, why, size, e);
	if (f->lfs && *u->head) {
		rc = u->hub->ops->have(u->hub, u->repo, f->row.sha256, (uint64_t)f->row.size_bytes,
				       e);
		if (rc < 0)
			return rc;
		f->stored = rc > 0;
	}
	if (f->stored)
		return j->row.state == JOB_DONE ? 0 : local_fault(f, false, why, size, e);
	rc = local_fault(f, !f->hashed, why, size, e);
	f->hashed |= rc == 0;
	return rc;
}

static int check_wanted(struct upload *u, bool *dropped, struct err *e)
{
	char why[512];

	for (size_t i = 0; i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];
		int rc = 0;

		for (size_t f = 0; rc == 0 && j->fate == UP_WANTED && f < j->n; f++)
			rc = check_file(u, j, &j->files[f], why, sizeof(why), e);
		if (rc > 0) {
			*dropped = true;
			rc = up_gone(u, j, why, e);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Decide what is wanted, until all of it can be given and is ours. */
static int settle(struct upload *u, struct err *e)
{
	bool dropped;
	int rc;

	do {
		dropped = false;
		up_plan_resolve(u);
		rc = check_wanted(u, &dropped, e);
		if (rc >= 0 && !dropped)
			rc = up_take(u, &dropped, e);
	} while (rc >= 0 && dropped);
	return rc;
}

/* ---- send */

/* The commit to be: what changes against the listing. */
struct change {
	struct hub_file *files;
	size_t n;
	const char **gone;
	size_t n_gone;
};

static struct hub_file as_hub_file(const struct up_file *f)
{
	struct hub_file h = { .path = f->path,
			      .local = f->local,
			      .size_bytes = (uint64_t)f->row.size_bytes,
			      .lfs = f->lfs };

	memcpy(h.sha256, f->row.sha256, SHA256_LEN);
	return h;
}

/* The rest of a replaced variant goes, if it is what that job had put there. gone: by group, so
 * that two replaced variants do not name a path twice. */
static void add_gone(struct upload *u, const struct up_job *j, bool *gone, struct change *c)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct up_file *f = &j->files[i];

		if (u->owners[f->group] || gone[f->group] ||
		    !up_is_listed(u, f->path, f->row.sha256))
			continue;
		gone[f->group] = true;
		c->gone[c->n_gone++] = f->path;
	}
}

static int by_path(const void *x, const void *y)
{
	const struct hub_file *a = x, *b = y;

	return strcmp(a->path, b->path);
}

static void make_change(struct upload *u, struct change *c)
{
	bool *gone = arena_array(u->a, u->n_groups, sizeof(*gone));
	size_t n = 0;

	for (size_t i = 0; i < u->n_jobs; i++)
		n += u->jobs[i].n;
	*c = (struct change){ .files = arena_array(u->a, n + u->n_own, sizeof(*c->files)),
			      .gone = arena_array(u->a, n, sizeof(const char *)) };
	for (size_t i = 0; i < u->n_jobs; i++) {
		const struct up_job *j = &u->jobs[i];

		if (j->fate == UP_REPLACED)
			add_gone(u, j, gone, c);
		for (size_t f = 0; j->fate == UP_WANTED && f < j->n; f++)
			if (!j->files[f].listed)
				c->files[c->n++] = as_hub_file(&j->files[f]);
	}
	for (size_t i = 0; i < u->n_own; i++)
		if (!up_is_listed(u, u->own[i].path, u->own[i].sha256))
			c->files[c->n++] = u->own[i];
	if (c->n)
		qsort(c->files, c->n, sizeof(*c->files), by_path);
}

static void tell_progress(struct upload *u, const struct up_file *f)
{
	u->done_bytes += (uint64_t)f->row.size_bytes;
	if (u->opt->progress)
		u->opt->progress(u->opt->ctx, f->path, u->done_bytes, u->total_bytes);
}

static int put_file(struct upload *u, const struct up_job *j, struct up_file *f, struct err *e)
{
	struct hub_file h = as_hub_file(f);
	int rc = u->hub->ops->put(u->hub, u->repo, &h, e);

	if (rc < 0)
		return err_wrap(e, "%s", f->path);
	CRASH_POINT("upload:object_put");
	f->stored = true;
	u->res->files_sent++;
	u->res->bytes_sent += (uint64_t)f->row.size_bytes;
	return up_sent(u, j, f, e);
}

static bool must_put(const struct up_job *j, const struct up_file *f)
{
	return j->fate == UP_WANTED && f->lfs && !f->listed && !f->stored;
}

static int put_objects(struct upload *u, struct err *e)
{
	u->done_bytes = u->total_bytes = 0;
	for (size_t i = 0; i < u->n_jobs; i++)
		for (size_t f = 0; f < u->jobs[i].n; f++)
			if (must_put(&u->jobs[i], &u->jobs[i].files[f]))
				u->total_bytes += (uint64_t)u->jobs[i].files[f].row.size_bytes;
	for (size_t i = 0; i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		for (size_t f = 0; f < j->n; f++) {
			int rc;

			if (!must_put(j, &j->files[f]))
				continue;
			rc = put_file(u, j, &j->files[f], e);
			if (rc < 0)
				return rc;
			tell_progress(u, &j->files[f]);
		}
	}
	return 0;
}

/* "Publish 3 files", then their names. */
static void write_message(const struct upload *u, const struct change *c, struct buf *b)
{
	size_t n = 0, shown = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->files[i].local != NULL;
	if (n == 0 && c->n_gone == 0) {
		buf_adds(b, "Update the card\n");
		return;
	}
	buf_addf(b, "Publish %zu file%s", n, n == 1 ? "" : "s");
	if (c->n_gone)
		buf_addf(b, ", remove %zu", c->n_gone);
	buf_adds(b, "\n\n");
	for (size_t i = 0; i < c->n && shown < MESSAGE_FILES; i++) {
		if (!c->files[i].local)
			continue;
		buf_addf(b, "%s %s\n", up_listed(u, c->files[i].path) ? "replace" : "add",
			 c->files[i].path);
		shown++;
	}
	if (shown < n)
		buf_addf(b, "and %zu more\n", n - shown);
}

static int commit(struct upload *u, const struct change *c, const char **id, struct err *e)
{
	struct buf message;
	int rc;

	buf_init(&message, (size_t)1 << 20);
	write_message(u, c, &message);
	rc = u->hub->ops->commit(u->hub, u->repo, u->head, buf_str(&message), c->files, c->n,
				 c->gone, c->n_gone, u->a, id, e);
	buf_release(&message);
	if (rc >= 0 && strcmp(*id, u->head) != 0)
		u->res->commits++;
	return rc;
}

static void count_files(struct upload *u)
{
	for (size_t i = 0; i < u->n_jobs; i++) {
		const struct up_job *j = &u->jobs[i];

		for (size_t f = 0; j->fate == UP_WANTED && f < j->n; f++) {
			const struct up_file *file = &j->files[f];

			if (file->listed || (file->lfs && file->stored))
				continue;
			u->res->files_sent++;
			u->res->bytes_sent += (uint64_t)file->row.size_bytes;
		}
	}
}

/* ---- confirm */

static int expect(const struct upload *u, const char *path, const uint8_t sha256[SHA256_LEN],
		  struct err *e)
{
	if (up_is_listed(u, path, sha256))
		return 0;
	return err_set(e, ERR_CONFLICT,
		       "%s: after the commit its listing does not show %s as it was sent", u->repo,
		       path);
}

/* The hub's own listing has the last word. */
static int confirm(struct upload *u, struct err *e)
{
	int rc = list(u, e);

	for (size_t i = 0; rc >= 0 && i < u->n_own; i++)
		rc = expect(u, u->own[i].path, u->own[i].sha256, e);
	for (size_t i = 0; rc >= 0 && i < u->n_jobs; i++) {
		const struct up_job *j = &u->jobs[i];

		for (size_t f = 0; rc >= 0 && j->fate == UP_WANTED && f < j->n; f++)
			rc = expect(u, j->files[f].path, j->files[f].row.sha256, e);
	}
	return rc;
}

/* ---- all of it */

static int send_change(struct upload *u, const struct change *c, struct err *e)
{
	const char *id = u->head;
	int rc = u->hub->ops->create(u->hub, u->repo, u->opt->is_private, e);

	if (rc >= 0)
		rc = put_objects(u, e);
	if (rc < 0)
		return rc;
	CRASH_POINT("upload:before_commit");
	rc = commit(u, c, &id, e);
	if (rc < 0)
		return rc;
	CRASH_POINT("upload:committed");
	count_files(u);
	rc = confirm(u, e);
	if (rc >= 0)
		CRASH_POINT("upload:confirmed");
	return rc;
}

static int publish_once(struct upload *u, struct err *e)
{
	struct change c;
	int rc = list(u, e);

	if (rc >= 0)
		rc = settle(u, e);
	if (rc < 0)
		return rc;
	CRASH_POINT("upload:taken");
	rc = up_make_own(u, e);
	if (rc < 0)
		return rc;
	make_change(u, &c);
	if (c.n + c.n_gone > 0)
		rc = send_change(u, &c, e);
	return rc;
}

static int publish(struct upload *u, struct err *e)
{
	int rc, conflicts = 0;

	do {
		rc = publish_once(u, e);
	} while (rc == ERR_CONFLICT && ++conflicts < CONFLICTS_MAX);
	if (rc >= 0)
		rc = up_done(u, u->head, e);
	if (rc >= 0)
		CRASH_POINT("upload:done");
	return rc;
}

static void count_kept(struct upload *u)
{
	for (size_t i = 0; i < u->n_jobs; i++)
		if (u->jobs[i].fate == UP_WANTED)
			u->res->files_kept += (int)u->jobs[i].n;
	u->res->files_kept -= u->res->files_sent;
}

int uploader_run(struct store *s, struct hub *h, const char *repo, const struct uploader_options *o,
		 struct uploader_result *out, struct err *e)
{
	struct uploader_result res = { 0 };
	struct upload u = { .store = s, .hub = h, .repo = repo, .opt = o, .res = &res, .head = "" };
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	u.a = arena_new();
	rc = up_recover(&u, e);
	if (rc >= 0)
		rc = up_plan_load(&u, e);
	if (rc >= 0)
		rc = publish(&u, e);
	if (rc < 0) {
		up_failed(&u, e);
	} else {
		count_kept(&u);
		(void)snprintf(res.commit, sizeof(res.commit), "%s", u.head);
		*out = res;
	}
	arena_free(u.a);
	return rc;
}
