/* orchestrator/view/watch_list.h -- what `quern status --watch` shows below its head: jobs that can
 * be scrolled, filtered and chosen, and the log of one of them. */
#ifndef QUERN_ORCHESTRATOR_WATCH_LIST_H
#define QUERN_ORCHESTRATOR_WATCH_LIST_H

#include "core/arena.h"
#include "core/err.h"
#include "orchestrator/view/screen.h"
#include "orchestrator/view/status.h"

#define WATCH_ROWS_MAX 5000 /* of a list; the filter finds others */

enum watch_what { WATCH_NOW, WATCH_FAILED, WATCH_ALL }; /* running and failed; failed; all */

struct watch_job {
	int64_t id;
	uint8_t key[SHA256_LEN];
	enum job_state state;
	int attempt;
	const char *label, *detail; /* visible text */
};

struct watch_list {
	struct store *store;
	const char *work;
	enum watch_what what;
	char filter[64];
	struct arena *a; /* of the jobs below; reset with each load */
	struct watch_job *jobs;
	size_t n;
	bool more;	/* than WATCH_ROWS_MAX */
	int64_t chosen; /* id; 0: the first */
	size_t top;	/* first that is shown */
	/* the log that is open */
	int64_t log_id; /* 0: none */
	int log_attempt;
	size_t log_back; /* lines from its end; 0: it follows */
};

void watch_list_init(struct watch_list *l, struct store *s, const char *work);
void watch_list_release(struct watch_list *l);
/* Look again. */
int watch_list_load(struct watch_list *l, const struct status *st, struct err *e);
/* Rows from..to-1 of the screen. */
void watch_list_draw(struct watch_list *l, struct screen *s, int from, int to, int columns);
/* Move by so many; the largest numbers are the ends. */
void watch_list_move(struct watch_list *l, int by);
/* Open the chosen job's log; false: it has none. */
bool watch_list_open(struct watch_list *l);

#endif
