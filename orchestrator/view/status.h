/* orchestrator/view/status.h -- a run at a glance, read from the store in a few indexed queries,
 * and shown as text. Used by `quern status` once and by `quern status --watch` again and again. */
#ifndef QUERN_ORCHESTRATOR_STATUS_H
#define QUERN_ORCHESTRATOR_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/arena.h"
#include "core/err.h"
#include "db/control.h"
#include "db/store.h"

#define STATUS_ACTIVE_MAX 64 /* more workers than that on one machine are counted, not listed */
#define STATUS_FAILED_MAX 10

enum run_life {
	RUN_NONE,  /* no run is in the store */
	RUN_GOING, /* it holds the lock */
	RUN_ENDED, /* it said so */
	RUN_DIED,  /* it did not, and holds the lock no more */
};

struct status_job {
	int64_t id;
	uint8_t key[SHA256_LEN];
	const char *label;
	enum job_state state;
	int attempt;
	const char *stage, *unit;		      /* "" before the first progress */
	int64_t done, total;			      /* total 0: unknown */
	int64_t elapsed_ms;			      /* of the attempt */
	double rate;				      /* units a second; 0 unknown */
	int64_t left_ms;			      /* -1 unknown */
	const char *cause, *message;		      /* of failed jobs */
	const char *evidence_from, *evidence, *rungs; /* and of their last attempt */
};

struct status {
	const char *work;
	int64_t now_ms;
	enum run_life life;
	struct run_row run;
	bool all; /* counts are over all jobs, not only the run's */
	int64_t counts[JOB_STATE_COUNT], total;
	struct status_job *active; /* running, validating, uploading */
	int n_active;
	struct status_job *failed; /* the first of them */
	int n_failed;
	struct control_word control; /* of quern pause and drain */
	bool unpublished;	     /* some ready jobs have a repository to go to */
};

/* run_id 0: the last one. Everything lives in a. ERR_NOTFOUND: no run with that number. */
int status_load(struct store *s, const char *work, int64_t run_id, bool all, struct arena *a,
		struct status *out, struct err *e);

/* Lines for a person, at most width cells each (0: no limit). */
void status_print(const struct status *st, FILE *f, size_t width);
/* Its first lines: the run, the counts. */
void status_print_head(const struct status *st, FILE *f);
/* Sentences that say what to do next; at most n. Returns how many. */
int status_next_steps(const struct status *st, struct arena *a, const char **out, int n);

const char *run_life_name(enum run_life l); /* "none", "running", "ended", "died" */
/* For monitoring: EXIT_JOBS_FAILED when a counted job has failed, EXIT_ENVIRONMENT when the run
 * died or ended with that, else EXIT_GOOD. */
int status_exit_code(const struct status *st);

/* quern status --watch (status_watch.c). Returns an exit_code. */
int status_watch(struct store *s, const char *work, int64_t run_id, bool all);

#endif
