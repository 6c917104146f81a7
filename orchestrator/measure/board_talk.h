/* orchestrator/measure/board_talk.h -- quern-board's lines, read on this side: docs/board.md.
 * Foreign bytes: each line is bounded, parsed by itself, and only members of the right type are
 * taken. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_BOARD_TALK_H
#define QUERN_ORCHESTRATOR_MEASURE_BOARD_TALK_H

#include <stdint.h>
#include <stdio.h>

#include "core/arena.h"
#include "core/json.h"
#include "orchestrator/measure/measure.h"
#include "orchestrator/measure/ssh.h"

/* What the runtime said when it loaded the file; NULL and -1: nothing. In an arena. */
struct board_loaded {
	const char *runtime, *driver, *platform; /* of the board */
	const char *toolkit, *target, *dtype;	 /* of the file */
	int64_t max_context, cores;
	double load_ms;
};

struct board_talk {
	struct ssh_channel *channel, *other; /* both get signs of life */
	FILE *log;			     /* lines of the runtime; NULL: dropped */
	struct measure_result *r;	     /* warnings go there; NULL: dropped */
	int64_t sign_ms;		     /* when the last one was sent */
	char last_error[512];		     /* of the runtime's log: a line with E; "" */
};

/* Wait for an event of this name, at most limit_ms. *out is in a. An event "result" ends it: what
 * it says becomes the error, ERR_INVALID (refused), ERR_ENV (missing), ERR_BUSY or ERR_IO; when it
 * is what is waited for, it is returned whatever it says. */
int board_await(struct board_talk *t, struct arena *a, const char *event, int64_t limit_ms,
		struct json **out, struct err *e);

void board_read_loaded(const struct json *v, struct board_loaded *out);
/* ERR_IO: it is no answer. */
int board_read_answer(const struct json *v, struct measure_answer *out, struct err *e);

/* Does the file on the board say what the job says? Warnings into r, one for each difference, with
 * both values. */
void board_compare(const struct measure_options *o, const struct board_loaded *l,
		   struct measure_result *r);

#endif
