/* orchestrator/plan/turns.h -- from priorities to an order of jobs. All jobs of a model stand
 * together, so that its source is fetched once and can go: models by the highest
 * priority among their jobs, then as in the file; within a model, jobs by theirs.
 * Without priorities every turn is 0 and jobs go as in the file. Pure. */
#ifndef QUERN_ORCHESTRATOR_TURNS_H
#define QUERN_ORCHESTRATOR_TURNS_H

#include <stdint.h>

#include "core/arena.h"
#include "orchestrator/config/config.h"

struct turns {
	size_t *order;	 /* models, by when they have their turn */
	size_t *place;	 /* of a model in it */
	int by_priority; /* 0: nobody has one */
};

void turns_init(struct arena *a, const struct config *c, struct turns *out);
/* Lower goes first. t: the target that makes the job. */
int64_t turns_of(const struct turns *t, const struct config *c, size_t model,
		 const struct target *target);

#endif
