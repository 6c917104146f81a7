/* orchestrator/view/json_rows.h -- members that several commands print as JSON: here once, so that
 * a program finds them under one name and in one order. */
#ifndef QUERN_ORCHESTRATOR_JSON_ROWS_H
#define QUERN_ORCHESTRATOR_JSON_ROWS_H

#include "core/json.h"
#include "db/job.h"
#include "orchestrator/engine/engine.h"

/* "job", "key", "label" */
void json_job_name(struct json_out *w, int64_t id, const uint8_t key[SHA256_LEN],
		   const char *label);
/* "cause", "message", "evidence_from", "evidence", "rungs" */
void json_failure(struct json_out *w, const char *cause, const char *message,
		  const char *evidence_from, const char *evidence, const char *rungs);
/* "counts": jobs by state, and in all */
void json_counts(struct json_out *w, const int64_t counts[JOB_STATE_COUNT], int64_t total);
/* The members of an engine's "renews", which it has. */
void json_renews(struct json_out *w, const struct engine *en);

#endif
