/* orchestrator/view/display.h -- what a person sees while a run goes on: on a
 * terminal one line a running job, redrawn in place; elsewhere a few quiet
 * lines. All of it goes to stderr. */
#ifndef QUERN_ORCHESTRATOR_DISPLAY_H
#define QUERN_ORCHESTRATOR_DISPLAY_H

#include <stdint.h>

struct display;

struct display_job {
	const char *label, *stage, *unit;
	int64_t done, total; /* total 0: unknown */
	int64_t elapsed_ms;  /* of the stage */
};

struct display *display_new(int64_t to_do);
void display_free(struct display *d); /* removes the live lines */

/* A line that stays: "kjv-llama/gguf/Q8_0: failed ...". */
void display_say(struct display *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Redraw the live lines (nothing off a terminal). finished, failed: so far. */
void display_draw(struct display *d, const struct display_job *jobs, int n, int64_t finished,
		  int64_t failed);

#endif
