/* workers/board/runner.h -- the process in which the vendor's runtime lives. It may crash, hang or
 * scribble over its memory: whoever started it reads frames from a pipe, believes none of their
 * lengths, and ends it when it is silent for too long. Start, send asks, read frames; closing the
 * asking side ends it in order. */
#ifndef QUERN_WORKERS_BOARD_RUNNER_H
#define QUERN_WORKERS_BOARD_RUNNER_H

#include <stdint.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/err.h"
#include "workers/board/abi.h"

#define RUNNER_TEXT_MAX ((size_t)256 << 10) /* bytes of one answer that are kept */
#define RUNNER_ASK_MAX ((size_t)1 << 20)    /* bytes of one prompt */

struct runner_setup {
	const char *library; /* a path, or a name that the loader finds */
	const char *model;   /* NULL: only look which version the library is */
	const struct abi *abi;
	int max_context, max_new_tokens;
};

struct runner {
	pid_t pid;
	int ask_fd;   /* to it */
	int frame_fd; /* from it */
	int log_fd;   /* what the runtime prints, stdout and stderr */
};

enum frame_kind {
	FRAME_READY = 1, /* the model is loaded; ms */
	FRAME_ANSWER,	 /* struct frame_answer, then the text */
	FRAME_FAILED,	 /* err_code, then a sentence */
};

struct frame {
	uint32_t kind, size; /* of what follows */
};

struct frame_ready {
	double load_ms;
};

struct frame_answer {
	int64_t prefill_tokens, generate_tokens; /* -1: the runtime does not tell */
	double prefill_ms, generate_ms, memory_mb;
	double first_ms, total_ms; /* by our clock; first -1: nothing came */
	int64_t pieces;		   /* calls with text */
	int32_t cut_text;	   /* text went over RUNNER_TEXT_MAX */
	int32_t loaded_again;	   /* the model was loaded anew for another max_new_tokens */
};

struct frame_failed {
	int32_t code;
};

struct ask {
	uint32_t max_new_tokens, size; /* of the prompt that follows */
};

int runner_start(const struct runner_setup *s, struct runner *out, struct err *e);
/* One ask, whole. ERR_IO when it is gone. Blocks no longer than it reads. */
int runner_ask(struct runner *r, const char *prompt, size_t n, int max_new_tokens, struct err *e);
/* The first frame of b, if it is whole: its kind with *payload and *size set, and 0 when more has
 * to come. ERR_CORRUPT: no frame. Drop sizeof(struct frame) + size afterwards. */
int runner_frame(const struct buf *b, const char **payload, size_t *size, struct err *e);

/* runtime.c: what goes on in that process. Never returns. */
_Noreturn void runtime_main(const struct runner_setup *s, int ask_fd, int frame_fd);

#endif
