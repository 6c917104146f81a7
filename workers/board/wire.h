/* workers/board/wire.h -- standard input and output, to a quern on another machine. Lines come in,
 * JSON lines go out. Input is a lifeline as well: when it ends, or says nothing for silence_ms,
 * whoever measures is gone, and what was changed on the board is put back. Nothing here waits for
 * a reader that does not read. One in a process. */
#ifndef QUERN_WORKERS_BOARD_WIRE_H
#define QUERN_WORKERS_BOARD_WIRE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/json.h"

#define WIRE_LINE_MAX ((size_t)2 << 20) /* bytes of one line, either way */

struct wire {
	bool listens;	    /* input is a lifeline */
	bool ended;	    /* it is over: end, silence, a signal, or nobody reads */
	const char *why;    /* of ended; for a person */
	int64_t silence_ms; /* 0: silence means nothing */
	int64_t heard_ms;   /* our clock */
	struct buf in;
	struct buf out; /* the line that is being made */
	struct json_out json;
};

/* Takes SIGINT, SIGTERM and SIGHUP, which are let in by wire_wait() only. */
void wire_init(struct wire *w, bool listens, int64_t silence_ms);
void wire_release(struct wire *w);
/* poll() on fds[1..n), and on input in fds[0] if it is a lifeline, until until_ms (monotonic; -1:
 * no limit). Reads input. Returns 0 when the time is over or the wire has ended, else 1. */
int wire_wait(struct wire *w, struct pollfd *fds, size_t n, int64_t until_ms);
/* The next whole line without its end, empty ones left out; valid until the next call. */
char *wire_line(struct wire *w, size_t *len);

/* wire_event() begins {"event": name; members by w->json; wire_send() ends it and writes it out. */
struct json_out *wire_event(struct wire *w, const char *name);
void wire_send(struct wire *w);
void wire_warn(struct wire *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
