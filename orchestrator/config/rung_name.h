/* orchestrator/config/rung_name.h -- the rungs that every engine has, by their names:
 * "alone", "environment", "memory xN", "time xN". Pure. */
#ifndef QUERN_ORCHESTRATOR_RUNG_NAME_H
#define QUERN_ORCHESTRATOR_RUNG_NAME_H

enum rung_kind {
	RUNG_NONE,	  /* no rung of every engine */
	RUNG_ALONE,	  /* nothing else runs beside it */
	RUNG_ENVIRONMENT, /* another environment that can do the point */
	RUNG_MEMORY,	  /* it claims N times its estimate */
	RUNG_TIME,	  /* it may take N times resources.timeout */
};

/* factor (may be NULL): N, above 1 and at most RUNG_FACTOR_MAX. */
#define RUNG_FACTOR_MAX 64
enum rung_kind rung_kind(const char *name, double *factor);

#endif
