#include "upload/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "db/facts.h"

#define README "README.md"
#define MANIFEST "quern.json"
#define ATTRIBUTES ".gitattributes"
#define TEXT_MAX ((size_t)10 << 20) /* hubs take no larger plain file */
#define CHUNK ((size_t)4 << 20)
#define SHOWN 100 /* bytes of a value in a sentence */

/* A file of quern.json. */
struct claim {
	const char *path;
	const struct artifact_row *file;
};

struct audit {
	struct hub *hub;
	const char *repo;
	const struct audit_options *opt;
	struct arena *a;
	struct err *e;
	struct hub_file *listing;
	size_t n_listing;
	const char *manifest; /* as published; NULL: absent, or unreadable */
	const char *manifest_fault;
	struct card_variant *variants;
	size_t n_variants;
	struct claim *claims; /* sorted by path */
	size_t n_claims;
	struct audit_row *rows;
	size_t n_rows;
};

static void add_fault(struct audit *u, struct audit_row *row, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void add_fault(struct audit *u, struct audit_row *row, const char *fmt, ...)
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
	return strcmp(((const struct claim *)x)->path, ((const struct claim *)y)->path);
}

/* NULL: a path that is ignored. */
static struct audit_row *row_of(struct audit *u, const char *path)
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

static struct claim *claim_of(struct audit *u, const char *path)
{
	struct claim key = { .path = path };

	if (u->n_claims == 0)
		return NULL;
	return bsearch(&key, u->claims, u->n_claims, sizeof(*u->claims), claim_by_path);
}

/* A row for each path of the listing and of quern.json, and for the two texts in any case. */
static void make_rows(struct audit *u)
{
	size_t n = 0, kept = 0;

	u->rows = arena_array(u->a, u->n_listing + u->n_claims + 2, sizeof(*u->rows));
	u->rows[n++].path = README;
	u->rows[n++].path = MANIFEST;
	for (size_t i = 0; i < u->n_listing; i++)
		if (claim_of(u, u->listing[i].path) || !is_ignored(u, u->listing[i].path))
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
	return u->hub->ops->read(u->hub, u->repo, path, TEXT_MAX, u->a, text, len, u->e);
}

static void collect_claims(struct audit *u)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_variants; i++)
		n += u->variants[i].n_files;
	u->claims = arena_array(u->a, n, sizeof(*u->claims));
	for (size_t i = 0; i < u->n_variants; i++)
		for (size_t f = 0; f < u->variants[i].n_files; f++)
			u->claims[u->n_claims++] =
				(struct claim){ u->variants[i].paths[f], &u->variants[i].files[f] };
	if (n)
		qsort(u->claims, n, sizeof(*u->claims), claim_by_path);
}

static int read_manifest(struct audit *u)
{
	struct err why = ERR_INIT;
	const char *repo, *text;
	size_t len = 0;
	int rc = read_text(u, MANIFEST, &text, &len);

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
	struct audit_row *row = row_of(u, MANIFEST);
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	rc = card_manifest(&b, u->repo, u->variants, u->n_variants, u->e);
	if (rc >= 0 && strcmp(buf_str(&b), u->manifest) != 0)
		add_fault(u, row, "contradicts itself or was edited: line %d",
			  first_difference(u->manifest, buf_str(&b)));
	if (rc >= 0 && u->opt->manifest && strcmp(u->opt->manifest, u->manifest) != 0)
		add_fault(u, row, "is not what the store says of the published jobs: line %d",
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
	int rc = read_text(u, README, &text, &len);

	if (rc < 0)
		return rc;
	if (!text) {
		add_fault(u, row_of(u, README), "is not there");
		return 0;
	}
	buf_init(&b, TEXT_MAX);
	if (strlen(text) != len)
		add_fault(u, row_of(u, README), "is not a text: it has a NUL byte");
	else
		rc = card_write(&b, &u->opt->settings, u->variants, u->n_variants, text, u->e);
	if (rc >= 0 && strlen(text) == len && strcmp(buf_str(&b), text) != 0)
		add_fault(u, row_of(u, README),
			  "its generated part is not what quern.json says: line %d",
			  first_difference(text, buf_str(&b)));
	buf_release(&b);
	return rc;
}

/* ---- files */

static int hash_content(struct audit *u, const struct hub_file *f, uint64_t *size,
			uint8_t sha256[SHA256_LEN])
{
	struct sha256 *hash = sha256_new();
	void *chunk = mem_alloc(CHUNK);
	size_t got = CHUNK;
	int rc = 0;

	*size = 0;
	while (rc >= 0 && got == CHUNK) {
		rc = u->hub->ops->read_at(u->hub, u->repo, f, *size, chunk, CHUNK, &got, u->e);
		if (rc < 0)
			break;
		sha256_update(hash, chunk, got);
		*size += got;
	}
	sha256_final(hash, sha256);
	sha256_free(hash);
	free(chunk);
	return rc;
}

/* The bytes against the hub's own word. */
static int check_content(struct audit *u, const struct hub_file *f, struct audit_row *row)
{
	uint8_t sha256[SHA256_LEN];
	char real[SHA256_HEX], said[SHA256_HEX];
	uint64_t size;

	if (u->opt->quick)
		return 0;
	if (hash_content(u, f, &size, sha256) < 0)
		return u->e->code;
	row->read = true;
	hex_encode(sha256, SHA256_LEN, real);
	hex_encode(f->sha256, SHA256_LEN, said);
	if (size != f->size_bytes)
		add_fault(u, row, "has %llu bytes, the hub lists %llu", (unsigned long long)size,
			  (unsigned long long)f->size_bytes);
	else if (strcmp(real, said) != 0)
		add_fault(u, row, "its content has the SHA-256 %s, the hub lists %s", real, said);
	return 0;
}

static void check_claim(struct audit *u, const struct hub_file *f, const struct claim *claim,
			struct audit_row *row)
{
	char there[SHA256_HEX], said[SHA256_HEX];

	hex_encode(f->sha256, SHA256_LEN, there);
	hex_encode(claim->file->sha256, SHA256_LEN, said);
	if (f->size_bytes != (uint64_t)claim->file->size_bytes)
		add_fault(u, row, "has %llu bytes, quern.json says %lld",
			  (unsigned long long)f->size_bytes, (long long)claim->file->size_bytes);
	if (strcmp(there, said) != 0)
		add_fault(u, row, "has the SHA-256 %s, quern.json says %s", there, said);
}

static const char *shown(struct audit *u, const struct json *v)
{
	const char *text;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	json_write_canonical(&b, v);
	text = arena_printf(u->a, b.len > SHOWN ? "%.*s..." : "%.*s", SHOWN, buf_str(&b));
	buf_release(&b);
	return text;
}

/* What the file says of itself against what quern.json says of it, whoever said that. */
static void compare_facts(struct audit *u, const struct json *file, const struct facts *said,
			  struct audit_row *row)
{
	for (size_t i = 0; i < file->count; i++) {
		const char *name = file->members[i].key;
		const struct json *claimed = facts_get(said, name);
		struct buf x, y;

		if (!claimed)
			continue;
		buf_init(&x, TEXT_MAX);
		buf_init(&y, TEXT_MAX);
		json_write_canonical(&x, file->members[i].value);
		json_write_canonical(&y, claimed);
		if (strcmp(buf_str(&x), buf_str(&y)) != 0)
			add_fault(u, row, "%.60s: the file has %s, quern.json says %s", name,
				  shown(u, file->members[i].value), shown(u, claimed));
		buf_release(&x);
		buf_release(&y);
	}
}

static int check_inside(struct audit *u, const struct hub_file *f, const struct claim *claim,
			struct audit_row *row)
{
	const struct json *file = NULL;
	struct err why = ERR_INIT;
	struct facts said;
	int rc = u->opt->look(u->opt->ctx, u->hub, u->repo, f, u->a, &file, &why);

	if (rc == ERR_INVALID || rc == ERR_CORRUPT) {
		add_fault(u, row, "is damaged: %s", why.msg);
		return 0;
	}
	if (rc <= 0) {
		if (rc < 0)
			*u->e = why;
		return rc;
	}
	row->looked = true;
	if (!claim || !file)
		return 0;
	if (facts_parse(u->a, claim->file->facts, &said, u->e) < 0)
		return u->e->code;
	compare_facts(u, file, &said, row);
	return 0;
}

static bool is_own(const char *path)
{
	return strcmp(path, README) == 0 || strcmp(path, MANIFEST) == 0 ||
	       strcmp(path, ATTRIBUTES) == 0;
}

static int check_file(struct audit *u, const struct hub_file *f)
{
	const struct claim *claim = claim_of(u, f->path);
	struct audit_row *row;
	int rc;

	row = row_of(u, f->path);
	if (!row)
		return 0; /* ignored */
	row->there = true;
	row->size_bytes = f->size_bytes;
	if (!hub_path_ok(f->path)) {
		add_fault(u, row, "has a name that no repository may have; it was not read");
		return 0;
	}
	if (claim)
		check_claim(u, f, claim, row);
	else if (!is_own(f->path) && u->manifest)
		add_fault(u, row, "is not in quern.json");
	rc = check_content(u, f, row);
	if (rc >= 0 && !is_own(f->path))
		rc = check_inside(u, f, claim, row);
	return rc;
}

static void check_missing(struct audit *u)
{
	for (size_t i = 0; i < u->n_claims; i++) {
		const struct claim *c = &u->claims[i];
		struct audit_row *row = row_of(u, c->path);

		if (i > 0 && strcmp(u->claims[i - 1].path, c->path) == 0) {
			add_fault(u, row, "stands in quern.json twice");
		} else if (!row->there) {
			row->size_bytes = (uint64_t)c->file->size_bytes;
			add_fault(u, row, "is in quern.json and not in the repository");
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
		add_fault(&u, row_of(&u, MANIFEST), "%s", u.manifest_fault);
	for (size_t i = 0; rc >= 0 && i < u.n_listing; i++)
		rc = check_file(&u, &u.listing[i]);
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
