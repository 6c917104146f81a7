/* upload/uploader_content.c -- the files of a repository that no job made: the
 * card, the manifest, and .gitattributes. */
#include <string.h>

#include "core/mem.h"
#include "upload/card.h"
#include "upload/lfs.h"
#include "upload/uploader_private.h"

/* Hubs refuse plain files above 10 MiB; these are plain. */
#define MEASURED_MAX 64 /* stages that measured one file */
#define OWN_MAX ((size_t)LFS_MIN_BYTES - 1)

/* The text that is there now; NULL when there is none. A README.md behind LFS has nothing to keep:
 * no hub shows it. */
static int read_old(struct upload *u, const char *path, const char **text, struct err *e)
{
	const struct hub_file *f = up_listed(u, path);
	size_t len;
	int rc;

	*text = NULL;
	if (!f || f->lfs)
		return 0;
	rc = u->hub->ops->read(u->hub, u->repo, path, OWN_MAX, u->a, text, &len, e);
	if (rc < 0)
		return err_wrap(e, "%s", path);
	if (strlen(*text) != len)
		return err_set(e, ERR_INVALID, "%s in %s is not a text: it has a NUL byte", path,
			       u->repo);
	return 0;
}

/* Take the bytes of b as the content of path; b is empty afterwards. */
static int add_own(struct upload *u, const char *path, struct buf *b, struct err *e)
{
	struct hub_file *f = &u->own[u->n_own];

	if (b->overflow)
		return err_set(e, ERR_NOSPACE, "%s would be larger than a hub takes", path);
	*f = (struct hub_file){ .path = path,
				.data = arena_strndup(u->a, buf_str(b), b->len),
				.size_bytes = b->len };
	sha256_bytes(f->data, b->len, f->sha256);
	hub_blob_id(f->data, b->len, u->own_blob[u->n_own]);
	u->n_own++;
	buf_clear(b);
	return 0;
}

static size_t count_wanted(const struct upload *u)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_jobs; i++)
		n += u->jobs[i].fate == UP_WANTED && u->jobs[i].n > 0;
	return n;
}

static size_t count_replaced_by(const struct upload *u, const struct up_job *j)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_jobs; i++)
		n += u->jobs[i].fate == UP_REPLACED && u->jobs[i].by == j;
	return n;
}

static void set_replaces(struct upload *u, const struct up_job *j, struct card_variant *v)
{
	const struct job_row **old =
		arena_array(u->a, count_replaced_by(u, j), sizeof(const struct job_row *));

	for (size_t i = 0; i < u->n_jobs; i++)
		if (u->jobs[i].fate == UP_REPLACED && u->jobs[i].by == j)
			old[v->n_replaces++] = &u->jobs[i].row;
	v->replaces = old;
}

/* The last good measurement of each stage. */
static int set_measured(struct upload *u, const struct up_job *j, struct card_variant *v,
			struct err *e)
{
	struct measurement_row *rows = arena_array(u->a, MEASURED_MAX, sizeof(*rows));
	const char **texts = arena_array(u->a, MEASURED_MAX, sizeof(*texts));
	int n = store_measures_last(u->store, j->row.id, u->a, rows, MEASURED_MAX, e);

	for (int i = 0; i < n; i++) {
		const char *text =
			rows[i].result ? card_measured_public(u->a, rows[i].result) : NULL;

		if (text)
			texts[v->n_measured++] = text;
	}
	v->measured = texts;
	return n;
}

static int set_variant(struct upload *u, const struct up_job *j, struct card_variant *v,
		       struct err *e)
{
	struct artifact_row *files = arena_array(u->a, j->n, sizeof(*files));
	const char **paths = arena_array(u->a, j->n, sizeof(const char *));

	for (size_t i = 0; i < j->n; i++) {
		files[i] = j->files[i].row;
		paths[i] = j->files[i].path;
	}
	v->job = &j->row;
	v->files = files;
	v->paths = paths;
	v->n_files = j->n;
	return set_measured(u, j, v, e);
}

static int make_variants(struct upload *u, size_t n, struct card_variant **out, struct err *e)
{
	struct card_variant *v = *out = arena_array(u->a, n, sizeof(*v));
	bool any_replaced = false;
	size_t at = 0;

	for (size_t i = 0; i < u->n_jobs; i++)
		any_replaced |= u->jobs[i].fate == UP_REPLACED;
	for (size_t i = 0; i < u->n_jobs; i++) {
		const struct up_job *j = &u->jobs[i];

		if (j->fate != UP_WANTED || j->n == 0)
			continue;
		if (set_variant(u, j, &v[at], e) < 0)
			return e->code;
		if (any_replaced)
			set_replaces(u, j, &v[at]);
		at++;
	}
	return 0;
}

/* Every LFS file that will be in the repository: ours, and those that are there and stay. */
static const char **lfs_paths(struct upload *u, size_t *n)
{
	size_t room = u->n_listing;
	const char **v;

	for (size_t i = 0; i < u->n_jobs; i++)
		room += u->jobs[i].n;
	v = arena_array(u->a, room, sizeof(const char *));
	*n = 0;
	for (size_t i = u->n_jobs; i-- > 0;) {
		const struct up_job *j = &u->jobs[i];

		for (size_t f = 0; j->fate == UP_WANTED && f < j->n; f++)
			if (j->files[f].lfs)
				v[(*n)++] = j->files[f].path;
	}
	for (size_t i = 0; i < u->n_listing; i++)
		if (u->listing[i].lfs)
			v[(*n)++] = u->listing[i].path;
	return v;
}

/* A card that a hub would refuse is found before anything is sent. */
static int make_card(struct upload *u, const struct card_variant *v, size_t n, struct buf *b,
		     struct err *e)
{
	const struct card_settings set = { .repo = u->repo,
					   .quantized_by = u->opt->quantized_by,
					   .template_name = u->opt->template_name,
					   .template_text = u->opt->template_text };
	const char *old;
	int rc = read_old(u, UP_README, &old, e);

	if (rc >= 0)
		rc = card_write(b, &set, v, n, old, e);
	if (rc >= 0 && !b->overflow && card_check_front(buf_str(b), e) < 0)
		rc = err_wrap(e, "%s of %s: correct what was written there by hand", UP_README,
			      u->repo);
	return rc;
}

int up_make_own(struct upload *u, struct err *e)
{
	size_t n = count_wanted(u), n_lfs;
	struct card_variant *v;
	const char *attributes;
	const char **lfs;
	struct buf b;
	int rc;

	u->n_own = 0;
	if (n == 0)
		return 0;
	rc = make_variants(u, n, &v, e);
	if (rc < 0)
		return rc;
	buf_init(&b, OWN_MAX);
	rc = read_old(u, UP_ATTRIBUTES, &attributes, e);
	if (rc >= 0) {
		lfs = lfs_paths(u, &n_lfs);
		lfs_attributes(&b, attributes, lfs, n_lfs);
		rc = add_own(u, UP_ATTRIBUTES, &b, e);
	}
	if (rc >= 0)
		rc = make_card(u, v, n, &b, e);
	if (rc >= 0)
		rc = add_own(u, UP_README, &b, e);
	if (rc >= 0)
		rc = card_manifest(&b, u->repo, v, n, e);
	if (rc >= 0)
		rc = add_own(u, UP_MANIFEST, &b, e);
	buf_release(&b);
	return rc;
}
