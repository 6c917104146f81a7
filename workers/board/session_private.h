/* workers/board/session_private.h -- between session.c (what is done with a runtime),
 * session_watch.c (its process, seen from outside) and session_say.c (what is told). */
#ifndef QUERN_WORKERS_BOARD_SESSION_PRIVATE_H
#define QUERN_WORKERS_BOARD_SESSION_PRIVATE_H

#include "workers/board/rklog.h"
#include "workers/board/runner.h"
#include "workers/board/session.h"

#define SESSION_LOG_LINES_MAX 2000  /* told of one session */
#define SESSION_LOG_LINE_BYTES 1000 /* of each; the rest of a line is dropped */

struct session {
	const struct job *job; /* NULL: only a look */
	struct wire *wire;
	struct runner runner; /* pid 0: none */
	struct buf frames, line;
	struct rklog log;
	const struct abi *abi;
	int loaded_tokens; /* max_new_tokens that the model was loaded with */
	int log_lines;
	bool looking;
	int status; /* of the runner, once it has ended */
	uint64_t peak_rss_bytes;
	const char *cause; /* one word, when it failed */
	int answers;
};

/* ---- session_watch.c */

/* What went wrong, as one word and a sentence. Returns code. */
int session_fault(struct session *s, const char *cause, struct err *e, int code, const char *fmt,
		  ...) __attribute__((format(printf, 5, 6)));
/* The runtime's process is gone: why. */
int session_died(struct session *s, const char *doing, struct err *e);
void session_read_log(struct session *s);
/* Wait for the next frame, which must be of kind want. Its payload is at s->frames.data +
 * sizeof(struct frame) until session_drop_frame(). */
int session_await(struct session *s, enum frame_kind want, int64_t limit_ms, const char *doing,
		  const char **payload, size_t *size, struct err *e);
void session_drop_frame(struct session *s, size_t size);
/* It has a moment to give the NPU back; a thread of the runtime may hang in the driver. */
void session_end_runner(struct session *s);

/* ---- session_say.c: docs/board.md has the events */

void session_say_runtime(struct session *s, struct json_out *o); /* members only */
void session_say_loaded(struct session *s, double load_ms);
void session_say_answer(struct session *s, const struct job_prompt *p, int run,
			const struct frame_answer *a, const char *text, size_t n);
void session_say_result(struct session *s, int rc, const struct err *e);

#endif
