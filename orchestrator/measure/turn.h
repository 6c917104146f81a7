/* orchestrator/measure/turn.h -- one measurement at a time on a machine, whoever makes it: two runs
 * of one user share a board or a server without knowing of each other. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_TURN_H
#define QUERN_ORCHESTRATOR_MEASURE_TURN_H

#include "core/err.h"
#include "orchestrator/measure/measure.h"

/* Wait for the machine's turn, at most o->timeout_ms. Returns a descriptor to close, or ERR_BUSY,
 * ERR_CANCELLED, ERR_IO. */
int measure_turn(const struct measure_options *o, struct err *e);

#endif
