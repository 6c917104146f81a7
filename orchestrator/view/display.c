#include "orchestrator/view/display.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/units.h"
#include "core/utf8.h"
#include "orchestrator/cli.h"

#define BAR 20
#define LINES_MAX 16 /* live lines; a person follows no more */

struct display {
	int64_t to_do;
	int live; /* lines drawn now, to be overwritten */
	bool tty;
	struct buf out;
};

struct display *display_new(int64_t to_do)
{
	struct display *d = mem_zalloc(sizeof(*d));

	d->to_do = to_do;
	d->tty = cli_is_terminal(stderr);
	buf_init(&d->out, 1u << 20);
	return d;
}

static void erase(struct display *d)
{
	if (d->live)
		buf_addf(&d->out, "\033[%dA\033[J", d->live);
	d->live = 0;
}

static void flush(struct display *d)
{
	fwrite(buf_str(&d->out), 1, d->out.len, stderr);
	fflush(stderr);
	buf_clear(&d->out);
}

void display_free(struct display *d)
{
	if (!d)
		return;
	erase(d);
	flush(d);
	buf_release(&d->out);
	free(d);
}

void display_say(struct display *d, const char *fmt, ...)
{
	char text[2048], shown[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_visible(text, shown, sizeof(shown));
	erase(d);
	buf_addf(&d->out, "quern: %s\n", shown);
	flush(d);
}

static void bar(struct buf *b, int64_t done, int64_t total)
{
	int full = (int)((double)BAR * (double)done / (double)total);

	full = full < 0 ? 0 : full > BAR ? BAR : full;
	for (int i = 0; i < BAR; i++)
		buf_adds(b, i < full ? "#" : ".");
	buf_addf(b, " %3d%%", (int)(100.0 * (double)done / (double)total));
}

static void rate_and_rest(struct buf *b, const struct display_job *j)
{
	double per_ms = j->elapsed_ms > 500 ? (double)j->done / (double)j->elapsed_ms : 0;
	char text[32];

	if (per_ms <= 0)
		return;
	if (strcmp(j->unit, "bytes") == 0) {
		units_format_size((uint64_t)(per_ms * 1000), text, sizeof(text));
		buf_addf(b, "  %s/s", text);
	}
	units_format_duration((int64_t)((double)(j->total - j->done) / per_ms), text, sizeof(text));
	buf_addf(b, "  %s left", text);
}

static void job_line(struct display *d, const struct display_job *j, int width)
{
	char label[128];
	struct buf line;

	text_visible(j->label, label, sizeof(label));
	buf_init(&line, 4096);
	buf_addf(&line, "  %-36.60s ", label);
	if (j->total > 0) {
		bar(&line, j->done, j->total);
		buf_addf(&line, " %-9.12s", j->stage);
		rate_and_rest(&line, j);
	} else {
		buf_adds(&line, j->stage[0] ? j->stage : "starting"); /* visible since it came in */
	}
	/* Cut at the edge: a line that wraps would break the count of lines to go up. */
	if (line.len >= (size_t)width)
		line.len = utf8_cut(line.data, (size_t)width - 1);
	buf_add(&d->out, line.data, line.len);
	buf_addc(&d->out, '\n');
	buf_release(&line);
}

void display_draw(struct display *d, const struct display_job *jobs, int n, int64_t finished,
		  int64_t failed)
{
	int width;

	if (!d->tty)
		return;
	width = cli_width(stderr);
	erase(d);
	buf_addf(&d->out, "%s%lld of %lld done%s", cli_style(stderr, STYLE_BOLD),
		 (long long)finished, (long long)d->to_do, cli_style(stderr, STYLE_PLAIN));
	if (failed)
		buf_addf(&d->out, ", %s%lld failed%s", cli_style(stderr, STYLE_RED),
			 (long long)failed, cli_style(stderr, STYLE_PLAIN));
	buf_adds(&d->out, "\n");
	if (n > LINES_MAX)
		n = LINES_MAX;
	for (int i = 0; i < n; i++)
		job_line(d, &jobs[i], width);
	d->live = n + 1;
	flush(d);
}
