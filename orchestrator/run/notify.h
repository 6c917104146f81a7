/* orchestrator/run/notify.h -- tell others that a run has ended: `notify` of jobs.yaml. After the
 * loop; blocks until each was told, or its attempts are used up. A failure is said
 * and changes nothing. */
#ifndef QUERN_ORCHESTRATOR_NOTIFY_H
#define QUERN_ORCHESTRATOR_NOTIFY_H

#include "orchestrator/run/scheduler.h"
#include "orchestrator/run/session.h"

/* error: what ended the run as a whole; "" when nothing did. */
void notify_all(struct session *s, int64_t run_id, const struct scheduler_result *r, int exit_code,
		const char *error);

#endif
