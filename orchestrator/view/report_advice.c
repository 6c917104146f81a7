/* orchestrator/view/report_advice.c -- from a cause to what to type. The causes are those of
 * verdict.c.
 */
#include <string.h>

#include "core/mem.h"
#include "orchestrator/view/report.h"

static const struct {
	const char *cause, *advice;
	bool retry; /* else trying again changes nothing: look first */
} known[] = {
	{ "timeout", "raise resources.timeout in the jobs file", true },
	{ "stall", "see in the log where it stood still; raise resources.stall if it was at work",
	  true },
	{ "log too large", "its log says what it complained of", false },
	{ "killed", "somebody ended it, or the kernel for want of memory: lower resources.jobs",
	  true },
	{ "disk full", "make room below the work folder; quern gc frees what no job needs", true },
	{ "environment", "quern doctor says what is missing", true },
	{ "launch", "quern doctor says what is missing", true },
	{ "source", "correct the model in the jobs file", true },
	{ "refused", "these settings cannot work for this model: exclude them", false },
	{ "protocol", "the engine does not follow docs/worker-protocol.md", false },
	{ "bad output", "the worker's file is not what it says", false },
	{ "crash", "", false },
	{ "failed", "", false },
	{ "interrupted", "", true },
};

void report_advice(struct arena *a, struct report_cause *c)
{
	bool retry = false;

	c->advice = "";
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(known[i].cause, c->cause) == 0) {
			c->advice = known[i].advice;
			retry = known[i].retry;
		}
	}
	if (retry)
		c->command = arena_printf(a, "quern retry --cause '%s' && quern run", c->cause);
	else
		c->command = arena_printf(a, "quern logs %lld", (long long)c->jobs[0]);
}
