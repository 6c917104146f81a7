/* orchestrator/view/report_quality.c -- the part of the page that tells how far each file is from
 * its checkpoint, and which tensors lost the most. */
#include "core/mem.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define DRAWN 1000 /* jobs; each brings QUALITY_WORST rows */

static void cells(struct buf *b, struct arena *a, const struct quality_row *r)
{
	buf_addf(b, "<td class=\"n\">%s</td><td class=\"n\">%s</td>", quality_error_text(a, r),
		 quality_snr_text(a, r));
}

static void worst_tensors(struct buf *b, struct arena *a, const struct quality_facts *q)
{
	if (!q->n_worst) {
		buf_adds(b, "<td></td>");
		return;
	}
	buf_adds(b, "<td><details><summary>");
	page_text(b, q->worst[0].tensor);
	buf_addf(b,
		 " %s</summary><table>\n<thead><tr><th scope=\"col\">tensor</th>"
		 "<th scope=\"col\">type</th><th scope=\"col\" class=\"n\">error</th>"
		 "<th scope=\"col\" class=\"n\">signal to noise</th></tr></thead>\n<tbody>\n",
		 quality_error_text(a, &q->worst[0]));
	for (size_t i = 0; i < q->n_worst; i++) {
		buf_adds(b, "<tr><td>");
		page_text(b, q->worst[i].tensor);
		buf_adds(b, "</td><td>");
		page_text(b, q->worst[i].type);
		buf_adds(b, "</td>");
		cells(b, a, &q->worst[i]);
		buf_adds(b, "</tr>\n");
	}
	buf_addf(b, "</tbody></table>%zu of %zu tensors</details></td>", q->n_worst, q->n_tensors);
}

void page_quality(const struct report *r, struct buf *b)
{
	struct arena *scratch = arena_new();
	size_t drawn = 0, n = 0;

	for (size_t i = 0; i < r->n_jobs; i++)
		n += r->jobs[i].quality != NULL;
	if (n)
		buf_adds(b, "<section>\n<h2>Quality</h2>\n<p>Root mean square error relative to "
			    "the weights, as each worker measured it.</p>\n");
	if (n > DRAWN)
		buf_addf(b, "<p>the first %d of %zu; quern report --json has all</p>\n", DRAWN, n);
	if (n)
		buf_adds(b, "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">job</th>"
			    "<th scope=\"col\" class=\"n\">error</th><th scope=\"col\" class=\"n\">"
			    "signal to noise</th><th scope=\"col\">worst tensor</th></tr></thead>\n"
			    "<tbody>\n");
	for (size_t i = 0; i < r->n_jobs && drawn < DRAWN; i++) {
		const struct report_job *j = &r->jobs[i];

		if (!j->quality)
			continue;
		arena_reset(scratch);
		buf_adds(b, "<tr><td>");
		page_job_link(b, r, j->id);
		buf_adds(b, "</td>");
		cells(b, scratch, &j->quality->all);
		worst_tensors(b, scratch, j->quality);
		buf_adds(b, "</tr>\n");
		drawn++;
	}
	if (n)
		buf_adds(b, "</tbody></table></div>\n</section>\n");
	arena_free(scratch);
}
