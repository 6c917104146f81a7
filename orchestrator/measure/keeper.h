/* orchestrator/measure/keeper.h -- a server that must not outlive us. Between us and it stands a
 * process of its own, the keeper, in its own session: it holds one end of a pipe, and when the
 * other end is closed, because we asked or because we were killed, it ends the server and
 * everything that the server started, and then itself. Start, ask, end. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_KEEPER_H
#define QUERN_ORCHESTRATOR_MEASURE_KEEPER_H

#include <stdint.h>
#include <sys/types.h>

#include "core/err.h"

struct keeper {
	pid_t pid;    /* of the keeper; 0: not started */
	pid_t server; /* leads a process group */
	int life_fd;  /* its closing is the end */
	int told_fd;  /* what the keeper tells */
	int status;   /* of the server, once it has ended; -1 until then */
	int cannot;   /* errno of its program; 0: it runs */
};

/* argv is NULL-ended, argv[0] is looked for in PATH. Output of the server goes to log, which is
 * made anew. Tokens of hubs are taken out of its environment. ERR_ENV: it cannot be run. */
int keeper_start(struct keeper *k, const char *const *argv, const char *log, struct err *e);
/* 0 while the server runs; ERR_ENV with how it ended. */
int keeper_alive(struct keeper *k, struct err *e);
/* Peak of resident memory of the server's group, in bytes, mapped files included; 0: not known. */
uint64_t keeper_peak_bytes(const struct keeper *k);
/* SIGTERM, after some seconds SIGKILL, until nothing is left. Fine when it was not started. */
void keeper_end(struct keeper *k);

#endif
