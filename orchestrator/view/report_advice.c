/* orchestrator/view/report_advice.c -- from a cause to what to type: the table of db/cause.c. */
#include "db/cause.h"
#include "orchestrator/view/report.h"

void report_advice(struct arena *a, struct report_cause *c)
{
	const struct cause *known = cause_find(c->cause);

	c->advice = known ? known->fix : "";
	if (known && known->retry)
		c->command = arena_printf(a, "quern retry --cause '%s' && quern run", c->cause);
	else
		c->command = arena_printf(a, "quern logs %lld", (long long)c->jobs[0]);
}
