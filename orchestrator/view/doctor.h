/* orchestrator/view/doctor.h -- the checks of quern doctor: each is a name, a verdict, what was
 * found, and the fix when something is missing. */
#ifndef QUERN_ORCHESTRATOR_DOCTOR_H
#define QUERN_ORCHESTRATOR_DOCTOR_H

#include <stddef.h>

#include "core/arena.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"

enum check_level { CHECK_OK, CHECK_WARN, CHECK_BAD };

struct check {
	const char *name;
	enum check_level level;
	const char *found; /* what is so */
	const char *fix;   /* NULL when nothing needs fixing */
};

struct checks {
	struct arena *a;
	struct check *v;
	size_t n, cap;
};

void check_add(struct checks *c, const char *name, enum check_level level, const char *fix,
	       const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* doctor_machine.c: memory, clock, the disk under the work folder (made if absent only for the
 * probe). */
void doctor_memory(struct checks *c);
void doctor_limits(struct checks *c); /* what holds workers to their memory */
void doctor_clock(struct checks *c, const char *work);
void doctor_disk(struct checks *c, const char *work);

/* doctor_programs.c: the sandbox, engines, helper programs, libraries. cfg may be NULL. */
void doctor_sandbox(struct checks *c);
/* Fills es, which may be empty afterwards. */
void doctor_engines(struct checks *c, const struct config *cfg, struct engines *es);
void doctor_programs(struct checks *c);
void doctor_libraries(struct checks *c);

/* doctor_environments.c: those of cfg, looked at by environments_look(); and the engine's own
 * self-test in each. */
void doctor_environments(struct checks *c, const struct config *cfg, const struct engines *es);
void doctor_deep(struct checks *c, const struct config *cfg, const struct engines *es,
		 const char *engine);

#endif
