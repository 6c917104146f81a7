/* orchestrator/view/engines_view.h -- engines for commands that only look at them. */
#ifndef QUERN_ORCHESTRATOR_ENGINES_VIEW_H
#define QUERN_ORCHESTRATOR_ENGINES_VIEW_H

#include "core/arena.h"
#include "orchestrator/engine/engine.h"

/* Load all engines; faults of manifests are printed to stderr and the others stay. Returns 0, or an
 * exit_code with the reason said. */
int engines_or_say(struct arena *a, struct engines *out);

#endif
