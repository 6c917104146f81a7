/* orchestrator/start/ask.h -- questions to a person at a terminal. Every question is a flag as
 * well: a value that was given is checked and never asked for; without a terminal, what is missing
 * is an error that names the flag, or its default when --yes was given. Questions go to stderr. */
#ifndef QUERN_ORCHESTRATOR_ASK_H
#define QUERN_ORCHESTRATOR_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/err.h"

struct asker {
	struct arena *a;
	const char *command; /* for messages */
	bool terminal;	     /* standard input and error are one */
	bool yes;	     /* take defaults without asking */
};

/* Look at the terminal, and let SIGINT end a question instead of the process, until ask_end(). */
void ask_begin(struct asker *k, struct arena *a, const char *command, bool yes);
void ask_end(void);
/* ERR_CANCELLED when SIGINT came since ask_begin(). */
int ask_stopped(struct err *e);

/* Take the answer in. ERR_INVALID and ERR_NOTFOUND: it is wrong, and asked for again (a given one
 * is an error); every other code ends the command. */
typedef int (*answer_fn)(void *ctx, const char *answer, struct err *e);

struct question {
	const char *flag;  /* "--model MODEL" */
	const char *text;  /* "Which model?" */
	const char *given; /* of the flag; NULL: none */
	const char *dflt;  /* what Enter means; NULL: an answer is needed */
	answer_fn take;
	void *ctx;
};

/* 0, or negative. ERR_CANCELLED: end of input or SIGINT. */
int ask(struct asker *k, const struct question *q, struct err *e);

/* yes or no; no question with --yes or without a terminal: dflt then. 1, 0 or negative. */
int ask_yes(struct asker *k, const char *text, bool dflt, struct err *e);

/* ---- lists to choose from */

struct choice {
	const char *name, *help; /* help NULL: several a line */
};

/* Print them with their numbers, when questions are asked. */
void ask_show(const struct asker *k, const struct choice *c, size_t n);

/* "1, Q8_0 4" to indexes, in the order of the answer and each once; names in any case, "all" is
 * every one. at: room for n. Returns how many, at least 1. ERR_INVALID says what is no choice. */
int ask_choices(const struct choice *c, size_t n, const char *answer, size_t *at, struct err *e);

#endif
