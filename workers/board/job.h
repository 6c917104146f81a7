/* workers/board/job.h -- what quern-board is asked to do, from JSON. docs/board.md has every
 * member. */
#ifndef QUERN_WORKERS_BOARD_JOB_H
#define QUERN_WORKERS_BOARD_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"

#define JOB_TOKENS_MAX 32768
#define JOB_PROMPTS_MAX 1024
#define JOB_RUNS_MAX 1000

struct job_prompt {
	const char *name; /* told with the answer */
	const char *text;
	int max_new_tokens;
};

struct job {
	const char *model;   /* absolute */
	const char *library; /* default: librkllmrt.so, which the loader finds */
	const char *abi;    /* a version whose layout is used whatever the library is; NULL: look */
	int max_context;    /* 0: the file's own default */
	int max_new_tokens; /* of prompts that have none */
	int runs;	    /* of each of prompts */
	int64_t load_ms, answer_ms; /* limits */
	int64_t silence_ms;	    /* of `serve`: see wire.h; 0: none */
	struct job_prompt *prompts;
	size_t n_prompts;
};

/* ERR_INVALID. Unknown members are ignored, as in a worker's job.json. */
int job_read(struct arena *a, const char *text, size_t len, struct job *out, struct err *e);
/* {"ask": {...}}, a line of `serve`. */
int job_read_ask(struct arena *a, const struct job *j, const char *text, size_t len,
		 struct job_prompt *out, struct err *e);

#endif
