/* orchestrator/view/report_html.c -- the report as one HTML page: nothing loaded from anywhere, and
 * a policy in its head that forbids it; readable on a phone, in the dark, on paper, by a screen
 * reader (a state is a word and a sign as well as a colour) and without its script, which adds the
 * details of each job and a filter. */
#include <string.h>

#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/report.css.inc"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report.js.inc"
#include "orchestrator/view/report_page.h"

#define REPOS_LISTED 200

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

const char *page_size(struct arena *a, int64_t bytes)
{
	char *text = arena_alloc(a, 32);

	units_format_size(bytes > 0 ? (uint64_t)bytes : 0, text, 32);
	return text;
}

const char *page_duration(struct arena *a, int64_t ms)
{
	char *text = arena_alloc(a, 32);

	units_format_duration(ms > 0 ? ms : 0, text, 32);
	return text;
}

void page_section(struct buf *b, const char *id, const char *heading)
{
	buf_addf(b, "<section id=\"%s\">\n<h2>%s</h2>\n", id, heading);
}

void page_section_end(struct buf *b)
{
	buf_adds(b, "</section>\n");
}

void page_table(struct buf *b, const char *class, const char *label)
{
	buf_addf(b,
		 "<div class=\"scroll%s\" tabindex=\"0\" role=\"region\" aria-label=\"%s\">"
		 "<table class=\"%s\">\n<caption class=\"hidden\">%s</caption>\n",
		 strstr(class, PAGE_HUGE) ? PAGE_HUGE : "", label, class, label);
}

void page_table_end(struct buf *b)
{
	buf_adds(b, "</tbody></table></div>\n");
}

/* ---- head */

/* A policy names what may run by its hash: nothing else does, whatever got into the text. */
static void add_hash(struct buf *b, const char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t sum[SHA256_LEN + 1] = { 0 }; /* 33 bytes are 44 digits, of which the last is '=' */

	sha256_bytes(text, strlen(text), sum);
	buf_adds(b, "'sha256-");
	for (size_t i = 0; i < sizeof(sum); i += 3) {
		unsigned v = (unsigned)sum[i] << 16 | (unsigned)sum[i + 1] << 8 | sum[i + 2];

		for (int k = 0; k < 4; k++)
			buf_addc(b, i + 3 == sizeof(sum) && k == 3
					    ? '='
					    : digits[v >> (18 - 6 * k) & 63]);
	}
	buf_adds(b, "'");
}

static void document_head(const struct report *r, struct buf *b)
{
	buf_adds(b, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		    "base-uri 'none'; form-action 'none'; style-src ");
	add_hash(b, report_css);
	buf_adds(b, "; script-src ");
	add_hash(b, report_js);
	buf_adds(b, "\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
	page_text(b, r->run.name);
	buf_addf(b, ": %lld of %lld done</title>\n<style>%s</style>\n</head>\n<body>\n",
		 (long long)r->counts[JOB_DONE], (long long)(r->total + r->run.illegal),
		 report_css);
}

/* ---- the verdict */

static int64_t waiting(const struct report *r)
{
	return r->counts[JOB_PENDING] + r->counts[JOB_RUNNING] + r->counts[JOB_VALIDATING] +
	       r->counts[JOB_UPLOADING];
}

static void number(struct buf *b, const char *class, const char *value, const char *word)
{
	buf_addf(b, "<li class=\"%s\"><b>%s</b> %s</li>\n", class, value, word);
}

static void count(struct buf *b, struct arena *a, const char *class, int64_t n, const char *word)
{
	if (n)
		number(b, class, arena_printf(a, "%lld", (long long)n), word);
}

static void numbers(const struct report *r, struct arena *a, struct buf *b)
{
	int64_t end = r->run.ended_ms ? r->run.ended_ms : r->now_ms, bytes = 0;

	for (size_t i = 0; i < r->n_repos; i++)
		bytes += r->repos[i].bytes;
	buf_adds(b, "<ul class=\"numbers\">\n");
	count(b, a, "done", r->counts[JOB_DONE], "done");
	count(b, a, "failed", r->counts[JOB_FAILED], "failed");
	count(b, a, "failed", r->run.illegal, "not begun");
	count(b, a, "ready", r->counts[JOB_READY], "not published");
	count(b, a, "wait", waiting(r), "waiting");
	count(b, a, "wait", r->counts[JOB_CANCELLED], "cancelled");
	if (bytes)
		number(b, "plain", page_size(a, bytes), "new on the hub");
	number(b, "plain", page_duration(a, end - r->run.started_ms),
	       r->life == RUN_GOING ? "so far" : "in all");
	buf_adds(b, "</ul>\n");
}

/* All jobs as one bar; said in words by the numbers above it. */
static void proportions(const struct report *r, struct buf *b)
{
	const struct {
		const char *class;
		int64_t n;
	} parts[] = { { "done", r->counts[JOB_DONE] },
		      { "ready", r->counts[JOB_READY] },
		      { "failed", r->counts[JOB_FAILED] },
		      { "wait", waiting(r) + r->counts[JOB_CANCELLED] } };
	double x = 0;

	if (!r->total)
		return;
	buf_adds(b, "<svg class=\"bar\" height=\"10\" aria-hidden=\"true\">");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		double width = 100.0 * (double)parts[i].n / (double)r->total;

		if (parts[i].n)
			buf_addf(b,
				 "<rect class=\"%s\" x=\"%.3f%%\" width=\"%.3f%%\" height=\"10\"/>",
				 parts[i].class, x, width);
		x += width;
	}
	buf_adds(b, "</svg>\n");
}

static void page_head(const struct report *r, struct arena *a, struct buf *b)
{
	buf_adds(b, "<header>\n<h1>");
	page_text(b, r->run.name);
	buf_addf(b, "</h1>\n<p class=\"soft\">run %lld, %s%s, on ", (long long)r->run.id,
		 show_time(a, r->run.started_ms),
		 r->life == RUN_GOING  ? ", still going on"
		 : r->life == RUN_DIED ? "; it ended without a word, quern run goes on"
				       : "");
	page_text(b, r->run.host);
	buf_adds(b, "</p>\n");
	numbers(r, a, b);
	proportions(r, b);
	buf_adds(b, "</header>\n");
}

/* ---- failures, hub */

static const struct report_job *find_job(const struct report *r, int64_t id)
{
	size_t lo = 0, hi = r->n_jobs; /* jobs are sorted by id */

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->jobs[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->n_jobs && r->jobs[lo].id == id ? &r->jobs[lo] : NULL;
}

void page_job_anchor(struct buf *b, const struct report_job *j)
{
	buf_addf(b, "<a href=\"#j%lld\">", (long long)j->id);
}

void page_job_link(struct buf *b, const struct report *r, int64_t id)
{
	const struct report_job *j = find_job(r, id);

	if (!j) {
		buf_addf(b, "%lld", (long long)id);
		return;
	}
	page_job_anchor(b, j);
	buf_addf(b, "%lld ", (long long)id);
	page_text(b, j->label);
	buf_adds(b, "</a>");
}

static void advice(struct buf *b, const char *text)
{
	if (!text[0])
		return;
	buf_adds(b, "<p>");
	page_text(b, text);
	buf_adds(b, "</p>\n");
}

static void command(struct buf *b, const char *text)
{
	buf_adds(b, "<p class=\"command\"><code>");
	page_text(b, text);
	buf_adds(b, "</code></p>\n");
}

/* The beginning of what cause() and refusal() tell: how many of which, why, and in whose words. */
static void failure(struct buf *b, int64_t n, const char *times, const char *why,
		    const char *message)
{
	buf_addf(b, "<article class=\"cause\">\n<h3><span class=\"times\">%lld %s</span> ",
		 (long long)n, times);
	page_text(b, why);
	buf_adds(b, "</h3>\n<p class=\"said\">");
	page_text(b, message);
	buf_adds(b, "</p>\n");
}

static void cause(const struct report *r, const struct report_cause *c, struct buf *b)
{
	failure(b, c->n, "&times;", c->cause, c->message);
	if (c->evidence[0]) {
		buf_adds(b, "<p class=\"said soft\">");
		page_text(b, c->evidence_from);
		buf_adds(b, ": ");
		page_text(b, c->evidence);
		buf_adds(b, "</p>\n");
	}
	advice(b, c->advice);
	command(b, c->command);
	if (c->then[0])
		command(b, c->then);
	buf_adds(b, "<p class=\"soft\">");
	for (int64_t k = 0; k < c->n && k < REPORT_NAMED; k++) {
		buf_adds(b, k ? ", " : c->n == 1 ? "job " : "jobs ");
		page_job_link(b, r, c->jobs[k]);
	}
	if (c->n > REPORT_NAMED)
		buf_addf(b, " and %lld more", (long long)(c->n - REPORT_NAMED));
	buf_adds(b, "</p>\n</article>\n");
}

static void refusal(const struct report_refusal *f, struct buf *b)
{
	failure(b, f->n, "not begun:", f->cause, f->message);
	advice(b, f->advice);
	command(b, f->command);
	buf_adds(b, "<p class=\"soft\">");
	page_text(b, f->label);
	if (f->n > 1)
		buf_addf(b, " and %lld more", (long long)(f->n - 1));
	buf_adds(b, "</p>\n</article>\n");
}

static void causes(const struct report *r, struct buf *b)
{
	if (!r->n_causes && !r->run.illegal)
		return;
	page_section(b, "failures", "What failed, and what to type");
	for (size_t i = 0; i < r->n_causes; i++)
		cause(r, &r->causes[i], b);
	for (size_t i = 0; i < r->n_refusals; i++)
		refusal(&r->refusals[i], b);
	if (r->refused_more > 0) {
		buf_addf(b, "<p>%lld not begun for other reasons</p>\n",
			 (long long)r->refused_more);
		command(b, "quern plan");
	}
	page_section_end(b);
}

static void published(const struct report *r, struct arena *a, struct buf *b)
{
	page_section(b, "hub", "New on the hub");
	if (!r->n_repos) {
		buf_adds(b, "<p>nothing</p>\n");
		page_section_end(b);
		return;
	}
	page_table(b, "list", "New on the hub");
	buf_adds(b,
		 "<thead><tr><th scope=\"col\">repository</th><th scope=\"col\">hub</th>"
		 "<th scope=\"col\" class=\"n\">files</th><th scope=\"col\" class=\"n\">size</th>"
		 "</tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < r->n_repos && i < REPOS_LISTED; i++) {
		buf_adds(b, "<tr><th scope=\"row\">");
		page_text(b, r->repos[i].name);
		buf_adds(b, "</th><td>");
		page_text(b, r->repos[i].hub);
		buf_addf(b, "</td><td class=\"n\">%lld</td><td class=\"n\">%s</td></tr>\n",
			 (long long)r->repos[i].files, page_size(a, r->repos[i].bytes));
	}
	page_table_end(b);
	if (r->n_repos > REPOS_LISTED)
		buf_addf(b,
			 "<p class=\"soft\">and %zu repositories more: quern report --json</p>\n",
			 r->n_repos - REPOS_LISTED);
	page_section_end(b);
}

/* ---- the page */

/* To the parts that are there: what has no heading is left out. */
static void navigation(const struct buf *parts, struct buf *b)
{
	static const struct {
		const char *id, *word;
	} all[] = { { "failures", "failures" }, { "hub", "hub" },	  { "matrix", "matrix" },
		    { "night", "night" },	{ "quality", "quality" }, { "speed", "speed" },
		    { "longest", "longest" },	{ "runs", "runs" },	  { "jobs", "jobs" } };
	char mark[64];

	buf_adds(b, "<nav aria-label=\"parts of the report\"><ul>\n");
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		snprintf(mark, sizeof(mark), "<section id=\"%s\">", all[i].id);
		if (strstr(buf_str(parts), mark))
			buf_addf(b, "<li><a href=\"#%s\">%s</a></li>\n", all[i].id, all[i].word);
	}
	buf_adds(b, "</ul></nav>\n");
}

void report_html(const struct report *r, struct arena *a, struct buf *b)
{
	struct buf parts;

	buf_init(&parts, b->max);
	causes(r, &parts);
	published(r, a, &parts);
	page_grid(r, a, &parts);
	page_timeline(r, a, &parts);
	page_quality(r, a, &parts);
	page_measured(r, &parts);
	page_longest(r, a, &parts);
	page_nights(r, a, &parts);
	page_jobs(r, a, &parts);
	document_head(r, b);
	page_head(r, a, b);
	navigation(&parts, b);
	buf_adds(b, "<main>\n");
	buf_add(b, buf_str(&parts), parts.len);
	b->overflow |= parts.overflow;
	buf_release(&parts);
	buf_adds(
		b,
		"</main>\n<footer class=\"soft\"><p>made by quern; <code>quern show JOB</code> and "
		"<code>quern logs JOB</code> have more of each job</p></footer>\n");
	page_data(r, a, b);
	buf_addf(b, "<script>%s</script>\n</body>\n</html>\n", report_js);
}
