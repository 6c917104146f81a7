/* orchestrator/host/capture.h -- programs that are run to their end outside the loop
 * with their output kept, several at a time. Fill in what is the caller's, run,
 * read rc and err. */
#ifndef QUERN_ORCHESTRATOR_CAPTURE_H
#define QUERN_ORCHESTRATOR_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/err.h"

struct capture {
	/* the caller's */
	const char *const *argv; /* NULL-ended; argv[0] is looked for in PATH */
	const char *name;	 /* in messages */
	int lock_fd;		 /* -1; else a worker's lock, and it gets an empty environment */
	const char *const *env;	 /* its environment; NULL: ours, or the empty one of a worker */
	struct buf *out;	 /* its standard output; more than fits is an error */
	bool echo;		 /* its standard error goes to ours as well */
	/* the answer */
	int rc;		/* exit code (128 + signal), or a negative error */
	struct err err; /* also when rc > 0: the last line of its standard error */

	/* capture.c's own */
	struct buf last; /* the last bytes of its standard error */
	int out_fd, err_fd;
	pid_t pid; /* 0: not started, or over */
};

/* Run all n to their end, at most at_once at a time, begun in their order. SIGINT, SIGTERM or
 * SIGHUP ends those that run; their rc, and that of those behind them, is ERR_CANCELLED, and the
 * signal is taken. */
void capture_run(struct capture *v, size_t n, size_t at_once);

/* Wait for a process of ours: its exit code, or 128 + signal. */
int capture_wait(pid_t pid);

#endif
