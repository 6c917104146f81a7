/* orchestrator/view/report_html.c -- the report as one HTML page: no script, nothing
 * loaded from anywhere, readable on a phone, in the dark, on paper and by a
 * screen reader (a state is a word and a sign as well as a colour). */
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/report.css.inc"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define LONGEST 10

/* ---- text */

void page_text(struct buf *b, const char *s)
{
	char line[4 * ERR_MSG_MAX];

	text_visible(s, line, sizeof(line));
	for (const char *p = line; *p; p++) {
		switch (*p) {
		case '&':
			buf_adds(b, "&amp;");
			break;
		case '<':
			buf_adds(b, "&lt;");
			break;
		case '>':
			buf_adds(b, "&gt;");
			break;
		case '"':
			buf_adds(b, "&quot;");
			break;
		case '\'':
			buf_adds(b, "&#39;");
			break;
		default:
			buf_addc(b, *p);
		}
	}
}

static const char *size_text(struct arena *a, int64_t bytes)
{
	char *text = arena_alloc(a, 32);

	units_format_size((uint64_t)bytes, text, 32);
	return text;
}

static const char *duration_text(struct arena *a, int64_t ms)
{
	char *text = arena_alloc(a, 32);

	units_format_duration(ms > 0 ? ms : 0, text, 32);
	return text;
}

static const char *sign_of(enum job_state s)
{
	switch (s) {
	case JOB_DONE:
		return "\xe2\x9c\x93"; /* check mark */
	case JOB_FAILED:
		return "\xe2\x9c\x97"; /* ballot x */
	case JOB_READY:
		return "\xe2\x97\x90"; /* circle, left half */
	case JOB_CANCELLED:
		return "\xe2\x80\x93"; /* dash */
	case JOB_PENDING:
		return "\xc2\xb7"; /* middle dot */
	default:
		return "\xe2\x96\xb6"; /* triangle */
	}
}

/* ---- head */

static void number(struct buf *b, const char *class, int64_t n, const char *word)
{
	if (n)
		buf_addf(b, "<li class=\"%s\"><b>%lld</b>%s</li>\n", class, (long long)n, word);
}

static void head(const struct report *r, struct arena *a, struct buf *b)
{
	int64_t end = r->run.ended_ms ? r->run.ended_ms : r->now_ms;

	buf_adds(b, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		    "<title>");
	page_text(b, r->run.name);
	buf_addf(
		b,
		": %lld of %lld done</title>\n<style>\n%s</style>\n</head>\n<body>\n<header>\n<h1>",
		(long long)r->counts[JOB_DONE], (long long)r->total, report_css);
	page_text(b, r->run.name);
	buf_addf(b, "</h1>\n<p class=\"soft\">run %lld, %s, %s%s, on ", (long long)r->run.id,
		 show_time(a, r->run.started_ms), duration_text(a, end - r->run.started_ms),
		 r->life == RUN_GOING  ? " so far"
		 : r->life == RUN_DIED ? "; it ended without a word, quern run goes on"
				       : "");
	page_text(b, r->run.host);
	buf_adds(b, "</p>\n</header>\n<main>\n<ul class=\"numbers\">\n");
	number(b, "done", r->counts[JOB_DONE], "done");
	number(b, "failed", r->counts[JOB_FAILED], "failed");
	number(b, "ready", r->counts[JOB_READY], "not published");
	number(b, "wait",
	       r->counts[JOB_PENDING] + r->counts[JOB_RUNNING] + r->counts[JOB_VALIDATING] +
		       r->counts[JOB_UPLOADING],
	       "waiting");
	number(b, "wait", r->counts[JOB_CANCELLED], "cancelled");
	buf_adds(b, "</ul>\n");
}

/* ---- failures, hub */

void page_job_link(struct buf *b, const struct report *r, int64_t id)
{
	/* Jobs are sorted by id. */
	size_t lo = 0, hi = r->n_jobs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->jobs[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->n_jobs || r->jobs[lo].id != id) {
		buf_addf(b, "%lld", (long long)id);
		return;
	}
	buf_addf(b, "<a href=\"#j%lld\">%lld ", (long long)id, (long long)id);
	page_text(b, r->jobs[lo].label);
	buf_adds(b, "</a>");
}

static void causes(const struct report *r, struct buf *b)
{
	if (!r->n_causes)
		return;
	buf_adds(b, "<section>\n<h2>What failed, and what to type</h2>\n");
	for (size_t i = 0; i < r->n_causes; i++) {
		const struct report_cause *c = &r->causes[i];

		buf_addf(b, "<div class=\"cause\">\n<p><strong>%lld &times; ", (long long)c->n);
		page_text(b, c->cause);
		buf_adds(b, "</strong>: ");
		page_text(b, c->message);
		buf_adds(b, "</p>\n<p>");
		page_text(b, c->advice);
		buf_adds(b, c->advice[0] ? ": <code>" : "<code>");
		page_text(b, c->command);
		buf_adds(b, "</code></p>\n<p class=\"soft\">");
		for (int64_t k = 0; k < c->n && k < REPORT_NAMED; k++) {
			buf_adds(b, k ? ", " : c->n == 1 ? "job " : "jobs ");
			page_job_link(b, r, c->jobs[k]);
		}
		buf_adds(b, c->n > REPORT_NAMED ? " ...</p>\n</div>\n" : "</p>\n</div>\n");
	}
	buf_adds(b, "</section>\n");
}

static void published(const struct report *r, struct arena *a, struct buf *b)
{
	buf_adds(b, "<section>\n<h2>New on the hub</h2>\n");
	if (!r->n_repos) {
		buf_adds(b, "<p>nothing</p>\n</section>\n");
		return;
	}
	buf_adds(b,
		 "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">repository</th>"
		 "<th scope=\"col\" class=\"n\">files</th><th scope=\"col\" class=\"n\">size</th>"
		 "</tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < r->n_repos; i++) {
		buf_adds(b, "<tr><td>");
		page_text(b, r->repos[i].name);
		buf_addf(b, "</td><td class=\"n\">%lld</td><td class=\"n\">%s</td></tr>\n",
			 (long long)r->repos[i].files, size_text(a, r->repos[i].bytes));
	}
	buf_adds(b, "</tbody></table></div>\n</section>\n");
}

/* ---- the matrix */

static void grid_cell(const struct report *r, const struct report_job *j, struct buf *b)
{
	const char *state = job_state_name(j->state);

	buf_addf(b, "<td class=\"s-%s\"><a href=\"#j%lld\" title=\"", state, (long long)j->id);
	page_text(b, r->models.v[j->model]);
	buf_addc(b, ' ');
	page_text(b, r->variants.v[j->variant]);
	buf_addf(b, ": %s\">%s<span class=\"hidden\"> %s</span></a></td>", state, sign_of(j->state),
		 state);
}

static void grid_rows(const struct report *r, struct arena *a, struct buf *b)
{
	size_t columns = r->variants.n;
	const struct report_job **cells = arena_array(a, r->models.n * columns, sizeof(*cells));

	for (size_t i = 0; i < r->models.n * columns; i++)
		cells[i] = NULL;
	for (size_t i = 0; i < r->n_jobs; i++) /* of two under one name the newer one */
		cells[r->jobs[i].model * columns + r->jobs[i].variant] = &r->jobs[i];
	for (size_t m = 0; m < r->models.n; m++) {
		buf_adds(b, "<tr><th scope=\"row\">");
		page_text(b, r->models.v[m]);
		buf_adds(b, "</th>");
		for (size_t v = 0; v < columns; v++) {
			if (cells[m * columns + v])
				grid_cell(r, cells[m * columns + v], b);
			else
				buf_adds(b, "<td></td>");
		}
		buf_adds(b, "</tr>\n");
	}
}

static void grid(const struct report *r, struct arena *a, struct buf *b)
{
	if (!r->n_jobs)
		return;
	buf_adds(b, "<section>\n<h2>The matrix</h2>\n");
	if (r->models.n > REPORT_CELLS_MAX / r->variants.n) {
		buf_addf(b,
			 "<p>%zu models by %zu variants are too many to draw; the list below has "
			 "them.</p>\n"
			 "</section>\n",
			 r->models.n, r->variants.n);
		return;
	}
	buf_adds(b,
		 "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"The matrix\">"
		 "<table class=\"grid\">\n<thead><tr><th scope=\"col\">model</th>");
	for (size_t v = 0; v < r->variants.n; v++) {
		buf_adds(b, "<th scope=\"col\">");
		page_text(b, r->variants.v[v]);
		buf_adds(b, "</th>");
	}
	buf_adds(b, "</tr></thead>\n<tbody>\n");
	grid_rows(r, a, b);
	buf_adds(b, "</tbody></table></div>\n</section>\n");
}

/* ---- lists */

static void longest(const struct report *r, struct arena *a, struct buf *b)
{
	size_t at[LONGEST], n = report_longest(r, at, LONGEST);

	if (!n)
		return;
	buf_adds(b,
		 "<section>\n<h2>Longest jobs</h2>\n<div class=\"scroll\"><table>\n<thead><tr>"
		 "<th scope=\"col\">job</th><th scope=\"col\" class=\"n\">took</th>"
		 "<th scope=\"col\" class=\"n\">memory</th><th scope=\"col\" class=\"n\">size</th>"
		 "</tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++) {
		const struct report_job *j = &r->jobs[at[i]];

		buf_adds(b, "<tr><td>");
		page_job_link(b, r, j->id);
		buf_addf(b,
			 "</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td "
			 "class=\"n\">%s</td></tr>\n",
			 duration_text(a, j->took_ms),
			 j->peak_bytes ? size_text(a, j->peak_bytes) : "",
			 j->artifact_bytes ? size_text(a, j->artifact_bytes) : "");
	}
	buf_adds(b, "</tbody></table></div>\n</section>\n");
}

static void nights(const struct report *r, struct arena *a, struct buf *b)
{
	if (r->n_nights < 2)
		return;
	buf_adds(b, "<section>\n<h2>Earlier runs</h2>\n<div class=\"scroll\"><table>\n<thead><tr>"
		    "<th scope=\"col\">started</th><th scope=\"col\" class=\"n\">took</th>"
		    "<th scope=\"col\" class=\"n\">points</th><th scope=\"col\" "
		    "class=\"n\">converted</th>"
		    "<th scope=\"col\" class=\"n\">published</th><th scope=\"col\" "
		    "class=\"n\">retried</th>"
		    "<th scope=\"col\" class=\"n\">failed</th></tr></thead>\n<tbody>\n");
	for (int i = 0; i < r->n_nights; i++) {
		const struct night_row *n = &r->nights[i];

		buf_addf(b,
			 "<tr><td>%s%s</td><td class=\"n\">%s</td><td class=\"n\">%lld</td>"
			 "<td class=\"n\">%lld</td><td class=\"n\">%lld</td><td "
			 "class=\"n\">%lld</td>"
			 "<td class=\"n\">%lld</td></tr>\n",
			 show_time(a, n->started_ms), i ? "" : " (this one)",
			 n->ended_ms ? duration_text(a, n->ended_ms - n->started_ms) : "",
			 (long long)n->points, (long long)n->converted, (long long)n->uploaded,
			 (long long)n->retried, (long long)n->failed);
	}
	buf_adds(b, "</tbody></table></div>\n</section>\n");
}

static void job_row(const struct report *r, const struct report_job *j, struct arena *a,
		    struct buf *b)
{
	const char *state = job_state_name(j->state);

	buf_addf(b, "<tr id=\"j%lld\"><td class=\"n\">%lld</td><td>", (long long)j->id,
		 (long long)j->id);
	page_text(b, r->models.v[j->model]);
	buf_adds(b, "</td><td>");
	page_text(b, r->variants.v[j->variant]);
	buf_addf(
		b,
		"</td><td class=\"s-%s\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td>",
		state, state, j->took_ms ? duration_text(a, j->took_ms) : "",
		j->artifact_bytes ? size_text(a, j->artifact_bytes) : "");
	page_text(b, j->repo);
	buf_adds(b, "</td><td class=\"wide\">");
	page_text(b, j->message);
	buf_adds(b, "</td></tr>\n");
}

static void jobs(const struct report *r, struct arena *a, struct buf *b)
{
	struct arena *scratch = arena_new();

	(void)a;
	buf_adds(b, "<section>\n<h2>All jobs</h2>\n");
	if ((int64_t)r->n_jobs < r->total)
		buf_addf(b, "<p>the first %zu of %lld; quern status --all lists the others</p>\n",
			 r->n_jobs, (long long)r->total);
	buf_adds(b,
		 "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\" class=\"n\">job</th>"
		 "<th scope=\"col\">model</th><th scope=\"col\">variant</th><th "
		 "scope=\"col\">state</th>"
		 "<th scope=\"col\" class=\"n\">took</th><th scope=\"col\" class=\"n\">size</th>"
		 "<th scope=\"col\">repository</th><th "
		 "scope=\"col\">message</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < r->n_jobs; i++) {
		arena_reset(scratch);
		job_row(r, &r->jobs[i], scratch, b);
	}
	buf_adds(b, "</tbody></table></div>\n</section>\n");
	arena_free(scratch);
}

void report_html(const struct report *r, struct arena *a, struct buf *b)
{
	head(r, a, b);
	causes(r, b);
	published(r, a, b);
	grid(r, a, b);
	page_timeline(r, a, b);
	longest(r, a, b);
	page_quality(r, b);
	page_measured(r, b);
	nights(r, a, b);
	jobs(r, a, b);
	buf_adds(b, "</main>\n</body>\n</html>\n");
}
