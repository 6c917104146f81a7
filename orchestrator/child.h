/* orchestrator/child.h -- one child process of the loop: its standard output as
 * lines, its standard error in a file, one ending. Start it once; on_done comes
 * exactly once, after the last handle is closed, also when the start failed. */
#ifndef QUERN_ORCHESTRATOR_CHILD_H
#define QUERN_ORCHESTRATOR_CHILD_H

#include <stdint.h>
#include <uv.h>

#include "core/buf.h"

#define CHILD_LINE_MAX 65536 /* protocol: longer lines are dropped */

struct child {
	/* set by the owner before child_start() */
	const char *const *argv;
	const char *const *env; /* NULL-ended; NULL: our own */
	const char *cwd;	/* NULL: ours */
	int log_fd;		/* standard error; -1: ours */
	int lock_fd;		/* becomes descriptor LAUNCH_LOCK_FD; -1: none */
	int own_session;	/* leads its own session and group, and the group ends with it */
	void (*on_line)(struct child *c, const char *line, size_t len); /* may be NULL */
	void (*on_done)(struct child *c);
	void *data;

	/* readable in on_done */
	int spawn_err; /* libuv error number, 0: it started */
	int exit_code; /* when signal is 0 */
	int signal;
	int pid; /* valid while it runs */
	uint64_t lines_dropped;

	/* private */
	uv_process_t proc;
	uv_pipe_t out;
	struct buf line;
	int open, skipping;
	char chunk[16384];
};

void child_start(struct child *c, uv_loop_t *loop);
/* Signal its whole group (or itself without own_session); nothing if it has ended. */
void child_signal(struct child *c, int sig);

#endif
