/* upload/card.h -- a model card and quern.json from store rows. Pure: rows in,
 * text out; the same rows give the same bytes, in whatever order they come.
 * Nothing is said that is not in a row: a parameter that nobody confirmed
 * (db/facts.h) is called so. docs/card.md shows both files. */
#ifndef QUERN_UPLOAD_CARD_H
#define QUERN_UPLOAD_CARD_H

#include "core/arena.h"
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
	const char *const *measured; /* JSON texts of card_measured_public() */
	size_t n_measured;
};

/* What of a measurement's result (db/store.h) may be published, as canonical JSON in a: without the
 * host. NULL: it is no result. */
const char *card_measured_public(struct arena *a, const char *result);

struct card_settings {
	const char *repo;	   /* "ns/name" */
	const char *quantized_by;  /* NULL: not said */
	const char *template_name; /* for messages */
	const char *template_text; /* of the generated section; NULL: quern's own */
};

/* README.md of a repository. old: the text that is there now (NULL: none). What a person wrote
 * outside the generated section and the generated part of the front matter is kept, and a front
 * matter key of theirs wins over ours. Foreign text is escaped for Markdown and YAML. ERR_CORRUPT:
 * facts that are none; ERR_INVALID: the template. */
int card_write(struct buf *b, const struct card_settings *set, const struct card_variant *v,
	       size_t n, const char *old, struct err *e);

/* Is the front matter of this README.md what a hub takes: one YAML map, no key twice, the known
 * keys of the type that hub-docs "Model cards" gives them? ERR_INVALID with line and column. */
int card_check_front(const char *readme, struct err *e);

/* The variables of a template, sorted. */
extern const char *const card_variables[];
extern const size_t card_n_variables;
/* Tell every fault of a template: an unknown variable, "{{" without "}}", a line that is one of the
 * section's own marks. line and column from 1. Returns how many. */
typedef void (*card_fault_fn)(void *ctx, int line, int column, const char *what);
int card_template_check(const char *text, card_fault_fn fault, void *ctx);

/* quern.json: each variant with key, parameters, source and version, engine, facts, files with size
 * and SHA-256. */
int card_manifest(struct buf *b, const char *repo, const struct card_variant *v, size_t n,
		  struct err *e);
/* The variants of a quern.json, in a: enough to write the same card and the same manifest from
 * them. Foreign bytes: every hash, size and path is checked. ERR_INVALID, ERR_CORRUPT. */
int card_manifest_read(struct arena *a, const char *text, size_t len, const char **repo,
		       struct card_variant **v, size_t *n, struct err *e);

#endif
