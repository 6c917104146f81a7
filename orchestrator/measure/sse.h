/* orchestrator/measure/sse.h -- server-sent events (WHATWG HTML, "Server-sent events", 9.2.6) from
 * a stranger's bytes, in pieces of any size. Init, feed, release; one stream a parser. Events
 * without data and comments are passed over, as the standard says; so is one that the stream's end
 * cuts off. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_SSE_H
#define QUERN_ORCHESTRATOR_MEASURE_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

struct sse {
	struct buf line, data;
	bool after_cr; /* a "\n" now belongs to the line that has ended */
	bool begun;    /* a byte order mark is looked for at the very start only */
	bool any_data; /* the event being read has a data field */
	size_t event_max;
	int64_t events; /* given so far */
};

/* One event's data; terminated, and len does not count the NUL. Negative stops the parser. */
typedef int (*sse_fn)(void *ctx, const char *data, size_t len, struct err *e);

/* event_max: bytes of one line, and of one event's data. */
void sse_init(struct sse *s, size_t event_max);
void sse_release(struct sse *s);
/* 0, what fn returned, or ERR_INVALID: a line or an event is too long. */
int sse_feed(struct sse *s, const char *p, size_t n, sse_fn fn, void *ctx, struct err *e);

#endif
