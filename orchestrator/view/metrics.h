/* orchestrator/view/metrics.h -- the store as metrics for Prometheus, in its text format 0.0.4,
 * for node_exporter's textfile collector. docs/operations.md lists them. */
#ifndef QUERN_ORCHESTRATOR_METRICS_H
#define QUERN_ORCHESTRATOR_METRICS_H

#include <stdbool.h>

#include "core/buf.h"
#include "db/store.h"
#include "orchestrator/config/config.h"

/* going: the last run goes on. */
int metrics_text(struct store *s, const char *matrix, bool going, struct buf *b, struct err *e);
/* Into cfg->metrics, replaced as a whole. Blocking. */
int metrics_write(struct store *s, const struct config *cfg, bool going, struct err *e);

#endif
