/* orchestrator/plan/plan.h -- the matrix against the store: what a run would do with
 * each point, and why. Points pass one at a time; memory grows by eight bytes a
 * point (to see that no two points claim one file name). */
#ifndef QUERN_ORCHESTRATOR_PLAN_H
#define QUERN_ORCHESTRATOR_PLAN_H

#include <stdint.h>

#include "core/err.h"
#include "db/job.h"
#include "orchestrator/plan/learn.h"
#include "orchestrator/plan/matrix.h"
#include "orchestrator/run/session.h"

enum plan_status {
	PLAN_NEW,	 /* nothing like it was done before */
	PLAN_CHANGED,	 /* the same point was done from something else; why says what changed */
	PLAN_UNFINISHED, /* known, will go on */
	PLAN_LOST,	 /* was done, but its artifact is gone: done again */
	PLAN_CONVERTED,	 /* artifact complete, not published */
	PLAN_DONE,
	PLAN_FAILED, /* failed for good earlier; `quern retry` */
	PLAN_CANCELLED,
	PLAN_ILLEGAL,	/* cannot be done; why says it */
	PLAN_DUPLICATE, /* an earlier entry makes the same point */
	PLAN_STATUS_COUNT
};

const char *plan_status_name(enum plan_status s);

struct environment;
struct json;

struct plan_point {
	enum plan_status status;
	const char *why;	 /* "" when there is nothing to say */
	const char *cause;	 /* of PLAN_ILLEGAL: one of db/cause.h */
	struct job_spec spec;	 /* complete, with versions */
	uint8_t key[SHA256_LEN]; /* not set for illegal points and when nothing has run yet */
	char label[256];
	const char *repo, *file;	   /* "" without upload; base name of the output */
	unsigned repo_params, file_params; /* what these say: bits of enum job_param */
	int64_t turn;			   /* its place in the queue: turns.h */
	struct estimate need;		   /* learned or the manifest's */
	struct learned learned;		   /* where it comes from */
	const struct engine *engine;
	const struct resolved *source;
	const struct json *with;	       /* spec.with, parsed; NULL: no parameters */
	const struct environment *environment; /* that does it; NULL: the engine needs none */
	const char *passed_over, *warning;     /* of struct preflight_result */
	int64_t job_id;			       /* 0: not in the store */
	enum job_state state;		       /* when job_id is set */
};

struct plan_totals {
	uint64_t points; /* without duplicates and excluded */
	uint64_t count[PLAN_STATUS_COUNT];
	uint64_t excluded;
	uint64_t output_bytes; /* of what is to be done */
	uint64_t source_bytes; /* to be made or fetched first */
	uint64_t fetch_bytes;  /* of these, from hubs */
	uint64_t upload_bytes; /* of what is to be done, and of what waits to be published */
	uint64_t largest_memory_bytes,
		peak_memory_bytes; /* one job; the most at once with the given slots */
	uint64_t disk_free_bytes;
};

/* The point is valid during the call. Negative stops and is returned. */
typedef int (*plan_fn)(void *ctx, const struct plan_point *p, struct err *e);

/* Ask the hubs about all models of the matrix, several at a time: what plan_walk() does first when
 * it was not done before. Takes as long as a hub takes: not within a transaction. */
int plan_ask(struct session *s, const char *only, struct err *e);

/* run_id: the run that will do it, 0 for a look. A run computes versions and keys even of an
 * empty store; what it has added itself is no earlier version of a point. */
int plan_walk(struct session *s, const char *only, int64_t run_id, plan_fn fn, void *ctx,
	      struct plan_totals *t, struct err *e);

/* What the store is told of a point; its texts are p's. */
struct job_new plan_job(const struct plan_point *p);

#endif
