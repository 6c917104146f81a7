/* orchestrator/view/measured.h -- measurements as tables for people and as JSON: for quern bench,
 * show and report. */
#ifndef QUERN_ORCHESTRATOR_VIEW_MEASURED_H
#define QUERN_ORCHESTRATOR_VIEW_MEASURED_H

#include <stdio.h>

#include "db/store.h"
#include "orchestrator/measure/measure.h"

/* "counted by the server (timings)": who counted, in words. */
const char *measured_counter_text(enum measure_counter c);
/* One measurement: where, numbers of each prompt, memory, versions, warnings. title: "" or the name
 * of the stage. */
void measured_print(FILE *f, struct arena *a, const char *title, const struct measure_result *r);
/* The result of a row of the store; 1, or 0 when it has none that can be read. */
int measured_read(struct arena *a, const struct measurement_row *row, struct measure_result *out);
/* An object with the row's own members and its result. */
void measured_json(struct json_out *w, struct arena *a, const struct measurement_row *row);

#endif
