/* orchestrator/measure/stage.h -- one stage of `measure` for one artifact, as a whole: find the
 * file and the prompts, make the target, measure. Blocking, like measure.h. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_STAGE_H
#define QUERN_ORCHESTRATOR_MEASURE_STAGE_H

#include "db/store.h"
#include "orchestrator/config/config.h"
#include "orchestrator/measure/measure.h"

struct measure_artifact {
	const char *folder; /* absolute */
	const char *file;   /* absolute: what is loaded */
	const char *source; /* absolute: what it was made from; NULL: not known */
	const char *label, *name, *model, *engine, *platform, *quant;
	const char *toolkit; /* NULL: not known */
	int64_t max_context; /* 0: not known */
	int npu_cores;	     /* likewise */
};

/* The artifact of a job. ERR_NOTFOUND: its files are not there (any more). */
int measure_artifact_of_job(struct arena *a, struct store *s, const char *work,
			    const struct job_row *job, struct measure_artifact *out, struct err *e);
/* Any file, or a folder with a model. */
int measure_artifact_of_file(struct arena *a, const char *path, struct measure_artifact *out,
			     struct err *e);

/* Is the stage for this job? */
bool measure_stage_is_for(const struct measure_stage *st, const struct job_spec *spec);
/* SHA-256 in hex of all that can change a result: place, prompts, runs. ERR_*: the prompts cannot
 * be read. */
int measure_stage_settings(struct arena *a, const struct measure_stage *st, const char **out,
			   struct err *e);
/* The prompts of a stage. */
int measure_stage_prompts(struct arena *a, const struct measure_stage *st,
			  struct measure_prompt_set *out, struct err *e);

/* dir: absolute, made when it is not there. progress, ctx: see struct measure_options. out->a is
 * the caller's. */
int measure_stage_run(const struct measure_stage *st, const struct measure_artifact *art,
		      const char *dir,
		      void (*progress)(void *ctx, const char *stage, int done, int total),
		      void *ctx, struct measure_result *out, struct err *e);

#endif
