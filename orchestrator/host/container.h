/* orchestrator/host/container.h -- workers in containers of docker or podman: what
 * is there of an image, how quern-contain (workers/launch/contain.c) is told to run
 * one, and what a dead run left. docs/containers.md tells users. */
#ifndef QUERN_ORCHESTRATOR_CONTAINER_H
#define QUERN_ORCHESTRATOR_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"

struct container_runtime {
	const char *program; /* absolute */
	bool podman;	     /* or docker */
	bool rootless;	     /* root inside is this user outside */
	bool remapped;	     /* docker's userns-remap */
	const char *fault;   /* why it cannot be used, and the fix; or NULL */
};

struct container_image {
	const struct container_runtime *runtime;
	const char *id; /* what the name meant when it was looked at: a run uses one image */
};

/* Look at every environment of c that is an image: runtime, image, version of the toolkit. Asks the
 * runtime's program, blocking; before environments_look(). */
void containers_look(struct arena *a, struct config *c, const struct engines *es);

/* What the runtime's program may know of our environment: where it finds its daemon and settings.
 * NULL-ended, no more than PLACE_ENV_MAX. */
const char *const *container_environment(struct arena *a);

struct container_place {
	const char *note, *lock;      /* container_note(); the worker's lock, held */
	const char *dir;	      /* the job folder, the only one it may write in */
	const char *work;	      /* in a label, for people */
	const char *const *read;      /* what it may read, absolute, NULL-ended */
	const char *const *arguments; /* of its program, NULL-ended */
	uint64_t memory_bytes;	      /* limits; 0: as the runtime has it */
	uint64_t file_bytes, files;   /* of one file; open at once */
	bool network, gpu;
};
/* The argument vector of quern-contain; NULL: it is not installed. */
const char **container_argv(struct arena *a, const struct environment *env,
			    const struct container_place *p, struct err *e);

/* WORK/containers/NAME: NAME is that of the container, the same for the same work folder, user,
 * job, attempt and verb. There as long as somebody has to answer for it. */
const char *container_note(struct arena *a, const char *work, const char *key_hex, int number,
			   bool validate);
const char *const *container_end_argv(struct arena *a, const char *note);
/* quern-contain for a container that lost its own. */
const char *const *container_attach_argv(struct arena *a, const char *note);

/* End the containers of work that nobody holds the lock of, blocking. dry_run: only count. Returns
 * how many were ended; *left counts those that could not be, e says why. */
int containers_sweep(const char *work, bool dry_run, int *left, struct err *e);

/* Run a program of env's image to its end: as launch_worker(). args without the program. */
struct launch_place;
struct buf;
int container_run(const struct launch_place *p, const struct environment *env,
		  const char *const *args, size_t n_args, struct buf *out, struct err *e);

#endif
