/* orchestrator/plan/learn.h -- what a job will need, from what the like of it needed. Falls back on
 * the manifest's formula, and says which it was. learn() is pure; the others ask the store. */
#ifndef QUERN_ORCHESTRATOR_LEARN_H
#define QUERN_ORCHESTRATOR_LEARN_H

#include <stdbool.h>

#include "core/err.h"
#include "db/store.h"
#include "orchestrator/engine/engine.h"

enum learn_basis {
	LEARN_FORMULA, /* the manifest's: nothing like it was measured */
	LEARN_SIZES,   /* the same settings with models of other sizes */
	LEARN_SAME,    /* the same settings with a model of the same size */
};

struct learned {
	struct estimate need;
	enum learn_basis basis;
	int64_t samples; /* that the memory comes from */
	uint64_t memory_min_bytes,
		memory_max_bytes; /* as measured, or scaled; 0 with LEARN_FORMULA */
	bool ran_out; /* an attempt ended for want of memory, and the estimate was raised for it */
	int64_t ms, ms_min, ms_max; /* duration; 0: not measured yet */
};

/* formula: what the manifest says; weights: of the model. Never below the largest that was measured
 * with as many weights or fewer. */
void learn(const struct measured_row *m, const struct estimate *formula, int64_t weights,
	   struct learned *out);
const char *learn_basis_name(enum learn_basis b); /* "formula", "sizes", "same" */

/* All that drives memory and time. Strings are those of spec and facts. */
void learn_class(const struct job_spec *spec, const struct source_facts *facts, int threads,
		 struct measured_class *out);
/* store NULL: only the formula. */
struct json;
int learn_ask(struct store *s, const struct engine *en, const struct job_spec *spec,
	      const struct json *with, const struct source_facts *facts, int threads,
	      struct learned *out, struct err *e);

#endif
