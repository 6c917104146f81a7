/* orchestrator/host/workdir.h -- the work folder: where things lie in it, and who
 * may use it. Layout (docs/architecture.md): state.db, run.lock, jobs/KEY/N/,
 * artifacts/KEY/, sources/, hub/. */
#ifndef QUERN_ORCHESTRATOR_WORKDIR_H
#define QUERN_ORCHESTRATOR_WORKDIR_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/hash.h"
#include "db/store.h"

/* Paths below work, in a. */
const char *workdir_db(struct arena *a, const char *work);
const char *workdir_job(struct arena *a, const char *work, const uint8_t key[SHA256_LEN],
			int number);
const char *workdir_job_all(struct arena *a, const char *work, const uint8_t key[SHA256_LEN]);
const char *workdir_artifact(struct arena *a, const char *work, const uint8_t key[SHA256_LEN]);
const char *workdir_hub(struct arena *a, const char *work);
const char *workdir_sources(struct arena *a, const char *work);

/* What was learned about repositories of hubs, by commit. */
const char *workdir_hub_memory(struct arena *a, const char *work);

/* Create the folder and its sub-folders. ERR_IO, ERR_NOSPACE with the fix. */
int workdir_create(const char *work, struct err *e);

/* One run at a time: flock on run.lock. Returns the descriptor to keep open. ERR_BUSY says who
 * holds it (pid, host, since when, command), from the line the holder wrote. */
int workdir_lock(const char *work, const char *command, struct err *e);

/* Who holds the lock now, without disturbing anybody: 1 held (*pid from the holder's line, 0 if it
 * has not written it yet), 0 free, ERR_IO. */
int workdir_holder(const char *work, int64_t *pid, struct err *e);

/* The folder of a generated source: sources/VERSION-HASH, by the generator's version and the spec.
 */
const char *workdir_source(struct arena *a, const char *work, const char *version,
			   const char *spec);

/* Find the work folder for commands that only read: --work, else `work` of the jobs file (-f,
 * default jobs.yaml), else .quern in the current folder. A broken jobs file is an error only when
 * --work is not given. */
int workdir_find(struct arena *a, const char *work_option, const char *file_option,
		 const char **work, struct err *e);
/* The same, then open the store there: read-only or not. ERR_NOTFOUND: nothing has run here yet. */
int workdir_open_store(struct arena *a, const char *work_option, const char *file_option,
		       int read_only, const char **work, struct store **out, struct err *e);

#endif
