/* orchestrator/host/spawn.h -- a new process, with the least work between us and its
 * program. docs/adr/0010-start-workers-by-vfork.md has the why and the numbers. */
#ifndef QUERN_ORCHESTRATOR_SPAWN_H
#define QUERN_ORCHESTRATOR_SPAWN_H

#include <sys/types.h>

#include "workers/launch/place.h"

#define SPAWN_LOCK_FD PLACE_LOCK_FD /* the lock's descriptor number in a worker */

struct spawn {
	const struct place *place; /* a worker; NULL: a plain child, in our folder, that is
				      killed when the calling thread ends */
	const char *const *argv;   /* of a plain child; [0] is a path */
	const char *const *env;	   /* of a plain child; NULL: ours */
	int out_fd, err_fd;	   /* standard output and error */
	int lock_fd;		   /* becomes SPAWN_LOCK_FD; -1: none */
};

/* Start it; standard input is /dev/null. Waits until the program runs or the new process has ended:
 * some 0.2 ms. A program that cannot be run shows as exit code PLACE_CANNOT_RUN. Descriptors that
 * are not named stay here, if they are close-on-exec. Returns its pid, or -1 with errno. */
pid_t spawn_start(const struct spawn *s);

#endif
