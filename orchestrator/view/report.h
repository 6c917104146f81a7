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
#include "orchestrator/view/interner.h"
#include "orchestrator/view/status.h"

#define REPORT_JOBS_MAX 20000 /* in the grid and in lists; counts and causes are of all */
#define REPORT_CELLS_MAX 100000
#define REPORT_NIGHTS 14
#define REPORT_MEASURED_MAX 2000
#define REPORT_TEXT_COLUMNS 60 /* a phone held upright */
#define REPORT_NAMED 10	       /* jobs that a cause names */
#define REPORT_REFUSALS 50     /* reasons why points were not begun */
#define REPORT_ATTEMPTS_MAX 8
#define REPORT_FILES_MAX 16

struct report_attempt {
	int number, exit_code, signal; /* as attempt_row has them */
	int64_t started_ms, ended_ms;  /* ended_ms 0: going on, or nobody saw its end */
	int64_t peak_bytes;
	const char *cause, *message;
	const char *evidence_from, *evidence, *rungs; /* as attempt_row has them */
};

struct report_file {
	const char *name;
	int64_t bytes;
	uint8_t sha256[SHA256_LEN];
};

struct report_job {
	int64_t id;
	uint8_t key[SHA256_LEN];
	enum job_state state;
	const char *label, *cause, *message, *repo;
	const char *evidence_from, *evidence, *rungs; /* of the last attempt */
	const char *engine_version, *with, *source, *source_version, *lora; /* lora: or "" */
	size_t model, variant; /* row and column of the grid */
	int tries;
	int64_t artifact_bytes;
	int64_t took_ms, peak_bytes; /* of the last attempt */
	struct report_attempt *attempts;
	size_t n_attempts; /* newest first; at most REPORT_ATTEMPTS_MAX */
	struct report_file *files;
	size_t n_files;			     /* at most REPORT_FILES_MAX */
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
	const char *cause, *message;	      /* of the first such job */
	const char *evidence_from, *evidence; /* the same; "" where the message says it */
	const char *advice;  /* what to change before the command; "" for nothing */
	const char *command; /* what to type */
	const char *then;    /* and when that has told what to mend; "" for nothing */
	int64_t jobs[REPORT_NAMED];
	int64_t n; /* all such jobs, also those that are not named */
};

/* Points that were not begun for one reason: they have no job. */
struct report_refusal {
	const char *cause, *message, *label; /* label: of the first */
	const char *advice, *command;
	int64_t n;
};

/* What this run committed to one repository. */
struct report_repo {
	const char *hub, *name;
	int64_t files, bytes;
};

/* A column of the grid in two parts: "rkllm rk3588" and "w8a8 opt 1". */
struct report_column {
	const char *group, *name;
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
	struct report_column *columns; /* as many as variants */
	struct report_cause *causes;   /* the most frequent first */
	size_t n_causes;
	struct report_refusal *refusals; /* the same */
	size_t n_refusals;
	int64_t refused_more; /* points whose reason is in none of them */
	struct report_repo *repos;
	size_t n_repos;
	struct report_span *spans; /* by start */
	size_t n_spans;
	int lanes;
	struct sample_row *samples; /* what the run noted on its way, by time */
	size_t n_samples;
	struct night_row nights[REPORT_NIGHTS]; /* this one first */
	int n_nights;
	struct measurement_row *measured; /* in this run, in their order */
	int n_measured;			  /* at most REPORT_MEASURED_MAX */
};

/* ERR_NOTFOUND: no run yet. */
int report_load(struct store *s, const char *work, struct arena *a, struct report *out,
		struct err *e);

/* report_jobs.c: jobs, causes, repositories and spans of r->run into r. */
int report_load_jobs(struct store *s, struct report *r, struct arena *a, struct err *e);

/* The longest attempts: at most n indexes into jobs. Returns how many. */
size_t report_longest(const struct report *r, size_t *out, size_t n);

/* The job whose file is the furthest from its checkpoint; NULL: none was measured. */
const struct report_job *report_largest_error(const struct report *r);

/* What to change and what to type for a cause (report_advice.c). */
void report_advice(struct arena *a, struct report_cause *c);
int report_load_refusals(struct store *s, struct report *r, struct arena *a, struct err *e);

/* report_measured.c: lines of text, each ended by a newline */
void report_measured_text(const struct report *r, struct buf *b);
void report_measured_json(const struct report *r, struct json_out *w);

void report_text(const struct report *r, struct arena *a, struct buf *b);
void report_json(const struct report *r, struct buf *b);
void report_html(const struct report *r, struct arena *a, struct buf *b);

#endif
