/* orchestrator/measure/record.h -- a measurement into the store: what came of it, what is worse
 * than before, and what that keeps from being published. One transaction each. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_RECORD_H
#define QUERN_ORCHESTRATOR_MEASURE_RECORD_H

#include "orchestrator/measure/stage.h"

#define HOLD_WAITING "waiting"

/* Has begun. */
int measure_record_begin(struct store *s, const struct measure_stage *st, const char *settings,
			 int64_t job_id, int64_t run_id, int64_t now_ms, int64_t *id,
			 struct err *e);
/* Has ended well: adds warnings of regression to r. *held (may be NULL): what it now holds
 * publication for, "" when nothing. */
int measure_record_done(struct store *s, const struct measure_stage *st, int64_t id, int64_t job_id,
			struct measure_result *r, int64_t now_ms, const char **held, struct err *e);
/* Has failed. It holds publication only when the stage says so. */
int measure_record_failed(struct store *s, const struct measure_stage *st, int64_t id,
			  int64_t job_id, const char *why, int64_t now_ms, const char **held,
			  struct err *e);
/* It will not be made now: who waits for it need not wait. */
int measure_record_given_up(struct store *s, const struct measure_stage *st, int64_t job_id,
			    int64_t now_ms, struct err *e);

#endif
