/* upload/fetch_settle.h -- a few threads that hash what has arrived of a file and, when
 * all has, sync it and give it its name, while the network goes on. A disk commits
 * the syncs of several files together. */
#ifndef QUERN_UPLOAD_FETCH_SETTLE_H
#define QUERN_UPLOAD_FETCH_SETTLE_H

#include "upload/fetch_private.h"

struct fetch_settler;

/* What is known of a part here; the caller's memory, zero with its part set. Everything else is the
 * settler's until fetch_settled() gives it back. */
struct fetch_settling {
	struct fetch_part *part;
	uint64_t ready;	      /* chunks that may be read, from the first on */
	bool all;	      /* nothing is missing: finish it */
	bool queued, at_work; /* by a thread */
	int rc;
	struct err err;
	struct fetch_settling *next;
};

/* on_end comes from a thread, after each that ended. ERR_ENV: no more threads. */
int fetch_settler_new(void (*on_end)(void *ctx), void *ctx, struct fetch_settler **out,
		      struct err *e);
/* Stops after what is at work. NULL is fine. */
void fetch_settler_free(struct fetch_settler *s);

/* So many chunks of it are there; all: the caller leaves its part alone until it ended. */
void fetch_settle(struct fetch_settler *s, struct fetch_settling *t, uint64_t ready, bool all);
/* The next that ended, or NULL. rc: as fetch_part_finish(), after `all`; before, only an error of
 * reading ends one. */
struct fetch_settling *fetch_settled(struct fetch_settler *s);

#endif
