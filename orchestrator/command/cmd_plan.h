/* orchestrator/command/cmd_plan.h -- the plan as `quern run --dry-run` shows it too. */
#ifndef QUERN_ORCHESTRATOR_CMD_PLAN_H
#define QUERN_ORCHESTRATOR_CMD_PLAN_H

#include <stdbool.h>

#include "orchestrator/config/config.h"

/* Print the plan of file; until (may be NULL): say what will be done by then. Returns an exit_code.
 */
int plan_show(const char *file, const struct config_set *set, const char *only, const char *until,
	      bool json);

/* What every engine that has the platform can do on it (plan_legal.c); returns an exit_code. */
int plan_legal(const char *platform, bool json);

#endif
