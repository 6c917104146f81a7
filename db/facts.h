/* db/facts.h -- what is known of an artifact, and who said so. The store keeps it
 * as one JSON object with a member for each origin:
 *
 *   {"file": {...}, "name": {...}, "rung": {...}, "source": {...}, "worker": {...}}
 *
 * Sizes and hashes are no facts in this sense: quern reads them from each file
 * itself, and they are columns of the artifact's row. Pure. */
#ifndef QUERN_DB_FACTS_H
#define QUERN_DB_FACTS_H

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "db/job.h"

enum fact_origin {	      /* in the order of their names */
		   FACT_FILE, /* read from the finished files, by the engine's own validate verb */
		   FACT_NAME, /* claimed by the name of a file that quern did not make: imported */
		   FACT_RUNG, /* what quern changed of what was asked for, after a failure:
				 docs/causes.md */
		   FACT_SOURCE, /* read by quern from the model's folder: licence, language */
		   FACT_WORKER, /* reported in result.json by the worker that made them */
		   FACT_ORIGIN_COUNT
};
const char *fact_origin_name(enum fact_origin o); /* "file", ...: the members' names */

struct facts {
	const struct json *of[FACT_ORIGIN_COUNT]; /* objects, never NULL */
};

/* ERR_CORRUPT: not an object of objects. An origin that is absent is an empty object. */
int facts_parse(struct arena *a, const char *text, struct facts *out, struct err *e);
/* As JSON text, in a. Without "name" and "rung" when these have no members: most artifacts were
 * made here, and as they were asked for. */
const char *facts_text(struct arena *a, const struct facts *f);

/* What is known of the output: the file's own word before the worker's. NULL: nothing, or null. */
const struct json *facts_get(const struct facts *f, const char *name);
/* A member of one origin as text, or NULL. */
const char *facts_str(const struct facts *f, enum fact_origin o, const char *name);

/* What the name of an imported file claims: never more than that. NULL: nothing. */
const struct json *facts_claimed(const struct facts *f, const char *name);

/* The parameters that the engine was given: those that were asked for (`with`, a JSON object) with
 * what a rung set in their place; canonical, in a. asked itself when no rung did. */
const char *facts_with(struct arena *a, const struct facts *f, const char *asked);

/* Write the members, as facts_text() does. */
void facts_write(struct json_out *w, const struct facts *f);

/* Parameters of the job that a worker or a file names with the value that was asked for, as bits of
 * enum job_param. An engine without platforms has none to confirm. */
unsigned facts_confirmed(const struct facts *f, const struct job_spec *asked);

/* ERR_INVALID when a worker or a file names another value than was asked for, or when the two do
 * not agree on a member that both have. */
int facts_check(const struct facts *f, const struct job_spec *asked, struct err *e);

#endif
