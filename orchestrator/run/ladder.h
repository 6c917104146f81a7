/* orchestrator/run/ladder.h -- after a failed attempt: stop, the same again, or the next rung
 * of the ladder of its cause. Rungs are kept by name in job.rungs ("alone, memory
 * x2") and stay in force until a person asks for another try; what a name means is
 * read when an attempt begins. docs/causes.md and docs/adr/0023 tell the rules. Pure,
 * but for what it is told of. */
#ifndef QUERN_ORCHESTRATOR_LADDER_H
#define QUERN_ORCHESTRATOR_LADDER_H

#include <stdbool.h>

#include "core/arena.h"
#include "db/store.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/plan/sources.h"

#define RUNGS_OWN_MAX 8 /* of the engine's own, of one job */

/* What the rungs of a job mean. */
struct rungs {
	bool alone;
	double memory, time;	 /* factors; 1: as it is */
	const char *environment; /* version of the toolkit; NULL: the one of the job's key */
	const struct engine_rung *own[RUNGS_OWN_MAX];
	size_t n_own;
};
/* A name that nobody knows any more is passed over. en may be NULL. */
void rungs_read(struct arena *a, const struct engine *en, const char *names, struct rungs *out);
/* Parameters (a JSON object) with those that the rungs set; canonical JSON in a, or with itself. */
const char *rungs_with(struct arena *a, const struct rungs *r, const char *with);
/* For the artifact's facts (origin "rung"), when a rung may have changed its bytes; else NULL:
 * {"because": CAUSE, "rungs": [...], "toolkit": VERSION, "with": {...}}. */
const char *rungs_facts(struct arena *a, const struct config *c, const struct engine *en,
			const struct rungs *r);
/* What a job claims under them. */
int64_t rungs_memory(const struct rungs *r, int64_t memory_bytes, uint64_t limit_bytes);

struct ladder_ask {
	const struct config *cfg;
	const struct engine *engine;   /* may be NULL, then it has no rungs of its own */
	const struct resolved *source; /* may be NULL, then no rung changes the parameters */
	const struct job_row *job;     /* attempts: before this one */
	const char *cause;
	int said; /* the worker's word on another try: 1, 0, -1 none */
};

struct ladder_step {
	bool again;
	int64_t backoff_ms; /* first wait for this cause */
	const char *rungs;  /* of the next attempt */
	const char *rung;   /* the one that was taken; NULL: none */
	bool exhausted;	    /* it would have climbed, but there was nothing left */
};
void ladder_next(struct arena *a, const struct ladder_ask *ask, struct ladder_step *out);

#endif
