/* orchestrator/view/report_quality.c -- the part of the page that tells how far each file is from
 * its checkpoint, and which tensor lost the most. */
#include "core/mem.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define LISTED 300 /* jobs; all of them are in the details and in the JSON */

static void row(const struct report *r, const struct report_job *j, struct arena *a, struct buf *b)
{
	const struct quality_facts *q = j->quality;

	buf_adds(b, "<tr><th scope=\"row\">");
	page_job_link(b, r, j->id);
	buf_addf(b,
		 "</th><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td>",
		 page_size(a, j->artifact_bytes), quality_error_text(a, &q->all),
		 quality_snr_text(a, &q->all));
	if (q->n_worst) {
		page_text(b, q->worst[0].tensor);
		buf_addf(b, " %s", quality_error_text(a, &q->worst[0]));
	}
	buf_adds(b, "</td></tr>\n");
}

static void table(const struct report *r, struct buf *b)
{
	struct arena *scratch = arena_new();
	size_t listed = 0;

	page_table(b, "list", "Error of each file");
	buf_adds(b,
		 "<thead><tr><th scope=\"col\">job</th><th scope=\"col\" class=\"n\">size</th>"
		 "<th scope=\"col\" class=\"n\">error</th><th scope=\"col\" class=\"n\">signal to "
		 "noise</th><th scope=\"col\">worst tensor</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < r->n_jobs && listed < LISTED; i++) {
		if (!r->jobs[i].quality)
			continue;
		arena_reset(scratch);
		row(r, &r->jobs[i], scratch, b);
		listed++;
	}
	page_table_end(b);
	arena_free(scratch);
}

void page_quality(const struct report *r, struct arena *a, struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_jobs; i++)
		n += r->jobs[i].quality != NULL;
	if (!n)
		return;
	page_section(b, "quality", "Size against quality");
	buf_adds(b, "<p>Signal to noise of the weights as each worker measured it: higher is "
		    "better, and "
		    "further left is smaller. The line joins the files that no other file beats in "
		    "both.</p>\n");
	page_scatter(r, a, b);
	buf_addf(b, "<details><summary>all %zu measured files</summary>\n", n);
	if (n > LISTED)
		buf_addf(b, "<p>the first %d; quern report --json has all</p>\n", LISTED);
	table(r, b);
	buf_adds(b, "</details>\n");
	page_section_end(b);
}
