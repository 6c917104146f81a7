/* orchestrator/view/report.h -- the last run, for whoever gets up in the morning: what
 * is new on the hub, what failed and what to type, how the night went. Loaded
 * once into an arena, then written as text, JSON or one HTML page. Reads the
 * store, changes nothing. */
#ifndef QUERN_ORCHESTRATOR_REPORT_H
#define QUERN_ORCHESTRATOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "db/quality.h"
#include "db/store.h"
#include "orchestrator/view/status.h"

#define REPORT_JOBS_MAX 20000 /* in the grid and in lists; counts and causes are of all */
#define REPORT_CELLS_MAX 100000
#define REPORT_NIGHTS 14
#define REPORT_NAMED 10 /* jobs that a cause names */

struct report_job {
	int64_t id;
	enum job_state state;
	const char *label, *cause, *message, *repo;
	const char *evidence_from, *evidence, *rungs; /* of the last attempt */
	size_t model, variant;			      /* row and column of the grid */
	int tries;
	int64_t artifact_bytes;
	int64_t took_ms, peak_bytes;	     /* of the last attempt */
	const struct quality_facts *quality; /* NULL: its worker measured none */
};

/* One attempt of this run in the time line. */
struct report_span {
	int64_t job_id;
	const char *label;
	int64_t started_ms, ended_ms;
	bool failed;
	int lane; /* spans of one lane do not overlap */
};

struct report_cause {
	const char *cause, *message; /* of the first such job */
	const char *advice;	     /* what to change before the command; "" for nothing */
	const char *command;	     /* what to type */
	int64_t jobs[REPORT_NAMED];
	int64_t n; /* all such jobs, also those that are not named */
};

/* What this run committed to one repository. */
struct report_repo {
	const char *hub, *name;
	int64_t files, bytes;
};

struct report_names {
	const char **v;
	size_t n;
};

struct report {
	const char *work;
	int64_t now_ms;
	enum run_life life;
	struct run_row run;
	int64_t counts[JOB_STATE_COUNT], total;
	struct report_job *jobs;
	size_t n_jobs; /* at most REPORT_JOBS_MAX of total */
	struct report_names models, variants;
	struct report_cause *causes; /* the most frequent first */
	size_t n_causes;
	struct report_repo *repos;
	size_t n_repos;
	struct report_span *spans; /* by start */
	size_t n_spans;
	int lanes;
	struct night_row nights[REPORT_NIGHTS]; /* this one first */
	int n_nights;
};

/* ERR_NOTFOUND: no run yet. */
int report_load(struct store *s, const char *work, struct arena *a, struct report *out,
		struct err *e);

/* The longest attempts: at most n indexes into jobs. Returns how many. */
size_t report_longest(const struct report *r, size_t *out, size_t n);

/* The job whose file is the furthest from its checkpoint; NULL: none was measured. */
const struct report_job *report_largest_error(const struct report *r);

/* What to change and what to type for a cause (report_advice.c). */
void report_advice(struct arena *a, struct report_cause *c);

void report_text(const struct report *r, struct arena *a, struct buf *b);
void report_json(const struct report *r, struct buf *b);
void report_html(const struct report *r, struct arena *a, struct buf *b);

#endif
