/* orchestrator/run/run.h -- put the matrix of a session into its store as a new run. */
#ifndef QUERN_ORCHESTRATOR_RUN_H
#define QUERN_ORCHESTRATOR_RUN_H

#include <stdint.h>

#include "orchestrator/plan/plan.h"
#include "orchestrator/run/scheduler.h"

struct run_filled {
	int64_t run_id;
	int64_t to_do;		 /* points that are not done yet */
	struct model_work *work; /* the same, one a model of the configuration */
	struct plan_totals totals;
};

/* Begin a run and add or mark every legal point. Points that are not legal are said on stderr, the
 * first ten by name. Repeatable: a crash in the middle leaves rows that the next run marks again.
 */
int run_fill(struct session *s, const char *only, int64_t now_ms, struct run_filled *out,
	     struct err *e);

#endif
