/* orchestrator/run/evidence.h -- what the log of a failed attempt tells: lines that the
 * engine's manifest knows, else the last one. A log is hostile: of it at most
 * EVIDENCE_LOG_BYTES at its end are looked at, of a line EVIDENCE_LINE_MAX, with
 * globs, whose cost is bounded. Blocking, for a pool thread. */
#ifndef QUERN_ORCHESTRATOR_EVIDENCE_H
#define QUERN_ORCHESTRATOR_EVIDENCE_H

#include <stddef.h>

#include "orchestrator/engine/engine.h"

#define EVIDENCE_LOG_BYTES (64u << 10)
#define EVIDENCE_LINE_MAX 1000
#define EVIDENCE_MAX 400 /* bytes of what is kept, visible text */

struct evidence {
	const struct engine_cause *known; /* the first row of the manifest that a line matches;
					     NULL: none, or no manifest */
	char line[EVIDENCE_MAX];	  /* the last line that it matches; "" */
	char last[EVIDENCE_MAX];	  /* the log's last line that is not empty; "" */
};

/* dir: the attempt's folder. en may be NULL. */
void evidence_read(const char *dir, const struct engine *en, struct evidence *out);

#endif
