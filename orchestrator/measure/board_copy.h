/* orchestrator/measure/board_copy.h -- a file to the board, once. What is there already is not sent
 * again: a whole file is recognized by its hash, the beginning of one by its length and its hash.
 * Under its name there is only what arrived whole. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_BOARD_COPY_H
#define QUERN_ORCHESTRATOR_MEASURE_BOARD_COPY_H

#include <stdint.h>

#include "orchestrator/measure/ssh.h"

struct board_file {
	const char *local;
	const char *dir;   /* there, absolute */
	const char *name;  /* there, in dir; a plain word */
	const char *mode;  /* "700" */
	const char *label; /* for progress and sentences */
	char sha256[65];   /* of local; "" until board_file_look() */
	uint64_t size_bytes;
	uint64_t sent_bytes; /* by the last board_copy() */
};

/* Read local, once. */
int board_file_look(struct board_file *f, struct err *e);
/* Send what is missing. ERR_BUSY: the connection broke, and trying again goes on where it stopped;
 * ERR_NOSPACE: no room there; ERR_IO: it arrived damaged, twice. progress may be NULL. */
int board_copy(struct ssh *s, struct board_file *f,
	       void (*progress)(void *ctx, const char *stage, int done, int total), void *ctx,
	       struct err *e);

#endif
