/* workers/launch/place.h -- the place a worker runs in, and the way into it: a
 * process that is about to become a worker gives up all it can, then execs.
 * Two callers: the program quern-launch, and quern itself in the new process of
 * its clone(), which shares quern's memory. So everything below is
 * async-signal-safe, allocates nothing and writes no variable but its own.
 * docs/worker-protocol.md tells workers what they get. */
#ifndef QUERN_WORKERS_LAUNCH_PLACE_H
#define QUERN_WORKERS_LAUNCH_PLACE_H

#include <stdint.h>

#define PLACE_CANNOT_SET_UP 125 /* exit codes, as env(1) and chroot(1) have them */
#define PLACE_CANNOT_RUN 127

#define PLACE_READ_MAX 16
#define PLACE_ENV_MAX 32

struct place {
	const char *job;	    /* absolute: the only folder it may write in */
	const char *const *program; /* argument vector, NULL-ended; [0] is a path */
	const char *const *read;    /* what it may read, absolute; NULL-ended, or NULL */
	const char *const *setenv;  /* NAME=VALUE; NULL-ended, or NULL */
	int lock_fd;		    /* above 2; the worker inherits it, and its flock */
	int group_fd;		    /* it enters this control group by; 0: none */
	int network;		    /* leave it open */
	int gpu;		    /* it may use NVIDIA's devices */
	uint64_t memory_bytes;	    /* limits; 0: as it is */
	uint64_t file_bytes, cpu_seconds;
	uint64_t files, processes;
};

/* Become the worker. Does not return: what goes wrong is one line on descriptor 2 and one of the
 * exit codes above. */
void place_enter(const struct place *p) __attribute__((noreturn));

/* Default actions for all signals, and none blocked: what a program expects at its start. */
void place_reset_signals(void);

#endif
