/* orchestrator/view/report_timeline.c -- the night over time: attempts in lanes, and below them, on
 * the same scale, what the run noted of slots, memory, disk and network. Drawings stretch to the
 * page, so that places across are per cent, or thousandths of a drawing of its own. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define LANE 14 /* px */
#define AXIS 20
#define CHART 56
#define DRAWN_SINGLY 1500 /* attempts; of more of them neighbours in a lane become one bar */
#define LANES_DRAWN 24
#define TICKS_MAX 4 /* on a phone, too, their times do not touch */

struct scale {
	int64_t from_ms, span_ms;
};

static double percent(const struct scale *s, int64_t at_ms)
{
	double p = 100.0 * (double)(at_ms - s->from_ms) / (double)s->span_ms;

	return p < 0 ? 0 : p > 100 ? 100 : p;
}

static struct scale scale_of(const struct report *r)
{
	int64_t from = r->run.started_ms, to = r->run.ended_ms ? r->run.ended_ms : from + 1;

	for (size_t i = 0; i < r->n_spans; i++) {
		from = r->spans[i].started_ms < from ? r->spans[i].started_ms : from;
		to = r->spans[i].ended_ms > to ? r->spans[i].ended_ms : to;
	}
	for (size_t i = 0; i < r->n_samples; i++)
		to = r->samples[i].at_ms > to ? r->samples[i].at_ms : to;
	return (struct scale){ from, to - from > 0 ? to - from : 1 };
}

/* ---- the axis */

/* The step that gives at most TICKS_MAX of them. */
static int64_t tick_step(int64_t span_ms)
{
	static const int64_t seconds[] = { 1,	2,   5,	   10,	 15,   30,    60,    120,   300,
					   600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400 };
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(seconds) && span_ms / (seconds[i] * 1000) > TICKS_MAX)
		i++;
	return seconds[i] * 1000;
}

static void ticks(const struct scale *s, int height, bool named, struct buf *b)
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
		if (named && x < 90)
			buf_addf(b, "<text x=\"%.2f%%\" y=\"%d\" dx=\"3\">%s</text>", x,
				 height + AXIS - 6, text);
	}
	buf_addc(b, '\n');
}

/* ---- attempts */

static void bar(const struct scale *s, const char *attributes, int lane, int64_t from, int64_t to,
		struct buf *b)
{
	double x = percent(s, from), width = percent(s, to) - x;

	buf_addf(b, "<rect %s x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"%d\" rx=\"2\">",
		 attributes, x, lane * LANE + 2, width > 0.15 ? width : 0.15, LANE - 4);
}

static void single_bars(const struct report *r, const struct scale *s, struct buf *b)
{
	for (size_t i = 0; i < r->n_spans; i++) {
		const struct report_span *p = &r->spans[i];
		char text[32], attributes[64];

		if (p->lane >= LANES_DRAWN)
			continue;
		units_format_duration(p->ended_ms - p->started_ms, text, sizeof(text));
		snprintf(attributes, sizeof(attributes), "class=\"%s\" data-j=\"%lld\"",
			 p->failed ? "failed" : "done", (long long)p->job_id);
		bar(s, attributes, p->lane, p->started_ms, p->ended_ms, b);
		buf_addf(b, "<title>%lld ", (long long)p->job_id);
		page_text(b, p->label);
		buf_addf(b, ", %s%s</title></rect>\n", text, p->failed ? ", failed" : "");
	}
}

/* What runs on in a lane with no gap that a wide screen would show is one bar; what failed stands
 * on top of it. */
static void joined_bars(const struct report *r, const struct scale *s, struct buf *b)
{
	int64_t gap = s->span_ms / 1200;
	int lanes = r->lanes < LANES_DRAWN ? r->lanes : LANES_DRAWN;
	int64_t last_failed = -1;

	for (int lane = 0; lane < lanes; lane++) {
		int64_t from = -1, to = -1;

		for (size_t i = 0; i < r->n_spans; i++) {
			const struct report_span *p = &r->spans[i];

			if (p->lane != lane)
				continue;
			if (from >= 0 && p->started_ms - to > gap) {
				bar(s, "class=\"done\"", lane, from, to, b);
				buf_adds(b, "</rect>\n");
				from = -1;
			}
			from = from < 0 ? p->started_ms : from;
			to = p->ended_ms > to ? p->ended_ms : to;
		}
		if (from >= 0) {
			bar(s, "class=\"done\"", lane, from, to, b);
			buf_adds(b, "</rect>\n");
		}
	}
	for (size_t i = 0; i < r->n_spans; i++) {
		const struct report_span *p = &r->spans[i];

		if (!p->failed || p->lane >= lanes || p->started_ms - last_failed < gap)
			continue;
		bar(s, "class=\"failed\"", p->lane, p->started_ms, p->ended_ms, b);
		buf_adds(b, "</rect>\n");
		last_failed = p->started_ms;
	}
}

static void attempts(const struct report *r, const struct scale *s, struct buf *b)
{
	int lanes = r->lanes < LANES_DRAWN ? r->lanes : LANES_DRAWN, height = lanes * LANE;
	size_t failed = 0;

	for (size_t i = 0; i < r->n_spans; i++)
		failed += r->spans[i].failed;
	buf_addf(
		b,
		"<figure class=\"line\"><figcaption>Attempts <span class=\"soft\">%zu, %zu of them "
		"failed, at most %d at once</span></figcaption>\n<svg role=\"img\" height=\"%d\" "
		"aria-label=\"%zu attempts in %d lanes over time, %zu failed\">\n",
		r->n_spans, failed, r->lanes, height + AXIS, r->n_spans, r->lanes, failed);
	ticks(s, height, true, b);
	if (r->n_spans > DRAWN_SINGLY)
		joined_bars(r, s, b);
	else
		single_bars(r, s, b);
	buf_adds(b, "</svg></figure>\n");
}

/* ---- what was noted on the way */

struct chart {
	const char *name, *words; /* "Memory", "at most 3.1 GiB of 16 GiB" */
	const double *v;	  /* one a sample; negative: not known */
	const double *over;	  /* a second line, or NULL */
	double top;
};

static void polyline(const struct report *r, const struct scale *s, const struct chart *c,
		     const double *v, const char *class, bool area, struct buf *b)
{
	double first = -1, last = 0;

	buf_addf(b, "<path class=\"%s\" d=\"", class);
	for (size_t i = 0; i < r->n_samples; i++) {
		double x = 10 * percent(s, r->samples[i].at_ms);
		double y = CHART - (CHART - 4) * (v[i] > c->top ? c->top : v[i]) / c->top;

		if (v[i] < 0)
			continue;
		buf_addf(b, "%s%.1f %.1f", first < 0 ? "M" : "L", x, y);
		first = first < 0 ? x : first;
		last = x;
	}
	if (area && first >= 0)
		buf_addf(b, "L%.1f %dL%.1f %dZ", last, CHART, first, CHART);
	buf_adds(b, "\"/>\n");
}

static void draw(const struct report *r, const struct scale *s, const struct chart *c,
		 struct buf *b)
{
	buf_addf(b,
		 "<figure class=\"line\"><figcaption>%s <span "
		 "class=\"soft\">%s</span></figcaption>\n"
		 "<svg role=\"img\" height=\"%d\" aria-label=\"%s over time: %s\">\n",
		 c->name, c->words, CHART, c->name, c->words);
	ticks(s, CHART, false, b);
	buf_addf(b,
		 "<svg viewBox=\"0 0 1000 %d\" preserveAspectRatio=\"none\" width=\"100%%\" "
		 "height=\"%d\">\n",
		 CHART, CHART);
	polyline(r, s, c, c->v, "area", true, b);
	polyline(r, s, c, c->v, "edge", false, b);
	if (c->over)
		polyline(r, s, c, c->over, "over", false, b);
	buf_adds(b, "</svg></svg></figure>\n");
}

static double most(const double *v, size_t n)
{
	double found = 0;

	for (size_t i = 0; i < n; i++)
		found = v[i] > found ? v[i] : found;
	return found;
}

static double least(const double *v, size_t n)
{
	double found = -1;

	for (size_t i = 0; i < n; i++)
		found = v[i] >= 0 && (found < 0 || v[i] < found) ? v[i] : found;
	return found;
}

static void slots(const struct report *r, const struct scale *s, struct arena *a, struct buf *b)
{
	double *v = arena_array(a, r->n_samples, sizeof(*v)), sum = 0, all = 0;
	struct chart c = { .name = "Slots", .v = v };

	for (size_t i = 0; i < r->n_samples; i++) {
		v[i] = r->samples[i].running;
		sum += r->samples[i].running;
		all += r->samples[i].slots;
		c.top = r->samples[i].slots > c.top ? r->samples[i].slots : c.top;
	}
	if (c.top <= 0)
		return;
	c.words = arena_printf(a, "%.0f, busy %.0f %% of the time", c.top, 100 * sum / all);
	draw(r, s, &c, b);
}

static void memory(const struct report *r, const struct scale *s, struct arena *a, struct buf *b)
{
	double *v = arena_array(a, r->n_samples, sizeof(*v));
	double *claimed = arena_array(a, r->n_samples, sizeof(*v));
	double *free_v = arena_array(a, r->n_samples, sizeof(*v));
	struct chart c = { .name = "Memory", .v = v, .over = claimed };

	for (size_t i = 0; i < r->n_samples; i++) {
		v[i] = (double)r->samples[i].memory_bytes;
		claimed[i] = (double)r->samples[i].claimed_bytes;
		free_v[i] = (double)r->samples[i].available_bytes;
	}
	c.top = most(v, r->n_samples) > most(claimed, r->n_samples) ? most(v, r->n_samples)
								    : most(claimed, r->n_samples);
	if (c.top <= 0)
		return;
	c.words =
		arena_printf(a,
			     "workers used %s at most; %s were set aside for them (the line); the "
			     "machine had %s left at least",
			     page_size(a, (int64_t)most(v, r->n_samples)),
			     page_size(a, (int64_t)most(claimed, r->n_samples)),
			     page_size(a, (int64_t)least(free_v, r->n_samples)));
	draw(r, s, &c, b);
}

static void disk(const struct report *r, const struct scale *s, struct arena *a, struct buf *b)
{
	double *v = arena_array(a, r->n_samples, sizeof(*v));
	double *cache = arena_array(a, r->n_samples, sizeof(*v));
	struct chart c = { .name = "Free disk", .v = v };
	const char *also = "";

	for (size_t i = 0; i < r->n_samples; i++) {
		v[i] = (double)r->samples[i].disk_free_bytes;
		cache[i] = (double)r->samples[i].cache_free_bytes;
	}
	c.top = most(v, r->n_samples);
	if (c.top <= 0)
		return;
	if (least(cache, r->n_samples) >= 0) {
		c.over = cache;
		c.top = most(cache, r->n_samples) > c.top ? most(cache, r->n_samples) : c.top;
		also = arena_printf(a, "; where the models are (the line) %s",
				    page_size(a, (int64_t)least(cache, r->n_samples)));
	}
	c.words = arena_printf(a, "%s at least%s", page_size(a, (int64_t)least(v, r->n_samples)),
			       also);
	draw(r, s, &c, b);
}

/* Bytes a second between two samples. */
static void network(const struct report *r, const struct scale *s, struct arena *a, struct buf *b)
{
	double *in = arena_array(a, r->n_samples, sizeof(*in));
	double *out = arena_array(a, r->n_samples, sizeof(*out));
	struct chart c = { .name = "Network", .v = in, .over = out };

	for (size_t i = 0; i < r->n_samples; i++) {
		const struct sample_row *now = &r->samples[i], *before = i ? now - 1 : now;
		double seconds = (double)(now->at_ms - before->at_ms) / 1000;

		in[i] = seconds > 0
				? (double)(now->received_bytes - before->received_bytes) / seconds
				: 0;
		out[i] = seconds > 0 ? (double)(now->sent_bytes - before->sent_bytes) / seconds : 0;
		in[i] = in[i] < 0 ? 0 : in[i]; /* a counter may begin anew */
		out[i] = out[i] < 0 ? 0 : out[i];
	}
	c.top = most(in, r->n_samples) > most(out, r->n_samples) ? most(in, r->n_samples)
								 : most(out, r->n_samples);
	if (c.top < 1)
		return;
	c.words = arena_printf(a, "the machine received %s, sent %s (the line); peak %s/s",
			       page_size(a, r->samples[r->n_samples - 1].received_bytes),
			       page_size(a, r->samples[r->n_samples - 1].sent_bytes),
			       page_size(a, (int64_t)c.top));
	draw(r, s, &c, b);
}

void page_timeline(const struct report *r, struct arena *a, struct buf *b)
{
	struct scale s;

	if (!r->n_spans)
		return;
	s = scale_of(r);
	page_section(b, "night", "The night");
	attempts(r, &s, b);
	if (r->n_samples >= 2) {
		slots(r, &s, a, b);
		memory(r, &s, a, b);
		disk(r, &s, a, b);
		network(r, &s, a, b);
	}
	page_section_end(b);
}
