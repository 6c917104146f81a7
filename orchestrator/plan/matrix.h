/* orchestrator/plan/matrix.h -- config x engines to points, one at a time, never a
 * list: memory does not grow with the matrix. Pure. Order: model, then target,
 * then platform, quant, hybrid, opt in file order; included points of a model
 * come after its targets. So jobs of one source stand together. */
#ifndef QUERN_ORCHESTRATOR_MATRIX_H
#define QUERN_ORCHESTRATOR_MATRIX_H

#include <stdint.h>

#include "db/job.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"

struct matrix_point {
	struct job_spec
		spec; /* strings owned by config, engines or the iterator; source_version is "" */
	const struct model *model;
	const struct engine *engine;
	const struct target *target;
	size_t model_index;
	const char *illegal; /* NULL, or why this point cannot be done (manifest) */
	int duplicate;	     /* an earlier target (or list entry) makes the same point */
};

struct matrix;

/* --only globs match job_label(); NULL: all. */
struct matrix *matrix_new(const struct config *c, const struct engines *es, const char *only);
void matrix_free(struct matrix *m);
/* 1 with *p filled (valid until the next call), 0 at the end. Excluded points are passed over and
 * counted; duplicates come out flagged. */
int matrix_next(struct matrix *m, struct matrix_point *p);
/* Leave out what is left of the model of the last point. */
void matrix_next_model(struct matrix *m);
uint64_t matrix_excluded(const struct matrix *m);
/* The parameters that a worker gets for a point: those of its key, and from the first target that
 * makes it those outside the key (affects_output: false). JSON, owned by m or s. */
const char *matrix_with(const struct matrix *m, const struct job_spec *s);

/* What can be known wrong of a file before any model is looked at: unknown engine (did you mean),
 * parameters the manifest does not have, values outside their range, exclude patterns that match
 * nothing. Adds to f; when f has faults of the file already, what may follow from them is not said.
 */
void matrix_check(const struct config *c, const struct engines *es, struct faults *f);

/* Files that parameters name: where they are and what is in them. Relative ones are relative to
 * the file. Adds to f those that cannot be read or are not what the engine's manifest wants. */
void files_look(struct arena *a, struct config *c, const struct engines *es, struct faults *f);

/* The templates of a point: of jobs.yaml, else of the engine, else quern's own. */
const char *matrix_repo_template(const struct config *c, const struct engine *en);
const char *matrix_file_template(const struct config *c, const struct engine *en);

/* ERR_INVALID with why: an unknown variable, an open brace, a character that no file or repository
 * name may have, or a template that makes an empty name for some points. */
int template_check(const char *tmpl, struct err *e);
/* Fill a checked template: {model} {engine} {platform} {quant} {toolkit} {hybrid} {opt}, where a
 * part that is empty takes the '-' before it away, and {+opt} {+hybrid}, which are "-opt-1" and
 * "-hybrid-ratio-0.5", or nothing for 0. One path component of at most 200 bytes, in a; what is
 * longer ends in digits of its hash. */
const char *template_fill(struct arena *a, const char *tmpl, const struct job_spec *s);
/* Parameters that template_fill() puts into the name, as bits of enum job_param. */
unsigned template_params(const char *tmpl, const struct job_spec *s);

#endif
