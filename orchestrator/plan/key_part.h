/* orchestrator/plan/key_part.h -- what a job's key is made of, part by part, for people: to
 * show it, and to say in which parts two jobs differ. Pure. */
#ifndef QUERN_ORCHESTRATOR_KEY_PART_H
#define QUERN_ORCHESTRATOR_KEY_PART_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "db/job.h"

#define KEY_PARTS 14

struct key_part {
	const char *name;  /* "engine", "source version" ... */
	const char *value; /* "" when the job has none */
	bool in_key;	   /* the folder of a local source is shown only: its content counts */
};

/* All KEY_PARTS of them, always in the same order. */
void key_parts(struct arena *a, const struct job_spec *s, struct key_part out[KEY_PARTS]);
/* Parts of the key in which two jobs differ: their places in order of key_parts(). Returns how
 * many. */
size_t key_parts_differ(const struct key_part *x, const struct key_part *y, size_t out[KEY_PARTS]);

#endif
