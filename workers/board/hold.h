/* workers/board/hold.h -- the board is ours for a while: one measurement at a time, with its clocks
 * fixed if that was asked for. `quern-board hold` waits on its input; when that ends, or is silent
 * for too long, everything is put back. A guard process beside it does so even when this one is
 * killed; and the next one that holds the board, when both were. */
#ifndef QUERN_WORKERS_BOARD_HOLD_H
#define QUERN_WORKERS_BOARD_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "workers/board/wire.h"

struct hold_options {
	const char *dir;   /* exists; for the lock and what was saved */
	const char *sysfs; /* "/sys" */
	bool clocks;
	int64_t wait_ms; /* for another one that holds it */
};

/* Returns the exit code. */
int hold_run(const struct hold_options *o, struct wire *w);

#endif
