/* orchestrator/run/child.h -- the child processes of a loop: standard output as
 * lines, standard error in a file, one ending. Start each once; on_done comes
 * exactly once, from the loop, after the last handle is closed and the process
 * has been waited for, also when the start failed. */
#ifndef QUERN_ORCHESTRATOR_CHILD_H
#define QUERN_ORCHESTRATOR_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/buf.h"
#include "workers/launch/place.h"

#define CHILD_LINE_MAX 65536 /* protocol: longer lines are dropped */

/* All children of one loop. The kernel says that some child ended, not which: each that lives is
 * asked, and they are as few as there are slots. */
struct children {
	uv_loop_t *loop;
	uv_signal_t ended;
	struct child *live;
	bool orphans; /* some were told to end: look again when they have */
};

/* What a process and those it has waited for used, as the kernel counted. */
struct child_usage {
	int64_t user_ms, system_ms; /* rounded up */
	/* Of the largest of them. At least our own peak: a new process shares our memory until it
	 * runs its program. */
	uint64_t peak_rss_bytes;
};

struct child {
	/* set by the owner before child_start() */
	const struct place *place; /* a worker: it leads a session, which ends with it */
	const char *const *argv;   /* or a plain child */
	const char *const *env;	   /* of a plain child; NULL: ours */
	int log_fd;		   /* standard error; -1: ours */
	int lock_fd;		   /* becomes SPAWN_LOCK_FD; -1: none */
	void (*on_line)(struct child *c, const char *line, size_t len); /* may be NULL */
	void (*on_done)(struct child *c);
	void *data;

	/* readable in on_done */
	int spawn_err; /* libuv error number, 0: it started */
	int exit_code; /* when signal is 0 */
	int signal;
	int pid; /* valid while it runs */
	struct child_usage used;
	uint64_t lines_dropped;

	/* private */
	struct child *next;
	uv_pipe_t out;
	uv_timer_t linger; /* from its end to that of the pipe */
	bool lingers;
	struct buf line;
	int open, skipping, own_session;
	char chunk[16384];
};

/* Close once no child is left; uv_walk() and uv_close() do for kids->ended as well. */
void children_open(struct children *kids, uv_loop_t *loop);
void children_close(struct children *kids);

/* place, argv and the descriptors are used during the call only. */
void child_start(struct child *c, struct children *kids);
/* Signal its whole group (a plain child: itself); nothing if it has ended. */
void child_signal(struct child *c, int sig);

#endif
