/* orchestrator/host/launch.h -- our helper programs, and programs that are run to their
 * end outside the loop, in the sandbox of quern-launch or without one. */
#ifndef QUERN_ORCHESTRATOR_LAUNCH_H
#define QUERN_ORCHESTRATOR_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/err.h"
#include "orchestrator/engine/engine.h"

/* A helper program of quern (quern-launch, quern-fake): beside quern itself (build tree), in
 * PREFIX/libexec/quern, or NULL. In a. */
const char *launch_program(struct arena *a, const char *name);

/* Run program ARGS with its output captured (stdout up to max bytes into out; stderr's last line
 * into e on failure), blocking, outside the loop: for describe, inspect, engines and doctor.
 * Sandboxed by quern-launch with a throw-away job folder. Returns the exit code (128+signal) or a
 * negative error. */
struct buf;
int launch_capture(const char *program, const char *const *args, size_t n_args,
		   const char *read_path, struct buf *out, struct err *e);
/* The same in a folder of the caller's, absolute, that stays. */
struct launch_place {
	const char *dir;
	const char *const *read; /* what it may read, absolute */
	size_t n_read;
	bool echo; /* its standard error goes to ours as well */
};
int launch_worker(const struct launch_place *p, const char *program, const char *const *args,
		  size_t n_args, struct buf *out, struct err *e);
/* A new folder for it below $TMPDIR or /tmp; the caller removes and frees it. NULL with e. */
char *launch_folder(struct err *e);
/* The same without the sandbox and with our environment; program is looked for in PATH. For doctor.
 */
int launch_output(const char *program, const char *const *args, size_t n_args, struct buf *out,
		  struct err *e);
/* Without the sandbox, output to our own stdout and stderr: for `quern fake`. */
int launch_plain(const char *program, const char *const *args, size_t n_args, struct err *e);

#endif
