/* orchestrator/run/executor.h -- where workers run. The scheduler knows tasks and
 * this interface; exec_local.c runs them as child processes of the loop. An
 * execution has exactly one ending, told by on_done. */
#ifndef QUERN_ORCHESTRATOR_EXECUTOR_H
#define QUERN_ORCHESTRATOR_EXECUTOR_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/run/child.h"
#include "workers/launch/place.h"

struct execution {
	/* set by the scheduler */
	const char *dir; /* job folder: log and lock lie here */
	int lock_fd;	 /* held; the executor closes it. -1 when reattaching */
	void (*on_line)(struct execution *x, const char *line, size_t len);
	void (*on_done)(struct execution *x);
	void *data;
	/* of a worker in a container; NULL without. While the note is there when the worker has
	 * ended, the ender is run before that is told. */
	const char *note;
	const char *const *ender, *const *ender_env;

	/* set by the executor */
	int start_error; /* libuv error number; nothing ran */
	int exit_code, signal;
	int exit_unknown;	 /* a reattached worker ended: result.json must tell */
	int64_t pid;		 /* 0 once it has ended */
	struct child_usage used; /* once it has ended; 0: reattached, it was another's child */
	void *impl;
};

struct executor {
	const char *name;
	/* place: where the worker runs and what; used during the call only, its lock_fd not at all.
	 */
	void (*start)(const struct executor *ex, struct children *kids, struct execution *x,
		      const struct place *place);
	/* A worker of an earlier, dead orchestrator: watch it until its lock is free. */
	void (*reattach)(const struct executor *ex, struct children *kids, struct execution *x);
	void (*signal)(const struct executor *ex, struct execution *x, int sig);
};

extern const struct executor exec_local;

#endif
