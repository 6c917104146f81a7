/* orchestrator/view/report_grid.c -- the matrix as a grid, a cell a job. A cell says its state as a
 * word, which the style shows as a sign and a colour. */
#include <string.h>

#include "core/mem.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define FLAT_COLUMNS 5	/* with more of them their names stand upright */
#define HUGE_CELLS 2000 /* a browser leaves such a grid aside until it comes into sight */
#define TURN_COLUMNS 60 /* a grid with more columns is turned when it has fewer rows than that */

/* What stands in rows and what in columns. */
struct grid {
	const struct report *r;
	const struct report_job **cells; /* row after row */
	size_t rows, columns;
	bool turned; /* variants are rows */
};

static size_t row_of(const struct grid *g, const struct report_job *j)
{
	return g->turned ? j->variant : j->model;
}

static size_t column_of(const struct grid *g, const struct report_job *j)
{
	return g->turned ? j->model : j->variant;
}

static void fill(struct grid *g, struct arena *a)
{
	g->cells = arena_array(a, g->rows * g->columns, sizeof(*g->cells));
	for (size_t i = 0; i < g->rows * g->columns; i++)
		g->cells[i] = NULL;
	for (size_t i = 0; i < g->r->n_jobs; i++) { /* of two under one name the newer one */
		const struct report_job *j = &g->r->jobs[i];

		g->cells[row_of(g, j) * g->columns + column_of(g, j)] = j;
	}
}

/* ---- names of columns */

static void column_name(const struct grid *g, size_t c, struct buf *b)
{
	buf_adds(b, "<th scope=\"col\"><span>");
	page_text(b, g->turned ? g->r->models.v[c] : g->r->columns[c].name);
	buf_adds(b, "</span></th>");
}

/* Neighbours of one group under one name; nothing when there is one group in all. */
static void groups(const struct grid *g, struct buf *b)
{
	const struct report_column *all = g->r->columns;
	size_t end;

	if (g->turned)
		return;
	for (end = 1; end < g->columns && strcmp(all[end].group, all[0].group) == 0; end++)
		;
	if (end == g->columns)
		return;
	buf_adds(b, "<tr class=\"groups\"><td></td>");
	for (size_t c = 0; c < g->columns; c = end) {
		for (end = c + 1; end < g->columns && strcmp(all[end].group, all[c].group) == 0;
		     end++)
			;
		buf_addf(b, "<th scope=\"colgroup\" colspan=\"%zu\">", end - c);
		page_text(b, all[c].group);
		buf_adds(b, "</th>");
	}
	buf_adds(b, "</tr>\n");
}

/* ---- cells */

static void cell(const struct report_job *j, struct buf *b)
{
	const char *state = job_state_name(j->state);

	buf_addf(b, "<td class=\"s-%s\">", state);
	page_job_anchor(b, j);
	buf_addf(b, "%s</a></td>", state);
}

static void row(const struct grid *g, size_t n, struct buf *b)
{
	buf_adds(b, "<tr><th scope=\"row\">");
	page_text(b, g->turned ? g->r->variants.v[n] : g->r->models.v[n]);
	buf_adds(b, "</th>");
	for (size_t c = 0; c < g->columns; c++) {
		if (g->cells[n * g->columns + c])
			cell(g->cells[n * g->columns + c], b);
		else
			buf_adds(b, "<td></td>");
	}
	buf_adds(b, "</tr>\n");
}

static void legend(const struct report *r, struct buf *b)
{
	buf_adds(b, "<ul class=\"legend\">");
	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		if (r->counts[i])
			buf_addf(b, "<li><span class=\"s-%s\"><i></i></span>%s</li>",
				 job_state_name((enum job_state)i),
				 job_state_name((enum job_state)i));
	}
	buf_adds(b, "</ul>\n");
}

void page_grid(const struct report *r, struct arena *a, struct buf *b)
{
	struct grid g = { .r = r, .rows = r->models.n, .columns = r->variants.n };

	if (!r->n_jobs)
		return;
	page_section(b, "matrix", "The matrix");
	if (g.rows > REPORT_CELLS_MAX / g.columns) {
		buf_addf(b,
			 "<p>%zu models by %zu variants are too many to draw; the list of jobs has "
			 "them</p>\n",
			 g.rows, g.columns);
		page_section_end(b);
		return;
	}
	g.turned = g.columns > TURN_COLUMNS && g.rows < TURN_COLUMNS;
	if (g.turned) {
		g.rows = r->variants.n;
		g.columns = r->models.n;
	}
	fill(&g, a);
	legend(r, b);
	page_table(b,
		   arena_printf(a, "grid%s%s", g.columns > FLAT_COLUMNS ? " upright" : "",
				g.rows * g.columns > HUGE_CELLS ? PAGE_HUGE : ""),
		   g.turned ? "State of each variant by model" : "State of each model by variant");
	buf_adds(b, "<thead>");
	groups(&g, b);
	buf_addf(b, "<tr><th scope=\"col\">%s</th>", g.turned ? "variant" : "model");
	for (size_t c = 0; c < g.columns; c++)
		column_name(&g, c, b);
	buf_adds(b, "</tr></thead>\n<tbody>\n");
	for (size_t n = 0; n < g.rows; n++)
		row(&g, n, b);
	page_table_end(b);
	page_section_end(b);
}
