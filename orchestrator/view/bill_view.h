/* orchestrator/view/bill_view.h -- the night's bill of a plan, for people and for programs. */
#ifndef QUERN_ORCHESTRATOR_BILL_VIEW_H
#define QUERN_ORCHESTRATOR_BILL_VIEW_H

#include <stdio.h>

#include "core/json.h"
#include "orchestrator/plan/bill.h"
#include "orchestrator/plan/plan.h"

/* Filled point after point, then shown once. */
struct bill_sheet {
	struct bill_job *v;
	size_t n, cap, more;	  /* more: points beyond those that are played through */
	uint64_t made_bytes;	  /* models that are generated in the work folder */
	const char *cache;	  /* of a hub's client; NULL: no model comes from one */
	int64_t now_ms, until_ms; /* wall; until 0: no end is asked about */
};

void bill_sheet_add(struct bill_sheet *b, const struct plan_point *p);
void bill_sheet_release(struct bill_sheet *b);

void bill_print(FILE *f, struct bill_sheet *b, const struct session *s,
		const struct plan_totals *t);
/* The member "bill". */
void bill_json(struct json_out *w, struct bill_sheet *b, const struct session *s,
	       const struct plan_totals *t);

/* "07:00" or "2h30m": the next time that the clock shows it, or so long from now. ERR_INVALID. */
int bill_until(const char *text, int64_t now_ms, int64_t *until_ms, struct err *e);

#endif
