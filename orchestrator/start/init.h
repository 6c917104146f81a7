/* orchestrator/start/init.h -- the steps of quern init, in the order they are asked: model
 * (init_model.c), engine (init_engine.c) with its settings (init_target.c), hub (init_hub.c);
 * cmd_init.c puts them together. Each step takes its part of the sketch from a flag, a default or a
 * person. */
#ifndef QUERN_ORCHESTRATOR_INIT_H
#define QUERN_ORCHESTRATOR_INIT_H

#include "orchestrator/cli.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/plan/sources.h"
#include "orchestrator/start/ask.h"
#include "orchestrator/start/jobs_write.h"

struct init_flags {
	const char *file, *model, *revision, *name, *lora, *engine, *environment, *container,
		*platform, *quant, *hybrid, *opt, *hub, *namespace_, *repo;
	struct option_list with;
	bool yes, run, force, is_private;
};

struct init {
	struct arena *a;
	const struct init_flags *flags;
	struct asker ask;
	struct engines engines;
	const char *dir; /* absolute folder that the file will stand in */
	struct model model;
	struct sources *sources;	  /* the model, looked at */
	const struct source_facts *facts; /* of it, when known */
	bool known;
	const struct engine *engine;
	struct string_list platforms, quants;
	struct number_list hybrids;
	struct int_list opts;
	struct param *with;
	size_t n_with;
	struct jobs_sketch sketch;
};

/* Each returns 0 or a negative error: ERR_CANCELLED, ERR_INVALID (a flag), ERR_ENV. */
int init_model(struct init *x, struct err *e);
int init_engine(struct init *x, struct err *e);
int init_environment(struct init *x, struct err *e); /* of engines that have their toolkit in one */
int init_settings(struct init *x, struct err *e);    /* platform, quant, hybrid, opt, with */
int init_hub(struct init *x, struct err *e);

/* A part of a file through the checks that the whole has, with any target. cfg lives in x->a.
 * ERR_INVALID with the first fault. */
int init_parse(struct init *x, const struct jobs_sketch *s, struct config **cfg, struct err *e);

/* The targets of the sketch: one, or one for each platform when these differ in what they allow. */
void init_targets(struct init *x);

#endif
