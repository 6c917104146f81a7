/* orchestrator/view/report_advice.c -- from a cause to what to type: the table of db/cause.c; and
 * why points were not begun. */
#include "db/cause.h"
#include "orchestrator/view/report.h"

static const char *advice_of(const char *cause)
{
	const struct cause *known = cause_find(cause);

	return known ? known->fix : "";
}

void report_advice(struct arena *a, struct report_cause *c)
{
	const struct cause *known = cause_find(c->cause);
	const char *again = arena_printf(a, "quern retry --cause '%s' && quern run", c->cause);

	c->advice = advice_of(c->cause);
	if (known && known->retry) {
		c->command = again;
		c->then = "";
	} else {
		c->command = arena_printf(a, "quern logs %lld", (long long)c->jobs[0]);
		c->then = again;
	}
}

int report_load_refusals(struct store *s, struct report *r, struct arena *a, struct err *e)
{
	struct refusal_row rows[REPORT_REFUSALS];
	int n = store_refusals(s, r->run.id, a, rows, REPORT_REFUSALS, e);

	if (n < 0)
		return n;
	r->refusals = arena_array(a, (size_t)n, sizeof(*r->refusals));
	r->n_refusals = (size_t)n;
	r->refused_more = r->run.illegal;
	for (int i = 0; i < n; i++) {
		r->refusals[i] = (struct report_refusal){ .cause = rows[i].cause,
							  .message = rows[i].message,
							  .label = rows[i].label,
							  .advice = advice_of(rows[i].cause),
							  .command = "quern run",
							  .n = rows[i].points };
		r->refused_more -= rows[i].points;
	}
	return 0;
}
