/* orchestrator/launch.h -- how a worker is started: the argument vector of
 * quern-launch around an engine's program, and the job folder it runs in. */
#ifndef QUERN_ORCHESTRATOR_LAUNCH_H
#define QUERN_ORCHESTRATOR_LAUNCH_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "orchestrator/engine.h"

/* A helper program of quern (quern-launch, quern-fake): beside quern itself (build tree), in
 * PREFIX/libexec/quern, or NULL. In a. */
const char *launch_program(struct arena *a, const char *name);

#define LAUNCH_LOCK_FD 3 /* the lock's descriptor number in the child */

struct launch {
	const char *dir; /* job folder, absolute: the only place it may write */
	const char *program;
	const char *const *args; /* after the program */
	size_t n_args;
	const char *read[4]; /* what it may read, absolute; NULL ends */
	int network;
	uint64_t memory_bytes; /* limit of the address space, 0 none */
	uint64_t file_bytes;   /* largest file, 0 none */
};

/* NULL-ended argv in a. */
const char **launch_argv(struct arena *a, const struct launch *l,
			 struct err *e); /* NULL: quern-launch is missing */

/* Run program ARGS with its output captured (stdout up to max bytes into out; stderr's last line
 * into e on failure), blocking, outside the loop: for describe, inspect, engines and doctor.
 * Sandboxed by quern-launch with a throw-away job folder. Returns the exit code (128+signal) or a
 * negative error. */
struct buf;
int launch_capture(const char *program, const char *const *args, size_t n_args,
		   const char *read_path, struct buf *out, struct err *e);
/* The same without the sandbox and with our environment; program is looked for in PATH. For doctor.
 */
int launch_output(const char *program, const char *const *args, size_t n_args, struct buf *out,
		  struct err *e);
/* Without the sandbox, output to our own stdout and stderr: for `quern fake`. */
int launch_plain(const char *program, const char *const *args, size_t n_args, struct err *e);

#endif
