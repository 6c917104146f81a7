/* orchestrator/view/report_lists.c -- the tables of the page: longest jobs, earlier runs, all jobs.
 */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define LONGEST 10

/* ---- longest jobs */

void page_longest(const struct report *r, struct arena *a, struct buf *b)
{
	size_t at[LONGEST], n = report_longest(r, at, LONGEST);

	if (!n)
		return;
	page_section(b, "longest", "Longest jobs");
	page_table(b, "list", "Longest jobs");
	buf_adds(b,
		 "<thead><tr><th scope=\"col\">job</th><th scope=\"col\" class=\"n\">took</th>"
		 "<th scope=\"col\" class=\"n\">memory</th><th scope=\"col\" class=\"n\">size</th>"
		 "</tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++) {
		const struct report_job *j = &r->jobs[at[i]];

		buf_adds(b, "<tr><th scope=\"row\">");
		page_job_link(b, r, j->id);
		buf_addf(
			b,
			"</th><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td>"
			"</tr>\n",
			page_duration(a, j->took_ms),
			j->peak_bytes ? page_size(a, j->peak_bytes) : "",
			j->artifact_bytes ? page_size(a, j->artifact_bytes) : "");
	}
	page_table_end(b);
	page_section_end(b);
}

/* ---- earlier runs */

static void change(struct buf *b, const char *word, int64_t now, int64_t before, bool *begun)
{
	if (now == before)
		return;
	buf_addf(b, "%s%lld %s %s", *begun ? ", " : "",
		 (long long)(now > before ? now - before : before - now),
		 now > before ? "more" : "fewer", word);
	*begun = true;
}

/* "Against the run before: 3 more converted, 2 fewer failed, 12m less time." */
static void comparison(const struct report *r, struct arena *a, struct buf *b)
{
	const struct night_row *now = &r->nights[0], *before = &r->nights[1];
	int64_t took = now->ended_ms - now->started_ms, took_before;
	bool begun = false;

	buf_adds(b, "<p>Against the run before: ");
	change(b, "converted", now->converted, before->converted, &begun);
	change(b, "published", now->uploaded, before->uploaded, &begun);
	change(b, "retried", now->retried, before->retried, &begun);
	change(b, "failed", now->failed, before->failed, &begun);
	took_before = before->ended_ms - before->started_ms;
	if (now->ended_ms && before->ended_ms && llabs(took - took_before) >= 1000) {
		buf_addf(b, "%s%s %s", begun ? ", " : "",
			 page_duration(a, llabs(took - took_before)),
			 took > took_before ? "longer" : "shorter");
		begun = true;
	}
	buf_adds(b, begun ? "</p>\n" : "the same</p>\n");
}

static void bar(struct buf *b, const char *class, double x, double width, double top, double height)
{
	buf_addf(b,
		 "<rect class=\"%s\" x=\"%.3f%%\" width=\"%.3f%%\" y=\"%.1f\" height=\"%.1f\"/>\n",
		 class, x, width, top, height);
}

/* Converted upwards, failed downwards from one line, the oldest on the left. The table below says
 * the same in numbers. */
static void night_bars(const struct report *r, struct buf *b)
{
	const double top = 60, bottom = 30;
	int64_t most = 1;
	double width = 100.0 / REPORT_NIGHTS;

	for (int i = 0; i < r->n_nights; i++) {
		most = r->nights[i].converted > most ? r->nights[i].converted : most;
		most = r->nights[i].failed * 2 > most ? r->nights[i].failed * 2 : most;
	}
	buf_addf(b, "<svg class=\"nights\" height=\"%.0f\" aria-hidden=\"true\">\n",
		 top + bottom + 1);
	for (int i = 0; i < r->n_nights; i++) {
		const struct night_row *n = &r->nights[i];
		double x = width * (REPORT_NIGHTS - 1 - i);
		double up = top * (double)n->converted / (double)most;
		double down = top * (double)n->failed / (double)most;

		bar(b, "done", x + width * .15, width * .7, top - up, up);
		bar(b, "failed", x + width * .15, width * .7, top + 1, down);
	}
	buf_addf(b, "<line x1=\"0\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/>\n</svg>\n", top + .5,
		 top + .5);
}

static void night_row(const struct night_row *n, bool this_one, struct arena *a, struct buf *b)
{
	buf_addf(b,
		 "<tr><th scope=\"row\">%s%s</th><td class=\"n\">%s</td><td class=\"n\">%lld</td>"
		 "<td class=\"n\">%lld</td><td class=\"n\">%lld</td><td class=\"n\">%lld</td>"
		 "<td class=\"n\">%lld</td></tr>\n",
		 show_time(a, n->started_ms), this_one ? " (this one)" : "",
		 n->ended_ms ? page_duration(a, n->ended_ms - n->started_ms) : "",
		 (long long)n->points, (long long)n->converted, (long long)n->uploaded,
		 (long long)n->retried, (long long)n->failed);
}

void page_nights(const struct report *r, struct arena *a, struct buf *b)
{
	if (r->n_nights < 2)
		return;
	page_section(b, "runs", "Earlier runs");
	comparison(r, a, b);
	night_bars(r, b);
	page_table(b, "list", "Earlier runs, newest first");
	buf_adds(b,
		 "<thead><tr><th scope=\"col\">started</th><th scope=\"col\" class=\"n\">took</th>"
		 "<th scope=\"col\" class=\"n\">points</th><th scope=\"col\" class=\"n\">converted"
		 "</th><th scope=\"col\" class=\"n\">published</th><th scope=\"col\" "
		 "class=\"n\">retried</th><th scope=\"col\" class=\"n\">failed</th></tr></thead>\n"
		 "<tbody>\n");
	for (int i = 0; i < r->n_nights; i++)
		night_row(&r->nights[i], i == 0, a, b);
	page_table_end(b);
	page_section_end(b);
}

/* ---- all jobs */

static void job_row(const struct report *r, const struct report_job *j, struct arena *a,
		    struct buf *b)
{
	const char *state = job_state_name(j->state);

	buf_addf(b, "<tr id=\"j%lld\"><th scope=\"row\" class=\"n\">", (long long)j->id);
	page_job_anchor(b, j);
	buf_addf(b, "%lld</a></th><td>", (long long)j->id);
	page_text(b, r->models.v[j->model]);
	buf_adds(b, "</td><td>");
	page_text(b, r->variants.v[j->variant]);
	buf_addf(b,
		 "</td><td><span class=\"state s-%s\">%s</span></td><td class=\"n\">%s</td>"
		 "<td class=\"n\">%s</td><td class=\"wide\">",
		 state, state, j->took_ms ? page_duration(a, j->took_ms) : "",
		 j->artifact_bytes ? page_size(a, j->artifact_bytes) : "");
	page_text(b, j->message);
	buf_adds(b, "</td></tr>\n");
}

/* Without the script there is no filter, and a page of all rows of a large matrix is slow. */
static void rows(const struct report *r, struct buf *b)
{
	struct arena *scratch = arena_new();
	size_t listed = 0;

	for (int done = 0; done <= 1; done++) {
		for (size_t i = 0; i < r->n_jobs && listed < PAGE_LISTED; i++) {
			bool is_done = r->jobs[i].state == JOB_DONE;

			if (r->n_jobs <= PAGE_LISTED ? done : is_done != (bool)done)
				continue;
			arena_reset(scratch);
			job_row(r, &r->jobs[i], scratch, b);
			listed++;
		}
	}
	arena_free(scratch);
}

void page_jobs(const struct report *r, struct arena *a, struct buf *b)
{
	(void)a;
	page_section(b, "jobs", "All jobs");
	if ((int64_t)r->n_jobs < r->total)
		buf_addf(b, "<p>the first %zu of %lld; quern status --all lists the others</p>\n",
			 r->n_jobs, (long long)r->total);
	/* The script takes `hidden` away. */
	buf_adds(b,
		 "<form id=\"filter\" hidden><label>filter <input type=\"search\" id=\"words\" "
		 "placeholder=\"model, variant, cause ...\"></label> <label>state "
		 "<select id=\"state\"><option value=\"\">any</option></select></label></form>\n");
	buf_addf(b, "<p id=\"shown\" class=\"soft\" role=\"status\">");
	if (r->n_jobs > PAGE_LISTED)
		buf_addf(b, "%d of %zu jobs, those that are not done first", PAGE_LISTED,
			 r->n_jobs);
	buf_adds(b, "</p>\n");
	page_table(b, "list", "All jobs");
	buf_adds(b, "<thead><tr><th scope=\"col\" class=\"n\">job</th><th scope=\"col\">model</th>"
		    "<th scope=\"col\">variant</th><th scope=\"col\">state</th><th scope=\"col\" "
		    "class=\"n\">took</th><th scope=\"col\" class=\"n\">size</th><th scope=\"col\" "
		    "class=\"wide\">message</th></tr></thead>\n<tbody id=\"rows\">\n");
	rows(r, b);
	page_table_end(b);
	buf_adds(b, "<p><button type=\"button\" id=\"more\" hidden>more</button></p>\n");
	page_section_end(b);
}
