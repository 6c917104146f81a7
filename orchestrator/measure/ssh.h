/* orchestrator/measure/ssh.h -- another machine, by the system's OpenSSH client: docs/adr/0021. One
 * connection, a master process of ours; everything else are sessions in it, which never fall back
 * to a connection of their own. Nothing is asked of a person; keys of hosts are those that the user
 * has accepted already. Open, run or start, close. Blocks; looks at measure_stopped(). */
#ifndef QUERN_ORCHESTRATOR_MEASURE_SSH_H
#define QUERN_ORCHESTRATOR_MEASURE_SSH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "orchestrator/measure/where.h"

struct ssh {
	struct arena *a; /* the caller's, as are the next two */
	const struct measure_board *board;
	const char *log; /* file: what ssh says on its standard error is appended */
	char *dir;	 /* of the control socket; NULL: not open */
	char *socket;
	pid_t master;
	bool finishing; /* cleaning up: a stop that was asked for is no reason to leave it */
};

/* A program on the other machine whose lines are read while it runs. */
struct ssh_channel {
	pid_t pid; /* of the client here; 0: none */
	int in_fd, out_fd;
	struct buf in;	   /* from it; cap: one line */
	uint64_t in_bytes; /* altogether */
	size_t taken;	   /* bytes of `in` that the last line has */
	const struct ssh *ssh;
};

#define SSH_LINE_MAX ((size_t)4 << 20)
#define SSH_TOTAL_MAX ((uint64_t)512 << 20)

/* ERR_ENV: keys, or no ssh; ERR_BUSY: not reachable now. patience_ms: to become connected. */
int ssh_open(struct ssh *s, int64_t patience_ms, struct err *e);
bool ssh_is_up(struct ssh *s);
void ssh_close(struct ssh *s); /* fine when it is not open */

/* A word for the shell there, in a. */
const char *ssh_quoted(struct arena *a, const char *word);

/* Run a script of POSIX sh to its end: its exit code, output in out (NULL: dropped). stdin_fd -1:
 * /dev/null; else a file that is sent from where it stands, and at() is called now and then with
 * its position. ERR_BUSY: connection lost, or limit_ms over (-1: none). */
int ssh_run(struct ssh *s, const char *script, int stdin_fd, struct buf *out, int64_t limit_ms,
	    void (*at)(void *ctx, int64_t position), void *ctx, struct err *e);

int ssh_start(struct ssh *s, const char *script, struct ssh_channel *c, struct err *e);
/* Send a line (without its end; "" is a sign of life). ERR_BUSY: it is gone. */
int ssh_send(struct ssh_channel *c, const char *line, struct err *e);
/* The next line, terminated and without its end, valid until the next call. Returns 1; 0: none
 * within wait_ms; ERR_BUSY: it has ended, or the connection has; ERR_IO: too much, or no line;
 * ERR_CANCELLED. */
int ssh_line(struct ssh_channel *c, int64_t wait_ms, char **line, size_t *len, struct err *e);
/* Its input ends: that is how it is ended in order. */
void ssh_end_input(struct ssh_channel *c);
/* Forget it; the client here is killed if it still runs. Exit code, or 255. */
int ssh_drop(struct ssh_channel *c);

#endif
