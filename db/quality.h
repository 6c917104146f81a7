/* db/quality.h -- how far an artifact's tensors are from the checkpoint's, as its worker measured
 * them: the member "quality" of the worker's facts (docs/worker-protocol.md). It is a stranger's
 * word: what has not the form is no quality, and numbers are only passed on. Pure. */
#ifndef QUERN_DB_QUALITY_H
#define QUERN_DB_QUALITY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/json.h"
#include "db/facts.h"

#define QUALITY_WORST 10 /* tensors that are named; `quern show JOB --json` has all */

/* Errors are root mean squares. */
struct quality_row {
	const char *tensor, *type; /* "" in the row of the whole file */
	double relative;	   /* error over the weights'; 0: nothing was lost */
	double snr_db;		   /* signal to noise; meaningless where nothing was lost */
	double max_error;	   /* of one weight */
};

struct quality_facts {
	struct quality_row all;
	struct quality_row worst[QUALITY_WORST]; /* by relative error, the largest first */
	size_t n_worst, n_tensors;
};

/* False: the worker says nothing about it. Texts are the facts' or in the program. */
bool quality_read(const struct facts *f, struct quality_facts *out);

/* "0.0712", or "none": the same words in every table. */
const char *quality_error_text(struct arena *a, const struct quality_row *r);
/* "22.9 dB", or "exact". */
const char *quality_snr_text(struct arena *a, const struct quality_row *r);

/* The members of an open object: relative_error, snr_db (null: nothing was lost), max_error. */
void quality_row_json(struct json_out *w, const struct quality_row *r);

#endif
