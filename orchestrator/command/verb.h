/* orchestrator/command/verb.h -- one verb of an engine's worker outside a run, in a
 * sandbox of its own: `quern calib` and `quern doctor --deep`. Blocking. */
#ifndef QUERN_ORCHESTRATOR_VERB_H
#define QUERN_ORCHESTRATOR_VERB_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/engine/environment.h"

struct verb {
	const struct engine *engine;	       /* with its program */
	const struct environment *environment; /* without a fault */
	const char *name;		       /* "calib" */
	const char *dir;		       /* launch_folder(): job.json, out/, result.json */
	const char *source_dir, *source_format, *source_file; /* absolute; file: NULL, or of GGUF */
	const char *prompts;				      /* absolute, or NULL */
	const char *with;				      /* a JSON object */
	int trust_remote_code, threads;
	bool echo; /* the worker's log goes to our standard error */
};

/* lines: what it printed. 0; or a negative error with the worker's own words. */
int verb_run(const struct verb *v, struct buf *lines, struct err *e);

/* The environment of an engine for such a verb: the folder given, else the first of jobs.yaml's
 * that has no fault. cfg and folder may be NULL. ERR_ENV with the fix. */
int verb_environment(struct arena *a, const struct engine *en, const struct config *cfg,
		     const char *folder, const struct environment **out, struct err *e);

#endif
