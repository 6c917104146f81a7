/* orchestrator/engine_private.h -- between engine.c (where engines are, and what
 * is legal) and engine_manifest.c (one manifest). */
#ifndef QUERN_ORCHESTRATOR_ENGINE_PRIVATE_H
#define QUERN_ORCHESTRATOR_ENGINE_PRIVATE_H

#include "orchestrator/engine.h"
#include "orchestrator/faults.h"

/* Fill en from the manifest's text. ERR_INVALID with the faults in f (f->file is path). A program
 * that is not there is no fault: en->missing says it. */
int manifest_read(struct arena *a, const char *path, const char *text, size_t len, struct faults *f,
		  struct engine *en);

/* The parameter of a name, or NULL. */
const struct engine_param *engine_find_param(const struct engine *en, const char *name);
/* A value (canonical JSON) against the parameter. 0, or ERR_INVALID with "NAME is VALUE; ...". */
int engine_check_value(struct arena *a, const struct engine_param *p, const char *value,
		       struct err *e);

#endif
