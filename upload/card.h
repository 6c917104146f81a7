/* upload/card.h -- a model card and quern.json from store rows. Pure: rows in,
 * text out; the same rows give the same bytes, in whatever order they come.
 * Nothing is said that is not in a row. docs/card.md shows both files. */
#ifndef QUERN_UPLOAD_CARD_H
#define QUERN_UPLOAD_CARD_H

#include "core/buf.h"
#include "core/err.h"
#include "db/store.h"

struct card_variant {
	const struct job_row *job;
	const struct artifact_row *files;
	const char *const *paths; /* of each file in the repository */
	size_t n_files;
	/* older jobs whose files had the same names: this one stands in their place */
	const struct job_row *const *replaces;
	size_t n_replaces;
};

/* README.md of a repository. old: the text that is there now (NULL: none). What a person wrote
 * outside the generated section and the generated part of the front matter is kept, and a front
 * matter key of theirs wins over ours. Foreign text is escaped for Markdown and YAML. ERR_CORRUPT:
 * facts that are no JSON. */
int card_write(struct buf *b, const char *repo, const struct card_variant *v, size_t n,
	       const char *old, struct err *e);
/* quern.json: each variant with key, parameters, source and version, engine, files with size and
 * SHA-256. */
int card_manifest(struct buf *b, const char *repo, const struct card_variant *v, size_t n,
		  struct err *e);

#endif
