/* orchestrator/run/scheduler.h -- the loop: take pending jobs of a run as memory,
 * disk and slots allow, see each through its worker, its validation and its
 * sealing, try again what may be tried again, publish, and stop when asked.
 * Nothing in it blocks: processes and pool threads do what takes time. */
#ifndef QUERN_ORCHESTRATOR_SCHEDULER_H
#define QUERN_ORCHESTRATOR_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "orchestrator/run/session.h"

struct cgroup;

/* What a run has to do of one model. */
struct model_work {
	bool any;
	uint64_t output_bytes; /* estimates of the jobs that were not started yet */
};

struct scheduler_options {
	int64_t run_id;
	bool upload;		 /* publish what becomes ready */
	bool fail_fast;		 /* the first final failure stops starting others */
	int64_t to_do;		 /* jobs the plan expects, for the progress display */
	struct cgroup *cgroup;	 /* open, or not usable; NULL: none */
	struct model_work *work; /* one a model of the configuration; counted down */
};

struct scheduler_result {
	int64_t finished; /* conversions that reached an artifact */
	int64_t failed;	  /* jobs that failed for good now */
	int64_t retried;  /* attempts that will be or were made again */
	int64_t adopted;  /* workers of a dead run that were taken over */
	int64_t dropped;  /* sources taken out of the cache because the disk was full */
	uint64_t dropped_bytes;
	int64_t published; /* repositories brought up to date */
	int64_t publish_failed;
	int64_t commits;
	uint64_t bytes_sent;
	bool interrupted; /* by a signal */
	bool blocked; /* ended with jobs waiting for disk that never came free, of theirs or their
		       * source's */
};

/* Run until nothing is left to do. ERR_* only for what ends a run as a whole (the store, the loop).
 */
int scheduler_run(struct session *s, const struct scheduler_options *o, struct scheduler_result *r,
		  struct err *e);

#endif
