/* orchestrator/view/report_measured.c -- what of the report tells how fast the night's artifacts
 * run, and what was wrong with what they say. */
#include <string.h>

#include "core/mem.h"
#include "orchestrator/view/measured.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define WARNINGS_NAMED 20
#define DRAWN 500

static const char *label_of(const struct report *r, int64_t job_id)
{
	for (size_t i = 0; i < r->n_jobs; i++)
		if (r->jobs[i].id == job_id)
			return r->jobs[i].label;
	return "?";
}

struct tally {
	int done, failed;
	size_t warnings;
};

static struct tally count(const struct report *r, struct arena *a)
{
	struct tally t = { 0 };
	struct measure_result m;

	for (int i = 0; i < r->n_measured; i++) {
		t.failed += strcmp(r->measured[i].state, "done") != 0;
		if (!measured_read(a, &r->measured[i], &m))
			continue;
		t.done++;
		for (size_t k = 0; k < m.n_warnings; k++)
			t.warnings += strcmp(m.warnings[k].kind, MEASURE_WARN_TARGET) != 0;
	}
	return t;
}

/* Warnings about the artifact; those about the target are in `quern show`. */
static void add_warnings(const struct report *r, struct arena *a, struct buf *b)
{
	struct measure_result m;
	int named = 0;

	for (int i = 0; i < r->n_measured; i++) {
		if (!measured_read(a, &r->measured[i], &m))
			continue;
		for (size_t k = 0; k < m.n_warnings && named < WARNINGS_NAMED; k++) {
			if (strcmp(m.warnings[k].kind, MEASURE_WARN_TARGET) == 0)
				continue;
			buf_addf(b, "%s: %s: %s\n", label_of(r, r->measured[i].job_id),
				 m.warnings[k].kind, m.warnings[k].text);
			named++;
		}
	}
}

void report_measured_text(const struct report *r, struct buf *b)
{
	struct arena *a = arena_new();
	struct tally t = count(r, a);

	if (r->n_measured) {
		buf_addf(b, "measured where it runs: %d", t.done);
		if (t.failed)
			buf_addf(b, ", %d not", t.failed);
		if (t.warnings)
			buf_addf(b, ", %zu warning%s", t.warnings, t.warnings == 1 ? "" : "s");
		buf_addc(b, '\n');
		add_warnings(r, a, b);
	}
	arena_free(a);
}

void report_measured_json(const struct report *r, struct json_out *w)
{
	struct arena *a = arena_new();

	jw_karray(w, "measurements");
	for (int i = 0; i < r->n_measured; i++)
		measured_json(w, a, &r->measured[i]);
	jw_end_array(w);
	arena_free(a);
}

/* ---- the page */

static void number_cell(struct buf *b, const struct measure_stat *s)
{
	if (s->n)
		buf_addf(b, "<td class=\"n\">%.4g</td>", s->median);
	else
		buf_adds(b, "<td class=\"n\">?</td>");
}

static void page_row(const struct report *r, const struct measurement_row *row, struct arena *a,
		     struct buf *b)
{
	const struct measure_row *main;
	struct measure_result m;

	buf_adds(b, "<tr><td>");
	page_job_link(b, r, row->job_id);
	buf_adds(b, "</td><td>");
	page_text(b, row->stage);
	buf_adds(b, "</td>");
	if (!measured_read(a, row, &m)) {
		buf_adds(b, "<td></td><td></td><td></td><td>");
		page_text(b, row->message);
		buf_adds(b, "</td></tr>\n");
		return;
	}
	main = measure_main_row(&m);
	if (main) {
		number_cell(b, &main->ttft_ms);
		number_cell(b, &main->prompt_per_s);
		number_cell(b, &main->generate_per_s);
	} else {
		buf_adds(b, "<td></td><td></td><td></td>");
	}
	buf_adds(b, "<td>");
	for (size_t i = 0; i < m.n_warnings; i++) {
		buf_adds(b, i ? "<br>" : "");
		page_text(b, m.warnings[i].text);
	}
	buf_adds(b, "</td></tr>\n");
}

void page_measured(const struct report *r, struct buf *b)
{
	struct arena *scratch;

	if (!r->n_measured)
		return;
	page_section(b, "measured", "Where it runs");
	buf_adds(b, "<p>Medians of the first prompt; quern show has all.</p>\n");
	page_table(b, "measured", "speed where it runs");
	buf_adds(b, "<thead><tr><th scope=\"col\">job"
		    "</th><th scope=\"col\">stage</th><th scope=\"col\" class=\"n\">first token, ms"
		    "</th><th scope=\"col\" class=\"n\">prompt tokens/s</th><th scope=\"col\" "
		    "class=\"n\">tokens/s</th><th scope=\"col\">warnings</th></tr></thead>\n"
		    "<tbody>\n");
	scratch = arena_new();
	for (int i = 0; i < r->n_measured && i < DRAWN; i++) {
		arena_reset(scratch);
		page_row(r, &r->measured[i], scratch, b);
	}
	arena_free(scratch);
	page_table_end(b);
	page_section_end(b);
}
