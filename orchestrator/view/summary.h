/* orchestrator/view/summary.h -- what a plan and a run say at their end. */
#ifndef QUERN_ORCHESTRATOR_SUMMARY_H
#define QUERN_ORCHESTRATOR_SUMMARY_H

#include <stdio.h>

#include "orchestrator/plan/plan.h"
#include "orchestrator/run/scheduler.h"

/* Models of hubs, one a line: commit, architecture, size, licence, who may read it, what is still
 * to be fetched. */
void summary_models(FILE *f, const struct session *s);
/* One of them: "NAME: REPO at COMMIT, ...". */
void summary_hub_source(FILE *f, const char *name, const struct hub_source *h);
/* Those that have another name now. */
void summary_renamed(FILE *f, const struct session *s);
/* "9 points: 7 new, 2 done" and what they need. */
void summary_plan(FILE *f, const struct session *s, const struct plan_totals *t);
/* Counts, failures and where the repositories are. Returns the exit code of the run. */
int summary_run(FILE *f, struct session *s, int64_t run_id, const struct plan_totals *t,
		const struct scheduler_result *r, int64_t took_ms);

#endif
