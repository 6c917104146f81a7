/* orchestrator/run/jobdir.h -- one attempt's folder, jobs/KEY/N/: job.json (what to
 * do), lock (held while a worker lives), log (its standard error), out/ (what it
 * makes), result.json (what it says it made). Blocking, for a pool thread. */
#ifndef QUERN_ORCHESTRATOR_JOBDIR_H
#define QUERN_ORCHESTRATOR_JOBDIR_H

#include "core/err.h"
#include "db/job.h"

struct jobdir_job {
	const char *dir; /* absolute; made here with its parents */
	const struct job_spec *spec;
	const char *key_hex;
	int attempt;
	const char *file; /* base name of the output */
	const char *source_dir, *source_format;
	const char *source_file; /* NULL: all of the folder */
	const char *lora_dir;	 /* NULL without one */
	const char
		*with; /* canonical JSON object with every parameter, also those outside the key */
	const char *environment, *toolkit; /* its folder (NULL: a container) and version; NULL
					      without one */
	const char *container;		   /* its image */
	int trust_remote_code;
	int threads;
};

/* Make the folder afresh (an old one of the same number is removed: its attempt never began) and
 * write job.json. Not synced: after a loss of power the attempt is simply made again. Returns the
 * descriptor of `lock`, held and close-on-exec; the caller closes it once the worker has inherited
 * it. */
int jobdir_create(const struct jobdir_job *j, struct err *e);

/* Take away what the worker left here beside the files named above: this is its HOME and TMPDIR.
 * What cannot be removed stays until gc takes the whole folder. */
void jobdir_clear(const char *dir);

/* What result.json says. */
enum jobdir_result {
	JOBDIR_NONE, /* no result.json: the worker did not finish */
	JOBDIR_OK,
	JOBDIR_ERROR,	/* message has the worker's own words */
	JOBDIR_RUBBISH, /* there, but not what the protocol says; message says why */
};
/* What an error says beside its words. */
struct jobdir_error {
	char cause[32]; /* one that docs/worker-protocol.md lists, or "" */
	int retry;	/* -1: it does not say */
};
/* more may be NULL. */
enum jobdir_result jobdir_result(const char *dir, char *message, size_t size,
				 struct jobdir_error *more);

#endif
