/* orchestrator/run/session.h -- what a command that works on a matrix has open:
 * jobs.yaml, engines, the models it names, and the store. */
#ifndef QUERN_ORCHESTRATOR_SESSION_H
#define QUERN_ORCHESTRATOR_SESSION_H

#include "core/arena.h"
#include "core/err.h"
#include "db/store.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/plan/sources.h"

struct session {
	struct arena *a;
	struct config *cfg;
	struct engines engines;
	struct sources *sources;
	struct store *store; /* NULL when only looked at and nothing has run yet */
	int lock_fd;	     /* -1 without the run's lock */
};

enum session_mode {
	SESSION_LOOK, /* change nothing that a run would miss: no work folder is made */
	SESSION_RUN,  /* create the work folder, take the lock, open the store for writing */
	SESSION_ONCE, /* the same for a work folder that is thrown away afterwards: what is in local
			 folders is not read for the sake of keys */
};

/* Read and check everything. Faults of jobs.yaml and manifests are printed to stderr, one line
 * each, and ERR_INVALID is returned with an empty message (already said). ERR_BUSY: another run
 * holds the folder. */
int session_open(struct session *s, enum session_mode mode, const char *file,
		 const struct config_set *set, const char *command, struct err *e);
/* The same for a text that is not in a file yet, to look: file names it in messages, and dir is the
 * absolute folder it will stand in. */
int session_open_text(struct session *s, const char *file, const char *dir, const char *text,
		      size_t len, struct err *e);
void session_close(struct session *s);

#endif
