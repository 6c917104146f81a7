/* orchestrator/view/report_scatter.c -- size against quality, one drawing a model: across the bytes
 * of the files on a logarithmic scale, upwards the signal to noise ratio in dB. What lost nothing
 * has no ratio and stands above all others. The Pareto front (no other file is both smaller and
 * better) is joined by a line and labelled first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define DRAWN_MODELS 24
#define SNR_MAX 1000.0	 /* dB: a stranger's number; float32 has 150 */
#define DRAWN_POINTS 200 /* of a model; more are not told apart */

/* In units of the drawing, which is scaled to the page. */
#define WIDTH 420.0
#define HEIGHT 270.0
#define LEFT 44.0
#define RIGHT 404.0
#define TOP 14.0
#define BOTTOM 236.0
#define DIGIT 5.6 /* width of a character of a label, measured in DejaVu Sans at 10 units */
#define LABEL_HEIGHT 11.0

struct point {
	const struct report_job *job;
	const char *label;
	double x, y;
	bool exact, front;
};

struct box {
	double x0, y0, x1, y1;
};

struct drawing {
	struct point p[DRAWN_POINTS];
	size_t n;
	double size_min, size_max; /* of the axes, as drawn */
	double snr_min, snr_max;
	bool any_exact, any_lossy;
	struct box taken[DRAWN_POINTS * 2];
	size_t n_taken;
};

/* ---- which points */

static int by_size(const void *x, const void *y)
{
	const struct report_job *a = ((const struct point *)x)->job;
	const struct report_job *b = ((const struct point *)y)->job;

	if (a->artifact_bytes != b->artifact_bytes)
		return a->artifact_bytes < b->artifact_bytes ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

static bool better(const struct point *a, const struct point *b)
{
	return !b->exact && (a->exact || a->job->quality->all.snr_db > b->job->quality->all.snr_db);
}

static void find_front(struct drawing *d)
{
	const struct point *best = NULL;

	qsort(d->p, d->n, sizeof(d->p[0]), by_size);
	for (size_t i = 0; i < d->n; i++) {
		bool tie = i + 1 < d->n &&
			   d->p[i + 1].job->artifact_bytes == d->p[i].job->artifact_bytes &&
			   better(&d->p[i + 1], &d->p[i]);

		d->p[i].front = !tie && (!best || better(&d->p[i], best));
		if (d->p[i].front)
			best = &d->p[i];
	}
}

static bool drawable(const struct report_job *j)
{
	return j->quality && j->artifact_bytes > 0 &&
	       (j->quality->all.relative == 0 || fabs(j->quality->all.snr_db) < SNR_MAX);
}

static void collect(const struct report *r, size_t model, struct drawing *d)
{
	memset(d, 0, sizeof(*d));
	for (size_t i = 0; i < r->n_jobs && d->n < DRAWN_POINTS; i++) {
		const struct report_job *j = &r->jobs[i];

		if (j->model != model || !drawable(j))
			continue;
		d->p[d->n++] = (struct point){ .job = j,
					       .label = r->columns[j->variant].name,
					       .exact = j->quality->all.relative == 0 };
	}
	find_front(d);
}

/* ---- axes */

/* 1, 2 or 5 times a power of ten, so that at most `most` steps fit span. */
static double nice_step(double span, int most)
{
	double step = pow(10, floor(log10(span / most)));

	if (step * most >= span)
		return step;
	if (step * 2 * most >= span)
		return step * 2;
	return step * 5 * most >= span ? step * 5 : step * 10;
}

static void scale(struct drawing *d)
{
	double lo = INFINITY, hi = -INFINITY, step;

	for (size_t i = 0; i < d->n; i++) {
		double snr = d->p[i].job->quality->all.snr_db;

		if (d->p[i].exact) {
			d->any_exact = true;
			continue;
		}
		d->any_lossy = true;
		lo = fmin(lo, snr);
		hi = fmax(hi, snr);
	}
	if (!d->any_lossy)
		lo = hi = 0;
	step = nice_step(fmax(hi - lo, 1), 5);
	d->snr_min = floor(lo / step - .1) * step;
	d->snr_max = ceil(hi / step + .1) * step;
	d->size_min = (double)d->p[0].job->artifact_bytes / 1.12;
	d->size_max = (double)d->p[d->n - 1].job->artifact_bytes * 1.12;
}

static double x_of(const struct drawing *d, double bytes)
{
	return LEFT + (RIGHT - LEFT) * log(bytes / d->size_min) / log(d->size_max / d->size_min);
}

static double y_of(const struct drawing *d, double snr)
{
	double top = d->any_exact ? TOP + 26 : TOP;

	return BOTTOM - (BOTTOM - top) * (snr - d->snr_min) / (d->snr_max - d->snr_min);
}

static void place(struct drawing *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct point *p = &d->p[i];

		p->x = x_of(d, (double)p->job->artifact_bytes);
		p->y = p->exact ? TOP + 8 : y_of(d, p->job->quality->all.snr_db);
		d->taken[d->n_taken++] = (struct box){ p->x - 4, p->y - 4, p->x + 4, p->y + 4 };
	}
}

static void axis_up(const struct drawing *d, struct buf *b)
{
	double step = nice_step(d->snr_max - d->snr_min, 6);

	for (int i = 0; d->any_lossy && d->snr_min + i * step <= d->snr_max + step / 2; i++) {
		double v = d->snr_min + i * step, y = y_of(d, v);

		buf_addf(b,
			 "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.0f\" "
			 "y=\"%.1f\" class=\"end\">%g</text>\n",
			 LEFT, RIGHT, y, y, LEFT - 5, y + 3.5, v);
	}
	if (d->any_exact)
		buf_addf(b,
			 "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.0f\" "
			 "y=\"%.1f\" class=\"end\">exact</text>\n",
			 LEFT, RIGHT, TOP + 8, TOP + 8, LEFT - 5, TOP + 11.5);
}

/* Powers of two; three quarters of them as well where there are few. */
static void axis_across(const struct drawing *d, struct arena *a, struct buf *b)
{
	double doublings = log2(d->size_max / d->size_min);
	int first = (int)floor(log2(d->size_min)), last = (int)floor(log2(d->size_max));

	for (int i = 0; i <= 2 * (last - first) + 1; i++) {
		double power = ldexp(1, first + i / 2);
		double at = i % 2 ? power * 1.5 : power, x = x_of(d, at);
		bool left_out = i % 2 ? doublings > 2.5 : doublings > 5 && i % 4 == 2;

		if (left_out || at < d->size_min || at > d->size_max || x > RIGHT - 8)
			continue;
		buf_addf(b,
			 "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/><text x=\"%.1f\" "
			 "y=\"%.0f\" class=\"mid\">%s</text>\n",
			 x, x, TOP, BOTTOM + 4, x, BOTTOM + 17, page_size(a, (int64_t)at));
	}
	buf_addf(b,
		 "<text x=\"%.0f\" y=\"%.0f\" class=\"end\">size of the file</text>"
		 "<text x=\"4\" y=\"%.0f\">dB</text>\n",
		 RIGHT, BOTTOM + 31, BOTTOM + 17);
}

/* ---- points and labels */

static bool is_free(const struct drawing *d, const struct box *q)
{
	if (q->x0 < LEFT || q->x1 > WIDTH || q->y0 < 1 || q->y1 > BOTTOM)
		return false;
	for (size_t i = 0; i < d->n_taken; i++) {
		const struct box *t = &d->taken[i];

		if (q->x0 < t->x1 && t->x0 < q->x1 && q->y0 < t->y1 && t->y0 < q->y1)
			return false;
	}
	return true;
}

/* Beside, above or below its point, where nothing else stands; else not at all: the table and the
 * text alternative have it. */
static void label(struct drawing *d, const struct point *p, struct buf *b)
{
	double w = DIGIT * (double)strlen(p->label);
	const struct {
		double dx, dy;
	} sides[] = { { 6, -LABEL_HEIGHT / 2 },	     { -6 - w, -LABEL_HEIGHT / 2 },
		      { -w / 2, -LABEL_HEIGHT - 5 }, { -w / 2, 5 },
		      { 5, -LABEL_HEIGHT - 3 },	     { 5, 3 },
		      { -5 - w, -LABEL_HEIGHT - 3 }, { -5 - w, 3 } };

	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		struct box q = { p->x + sides[i].dx, p->y + sides[i].dy, p->x + sides[i].dx + w,
				 p->y + sides[i].dy + LABEL_HEIGHT };

		if (!is_free(d, &q))
			continue;
		d->taken[d->n_taken++] = q;
		buf_addf(b, "<text x=\"%.1f\" y=\"%.1f\" class=\"name\">", q.x0,
			 q.y0 + LABEL_HEIGHT - 2.5);
		page_text(b, p->label);
		buf_adds(b, "</text>\n");
		return;
	}
}

static void points(struct drawing *d, struct arena *a, struct buf *b)
{
	bool begun = false;

	buf_adds(b, "<polyline points=\"");
	for (size_t i = 0; i < d->n; i++) {
		if (d->p[i].front) {
			buf_addf(b, "%s%.1f,%.1f", begun ? " " : "", d->p[i].x, d->p[i].y);
			begun = true;
		}
	}
	buf_adds(b, "\"/>\n");
	for (size_t i = 0; i < d->n; i++) {
		const struct point *p = &d->p[i];

		buf_addf(b,
			 "<circle class=\"%s\" data-j=\"%lld\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\">"
			 "<title>",
			 p->front ? "front" : "other", (long long)p->job->id, p->x, p->y);
		page_text(b, p->label);
		buf_addf(b, ": %s, %s</title></circle>\n", page_size(a, p->job->artifact_bytes),
			 quality_snr_text(a, &p->job->quality->all));
	}
	for (int front = 1; front >= 0; front--) {
		for (size_t i = 0; i < d->n; i++) {
			if (d->p[i].front == (front == 1))
				label(d, &d->p[i], b);
		}
	}
}

/* What the drawing shows, for who does not see it. */
static void alternative(const struct drawing *d, const char *model, struct arena *a, struct buf *b)
{
	bool begun = false;

	page_text(b, model);
	buf_addf(b, ": %zu file%s by size and signal to noise. Best for their size: ", d->n,
		 d->n == 1 ? "" : "s");
	for (size_t i = 0; i < d->n; i++) {
		if (!d->p[i].front)
			continue;
		buf_adds(b, begun ? "; " : "");
		page_text(b, d->p[i].label);
		buf_addf(b, " %s %s", page_size(a, d->p[i].job->artifact_bytes),
			 quality_snr_text(a, &d->p[i].job->quality->all));
		begun = true;
	}
}

static void draw(const struct report *r, size_t model, struct drawing *d, struct arena *a,
		 struct buf *b)
{
	scale(d);
	place(d);
	buf_adds(b, "<figure><figcaption>");
	page_text(b, r->models.v[model]);
	buf_addf(b,
		 "</figcaption>\n<svg class=\"scatter\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
		 "aria-label=\"",
		 WIDTH, HEIGHT);
	alternative(d, r->models.v[model], a, b);
	buf_adds(b, "\">\n<g aria-hidden=\"true\">\n");
	axis_up(d, b);
	axis_across(d, a, b);
	buf_adds(b, "</g>\n");
	points(d, a, b);
	buf_adds(b, "</svg></figure>\n");
}

void page_scatter(const struct report *r, struct arena *a, struct buf *b)
{
	struct drawing *d = mem_alloc(sizeof(*d));
	size_t drawn = 0, left_out = 0;

	(void)a;
	buf_adds(b, "<div class=\"figures\">\n");
	for (size_t m = 0; m < r->models.n; m++) {
		struct arena *scratch;

		collect(r, m, d);
		if (d->n < 2)
			continue;
		if (drawn == DRAWN_MODELS) {
			left_out++;
			continue;
		}
		scratch = arena_new();
		draw(r, m, d, scratch, b);
		arena_free(scratch);
		drawn++;
	}
	buf_adds(b, "</div>\n");
	if (left_out)
		buf_addf(b, "<p class=\"soft\">%zu models more are not drawn</p>\n", left_out);
	free(d);
}
