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
	bool measure;		 /* as jobs.yaml says; false: --no-measure */
	bool fail_fast;		 /* the first final failure stops starting others */
	int64_t to_do;		 /* jobs the plan expects, for the progress display */
	struct cgroup *cgroup;	 /* open, or not usable; NULL: none */
	struct model_work *work; /* one a model of the configuration; counted down */
	int64_t deadline_ms;	 /* wall: nothing runs after it; 0: none */
	const char *deadline;	 /* what it is called: "--until 07:00" */
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
	int64_t measured;	/* measurements that were made */
	int64_t measure_warned; /* ... with warnings */
	int64_t measure_failed;
	int64_t not_measured; /* because a machine does not answer */
	int64_t regressions;  /* warnings of this kind */
	int64_t held;	      /* jobs that a measurement keeps from being published */
	int64_t commits;
	uint64_t bytes_sent;
	bool interrupted; /* by a signal */
	bool time_over;	  /* the deadline came, or nothing that was left could end before it */
	bool drained;	  /* by quern drain */
	bool blocked; /* ended with jobs waiting for disk that never came free, of theirs or their
		       * source's */
};

/* Run until nothing is left to do. ERR_* only for what ends a run as a whole (the store, the loop).
 */
int scheduler_run(struct session *s, const struct scheduler_options *o, struct scheduler_result *r,
		  struct err *e);

#endif
