/* orchestrator/measure/endpoint_private.h -- between endpoint.c (the target), endpoint_call.c
 * (small questions, and waiting until it is healthy) and endpoint_ask.c (a prompt and its answer).
 */
#ifndef QUERN_ORCHESTRATOR_MEASURE_ENDPOINT_PRIVATE_H
#define QUERN_ORCHESTRATOR_MEASURE_ENDPOINT_PRIVATE_H

#include "orchestrator/measure/endpoint.h"
#include "upload/http.h"

#define ENDPOINT_SMALL_MAX ((size_t)4 << 20) /* an answer that is no generation */
#define ENDPOINT_REQUEST_MAX ((size_t)1 << 20)
#define ENDPOINT_LOOK_MS 10000 /* for one of the small questions */

struct endpoint {
	struct measure_target base;
	struct endpoint_settings set;
	struct arena *a;
	struct http *http;
	const char *url, *model;
	bool plain; /* it refuses what OpenAI's own protocol does not have */
	bool loaded;
	char fingerprint[64];
};

/* ms, but no more than what is left of the whole measurement; a second at least. */
int64_t endpoint_no_more_than(const struct endpoint *ep, int64_t ms);
/* What came of a call that failed: low, or what the server said. */
int endpoint_explain(const struct endpoint *ep, const char *path, const struct http_response *rs,
		     const struct err *low, struct err *e);
/* One small question. *status (may be NULL): of the answer, 0 when there was none. out, in ep->a,
 * may be NULL. */
int endpoint_call(struct endpoint *ep, enum http_method method, const char *path, const char *body,
		  int64_t limit_ms, struct json **out, int *status, struct err *e);
/* Until it answers as a healthy one does. */
int endpoint_wait_healthy(struct endpoint *ep, struct err *e);

/* The target's ask. */
int endpoint_ask(struct measure_target *t, const struct measure_prompt *p,
		 struct measure_answer *out, struct err *e);

#endif
