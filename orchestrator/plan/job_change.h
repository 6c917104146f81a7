/* orchestrator/plan/job_change.h -- what retry and cancel share: an event a person
 * asks for, applied to named jobs or to all of some states, told job by job. */
#ifndef QUERN_ORCHESTRATOR_JOB_CHANGE_H
#define QUERN_ORCHESTRATOR_JOB_CHANGE_H

#include "db/store.h"

struct job_change {
	enum job_event ev;
	const char *done;	     /* "job 5 LABEL: " what follows, "back in the queue" */
	const char *cannot;	     /* "... is done: cannot be " what follows, "cancelled" */
	const char *cause, *message; /* for the event */
	const enum job_state
		*states; /* --all, --failed: jobs in these; n_states 0: the named ones */
	size_t n_states;
	const char *only_cause; /* of these only the ones with this cause; NULL: all */
	const char *nothing;	/* said when no job is in these states */
};

/* Each name on its own: one that cannot be changed is said and the others are done. Returns an
 * exit_code: EXIT_USAGE if any was unknown or in a state without such an edge. */
int job_change(struct store *s, const struct job_change *c, char *const *names, int n);

#endif
