/* upload/audit_file.c -- one file of an audit: what it is against the hub's listing,
 * against quern.json, and against what it says of itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "db/facts.h"
#include "upload/audit_private.h"

#define ATTRIBUTES ".gitattributes"
#define CHUNK ((size_t)4 << 20)
#define SHOWN 100 /* bytes of a value in a sentence */

/* What a file's bytes come to. */
struct content {
	uint64_t size_bytes;
	char sha256[SHA256_HEX];
	char blob[HUB_BLOB_ID]; /* git's id of it, if it has the size that is listed */
};

static struct sha1 *blob_new(uint64_t size_bytes)
{
	struct sha1 *sha = sha1_new();
	char head[32];
	int n = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)size_bytes);

	sha1_update(sha, head, (size_t)n + 1);
	return sha;
}

static int read_content(struct audit *u, const struct hub_file *f, struct content *out)
{
	struct sha1 *blob = blob_new(f->size_bytes);
	struct sha256 *sha = sha256_new();
	uint8_t sha256[SHA256_LEN], sha1[SHA1_LEN];
	void *chunk = mem_alloc(CHUNK);
	size_t got = CHUNK;
	int rc = 0;

	out->size_bytes = 0;
	while (rc >= 0 && got == CHUNK) {
		rc = u->hub->ops->read_at(u->hub, u->repo, f, out->size_bytes, chunk, CHUNK, &got,
					  u->e);
		if (rc < 0)
			break;
		sha256_update(sha, chunk, got);
		if (f->blob)
			sha1_update(blob, chunk, got);
		out->size_bytes += got;
	}
	sha256_final(sha, sha256);
	sha1_final(blob, sha1);
	hex_encode(sha256, SHA256_LEN, out->sha256);
	hex_encode(sha1, SHA1_LEN, out->blob);
	sha256_free(sha);
	sha1_free(blob);
	free(chunk);
	return rc;
}

/* The bytes against the hub's own word. */
static void check_listing(struct audit *u, const struct hub_file *f, const struct content *c,
			  struct audit_row *row)
{
	char said[SHA256_HEX];

	hex_encode(f->sha256, SHA256_LEN, said);
	if (c->size_bytes != f->size_bytes)
		audit_fault(u, row, "has %llu bytes, the hub lists %llu",
			    (unsigned long long)c->size_bytes, (unsigned long long)f->size_bytes);
	else if (f->blob && strcmp(c->blob, f->blob) != 0)
		audit_fault(u, row, "its content is the git blob %s, the hub lists %s", c->blob,
			    f->blob);
	else if (!f->blob && strcmp(c->sha256, said) != 0)
		audit_fault(u, row, "its content has the SHA-256 %s, the hub lists %s", c->sha256,
			    said);
}

/* there: the SHA-256 that the file has. */
static void check_claim(struct audit *u, const struct hub_file *f, const char *there,
			const struct audit_claim *claim, struct audit_row *row)
{
	char said[SHA256_HEX];

	hex_encode(claim->file->sha256, SHA256_LEN, said);
	if (f->size_bytes != (uint64_t)claim->file->size_bytes)
		audit_fault(u, row, "has %llu bytes, quern.json says %lld",
			    (unsigned long long)f->size_bytes, (long long)claim->file->size_bytes);
	if (strcmp(there, said) != 0)
		audit_fault(u, row, "has the SHA-256 %s, quern.json says %s", there, said);
}

/* A listing that names the git blob only leaves the SHA-256 to be found out, of a file that is
 * small because it is no LFS object. */
static int check_content(struct audit *u, const struct hub_file *f, const struct audit_claim *claim,
			 struct audit_row *row)
{
	bool wanted = !u->opt->quick || (f->blob && claim);
	struct content c;
	int rc = wanted ? read_content(u, f, &c) : 0;

	if (rc == ERR_CORRUPT || rc == ERR_NOTFOUND) {
		audit_fault(u, row, "cannot be read: %s", u->e->msg);
		return 0;
	}
	if (rc < 0)
		return rc;
	row->read = wanted;
	if (wanted)
		check_listing(u, f, &c, row);
	if (claim && !f->blob)
		hex_encode(f->sha256, SHA256_LEN, c.sha256);
	if (claim)
		check_claim(u, f, c.sha256, claim, row);
	return 0;
}

static const char *shown(struct audit *u, const struct json *v)
{
	const char *text;
	struct buf b;

	buf_init(&b, AUDIT_TEXT_MAX);
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
		buf_init(&x, AUDIT_TEXT_MAX);
		buf_init(&y, AUDIT_TEXT_MAX);
		json_write_canonical(&x, file->members[i].value);
		json_write_canonical(&y, claimed);
		if (strcmp(buf_str(&x), buf_str(&y)) != 0)
			audit_fault(u, row, "%.60s: the file has %s, quern.json says %s", name,
				    shown(u, file->members[i].value), shown(u, claimed));
		buf_release(&x);
		buf_release(&y);
	}
}

static int check_inside(struct audit *u, const struct hub_file *f, const struct audit_claim *claim,
			struct audit_row *row)
{
	const struct json *file = NULL;
	struct err why = ERR_INIT;
	struct facts said;
	int rc = u->opt->look(u->opt->ctx, u->hub, u->repo, f, u->a, &file, &why);

	if (rc == ERR_INVALID || rc == ERR_CORRUPT || rc == ERR_NOTFOUND) {
		audit_fault(u, row, "is damaged: %s", why.msg);
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
	return strcmp(path, AUDIT_README) == 0 || strcmp(path, AUDIT_MANIFEST) == 0 ||
	       strcmp(path, ATTRIBUTES) == 0;
}

int audit_check_file(struct audit *u, const struct hub_file *f)
{
	const struct audit_claim *claim = audit_claim_of(u, f->path);
	struct audit_row *row;
	int rc;

	row = audit_row_of(u, f->path);
	if (!row)
		return 0; /* ignored */
	row->there = true;
	row->size_bytes = f->size_bytes;
	if (!hub_path_ok(f->path)) {
		audit_fault(u, row, "has a name that no repository may have; it was not read");
		return 0;
	}
	if (!claim && !is_own(f->path) && u->manifest)
		audit_fault(u, row, "is not in quern.json");
	rc = check_content(u, f, claim, row);
	if (rc >= 0 && !is_own(f->path) && (row->read || u->opt->quick))
		rc = check_inside(u, f, claim, row);
	return rc;
}
