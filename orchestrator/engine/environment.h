/* orchestrator/engine/environment.h -- the environments of engines: Python virtual
 * environments of the user's, each with one version of a toolkit. Looked at from
 * outside, before anything starts: nothing in them is run here. */
#ifndef QUERN_ORCHESTRATOR_ENVIRONMENT_H
#define QUERN_ORCHESTRATOR_ENVIRONMENT_H

#include "core/arena.h"
#include "core/err.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"

/* Fill in what the environments of c are: python, prefix, version, fault; those with `container`
 * containers_look() (host/container.h) has filled in before. Adds to f what is wrong of the file:
 * an engine that nobody has or that takes no environments, a version that is not the one found
 * there, two environments of one version and one name, architectures that the engine does not
 * know. */
void environments_look(struct arena *a, struct config *c, const struct engines *es,
		       struct faults *f);
/* One folder; package: of the manifest. env->path is set, the rest is filled. */
void environment_look(struct arena *a, const char *package, struct environment *env);

/* Of an engine; NULL: jobs.yaml says nothing of it. */
const struct engine_settings *environments_of(const struct config *c, const char *engine);
/* "1.2.3", or with its name "1.2.3-rwkv": what stands behind the '+' of an engine's version. In a.
 */
const char *environment_id(struct arena *a, const struct environment *env);
/* Is it for this architecture? 2: it names it; 1: it names none; 0: it names others. */
int environment_is_for(const struct environment *env, const char *architecture);
/* That of a job, by the toolkit in its engine's version; NULL: jobs.yaml has it no more. */
const struct environment *environment_of_version(const struct config *c, const char *engine,
						 const char *engine_version);

/* Does this machine have a GPU that a toolkit can use (/dev/nvidia*)? */
int environment_machine_gpu(void);
int environment_gpu(const struct environment *env);

/* How a program of Python is started: the environment's own interpreter, which sees none of the
 * user's settings and leaves nothing beside its modules. Into v; returns how many. */
#define ENVIRONMENT_ARGS 4
size_t environment_argv(const struct environment *env, const char *v[ENVIRONMENT_ARGS]);
/* What it reads besides its job: the environment, its Python, the folder of program as it is named
 * and as it is. Into read, texts in a; returns how many. */
#define ENVIRONMENT_READS 4
size_t environment_reads(struct arena *a, const struct environment *env, const char *program,
			 const char *read[ENVIRONMENT_READS]);

/* Version of an installed package, as its metadata says it, in a; NULL: not there. */
const char *environment_package_version(struct arena *a, const char *path, const char *package);

#endif
