/* orchestrator/view/report_text.c -- the report as a mail: short lines, the verdict first. */
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/report.h"

#define LONGEST 3
#define REPOS_NAMED 8
#define NIGHTS_NAMED 7

/* Foreign text, with control characters made visible. */
static void add_text(struct buf *b, const char *s)
{
	char line[4 * ERR_MSG_MAX];

	text_visible(s, line, sizeof(line));
	buf_adds(b, line);
}

static const char *files_word(int64_t n)
{
	return n == 1 ? "file" : "files";
}

static void add_verdict(const struct report *r, struct arena *a, struct buf *b)
{
	int64_t end = r->run.ended_ms ? r->run.ended_ms : r->now_ms;
	int64_t waiting = r->counts[JOB_PENDING] + r->counts[JOB_RUNNING] +
			  r->counts[JOB_VALIDATING] + r->counts[JOB_UPLOADING];
	char took[32];

	units_format_duration(end > r->run.started_ms ? end - r->run.started_ms : 0, took,
			      sizeof(took));
	add_text(b, r->run.name);
	buf_addf(b, ", %s, %s%s\n", show_time(a, r->run.started_ms), took,
		 r->life == RUN_GOING  ? " so far"
		 : r->life == RUN_DIED ? "; it ended without a word, quern run goes on"
				       : "");
	buf_addf(b, "%lld of %lld done", (long long)r->counts[JOB_DONE], (long long)r->total);
	if (r->counts[JOB_FAILED])
		buf_addf(b, ", %lld failed", (long long)r->counts[JOB_FAILED]);
	if (r->counts[JOB_READY])
		buf_addf(b, ", %lld converted but not published", (long long)r->counts[JOB_READY]);
	if (waiting)
		buf_addf(b, ", %lld waiting", (long long)waiting);
	if (r->counts[JOB_CANCELLED])
		buf_addf(b, ", %lld cancelled", (long long)r->counts[JOB_CANCELLED]);
	buf_addc(b, '\n');
}

static void add_repos(const struct report *r, struct buf *b)
{
	int64_t files = 0, bytes = 0;
	char size[32];

	for (size_t i = 0; i < r->n_repos; i++) {
		files += r->repos[i].files;
		bytes += r->repos[i].bytes;
	}
	if (!files) {
		buf_adds(b, "nothing new on the hub\n");
		return;
	}
	units_format_size((uint64_t)bytes, size, sizeof(size));
	buf_addf(b, "new on the hub: %lld %s, %s\n", (long long)files, files_word(files), size);
	for (size_t i = 0; i < r->n_repos && i < REPOS_NAMED; i++) {
		units_format_size((uint64_t)r->repos[i].bytes, size, sizeof(size));
		buf_adds(b, "  ");
		add_text(b, r->repos[i].name);
		buf_addf(b, ": %lld %s, %s\n", (long long)r->repos[i].files,
			 files_word(r->repos[i].files), size);
	}
	if (r->n_repos > REPOS_NAMED)
		buf_addf(b, "  and %zu repositories more\n", r->n_repos - REPOS_NAMED);
}

static void add_causes(const struct report *r, struct buf *b)
{
	for (size_t i = 0; i < r->n_causes; i++) {
		const struct report_cause *c = &r->causes[i];

		buf_addf(b, "\n%lld x %s: ", (long long)c->n, c->cause);
		add_text(b, c->message);
		buf_addf(b, "\n  job%s", c->n == 1 ? "" : "s");
		for (int64_t k = 0; k < c->n && k < REPORT_NAMED; k++)
			buf_addf(b, " %lld", (long long)c->jobs[k]);
		if (c->n > REPORT_NAMED)
			buf_adds(b, " ...");
		buf_addc(b, '\n');
		if (c->advice[0])
			buf_addf(b, "  %s\n", c->advice);
		buf_addf(b, "  %s\n", c->command);
	}
	if (r->n_causes)
		buf_addc(b, '\n');
}

static void add_longest(const struct report *r, struct buf *b)
{
	size_t longest[LONGEST], n = report_longest(r, longest, LONGEST);
	char took[32];

	for (size_t i = 0; i < n; i++) {
		const struct report_job *j = &r->jobs[longest[i]];

		units_format_duration(j->took_ms, took, sizeof(took));
		buf_adds(b, i ? ", " : "longest: ");
		add_text(b, j->label);
		buf_addf(b, " %s", took);
	}
	if (n)
		buf_addc(b, '\n');
}

static void add_quality(const struct report *r, struct arena *a, struct buf *b)
{
	const struct report_job *j = report_largest_error(r);
	const struct quality_row *worst;

	if (!j)
		return;
	worst = &j->quality->worst[0];
	buf_adds(b, "largest error: ");
	add_text(b, j->label);
	buf_addf(b, " %s", quality_error_text(a, &j->quality->all));
	if (j->quality->n_worst) {
		buf_adds(b, " (");
		add_text(b, worst->tensor);
		buf_addf(b, " %s)", quality_error_text(a, worst));
	}
	buf_addc(b, '\n');
}

static void add_nights(const struct report *r, struct buf *b)
{
	if (r->n_nights < 2)
		return;
	buf_adds(b, "earlier runs, newest first:");
	for (int i = 1; i < r->n_nights && i <= NIGHTS_NAMED; i++) {
		buf_addf(b, "%s %lld new", i > 1 ? "," : "", (long long)r->nights[i].converted);
		if (r->nights[i].failed)
			buf_addf(b, " %lld failed", (long long)r->nights[i].failed);
	}
	buf_addc(b, '\n');
}

void report_text(const struct report *r, struct arena *a, struct buf *b)
{
	add_verdict(r, a, b);
	add_repos(r, b);
	add_causes(r, b);
	add_longest(r, b);
	add_quality(r, a, b);
	report_measured_text(r, b);
	add_nights(r, b);
}
