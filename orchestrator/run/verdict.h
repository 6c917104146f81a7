/* orchestrator/run/verdict.h -- how an attempt ended, in one word and one sentence,
 * and what follows from it. */
#ifndef QUERN_ORCHESTRATOR_VERDICT_H
#define QUERN_ORCHESTRATOR_VERDICT_H

#include <stdbool.h>

#include "core/err.h"
#include "db/cause.h"
#include "orchestrator/run/evidence.h"
#include "orchestrator/run/scheduler_private.h"

struct verdict {
	bool good;
	bool retry;		    /* another attempt may help */
	bool lost;		    /* not the job's fault: the attempt does not count */
	bool cancelled;		    /* a person took the job away: nothing to move */
	int said;		    /* the worker's word on another try: 1, 0; -1 none */
	char cause[CAUSE_NAME_MAX]; /* one of db/cause.h */
	char message[600];
	char evidence_from[16]; /* log, result, signal, exit, limit, error, memory, disk; "" */
	char evidence[EVIDENCE_MAX];
};

/* The convert verb has ended: exit status, our own reason, result.json and the log's last line. */
void verdict_of_worker(const struct execution *x, enum task_end why, const char *dir,
		       struct verdict *v);
/* The validate verb has ended. */
void verdict_of_validation(const struct execution *x, enum task_end why, const char *dir,
			   struct verdict *v);
/* The log's word, where the verdict is a weak one: a cause that the engine's manifest (en, may be
 * NULL) or the table of causes reads from it. Blocking, for a pool thread. */
void verdict_refine(const char *dir, const struct engine *en, struct verdict *v);
/* A step of ours failed: setup, sealing. */
void verdict_of_error(const struct err *e, struct verdict *v);
void verdict_lost(const char *message, struct verdict *v);

#endif
