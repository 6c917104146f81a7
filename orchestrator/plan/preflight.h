/* orchestrator/plan/preflight.h -- can a point be done, and with which environment?
 * From metadata alone: the manifest, jobs.yaml, and what is known of the model
 * without its weights. Every refusal says its rule and what would be legal. */
#ifndef QUERN_ORCHESTRATOR_PREFLIGHT_H
#define QUERN_ORCHESTRATOR_PREFLIGHT_H

#include "core/arena.h"
#include "core/json.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/plan/sources.h"

struct preflight {
	const struct config *cfg;
	const struct engine *engine;
	const struct target *target; /* for its `allow`; NULL: none */
	const struct job_spec *spec;
	const struct json *with; /* spec->with, parsed */
	const struct resolved *source;
};

struct preflight_result {
	const char *refusal;		       /* NULL: it can be done */
	const char *cause;		       /* of the refusal: one of db/cause.h */
	const char *warning;		       /* NULL, or what speaks against it */
	const struct environment *environment; /* NULL: the engine needs none */
	const char *passed_over; /* NULL, or why environments before it cannot do the point */
};

/* The environment is the first of jobs.yaml's list that can do the point; those that name the
 * model's architecture go first. One that cannot be used
 * (its folder is gone) is not passed over: the point waits for the fix, or an old toolkit would
 * silently do what a newer one was meant for. Texts in a. */
void preflight(struct arena *a, const struct preflight *p, struct preflight_result *out);

/* preflight_source.c: rules on the model itself; 0, or ERR_INVALID with why. */
int preflight_source(const struct preflight *p, struct err *e);
/* Of a source that is quantized already; version of the toolkit, NULL: the engine has none. */
int preflight_quantized(const struct preflight *p, const char *version, struct err *e);

#endif
