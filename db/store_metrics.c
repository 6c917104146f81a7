/* db/store_metrics.c -- sums over the store, for monitoring. They read whole tables: not for the
 * loop's connection. */
#include <string.h>

#include "db/store_private.h"

static int read_causes(struct store *s, enum store_query q, int64_t run_id, struct arena *a,
		       struct cause_sum *out, int max, int *n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	int rc = 0;

	if (!st)
		return e->code;
	if (q == Q_METRIC_FAILED)
		bind_int(st, 1, run_id);
	while (*n < max && (rc = store_step(s, st, e)) > 0)
		out[(*n)++] = (struct cause_sum){ .cause = column_text(st, 0, a),
						  .count = sqlite3_column_int64(st, 1),
						  .took_ms = sqlite3_column_int64(st, 2),
						  .cpu_ms = sqlite3_column_int64(st, 3) };
	(void)sqlite3_reset(st);
	return rc;
}

static int read_bytes(struct store *s, struct store_metrics *m, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_METRIC_BYTES, e);
	int rc;

	if (!st)
		return e->code;
	rc = store_step(s, st, e);
	if (rc > 0) {
		m->artifact_bytes = sqlite3_column_int64(st, 0);
		m->published_bytes = sqlite3_column_int64(st, 1);
		m->good_run_ms = sqlite3_column_int64(st, 2);
		(void)sqlite3_reset(st);
	}
	return rc;
}

int store_metrics(struct store *s, int64_t run_id, struct arena *a, struct store_metrics *out,
		  struct err *e)
{
	struct store_metrics m = { 0 };
	int rc = read_causes(s, Q_METRIC_ATTEMPTS, 0, a, m.attempts, STORE_CAUSES_MAX,
			     &m.n_attempts, e);

	if (rc >= 0)
		rc = read_causes(s, Q_METRIC_FAILED, run_id, a, m.failed, STORE_CAUSES_MAX,
				 &m.n_failed, e);
	if (rc >= 0)
		rc = read_bytes(s, &m, e);
	if (rc >= 0)
		*out = m;
	return rc < 0 ? rc : 0;
}
