/* orchestrator/making_private.h -- between making.c (which sources are wanted)
 * and the two ways to get one: making_fake.c and making_hub.c. */
#ifndef QUERN_ORCHESTRATOR_MAKING_PRIVATE_H
#define QUERN_ORCHESTRATOR_MAKING_PRIVATE_H

#include "orchestrator/child.h"
#include "orchestrator/scheduler_private.h"

struct making {
	struct making *next;
	struct scheduler *sched;
	struct arena *a;
	const struct resolved *source;
	enum making_state state;
	const char *why;  /* when it failed */
	int64_t retry_ms; /* when it failed for a while: tried again from then on; 0: for good */
	int failures;	  /* such ones */
	bool running;
	int64_t done, total; /* bytes, for a person who watches */
	int64_t start_ms;    /* monotonic */

	/* making_fake.c */
	const char *temp; /* .making-NAME */
	uv_work_t work;	  /* clearing an old temp, or the final rename */
	int work_rc;
	struct err err; /* also the child's own words */
	struct execution x;
	enum task_end end_reason;

	/* making_hub.c */
	struct child child;
	const struct hub_source *fetching; /* the model, then its adapter */
};

/* The ending of either way; sched_kick() follows. again: it may go well later. */
void making_done(struct making *m);
void making_fail(struct making *m, const char *message, bool again);

void making_fake_begin(struct making *m);
void making_fake_stop(struct making *m, int sig);

void making_hub_begin(struct making *m);
void making_hub_stop(struct making *m, int sig);

#endif
