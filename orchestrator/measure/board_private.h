/* orchestrator/measure/board_private.h -- between board.c (the target: held, loaded, asked, given
 * back) and board_there.c (what the board is, and what has to be there before). */
#ifndef QUERN_ORCHESTRATOR_MEASURE_BOARD_PRIVATE_H
#define QUERN_ORCHESTRATOR_MEASURE_BOARD_PRIVATE_H

#include "orchestrator/measure/board_copy.h"
#include "orchestrator/measure/board_talk.h"

#define BOARD_CONNECT_MS 20000
#define BOARD_OUTPUT_MAX ((size_t)64 << 10)

struct board_facts { /* of the board */
	char dir[1024], arch[32], uid[16], cpus[16], kernel[64], model[128], sudo[8];
};

struct board {
	struct measure_target base;
	struct arena *a;
	struct ssh ssh;
	struct board_facts facts;
	struct board_file harness, model;
	bool model_there, held, was_lost;
	struct ssh_channel hold, serve;
	struct board_talk talk;
};

/* Make our folder there, and fill b->facts. ERR_ENV: it cannot be made. */
int board_look_around(struct board *b, struct err *e);
/* Which quern-board, which file, and how they are called there. ERR_ENV: quern-board is for another
 * processor. */
int board_prepare_files(struct board *b, struct err *e);
/* Copy one of them, over more than one connection if need be. */
int board_bring(struct board *b, struct board_file *f, struct err *e);

#endif
