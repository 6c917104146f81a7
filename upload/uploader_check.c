/* upload/uploader_check.c -- what the hub has of what is wanted, and whether the
 * local files are still what the store sealed. Nothing is sent here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/lfs.h"
#include "upload/uploader_private.h"

#define WHY_MAX 512

int up_list(struct upload *u, struct err *e)
{
	return u->hub->ops->list(u->hub, u->repo, u->a, &u->listing, &u->n_listing, &u->head, e);
}

/* ---- local files: 0 as sealed; 1 not, with the reason in why */

static int plain_fault(struct up_file *f, char *why, struct err *e)
{
	uint8_t sha256[SHA256_LEN];
	struct buf b;
	int rc;

	if (f->hashed)
		return 0;
	buf_init(&b, LFS_MIN_BYTES);
	rc = path_read(f->local, LFS_MIN_BYTES, &b, e);
	if (rc >= 0) {
		sha256_bytes(buf_str(&b), b.len, sha256);
		f->hashed = memcmp(sha256, f->row.sha256, SHA256_LEN) == 0;
		if (f->hashed)
			hub_blob_id(buf_str(&b), b.len, f->blob);
		else
			rc = 1;
	}
	buf_release(&b);
	if (rc == 1)
		(void)snprintf(why, WHY_MAX, "%s does not have the hash it was sealed with",
			       f->row.name);
	return rc;
}

/* Contents of LFS files are compared while they are sent. */
static int local_fault(struct up_file *f, bool is_needed, char *why, struct err *e)
{
	struct stat st;

	if (lstat(f->local, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return err_errno(e, "%s", f->local);
		(void)snprintf(why, WHY_MAX, "%s is missing", f->row.name);
		return 1;
	}
	if (!S_ISREG(st.st_mode) || (int64_t)st.st_size != f->row.size_bytes) {
		(void)snprintf(why, WHY_MAX, "%s does not have the size it was sealed with",
			       f->row.name);
		return 1;
	}
	return is_needed && !f->lfs ? plain_fault(f, why, e) : 0;
}

/* ---- what the listing has */

/* The listing names the content by git's id: find ours, in the store or in the file. A file that
 * is gone or changed here just has none. */
static int find_blob(struct upload *u, struct up_file *f, struct err *e)
{
	char why[WHY_MAX];
	int rc;

	if (*f->blob || f->lfs)
		return 0;
	rc = store_blob_get(u->store, f->row.sha256, f->blob, e);
	f->blob_kept = rc > 0;
	return rc == 0 ? local_fault(f, true, why, e) : rc;
}

int up_is_at(struct upload *u, struct up_file *f, const char *path, bool *there, struct err *e)
{
	const struct hub_file *h = up_listed(u, path);
	int rc = 0;

	if (h && h->blob && h->size_bytes == (uint64_t)f->row.size_bytes)
		rc = find_blob(u, f, e);
	*there = rc >= 0 && up_is_listed(u, path, f->row.sha256, f->blob);
	return rc < 0 ? rc : 0;
}

static int look_up(struct upload *u, struct up_file *f, struct err *e)
{
	return up_is_at(u, f, f->path, &f->listed, e);
}

static struct hub_file object_of(const struct up_file *f)
{
	struct hub_file h = { .path = f->path,
			      .local = f->local,
			      .size_bytes = (uint64_t)f->row.size_bytes,
			      .lfs = 1 };

	memcpy(h.sha256, f->row.sha256, SHA256_LEN);
	return h;
}

static int ask_have(struct upload *u, struct up_file **files, size_t n, struct err *e)
{
	struct hub_file *objects = mem_array(n, sizeof(*objects));
	bool *have = mem_array(n, sizeof(*have));
	int rc;

	for (size_t i = 0; i < n; i++)
		objects[i] = object_of(files[i]);
	rc = u->hub->ops->have(u->hub, u->repo, objects, n, have, e);
	for (size_t i = 0; rc >= 0 && i < n; i++)
		files[i]->stored = have[i];
	free(have);
	free(objects);
	return rc;
}

/* For every wanted file: is it listed? And for those of done jobs that are neither listed nor here:
 * is the content there? What is here is offered by put(), which sends nothing twice. */
static int ask_hub(struct upload *u, struct err *e)
{
	struct up_file **absent = NULL;
	size_t n = 0, cap = 0;
	char why[WHY_MAX];
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		for (size_t k = 0; rc >= 0 && j->fate == UP_WANTED && k < j->n; k++) {
			rc = look_up(u, &j->files[k], e);
			if (rc < 0 || j->files[k].listed || !j->files[k].lfs || !*u->head ||
			    j->row.state != JOB_DONE)
				continue;
			rc = local_fault(&j->files[k], false, why, e);
			if (rc <= 0)
				continue;
			MEM_GROW(absent, n, cap);
			absent[n++] = &j->files[k];
		}
	}
	if (rc >= 0 && n)
		rc = ask_have(u, absent, n, e);
	free(absent);
	return rc;
}

/* A file of a done job that the hub has may be gone here: that is what upload is for. */
static int check_file(const struct up_job *j, struct up_file *f, char *why, struct err *e)
{
	bool is_needed = !f->listed && !f->stored;

	if (f->is_twin)
		return 0; /* the other one is sent */
	if (!is_needed && j->row.state == JOB_DONE)
		return 0;
	return local_fault(f, is_needed, why, e);
}

int up_check_wanted(struct upload *u, bool *dropped, struct err *e)
{
	char why[WHY_MAX];
	int rc = ask_hub(u, e);

	for (size_t i = 0; rc >= 0 && i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		rc = 0;
		for (size_t k = 0; rc == 0 && j->fate == UP_WANTED && k < j->n; k++)
			rc = check_file(j, &j->files[k], why, e);
		if (rc > 0) {
			*dropped = true;
			rc = up_gone(u, j, why, e);
		}
	}
	return rc < 0 ? rc : 0;
}

/* ---- after the commit */

static int expect(const struct upload *u, bool is_listed, const char *path, struct err *e)
{
	if (is_listed)
		return 0;
	return err_set(e, ERR_CONFLICT,
		       "%s: after the commit its listing does not show %s as it was sent", u->repo,
		       path);
}

int up_confirm(struct upload *u, struct err *e)
{
	int rc = up_list(u, e);

	for (size_t i = 0; rc >= 0 && i < u->n_own; i++)
		rc = expect(u, up_own_is_listed(u, i), u->own[i].path, e);
	for (size_t i = 0; rc >= 0 && i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		for (size_t k = 0; rc >= 0 && j->fate == UP_WANTED && k < j->n; k++) {
			rc = look_up(u, &j->files[k], e);
			if (rc >= 0)
				rc = expect(u, j->files[k].listed, j->files[k].path, e);
		}
	}
	return rc;
}
