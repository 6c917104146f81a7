#include "orchestrator/view/metrics.h"

#include <string.h>

#include "core/path.h"
#include "db/cause.h"
#include "db/control.h"

#define TEXT_MAX (1u << 20)

struct writing {
	struct buf *b;
	const char *matrix;
};

static void head(const struct writing *w, const char *name, const char *type, const char *help)
{
	buf_addf(w->b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and end of line are escaped, other controls have no place. */
static void add_value(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '\\' || *s == '"')
			buf_addc(b, '\\');
		if (*s == '\n')
			buf_adds(b, "\\n");
		else
			buf_addc(b, (unsigned char)*s < 0x20 ? ' ' : *s);
	}
}

/* label may be NULL. */
static void sample(const struct writing *w, const char *name, const char *label, const char *value,
		   double number)
{
	buf_addf(w->b, "%s{matrix=\"", name);
	add_value(w->b, w->matrix);
	if (label) {
		buf_addf(w->b, "\",%s=\"", label);
		add_value(w->b, value);
	}
	buf_addf(w->b, "\"} %.15g\n", number);
}

static void one(const struct writing *w, const char *name, const char *type, const char *help,
		double number)
{
	head(w, name, type, help);
	sample(w, name, NULL, "", number);
}

static void write_run(const struct writing *w, const struct run_row *r, bool going)
{
	one(w, "quern_run_id", "gauge", "Number of the last run.", (double)r->id);
	one(w, "quern_run_going", "gauge", "1 while it goes on.", going);
	one(w, "quern_run_start_timestamp_seconds", "gauge", "When the last run began.",
	    (double)r->started_ms / 1000);
	if (going || !r->ended_ms)
		return;
	one(w, "quern_run_end_timestamp_seconds", "gauge", "When the last run ended.",
	    (double)r->ended_ms / 1000);
	one(w, "quern_run_duration_seconds", "gauge", "How long it took.",
	    (double)(r->ended_ms - r->started_ms) / 1000);
	one(w, "quern_run_exit_code", "gauge", "Its exit code; 0 is good.", r->exit_code);
}

static void write_jobs(const struct writing *w, const int64_t *counts,
		       const struct store_metrics *m)
{
	head(w, "quern_jobs", "gauge", "Jobs of the last run's matrix by state.");
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		sample(w, "quern_jobs", "state", job_state_name((enum job_state)i),
		       (double)counts[i]);
	head(w, "quern_jobs_failed", "gauge",
	     "Jobs of the last run's matrix that failed, by cause.");
	for (size_t k = 0; k < n_causes; k++) {
		int64_t n = 0;

		for (int i = 0; i < m->n_failed; i++)
			n += strcmp(m->failed[i].cause, causes[k].name) == 0 ? m->failed[i].count
									     : 0;
		sample(w, "quern_jobs_failed", "cause", causes[k].name, (double)n);
	}
}

static void write_attempts(const struct writing *w, const struct store_metrics *m)
{
	double took = 0, cpu = 0;

	head(w, "quern_attempts_total", "counter",
	     "Attempts that ended, by cause; none: it went well.");
	for (int i = 0; i < m->n_attempts; i++) {
		const char *cause = m->attempts[i].cause;

		sample(w, "quern_attempts_total", "cause", cause[0] ? cause : "none",
		       (double)m->attempts[i].count);
		took += (double)m->attempts[i].took_ms / 1000;
		cpu += (double)m->attempts[i].cpu_ms / 1000;
	}
	one(w, "quern_attempt_seconds_total", "counter", "Time of all attempts together.", took);
	one(w, "quern_attempt_cpu_seconds_total", "counter", "Processor time of their workers.",
	    cpu);
}

int metrics_text(struct store *s, const char *matrix, bool going, struct buf *b, struct err *e)
{
	const struct writing w = { b, matrix };
	struct arena *a = arena_new();
	int64_t counts[JOB_STATE_COUNT] = { 0 };
	struct control_word control = { 0 };
	struct store_metrics m = { 0 };
	struct run_row run = { 0 };
	int rc = store_run_get(s, 0, a, &run, e);

	if (rc >= 0)
		rc = store_job_counts(s, run.id, counts, e);
	if (rc >= 0)
		rc = store_metrics(s, run.id, a, &m, e);
	if (rc >= 0)
		rc = control_read(s, &control, e);
	if (rc >= 0) {
		write_run(&w, &run, going);
		one(&w, "quern_last_good_run_timestamp_seconds", "gauge",
		    "When a run last ended with exit code 0; 0: never.",
		    (double)m.good_run_ms / 1000);
		one(&w, "quern_paused", "gauge", "1 while quern pause is in force.",
		    control.pause != PAUSE_NOT);
		write_jobs(&w, counts, &m);
		write_attempts(&w, &m);
		one(&w, "quern_artifact_bytes", "gauge", "Size of all artifacts in the store.",
		    (double)m.artifact_bytes);
		one(&w, "quern_published_bytes", "gauge", "Size of all files that are on a hub.",
		    (double)m.published_bytes);
	}
	arena_free(a);
	return rc < 0 ? rc : 0;
}

int metrics_write(struct store *s, const struct config *cfg, bool going, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	rc = metrics_text(s, cfg->name, going, &b, e);
	if (rc >= 0)
		rc = path_write(cfg->metrics, b.data, b.len, 0644, e);
	buf_release(&b);
	return rc;
}
