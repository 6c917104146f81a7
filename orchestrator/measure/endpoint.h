/* orchestrator/measure/endpoint.h -- between endpoint.c and serve.c, which starts the server that
 * it then asks in the same way. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_ENDPOINT_H
#define QUERN_ORCHESTRATOR_MEASURE_ENDPOINT_H

#include "orchestrator/measure/measure.h"

struct endpoint_settings {
	const struct measure_endpoint *at;
	const char *url; /* in place of at->url */
	bool direct;	 /* through no proxy */
	/* Is the server still there? Asked while it is waited for. Negative: no, with why. NULL:
	 * not known. */
	int (*alive)(void *ctx, struct err *e);
	void *ctx;
};
/* s->url is copied, the rest must stay. */
int endpoint_open(const struct measure_options *o, const struct endpoint_settings *s,
		  struct measure_target **out, struct err *e);

#endif
