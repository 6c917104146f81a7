/* orchestrator/run/convert.h -- a run of one point in a throw-away work folder. */
#ifndef QUERN_ORCHESTRATOR_CONVERT_H
#define QUERN_ORCHESTRATOR_CONVERT_H

#include <stddef.h>

#include "core/err.h"
#include "orchestrator/config/config.h"

/* Run the jobs.yaml text (one model, one target, `work: WORK`) and rename what it made to out: the
 * file itself, or the folder when the engine makes several. out is replaced only by a complete
 * result. Returns an exit_code or a negative error. The caller removes work. */
int convert_one(const char *yaml, size_t len, const struct config_set *set, const char *work,
		const char *out, struct err *e);

#endif
