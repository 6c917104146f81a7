/* db/control.h -- what commands tell runs, through the store: pause, resume, drain. A pause
 * stays until somebody resumes, whatever run comes; a drain is for the run that goes on. */
#ifndef QUERN_DB_CONTROL_H
#define QUERN_DB_CONTROL_H

#include "db/store.h"

enum pause_kind {
	PAUSE_NOT,
	PAUSE_STARTS, /* nothing new begins */
	PAUSE_NOW,    /* and workers are stopped */
};

/* What the store says. since_ms: of a pause; drain: id of the run, 0: none. */
struct control_word {
	enum pause_kind pause;
	int64_t since_ms, drain;
};
int control_read(struct store *s, struct control_word *out, struct err *e);
int control_write_pause(struct store *s, enum pause_kind pause, int64_t now_ms, struct err *e);
int control_write_drain(struct store *s, int64_t run_id, struct err *e);

#endif
