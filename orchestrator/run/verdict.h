/* orchestrator/run/verdict.h -- how an attempt ended, in one word and one sentence,
 * and what follows from it. */
#ifndef QUERN_ORCHESTRATOR_VERDICT_H
#define QUERN_ORCHESTRATOR_VERDICT_H

#include <stdbool.h>

#include "core/err.h"
#include "orchestrator/run/scheduler_private.h"

struct verdict {
	bool good;
	bool retry;	/* another attempt may help */
	bool lost;	/* not the job's fault: the attempt does not count */
	bool cancelled; /* a person took the job away: nothing to move */
	char cause[32]; /* crash, timeout, stall, refused, environment, failed, bad output, ... */
	char message[600];
};

/* The convert verb has ended: exit status, our own reason, result.json and the log's last line. */
void verdict_of_worker(const struct execution *x, enum task_end why, const char *dir,
		       struct verdict *v);
/* The validate verb has ended. */
void verdict_of_validation(const struct execution *x, enum task_end why, const char *dir,
			   struct verdict *v);
/* A step of ours failed: setup, sealing. */
void verdict_of_error(const struct err *e, struct verdict *v);
void verdict_lost(const char *message, struct verdict *v);

#endif
