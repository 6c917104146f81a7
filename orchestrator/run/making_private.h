/* orchestrator/run/making_private.h -- between making.c (which sources are wanted)
 * and the two ways to get one: making_fake.c and making_hub.c. */
#ifndef QUERN_ORCHESTRATOR_MAKING_PRIVATE_H
#define QUERN_ORCHESTRATOR_MAKING_PRIVATE_H

#include "db/cause.h"
#include "orchestrator/run/child.h"
#include "orchestrator/run/scheduler_private.h"

struct making {
	struct making *next;
	struct scheduler *sched;
	struct arena *a;
	const struct resolved *source;
	enum making_state state;
	const char *why;	/* when it failed, or waits for room */
	const char *cause;	/* when it failed */
	char text[ERR_MSG_MAX]; /* of the latter */
	int64_t retry_ms; /* when it failed for a while: tried again from then on; 0: for good */
	int failures;	  /* such ones */
	bool running;
	bool fetched;	     /* in this run */
	bool used;	     /* a job of it was started since */
	bool refused;	     /* the disk was full in the middle: tried again when something ended */
	int64_t refused_at;  /* scheduler.room_changes then */
	int64_t asked_kick;  /* scheduler.kicks when a job asked for it last */
	int64_t looked_ms;   /* for room, monotonic */
	int use_fd[2];	     /* fetch_use() of model and adapter while READY; -1: none */
	int64_t done, total; /* bytes, for a person who watches */
	int64_t start_ms;    /* monotonic */

	/* making_fake.c */
	const char *temp; /* .making-NAME */
	uv_work_t work;	  /* clearing an old temp, or the final rename */
	int work_rc;
	struct err err;			 /* also the child's own words */
	char said_cause[CAUSE_NAME_MAX]; /* by the child; "" */
	struct execution x;
	enum task_end end_reason;

	/* making_hub.c */
	struct child child;
	const struct hub_source *fetching; /* the model, then its adapter */
};

/* The ending of either way; sched_kick() follows. again: it may go well later. */
void making_done(struct making *m);
void making_fail(struct making *m, const char *cause, const char *message, bool again);
/* It has no room now: no failure, its jobs wait. m->text says it. */
void making_wait(struct making *m);
/* Nothing else runs that could free memory, disk or a connection. */
bool making_is_alone(const struct making *m);
/* READY no more: its source may be dropped. */
void making_release(struct making *m);

void making_fake_begin(struct making *m);
void making_fake_stop(struct making *m, int sig);

/* ---- dropping_made.c: generated models under WORK/sources that are not among o->keep, the one
 * used longest ago first, until o->need_bytes are free. For a pool thread. */
struct fetch_drop;
int drop_made(const char *work, const struct fetch_drop *o,
	      void (*told)(void *ctx, const char *folder, uint64_t bytes), uint64_t *freed_bytes,
	      struct err *e);

/* ---- room.c */
/* Bytes that running fetches, but this one (may be NULL), have not taken from the disk yet. */
uint64_t room_fetches_take(const struct scheduler *s, const struct making *but);
/* Bytes free for this fetch, with the reserve kept and all that runs, or stands before it in the
 * matrix, provided for. */
int room_for_fetch(const struct scheduler *s, const struct making *m, uint64_t *bytes,
		   struct err *e);

void making_hub_begin(struct making *m);
void making_hub_stop(struct making *m, int sig);

#endif
