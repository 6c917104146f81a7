/* orchestrator/view/report_text.c -- the report as a mail: short lines, the verdict first. A line
 * is at most REPORT_TEXT_COLUMNS wide, which a phone shows without folding it; only a word or a
 * command that is longer stands whole on a line of its own, to be copied. Evidence is cut. */
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/table.h"

#define LONGEST 3
#define EVIDENCE_LINES 4
#define REPOS_NAMED 8
#define NIGHTS_NAMED 7
#define REFUSALS_NAMED 10
#define LINE_MAX_BYTES 65536 /* of one paragraph */

/* ---- lines */

static void spaces(struct buf *b, size_t n)
{
	while (n-- > 0)
		buf_addc(b, ' ');
}

/* Foreign text within: control characters become visible. The first line stands at `first`, the
 * others at `rest`. */
static void wrap(struct buf *b, size_t first, size_t rest, const char *text)
{
	char visible[4 * ERR_MSG_MAX], *word, *at;
	size_t column = first;
	bool begun = false;

	text_visible(text, visible, sizeof(visible));
	spaces(b, first);
	for (word = strtok_r(visible, " ", &at); word; word = strtok_r(NULL, " ", &at)) {
		size_t width = text_width(word);

		if (begun && column + 1 + width > REPORT_TEXT_COLUMNS) {
			buf_addc(b, '\n');
			spaces(b, rest);
			column = rest;
		} else if (begun) {
			buf_addc(b, ' ');
			column++;
		}
		buf_adds(b, word);
		column += width;
		begun = true;
	}
	buf_addc(b, '\n');
}

/* A line of somebody's log, which may be a page without a blank: cut where the line is full, and
 * after a few of them. */
static void add_evidence(struct buf *b, const struct report_cause *c)
{
	char visible[4 * ERR_MSG_MAX];
	const char *at = visible;
	struct buf line;

	if (!c->evidence[0])
		return;
	buf_init(&line, LINE_MAX_BYTES);
	buf_addf(&line, "%s: %s", c->evidence_from, c->evidence);
	text_visible(buf_str(&line), visible, sizeof(visible));
	buf_release(&line);
	for (int i = 0; i < EVIDENCE_LINES && *at; i++) {
		size_t indent = i ? 4 : 2, room = REPORT_TEXT_COLUMNS - indent;
		bool cut = i == EVIDENCE_LINES - 1 && text_width(at) > room;
		size_t n = text_fitting(at, cut ? room - 4 : room), blank = n;

		while (at[n] && blank && at[blank] != ' ')
			blank--;
		n = blank > n / 2 ? blank : n; /* at a blank, unless that is far back */
		spaces(b, indent);
		buf_add(b, at, n);
		buf_adds(b, cut ? " ...\n" : "\n");
		at += n + strspn(at + n, " ");
	}
}

/* A command is copied: it stays on one line. */
static void add_command(struct buf *b, const char *command)
{
	char visible[4 * ERR_MSG_MAX];

	text_visible(command, visible, sizeof(visible));
	buf_addf(b, "  %s\n", visible);
}

/* Wraps what was collected in line, and empties it. */
static void end_line(struct buf *b, size_t rest, struct buf *line)
{
	wrap(b, 0, rest, buf_str(line));
	buf_clear(line);
}

static const char *files_word(int64_t n)
{
	return n == 1 ? "file" : "files";
}

/* ---- parts */

static void add_verdict(const struct report *r, struct arena *a, struct buf *b, struct buf *line)
{
	int64_t end = r->run.ended_ms ? r->run.ended_ms : r->now_ms;
	int64_t waiting = r->counts[JOB_PENDING] + r->counts[JOB_RUNNING] +
			  r->counts[JOB_VALIDATING] + r->counts[JOB_UPLOADING];
	char took[32];

	units_format_duration(end > r->run.started_ms ? end - r->run.started_ms : 0, took,
			      sizeof(took));
	buf_addf(line, "%s, %s, %s%s", r->run.name, show_time(a, r->run.started_ms), took,
		 r->life == RUN_GOING  ? " so far"
		 : r->life == RUN_DIED ? "; it ended without a word, quern run goes on"
				       : "");
	end_line(b, 2, line);
	buf_addf(line, "%lld of %lld done", (long long)r->counts[JOB_DONE],
		 (long long)(r->total + r->run.illegal));
	if (r->counts[JOB_FAILED])
		buf_addf(line, ", %lld failed", (long long)r->counts[JOB_FAILED]);
	if (r->run.illegal)
		buf_addf(line, ", %lld not begun", (long long)r->run.illegal);
	if (r->counts[JOB_READY])
		buf_addf(line, ", %lld converted but not published",
			 (long long)r->counts[JOB_READY]);
	if (waiting)
		buf_addf(line, ", %lld waiting", (long long)waiting);
	if (r->counts[JOB_CANCELLED])
		buf_addf(line, ", %lld cancelled", (long long)r->counts[JOB_CANCELLED]);
	end_line(b, 2, line);
}

static void add_repos(const struct report *r, struct buf *b, struct buf *line)
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
		buf_addf(line, "%s: %lld %s, %s", r->repos[i].name, (long long)r->repos[i].files,
			 files_word(r->repos[i].files), size);
		wrap(b, 2, 4, buf_str(line));
		buf_clear(line);
	}
	if (r->n_repos > REPOS_NAMED)
		buf_addf(b, "  and %zu repositories more\n", r->n_repos - REPOS_NAMED);
}

static void add_causes(const struct report *r, struct buf *b, struct buf *line)
{
	for (size_t i = 0; i < r->n_causes; i++) {
		const struct report_cause *c = &r->causes[i];
		/* The line that the message is the beginning of, as a log cuts it. */
		bool longer = strncmp(c->evidence, c->message, strlen(c->message)) == 0;

		buf_addc(b, '\n');
		buf_addf(line, "%lld x %s: %s", (long long)c->n, c->cause,
			 longer ? c->evidence : c->message);
		end_line(b, 2, line);
		if (!longer)
			add_evidence(b, c);
		buf_addf(line, "job%s", c->n == 1 ? "" : "s");
		for (int64_t k = 0; k < c->n && k < REPORT_NAMED; k++)
			buf_addf(line, " %lld", (long long)c->jobs[k]);
		if (c->n > REPORT_NAMED)
			buf_adds(line, " ...");
		wrap(b, 2, 2, buf_str(line));
		buf_clear(line);
		if (c->advice[0])
			wrap(b, 2, 2, c->advice);
		add_command(b, c->command);
		if (c->then[0])
			add_command(b, c->then);
	}
}

/* Points without a job: the reason says what is wrong, and a run takes them up. */
static void add_refusals(const struct report *r, struct buf *b, struct buf *line)
{
	int64_t more = r->refused_more;

	for (size_t i = 0; i < r->n_refusals; i++) {
		const struct report_refusal *f = &r->refusals[i];

		if (i >= REFUSALS_NAMED) {
			more += f->n;
			continue;
		}
		buf_addc(b, '\n');
		buf_addf(line, "%lld not begun, %s: %s", (long long)f->n, f->cause, f->message);
		end_line(b, 2, line);
		wrap(b, 2, 2, f->label);
		if (f->advice[0])
			wrap(b, 2, 2, f->advice);
		add_command(b, f->command);
	}
	if (more > 0)
		buf_addf(b, "\n%lld not begun for other reasons\n  quern plan\n", (long long)more);
	if (r->n_causes || r->run.illegal)
		buf_addc(b, '\n');
}

static void add_longest(const struct report *r, struct buf *b, struct buf *line)
{
	size_t longest[LONGEST], n = report_longest(r, longest, LONGEST);
	char took[32];

	for (size_t i = 0; i < n; i++) {
		const struct report_job *j = &r->jobs[longest[i]];

		units_format_duration(j->took_ms, took, sizeof(took));
		buf_addf(line, "%s%s %s", i ? ", " : "longest: ", j->label, took);
	}
	if (n)
		end_line(b, 2, line);
}

static void add_quality(const struct report *r, struct arena *a, struct buf *b, struct buf *line)
{
	const struct report_job *j = report_largest_error(r);
	const struct quality_row *worst;

	if (!j)
		return;
	worst = &j->quality->worst[0];
	buf_addf(line, "largest error: %s %s", j->label, quality_error_text(a, &j->quality->all));
	if (j->quality->n_worst)
		buf_addf(line, " (%s %s)", worst->tensor, quality_error_text(a, worst));
	end_line(b, 2, line);
}

static void add_nights(const struct report *r, struct buf *b, struct buf *line)
{
	if (r->n_nights < 2)
		return;
	buf_adds(line, "earlier runs, newest first:");
	for (int i = 1; i < r->n_nights && i <= NIGHTS_NAMED; i++) {
		buf_addf(line, "%s %lld new", i > 1 ? "," : "", (long long)r->nights[i].converted);
		if (r->nights[i].failed)
			buf_addf(line, " %lld failed", (long long)r->nights[i].failed);
	}
	end_line(b, 2, line);
}

/* Each of its lines wrapped; a warning's second line stands deeper. */
static void add_measured(const struct report *r, struct buf *b, struct buf *line)
{
	struct buf text;
	const char *p, *end;

	buf_init(&text, LINE_MAX_BYTES);
	report_measured_text(r, &text);
	for (p = buf_str(&text); *p; p = end + 1) {
		end = strchr(p, '\n');
		if (!end)
			break;
		buf_add(line, p, (size_t)(end - p));
		end_line(b, 4, line);
	}
	buf_release(&text);
}

void report_text(const struct report *r, struct arena *a, struct buf *b)
{
	struct buf line;

	buf_init(&line, LINE_MAX_BYTES);
	add_verdict(r, a, b, &line);
	add_repos(r, b, &line);
	add_causes(r, b, &line);
	add_refusals(r, b, &line);
	add_longest(r, b, &line);
	add_quality(r, a, b, &line);
	add_measured(r, b, &line);
	add_nights(r, b, &line);
	buf_release(&line);
}
