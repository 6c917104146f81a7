/* orchestrator/view/explain.h -- one job: would the next run do it, and if not, why; what its
 * key is made of; which finished job is the nearest. Reads the store, the matrix and
 * the machine, changes nothing. */
#ifndef QUERN_ORCHESTRATOR_EXPLAIN_H
#define QUERN_ORCHESTRATOR_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/plan/key_part.h"
#include "orchestrator/run/session.h"

enum reason_kind {
	REASON_GOOD,  /* in its favour */
	REASON_LATER, /* not now; by itself it will */
	REASON_DONE,  /* there is nothing to do */
	REASON_NEVER, /* not without a person */
};

struct reason {
	enum reason_kind kind;
	const char *what; /* "state", "memory" ... */
	const char *text;
};

#define REASONS_MAX 24

struct explained {
	struct job_row job;
	int64_t now_ms;
	struct reason reasons[REASONS_MAX];
	size_t n_reasons;
	struct key_part parts[KEY_PARTS];
	/* the finished job with the fewest other parts; id 0: none */
	int64_t nearest_id;
	const char *nearest_label;
	struct key_part nearest[KEY_PARTS];
	size_t differ[KEY_PARTS], n_differ;
	/* jobs, finished or waiting, that a change would make anew */
	int64_t same_source, same_engine, same_with;
};

/* Everything in a. */
int explain(struct session *s, const char *name, struct arena *a, struct explained *out,
	    struct err *e);
/* The worst of the reasons, the first of it. */
const struct reason *explain_verdict(const struct explained *x);

#endif
