/* core/source_card.h -- what a model's folder says for its cards: licence,
 * language, task, what it was made from. From the front matter of README.md,
 * else the licence from a licence file whose title or SPDX line is known. A
 * worker takes README.md's part only: a licence file is no part of a job's key,
 * so no output may depend on it. What cannot be read with certainty is left
 * out. */
#ifndef QUERN_CORE_SOURCE_CARD_H
#define QUERN_CORE_SOURCE_CARD_H

#include <stddef.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

/* A value, or a list of them. */
struct source_words {
	const char **v;
	size_t n;
};

struct source_card {
	const char *license;	  /* the Hub's id of it; NULL: not said */
	const char *license_name; /* both with license "other" only */
	const char *license_link; /* absolute: a relative one would point into another repository */
	const char *license_from; /* "README.md", or the name of the licence file */
	const char *pipeline_tag;
	struct source_words languages;
	struct source_words tags;
	struct source_words base_models; /* as they stand there: "org/name" mostly */
	struct source_words datasets;	 /* likewise */
};

/* Files that are not there are no error. ERR_IO: one cannot be read. */
int source_read_card(struct arena *a, const char *dir, struct source_card *out, struct err *e);

/* README.md's part of it alone. A file that is not there is no error. ERR_IO. */
int source_read_readme(struct arena *a, const char *dir, struct source_card *out, struct err *e);
/* The same from its text. For tests and fuzzing. */
void source_card_parse(struct arena *a, const char *readme, struct source_card *out);
/* The Hub's id of the licence that this text is, by its SPDX line or title; NULL: not known. */
const char *source_license_of(struct arena *a, const char *text);

/* The facts of origin "source" as a JSON object. architecture (NULL: not known) is the class in
 * config.json; a causal language model generates text, when the model itself names no task. */
void source_card_json(const struct source_card *c, const char *architecture, struct buf *b);

#endif
