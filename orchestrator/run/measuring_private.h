/* orchestrator/run/measuring_private.h -- between measuring.c (when something is measured, and who
 * waits for it), measuring_wanted.c (what wants to be) and measuring_trial.c (one child of quern
 * that does it). */
#ifndef QUERN_ORCHESTRATOR_MEASURING_PRIVATE_H
#define QUERN_ORCHESTRATOR_MEASURING_PRIVATE_H

#include "orchestrator/run/child.h"
#include "orchestrator/run/scheduler_private.h"

#define MEASURING_MESSAGE_MAX 600

struct measuring_stage {
	const struct measure_stage *st;
	const char *settings, *fault; /* fault: not measured in this run, and why */
	char *machine;
	int away; /* failures to reach it in a row */
	bool busy;
};

struct measuring_item {		  /* a job that wants to be measured in a stage */
	int64_t job_id, since_ms; /* since_ms: monotonic, when it could have been measured first */
	int stage;
	bool holds; /* publication of the job waits for it */
};

struct measuring_trial { /* one that goes on */
	struct measuring_trial *next;
	struct measuring *m;
	struct child child;
	struct arena *a;
	struct measuring_item item;
	int64_t id, started_ms, asked_ms; /* monotonic; asked_ms: SIGTERM was sent */
	const char *label, *repo;
	char stage[32], message[MEASURING_MESSAGE_MAX], held[32];
	int64_t done, total;
	int warnings;
	bool away, measured, cancelled;
};

struct measuring_repo {
	struct measuring_repo *next;
	char *name;
};

struct measuring {
	struct scheduler *sched;
	struct arena *a;
	struct measuring_stage *stages;
	size_t n_stages;
	struct measuring_item *items; /* in the order in which they came */
	size_t n, cap;
	struct measuring_trial *trials;
	struct measuring_repo *refresh; /* repositories whose cards may say more now */
};

/* ---- measuring.c */

void measuring_add(struct measuring *m, int64_t job_id, int stage, bool holds);
/* The card of this repository may say more now. */
void measuring_want_refresh(struct measuring *m, const char *repo);
/* Nobody answers there: what waits for it is left for the next run. */
void measuring_give_up(struct measuring *m, const char *machine, const char *why);

/* ---- measuring_wanted.c */

/* 1: the job wants to be measured in this stage. */
int measuring_wants(struct measuring *m, int64_t job_id, int stage, struct err *e);
/* Add what a job of an earlier run, or of this one, wants; a store_job_each() callback with the
 * struct measuring. */
int measuring_consider(void *ctx, const struct job_row *row, struct err *e);
/* resources.keep: none: published or not, its files stay here until it was measured. */
int measuring_keep_files(struct scheduler *s, const struct measure_stage *st, int64_t job_id,
			 struct err *e);
/* A hold of a stage that is gone, or that holds no more, lets go. */
int measuring_drop_stale_holds(struct scheduler *s, struct err *e);

/* ---- measuring_trial.c */

/* Start the child for an item, which is the trial's from now on. */
int measuring_begin(struct measuring *m, const struct measuring_item *item, struct err *e);
/* Once a second: is it late? */
void measuring_mind(struct measuring_trial *t, int64_t mono_ms);

#endif
