#include <time.h>

#include "core/units.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define LANE 16 /* px */
#define AXIS 20
#define DRAWN_MAX 4000 /* more attempts than pixels: the shortest would not be seen */
#define TICKS_MAX 4    /* on a phone, too, their times do not touch */

struct scale {
	int64_t from_ms, span_ms;
};

static double percent(const struct scale *s, int64_t at_ms)
{
	return 100.0 * (double)(at_ms - s->from_ms) / (double)s->span_ms;
}

static struct scale scale_of(const struct report *r)
{
	struct scale s = { .from_ms = r->spans[0].started_ms };
	int64_t to = s.from_ms + 1;

	for (size_t i = 0; i < r->n_spans; i++)
		to = r->spans[i].ended_ms > to ? r->spans[i].ended_ms : to;
	s.span_ms = to - s.from_ms;
	return s;
}

/* The step that gives at most TICKS_MAX of them. */
static int64_t tick_step(int64_t span_ms)
{
	static const int64_t seconds[] = { 1,	2,   5,	   10,	 15,   30,    60,    120,   300,
					   600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400 };
	size_t i = 0;

	while (i + 1 < sizeof(seconds) / sizeof(seconds[0]) &&
	       span_ms / (seconds[i] * 1000) > TICKS_MAX)
		i++;
	return seconds[i] * 1000;
}

static void ticks(const struct scale *s, int height, struct buf *b)
{
	int64_t step = tick_step(s->span_ms);

	for (int64_t t = (s->from_ms / step + 1) * step; t < s->from_ms + s->span_ms; t += step) {
		time_t seconds = (time_t)(t / 1000);
		struct tm local;
		char text[16];
		double x = percent(s, t);

		localtime_r(&seconds, &local);
		(void)strftime(text, sizeof(text), step < 60000 ? "%H:%M:%S" : "%H:%M", &local);
		buf_addf(b, "<line x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"0\" y2=\"%d\"/>", x, x, height);
		if (x < 94)
			buf_addf(b, "<text x=\"%.2f%%\" y=\"%d\" dx=\"3\">%s</text>\n", x,
				 height + AXIS - 6, text);
	}
}

static size_t bars(const struct report *r, const struct scale *s, struct buf *b)
{
	/* What is narrower than a tenth of a pixel of a wide screen only counts when all fit. */
	int64_t least = r->n_spans > DRAWN_MAX ? s->span_ms / DRAWN_MAX : 0;
	size_t left_out = 0;

	for (size_t i = 0; i < r->n_spans; i++) {
		const struct report_span *p = &r->spans[i];
		int64_t took = p->ended_ms - p->started_ms;
		double width = 100.0 * (double)took / (double)s->span_ms;
		char text[32];

		if (took < least && !p->failed) {
			left_out++;
			continue;
		}
		units_format_duration(took, text, sizeof(text));
		buf_addf(b,
			 "<rect class=\"%s\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"%d\" "
			 "rx=\"2\"><title>%lld ",
			 p->failed ? "bad" : "ok", percent(s, p->started_ms), p->lane * LANE + 2,
			 width > 0.15 ? width : 0.15, LANE - 4, (long long)p->job_id);
		page_text(b, p->label);
		buf_addf(b, ", %s%s</title></rect>\n", text, p->failed ? ", failed" : "");
	}
	return left_out;
}

void page_timeline(const struct report *r, struct arena *a, struct buf *b)
{
	int height = r->lanes * LANE;
	struct scale s;
	size_t left_out;

	(void)a;
	if (!r->n_spans)
		return;
	s = scale_of(r);
	buf_addf(b,
		 "<section>\n<h2>The night</h2>\n<svg role=\"img\" height=\"%d\" "
		 "aria-label=\"%zu attempts in %d lanes over time\">\n",
		 height + AXIS, r->n_spans, r->lanes);
	ticks(&s, height, b);
	left_out = bars(r, &s, b);
	buf_adds(b, "</svg>\n");
	if (left_out)
		buf_addf(b, "<p class=\"soft\">%zu short attempts are not drawn</p>\n", left_out);
	buf_adds(b, "</section>\n");
}
