/* upload/uploader_send.c -- what changes, how the hub wants it, the objects, and
 * the commits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/crash.h"
#include "core/mem.h"
#include "upload/uploader_private.h"

#define MESSAGE_FILES 20 /* named in a commit message */

static struct hub_file as_hub_file(const struct up_file *f)
{
	struct hub_file h = { .path = f->path,
			      .local = f->local,
			      .size_bytes = (uint64_t)f->row.size_bytes,
			      .lfs = f->lfs };

	memcpy(h.sha256, f->row.sha256, SHA256_LEN);
	return h;
}

/* ---- the change */

static void add_gone_path(const struct upload *u, const char *path, size_t group, bool *gone,
			  struct up_change *c)
{
	if (u->owners[group] || gone[group])
		return;
	gone[group] = true;
	c->gone[c->n_gone++] = path;
}

/* The rest of a replaced variant goes, if it is what that job had put there. gone: by group, so
 * that two replaced variants do not name a path twice. */
static void add_gone(struct upload *u, const struct up_job *j, bool *gone, struct up_change *c)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct up_file *f = &j->files[i];

		if (f->shared ? f->at_own : up_file_is_listed(u, f))
			add_gone_path(u, f->own, f->own_group, gone, c);
		if (f->shared && f->is_ours)
			add_gone_path(u, f->shared, f->shared_group, gone, c);
	}
}

/* .gitattributes first, so that a hub which marks LFS files by itself finds them marked; manifest
 * and card last, so that of several commits only the last one speaks of all files. */
static int rank(const struct hub_file *f)
{
	if (strcmp(f->path, UP_ATTRIBUTES) == 0)
		return 0;
	return strcmp(f->path, UP_MANIFEST) == 0 || strcmp(f->path, UP_README) == 0 ? 2 : 1;
}

static int in_order(const void *x, const void *y)
{
	const struct hub_file *a = x, *b = y;
	int by_rank = rank(a) - rank(b);

	return by_rank ? by_rank : strcmp(a->path, b->path);
}

void up_make_change(struct upload *u, struct up_change *c)
{
	bool *gone = arena_array(u->a, u->n_groups, sizeof(*gone));
	size_t n = 0;

	for (size_t i = 0; i < u->n_jobs; i++)
		n += u->jobs[i].n;
	*c = (struct up_change){ .files = arena_array(u->a, n + u->n_own, sizeof(*c->files)),
				 .gone = arena_array(u->a, 2 * n, sizeof(const char *)) };
	for (size_t i = 0; i < u->n_jobs; i++) {
		const struct up_job *j = &u->jobs[i];

		if (j->fate == UP_REPLACED)
			add_gone(u, j, gone, c);
		for (size_t f = 0; j->fate == UP_WANTED && f < j->n; f++)
			if (!j->files[f].listed && !j->files[f].is_twin)
				c->files[c->n++] = as_hub_file(&j->files[f]);
	}
	for (size_t i = 0; i < u->n_own; i++) {
		if (up_own_is_listed(u, i))
			continue;
		c->files[c->n++] = u->own[i];
		c->n_own++;
	}
	if (c->n)
		qsort(c->files, c->n, sizeof(*c->files), in_order);
}

/* ---- files of jobs, as the hub is asked about them */

struct selection {
	struct hub_file *files;
	struct up_file **of;
	struct up_job **jobs;
	size_t n;
};

static void select_files(struct upload *u, bool (*wanted)(const struct up_file *f),
			 struct selection *s)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_jobs; i++)
		n += u->jobs[i].n;
	*s = (struct selection){ .files = arena_array(u->a, n, sizeof(*s->files)),
				 .of = arena_array(u->a, n, sizeof(struct up_file *)),
				 .jobs = arena_array(u->a, n, sizeof(struct up_job *)) };
	for (size_t i = 0; i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		for (size_t k = 0; j->fate == UP_WANTED && k < j->n; k++) {
			if (j->files[k].is_twin || !wanted(&j->files[k]))
				continue;
			s->files[s->n] = as_hub_file(&j->files[k]);
			s->of[s->n] = &j->files[k];
			s->jobs[s->n++] = j;
		}
	}
}

static bool is_new(const struct up_file *f)
{
	return !f->listed;
}

static bool must_put(const struct up_file *f)
{
	return f->lfs && !f->listed && !f->stored;
}

int up_prepare(struct upload *u, bool *again, struct err *e)
{
	const char **refused;
	struct selection s;
	int rc;

	if (!u->hub->ops->prepare)
		return 0;
	select_files(u, is_new, &s);
	if (s.n == 0)
		return 0;
	refused = arena_array(u->a, s.n, sizeof(const char *));
	rc = u->hub->ops->prepare(u->hub, u->repo, s.files, s.n, u->a, refused, e);
	for (size_t i = 0; rc >= 0 && i < s.n; i++) {
		if (refused[i] && s.jobs[i]->fate == UP_WANTED) {
			*again = true;
			rc = up_refuse(u, s.jobs[i], "refused", refused[i], e);
		} else if (s.files[i].lfs && !s.of[i]->lfs) {
			*again = true;
			s.of[i]->lfs = true;
		}
	}
	return rc;
}

/* ---- objects */

struct putting {
	struct upload *u;
	struct selection s;
	bool *again;
};

static int on_stored(void *ctx, size_t i, bool sent, struct err *e)
{
	struct putting *p = ctx;
	struct upload *u = p->u;
	struct up_file *f = p->s.of[i];

	CRASH_POINT("upload:object_put");
	f->stored = true;
	if (sent) {
		u->res->files_sent++;
		u->res->bytes_sent += (uint64_t)f->row.size_bytes;
	}
	u->done_bytes += (uint64_t)f->row.size_bytes;
	if (u->opt->progress)
		u->opt->progress(u->opt->ctx, f->path, u->done_bytes, u->total_bytes);
	return up_sent(u, p->s.jobs[i], f, e);
}

static struct part_row as_row(const struct up_file *f, const struct hub_part *p)
{
	struct part_row r = { .upload = p->upload,
			      .chunk_bytes = (int64_t)p->chunk_bytes,
			      .number = (int64_t)p->number };

	memcpy(r.sha256, f->row.sha256, SHA256_LEN);
	return r;
}

static int on_part_stored(void *ctx, size_t i, const struct hub_part *part, const char *etag,
			  struct err *e)
{
	const struct putting *p = ctx;
	struct part_row r = as_row(p->s.of[i], part);

	r.etag = etag;
	p->s.of[i]->parted = true;
	return store_part_put(p->u->store, &r, e);
}

static int on_part_known(void *ctx, size_t i, const struct hub_part *part, char **etag,
			 struct err *e)
{
	const struct putting *p = ctx;
	struct part_row r = as_row(p->s.of[i], part);
	int rc = store_part_get(p->u->store, &r, p->u->a, e);

	if (rc > 0) {
		*etag = mem_strdup(r.etag);
		p->s.of[i]->parted = true;
	}
	return rc < 0 ? rc : 0;
}

static int on_changed(void *ctx, size_t i, const char *why, struct err *e)
{
	struct putting *p = ctx;
	char text[512];

	*p->again = true;
	if (p->s.jobs[i]->fate != UP_WANTED)
		return 0; /* another file of it was first */
	(void)snprintf(text, sizeof(text), "%s %s", p->s.of[i]->row.name, why);
	return up_gone(p->u, p->s.jobs[i], text, e);
}

int up_put_objects(struct upload *u, bool *again, struct err *e)
{
	struct putting p = { .u = u, .again = again };
	const struct hub_put report = { .stored = on_stored,
					.changed = on_changed,
					.part_stored = on_part_stored,
					.part_known = on_part_known,
					.ctx = &p };

	select_files(u, must_put, &p.s);
	u->done_bytes = u->total_bytes = 0;
	for (size_t i = 0; i < p.s.n; i++)
		u->total_bytes += p.s.files[i].size_bytes;
	if (p.s.n == 0)
		return 0;
	return u->hub->ops->put(u->hub, u->repo, p.s.files, p.s.n, &report, e);
}

/* ---- commits */

/* "Publish 3 files", then the names of those in this part. part: 0 when it is the only one. */
static void write_message(const struct upload *u, const struct up_change *all,
			  const struct up_change *c, int part, struct buf *b)
{
	size_t n = all->n - all->n_own, here = 0, shown = 0;

	if (n == 0 && all->n_gone == 0)
		buf_adds(b, "Update the card");
	else
		buf_addf(b, "Publish %zu file%s", n, n == 1 ? "" : "s");
	if (all->n_gone)
		buf_addf(b, ", remove %zu", all->n_gone);
	if (part)
		buf_addf(b, " (part %d)", part);
	buf_addc(b, '\n');
	for (size_t i = 0; i < c->n; i++)
		here += c->files[i].local != NULL;
	if (here)
		buf_addc(b, '\n');
	for (size_t i = 0; i < c->n && shown < MESSAGE_FILES; i++) {
		if (!c->files[i].local)
			continue;
		buf_addf(b, "%s %s\n", up_listed(u, c->files[i].path) ? "replace" : "add",
			 c->files[i].path);
		shown++;
	}
	if (shown < here)
		buf_addf(b, "and %zu more\n", here - shown);
}

/* How many of the files from `first` on go into one commit. */
static size_t part_size(const struct upload *u, const struct up_change *c, size_t first)
{
	uint64_t inline_max = u->hub->ops->commit_inline_bytes, bytes = 0;
	size_t n = 0;

	for (; first + n < c->n; n++) {
		const struct hub_file *f = &c->files[first + n];

		if (u->commit_files && n == u->commit_files)
			break;
		bytes += f->lfs ? 0 : f->size_bytes;
		if (inline_max && bytes > inline_max && n > 0)
			break;
	}
	return n;
}

static int commit_part(struct upload *u, const struct up_change *all, const struct up_change *part,
		       int number, struct err *e)
{
	struct hub_commit c = { .parent = u->head,
				.files = part->files,
				.n = part->n,
				.gone = part->gone,
				.n_gone = part->n_gone };
	const char *id = u->head;
	struct buf message;
	int rc;

	buf_init(&message, (size_t)1 << 20);
	write_message(u, all, part, number, &message);
	c.message = buf_str(&message);
	rc = u->hub->ops->commit(u->hub, u->repo, &c, u->a, &id, e);
	buf_release(&message);
	if (rc < 0)
		return rc;
	if (strcmp(id, u->head) != 0)
		u->res->commits++;
	u->head = id;
	CRASH_POINT("upload:committed");
	return 0;
}

/* Removals ride on the first part: a folder may stand where a file was. */
int up_commit(struct upload *u, const struct up_change *c, struct err *e)
{
	size_t at = 0;
	int rc = 0, number = 1;

	do {
		struct up_change part = { .files = c->files + at, .n = part_size(u, c, at) };
		bool is_all = at == 0 && part.n == c->n;

		if (at == 0) {
			part.gone = c->gone;
			part.n_gone = c->n_gone;
		}
		rc = commit_part(u, c, &part, is_all ? 0 : number, e);
		if (rc == ERR_NOSPACE && part.n > 1) {
			u->commit_files = part.n / 2; /* too large for this hub after all */
			rc = 0;
			continue;
		}
		at += part.n;
		number++;
	} while (rc >= 0 && at < c->n);
	return rc;
}
