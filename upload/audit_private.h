/* upload/audit_private.h -- audit.c goes through a repository and looks at its
 * texts, audit_file.c at each file. */
#ifndef QUERN_UPLOAD_AUDIT_PRIVATE_H
#define QUERN_UPLOAD_AUDIT_PRIVATE_H

#include "upload/audit.h"

#define AUDIT_README "README.md"
#define AUDIT_MANIFEST "quern.json"
#define AUDIT_TEXT_MAX ((size_t)10 << 20) /* hubs take no larger plain file */

/* A file of quern.json. */
struct audit_claim {
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
	struct audit_claim *claims; /* sorted by path */
	size_t n_claims;
	struct audit_row *rows;
	size_t n_rows;
};

/* ---- audit.c */

void audit_fault(struct audit *u, struct audit_row *row, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* NULL: a path that is ignored. */
struct audit_row *audit_row_of(struct audit *u, const char *path);
/* NULL: quern.json does not name it. */
struct audit_claim *audit_claim_of(struct audit *u, const char *path);

/* ---- audit_file.c */

/* Everything about one file of the listing; faults go to its row. */
int audit_check_file(struct audit *u, const struct hub_file *f);

#endif
