#include "upload/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "upload/audit_private.h"
#include "upload/companion.h"

void audit_fault(struct audit *u, struct audit_row *row, const char *fmt, ...)
{
	const char **more = arena_array(u->a, row->n_faults + 1, sizeof(const char *));
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (row->n_faults)
		memcpy(more, row->faults, row->n_faults * sizeof(const char *));
	more[row->n_faults++] = arena_strdup(u->a, text);
	row->faults = more;
}

/* ---- rows */

static int row_by_path(const void *x, const void *y)
{
	return strcmp(((const struct audit_row *)x)->path, ((const struct audit_row *)y)->path);
}

static int claim_by_path(const void *x, const void *y)
{
	return strcmp(((const struct audit_claim *)x)->path, ((const struct audit_claim *)y)->path);
}

struct audit_row *audit_row_of(struct audit *u, const char *path)
{
	struct audit_row key = { .path = path };

	return bsearch(&key, u->rows, u->n_rows, sizeof(*u->rows), row_by_path);
}

static bool is_ignored(const struct audit *u, const char *path)
{
	for (size_t i = 0; i < u->opt->n_ignore; i++)
		if (glob_match(u->opt->ignore[i], path))
			return true;
	return false;
}

struct audit_claim *audit_claim_of(struct audit *u, const char *path)
{
	struct audit_claim key = { .path = path };

	if (u->n_claims == 0)
		return NULL;
	return bsearch(&key, u->claims, u->n_claims, sizeof(*u->claims), claim_by_path);
}

/* A row for each path of the listing and of quern.json, and for the two texts in any case. */
static void make_rows(struct audit *u)
{
	size_t n = 0, kept = 0;

	u->rows = arena_array(u->a, u->n_listing + u->n_claims + 2, sizeof(*u->rows));
	u->rows[n++].path = AUDIT_README;
	u->rows[n++].path = AUDIT_MANIFEST;
	for (size_t i = 0; i < u->n_listing; i++)
		if (audit_claim_of(u, u->listing[i].path) || !is_ignored(u, u->listing[i].path))
			u->rows[n++].path = u->listing[i].path;
	for (size_t i = 0; i < u->n_claims; i++)
		u->rows[n++].path = u->claims[i].path;
	qsort(u->rows, n, sizeof(*u->rows), row_by_path);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(u->rows[i].path, u->rows[kept - 1].path) != 0)
			u->rows[kept++] = u->rows[i];
	u->n_rows = kept;
}

/* ---- what is published */

static int file_by_path(const void *key, const void *element)
{
	return strcmp(key, ((const struct hub_file *)element)->path);
}

/* The text of a file of the repository itself; NULL when it is not there. */
static int read_text(struct audit *u, const char *path, const char **text, size_t *len)
{
	*text = NULL;
	if (!bsearch(path, u->listing, u->n_listing, sizeof(*u->listing), file_by_path))
		return 0;
	return u->hub->ops->read(u->hub, u->repo, path, AUDIT_TEXT_MAX, u->a, text, len, u->e);
}

static void collect_claims(struct audit *u)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_variants; i++)
		n += u->variants[i].n_files;
	u->claims = arena_array(u->a, n, sizeof(*u->claims));
	for (size_t i = 0; i < u->n_variants; i++)
		for (size_t f = 0; f < u->variants[i].n_files; f++)
			u->claims[u->n_claims++] = (struct audit_claim){ u->variants[i].paths[f],
									 &u->variants[i].files[f] };
	if (n)
		qsort(u->claims, n, sizeof(*u->claims), claim_by_path);
}

static int read_manifest(struct audit *u)
{
	struct err why = ERR_INIT;
	const char *repo, *text;
	size_t len = 0;
	int rc = read_text(u, AUDIT_MANIFEST, &text, &len);

	if (rc < 0)
		return rc;
	if (!text) {
		u->manifest_fault = "is not there";
		return 0;
	}
	if (card_manifest_read(u->a, text, len, &repo, &u->variants, &u->n_variants, &why) < 0) {
		u->manifest_fault = arena_strdup(u->a, why.msg);
		return 0;
	}
	u->manifest = text;
	if (strcmp(repo, u->repo) != 0)
		u->manifest_fault = arena_printf(u->a, "is of the repository %.100s", repo);
	collect_claims(u);
	return 0;
}

/* ---- the texts */

/* The line at which two texts part, from 1. */
static int first_difference(const char *a, const char *b)
{
	int line = 1;

	for (; *a && *a == *b; a++, b++)
		line += *a == '\n';
	return line;
}

/* quern.json says some things twice, and in one order: written again from what was read, it is the
 * same, or somebody changed it. */
static int check_manifest(struct audit *u)
{
	struct audit_row *row = audit_row_of(u, AUDIT_MANIFEST);
	struct buf b;
	int rc;

	buf_init(&b, AUDIT_TEXT_MAX);
	rc = card_manifest(&b, u->repo, u->variants, u->n_variants, u->e);
	if (rc >= 0 && strcmp(buf_str(&b), u->manifest) != 0)
		audit_fault(u, row, "contradicts itself or was edited: line %d",
			    first_difference(u->manifest, buf_str(&b)));
	if (rc >= 0 && u->opt->manifest && strcmp(u->opt->manifest, u->manifest) != 0)
		audit_fault(u, row, "is not what the store says of the published jobs: line %d",
			    first_difference(u->manifest, u->opt->manifest));
	buf_release(&b);
	return rc;
}

/* The card made again from quern.json and itself keeps every word of a person: what differs is
 * generated. */
static int check_card(struct audit *u)
{
	const char *text;
	struct buf b;
	size_t len = 0;
	int rc = read_text(u, AUDIT_README, &text, &len);

	if (rc < 0)
		return rc;
	if (!text) {
		audit_fault(u, audit_row_of(u, AUDIT_README), "is not there");
		return 0;
	}
	buf_init(&b, AUDIT_TEXT_MAX);
	if (strlen(text) != len)
		audit_fault(u, audit_row_of(u, AUDIT_README), "is not a text: it has a NUL byte");
	else
		rc = card_write(&b, &u->opt->settings, u->variants, u->n_variants, text, u->e);
	if (rc >= 0 && strlen(text) == len && strcmp(buf_str(&b), text) != 0)
		audit_fault(u, audit_row_of(u, AUDIT_README),
			    "its generated part is not what quern.json says: line %d",
			    first_difference(text, buf_str(&b)));
	buf_release(&b);
	return rc;
}

/* ---- the whole */

/* Variants share a companion that is the same for all of them. */
static bool is_shared(const struct audit_claim *a, const struct audit_claim *b)
{
	return companion_path(b->path) && a->file->size_bytes == b->file->size_bytes &&
	       memcmp(a->file->sha256, b->file->sha256, SHA256_LEN) == 0;
}

static void check_missing(struct audit *u)
{
	for (size_t i = 0; i < u->n_claims; i++) {
		const struct audit_claim *c = &u->claims[i];
		struct audit_row *row = audit_row_of(u, c->path);

		if (i > 0 && strcmp(u->claims[i - 1].path, c->path) == 0) {
			if (is_shared(&u->claims[i - 1], c))
				continue;
			audit_fault(u, row, "stands in quern.json twice");
		} else if (!row->there) {
			row->size_bytes = (uint64_t)c->file->size_bytes;
			audit_fault(u, row, "is in quern.json and not in the repository");
		}
	}
}

int audit_run(struct hub *h, const char *repo, const struct audit_options *o, struct arena *a,
	      struct audit_result *out, struct err *e)
{
	struct audit u = { .hub = h, .repo = repo, .opt = o, .a = a, .e = e };
	const char *head;
	int rc = h->ops->list(h, repo, a, &u.listing, &u.n_listing, &head, e);

	if (rc >= 0 && !*head)
		rc = err_set(e, ERR_NOTFOUND, "%s: there is no such repository, or it is empty",
			     repo);
	if (rc < 0)
		return rc;
	rc = read_manifest(&u);
	if (rc >= 0)
		make_rows(&u);
	if (rc >= 0 && u.manifest_fault)
		audit_fault(&u, audit_row_of(&u, AUDIT_MANIFEST), "%s", u.manifest_fault);
	for (size_t i = 0; rc >= 0 && i < u.n_listing; i++)
		rc = audit_check_file(&u, &u.listing[i]);
	if (rc >= 0 && u.manifest)
		rc = check_manifest(&u);
	if (rc >= 0 && u.manifest)
		rc = check_card(&u);
	if (rc < 0)
		return rc;
	check_missing(&u);
	*out = (struct audit_result){ .rows = u.rows, .n = u.n_rows };
	for (size_t i = 0; i < u.n_rows; i++)
		out->n_faults += u.rows[i].n_faults;
	return 0;
}
