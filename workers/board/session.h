/* workers/board/session.h -- one model, loaded and asked; watched from outside its process. */
#ifndef QUERN_WORKERS_BOARD_SESSION_H
#define QUERN_WORKERS_BOARD_SESSION_H

#include "workers/board/job.h"
#include "workers/board/wire.h"

/* Load the job's model, ask its prompts, then, if w is a lifeline, those that come as lines, until
 * it ends. Says everything on w, a result last. Returns the exit code. */
int session_run(const struct job *j, struct wire *w);
/* Only which runtime there is, as one line. */
int session_look(const char *library, struct wire *w);

#endif
