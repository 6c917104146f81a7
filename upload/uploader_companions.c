/* upload/uploader_companions.c -- where a variant's companions stand: once in the root
 * of the repository for all variants that have the same, else all of a variant
 * in its own folder. Nothing that is published moves: what the hub's listing
 * shows is decided already. docs/card.md tells it for users. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "upload/companion.h"
#include "upload/uploader_private.h"

/* ---- which files */

static bool is_main(const struct up_file *f)
{
	return !strchr(f->own, '/');
}

/* Of variants with a file in the root. The others are folders as a whole, and stay so. */
void up_find_companions(struct up_job *j)
{
	bool has_main = false;

	for (size_t i = 0; i < j->n; i++)
		has_main |= is_main(&j->files[i]);
	for (size_t i = 0; has_main && i < j->n; i++) {
		struct up_file *f = &j->files[i];

		if (!is_main(f) && companion_name(f->row.name))
			f->shared = f->row.name;
	}
}

/* ---- what is there */

static int row_compare(const void *key, const void *element)
{
	return strcmp(key, ((const struct upload_row *)element)->path);
}

/* It has the content that we put there, and no variant uses it of which we do not know any more
 * what it is made of. */
static bool ours(struct upload *u, const char *path)
{
	const struct upload_row *r =
		u->n_rows ? bsearch(path, u->rows, u->n_rows, sizeof(*u->rows), row_compare) : NULL;
	struct err ignored = ERR_INIT;
	char blob[HUB_BLOB_ID] = "";

	for (size_t i = 0; i < u->n_jobs; i++) {
		const struct job_row *j = &u->jobs[i].row;

		if (u->jobs[i].n == 0 && j->state == JOB_DONE &&
		    strcmp(j->cause, JOB_CAUSE_REPLACED) != 0)
			return false;
	}
	if (!r)
		return false;
	(void)store_blob_get(u->store, r->sha256, blob, &ignored);
	return up_is_listed(u, path, r->sha256, blob);
}

static int look(struct upload *u, struct err *e)
{
	for (size_t i = 0; i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		for (size_t k = 0; j->fate != UP_DROPPED && k < j->n; k++) {
			struct up_file *f = &j->files[k];

			if (!f->shared)
				continue;
			if (up_is_at(u, f, f->own, &f->at_own, e) < 0 ||
			    up_is_at(u, f, f->shared, &f->at_shared, e) < 0)
				return e->code;
			f->is_ours = f->at_shared && ours(u, f->shared);
		}
	}
	return 0;
}

/* ---- placing */

static bool any_in_folder(const struct up_job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		if (j->files[i].shared && j->files[i].at_own)
			return true;
	}
	return false;
}

static bool all_in_root(const struct up_job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		if (j->files[i].shared && !j->files[i].at_shared)
			return false;
	}
	return true;
}

/* Every name in the root is free for it, or has the same content. What no variant uses any more may
 * be replaced, if it is ours. */
static bool fits(struct upload *u, const struct up_job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct up_file *f = &j->files[i];
		const struct up_file *there = f->shared ? u->root[f->shared_group] : NULL;

		if (!f->shared)
			continue;
		if (there) {
			if (memcmp(there->row.sha256, f->row.sha256, SHA256_LEN) != 0)
				return false;
		} else if (u->owners[f->shared_group]) {
			return false; /* the file of a variant that has this name */
		} else if (up_listed(u, f->shared) && !f->at_shared && !ours(u, f->shared)) {
			return false;
		}
	}
	return true;
}

static void put_in_root(struct upload *u, struct up_job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		struct up_file *f = &j->files[i];

		if (!f->shared)
			continue;
		f->path = f->shared;
		f->group = f->shared_group;
		f->is_twin = u->root[f->group] != NULL;
		u->owners[f->own_group] = NULL;
		if (f->is_twin)
			continue;
		u->root[f->group] = f;
		u->owners[f->group] = j;
	}
	j->is_placed = true;
}

static int older_first(const void *x, const void *y)
{
	const struct up_job *a = *(struct up_job *const *)x, *b = *(struct up_job *const *)y;

	return (a->row.id > b->row.id) - (a->row.id < b->row.id);
}

/* Those that can be placed, oldest first: a variant that comes later finds what is there. */
static struct up_job **candidates(struct upload *u, size_t *n)
{
	struct up_job **v = arena_array(u->a, u->n_jobs + 1, sizeof(struct up_job *));

	*n = 0;
	for (size_t i = 0; i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];
		bool has_any = false;

		j->is_placed = false;
		for (size_t k = 0; k < j->n; k++) {
			struct up_file *f = &j->files[k];

			f->path = f->own;
			f->group = f->own_group;
			f->is_twin = false;
			has_any |= f->shared != NULL;
		}
		if (j->fate == UP_WANTED && has_any && !any_in_folder(j))
			v[(*n)++] = j;
	}
	if (*n)
		qsort(v, *n, sizeof(struct up_job *), older_first);
	return v;
}

int up_place_companions(struct upload *u, struct err *e)
{
	struct up_job **v;
	size_t n;

	if (look(u, e) < 0)
		return e->code;
	memset(u->root, 0, u->n_groups * sizeof(struct up_file *));
	v = candidates(u, &n);
	for (size_t i = 0; i < n; i++) {
		if (all_in_root(v[i]) && fits(u, v[i]))
			put_in_root(u, v[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (!v[i]->is_placed && fits(u, v[i]))
			put_in_root(u, v[i]);
	}
	return 0;
}
