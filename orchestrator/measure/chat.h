/* orchestrator/measure/chat.h -- one answer of /v1/chat/completions, as a stream of events or in
 * one piece, from a stranger: text, tokens and times. Pure, but for the clock that is passed.
 * Begin, give it every event or the whole, end. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_CHAT_H
#define QUERN_ORCHESTRATOR_MEASURE_CHAT_H

#include "orchestrator/measure/measure.h"

struct chat {
	struct measure_answer *out;
	struct arena *a; /* of one event */
	double (*now_ms)(void);
	double asked_ms, first_ms, last_ms; /* of now_ms; first_ms 0: nothing came yet */
	int64_t pieces, pieces_max;
	bool streamed, done;
	/* as told, -1: not */
	int64_t usage_prompt, usage_new;
	int64_t timed_prompt, timed_new;
	double timed_prompt_ms, timed_new_ms;
	char fingerprint[64]; /* system_fingerprint: which build answers; "" not told */
};

/* new_tokens: as many were asked for; an answer of many more pieces never ends, and is refused. */
void chat_begin(struct chat *c, struct measure_answer *out, int new_tokens, double (*now_ms)(void));
/* Data of one event (an sse_fn). ERR_INVALID: no answer of this kind; ERR_IO: the server says that
 * it failed, in its words. */
int chat_event(void *chat, const char *data, size_t len, struct err *e);
/* The answer of a server that does not stream. */
int chat_whole(struct chat *c, const char *text, size_t len, struct err *e);
/* Fill in the answer's numbers. ERR_INVALID: the stream ended without an answer. */
int chat_end(struct chat *c, struct err *e);
void chat_release(struct chat *c);

#endif
