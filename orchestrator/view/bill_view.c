#include "orchestrator/view/bill_view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/config/window.h"
#include "orchestrator/host/workdir.h"

#define JOBS_MAX 100000 /* 3 MiB; a night is shorter */
#define DISKS_MAX 3
#define NIGHTS_MAX 400 /* of run.window: more than a year */

void bill_sheet_add(struct bill_sheet *b, const struct plan_point *p)
{
	if (p->source && p->source->hub)
		b->cache = p->source->hub->cache;
	if (p->status > PLAN_LOST)
		return;
	if (b->n == JOBS_MAX) {
		b->more++;
		return;
	}
	MEM_GROW(b->v, b->n, b->cap);
	b->v[b->n++] = (struct bill_job){ .memory_bytes = p->need.memory_bytes,
					  .output_bytes = p->need.output_bytes,
					  .scratch_bytes = p->need.scratch_bytes,
					  .ms = p->learned.ms };
}

void bill_sheet_release(struct bill_sheet *b)
{
	free(b->v);
	memset(b, 0, sizeof(*b));
}

/* ---- file systems */

struct disk {
	dev_t dev;
	char path[512];
	char uses[80];
	uint64_t need_bytes, free_bytes;
};

struct disks {
	struct disk v[DISKS_MAX];
	size_t n;
};

/* The nearest folder that is there: the others will be made in it. */
static char *existing(const char *dir)
{
	struct stat st;
	char *at = mem_strdup(dir);

	while (stat(at, &st) != 0 && strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
		char *up = path_dirname(at);

		free(at);
		at = up;
	}
	return at;
}

static void add_disk(struct disks *d, const char *dir, const char *use, uint64_t bytes,
		     bool shares_files)
{
	char *at = existing(dir);
	struct err ignored = ERR_INIT;
	struct stat st;
	size_t i;

	if (stat(at, &st) != 0) {
		free(at);
		return;
	}
	for (i = 0; i < d->n && d->v[i].dev != st.st_dev; i++)
		;
	if (i == d->n && d->n < DISKS_MAX) {
		d->v[i] = (struct disk){ .dev = st.st_dev };
		snprintf(d->v[i].path, sizeof(d->v[i].path), "%s", at);
		(void)path_free_space(at, &d->v[i].free_bytes, &ignored);
		d->n++;
		shares_files = false;
	}
	if (i < d->n && bytes && !shares_files) {
		size_t len = strlen(d->v[i].uses);

		d->v[i].need_bytes += bytes;
		snprintf(d->v[i].uses + len, sizeof(d->v[i].uses) - len, "%s%s", len ? ", " : "",
			 use);
	}
	free(at);
}

static void find_disks(const struct bill_sheet *b, const struct bill *bill, const struct session *s,
		       const struct plan_totals *t, struct disks *d)
{
	const struct config *c = s->cfg;
	struct arena *a = arena_new();

	*d = (struct disks){ 0 };
	add_disk(d, c->work, "artifacts and scratch", bill->disk_bytes, false);
	add_disk(d, workdir_sources(a, c->work), "generated models",
		 t->source_bytes - t->fetch_bytes, false);
	if (b->cache)
		add_disk(d, b->cache, "models", t->fetch_bytes, false);
	/* On the same disk, what is published is the artifact itself, under another name. */
	if (c->upload.kind == HUB_LOCAL)
		add_disk(d, workdir_hub(a, c->work), "the local hub", t->upload_bytes, true);
	arena_free(a);
}

/* The nights of run.window from now on, the one that goes on first. */
static size_t list_nights(const struct bill_sheet *b, const char *window, struct bill_span *nights)
{
	struct window w = { 0 };
	int64_t at_ms = b->now_ms, turn_ms;
	size_t n = 0;

	if (!window || !window_parse(window, &w))
		return 0;
	if (!window_is_open(&w, at_ms, &turn_ms))
		at_ms = turn_ms;
	for (; n < NIGHTS_MAX && window_is_open(&w, at_ms, &turn_ms); n++) {
		nights[n] = (struct bill_span){ at_ms - b->now_ms, turn_ms - b->now_ms };
		at_ms = window_next(w.start_min, turn_ms);
	}
	return n;
}

/* Without an end that is asked about, it is that of the first night. */
static void play(struct bill_sheet *b, const struct session *s, struct bill *out)
{
	const struct config *c = s->cfg;
	struct bill_span *nights = mem_array(NIGHTS_MAX, sizeof(*nights));
	struct bill_limits l = {
		.slots = c->resources.jobs,
		.memory_bytes = c->resources.memory_bytes,
		.keep = !config_drops_artifacts(c),
		.open = nights,
		.n_open = list_nights(b, c->window, nights),
	};

	if (!b->until_ms && l.n_open)
		b->until_ms = b->now_ms + nights[0].end_ms;
	l.until_ms = b->until_ms ? b->until_ms - b->now_ms : 0;
	bill_make(b->v, b->n, &l, out);
	free(nights);
}

/* ---- for people */

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_disks(FILE *f, const struct disks *d)
{
	char need[24], have[24];
	const char *head = "disk";

	for (size_t i = 0; i < d->n; i++) {
		const struct disk *v = &d->v[i];

		if (!v->need_bytes)
			continue;
		units_format_size(v->need_bytes, need, sizeof(need));
		units_format_size(v->free_bytes, have, sizeof(have));
		fprintf(f, "  %-9s %s of %s on the disk of ", head, need, v->uses);
		cli_print_text(f, v->path);
		fprintf(f, "; %s free%s\n", have,
			v->need_bytes > v->free_bytes ? ": not enough" : "");
		head = "";
	}
}

static void print_window(FILE *f, const struct bill_sheet *b, const struct bill *bill,
			 const char *window)
{
	time_t at = (time_t)((b->now_ms + bill->done_ms) / 1000);
	char when[32] = "";
	struct tm tm;

	if (!window)
		return;
	fprintf(f, "            in run.window %s: ", window);
	if (bill->spans && localtime_r(&at, &tm)) {
		strftime(when, sizeof(when), "%a %Y-%m-%d %H:%M", &tm);
		fprintf(f, "%zu night%s, done %s", bill->spans, plural(bill->spans), when);
	}
	if (bill->too_long)
		fprintf(f, "%s%zu job%s take%s longer than it is open", bill->spans ? "; " : "",
			bill->too_long, plural(bill->too_long), bill->too_long == 1 ? "s" : "");
	fputc('\n', f);
}

static void print_time(FILE *f, const struct bill_sheet *b, const struct bill *bill,
		       const char *window)
{
	char took[24], by[32];
	size_t unknown = bill->jobs - bill->measured;
	time_t at = (time_t)(b->until_ms / 1000);
	struct tm tm;

	if (!bill->measured) {
		fputs("  time      not measured yet\n", f);
		return;
	}
	units_format_duration(bill->ms, took, sizeof(took));
	fprintf(f, "  time      %s for %zu job%s whose like was measured", took, bill->measured,
		plural(bill->measured));
	if (unknown)
		fprintf(f, "; %zu not measured yet", unknown);
	fputc('\n', f);
	print_window(f, b, bill, window);
	if (!b->until_ms || !localtime_r(&at, &tm))
		return;
	strftime(by, sizeof(by), "%H:%M", &tm);
	fprintf(f, "            by %s: %zu of %zu%s\n", by, bill->done_in_time, bill->measured,
		unknown ? " (of those that were measured)" : "");
}

void bill_print(FILE *f, struct bill_sheet *b, const struct session *s, const struct plan_totals *t)
{
	char most[24], budget[24], size[24];
	struct disks d;
	struct bill bill;

	if (!b->n)
		return;
	play(b, s, &bill);
	find_disks(b, &bill, s, t, &d);
	units_format_size(bill.memory_bytes, most, sizeof(most));
	units_format_size(s->cfg->resources.memory_bytes, budget, sizeof(budget));
	fprintf(f, "the night's bill, for %zu job%s%s\n", bill.jobs, plural(bill.jobs),
		b->more ? " (the first of more)" : "");
	fprintf(f, "  memory    at most %s of %s, %d job%s at a time\n", most, budget,
		bill.most_at_once, plural((uint64_t)bill.most_at_once));
	print_disks(f, &d);
	if (t->fetch_bytes) {
		units_format_size(t->fetch_bytes, size, sizeof(size));
		fprintf(f, "  download  %s\n", size);
	}
	if (t->upload_bytes && s->cfg->upload.kind != HUB_LOCAL) {
		units_format_size(t->upload_bytes, size, sizeof(size));
		fprintf(f, "  upload    %s\n", size);
	}
	print_time(f, b, &bill, s->cfg->window);
}

/* ---- for programs */

void bill_json(struct json_out *w, struct bill_sheet *b, const struct session *s,
	       const struct plan_totals *t)
{
	struct disks d;
	struct bill bill;

	play(b, s, &bill);
	find_disks(b, &bill, s, t, &d);
	jw_object(w);
	jw_kint(w, "jobs", (int64_t)bill.jobs);
	jw_kint(w, "jobs_left_out", (int64_t)b->more);
	jw_kint(w, "jobs_at_once", bill.most_at_once);
	jw_kint(w, "memory_bytes", (int64_t)bill.memory_bytes);
	jw_karray(w, "disks");
	for (size_t i = 0; i < d.n; i++) {
		jw_object(w);
		jw_kstr(w, "path", d.v[i].path);
		jw_kstr(w, "uses", d.v[i].uses);
		jw_kint(w, "need_bytes", (int64_t)d.v[i].need_bytes);
		jw_kint(w, "free_bytes", (int64_t)d.v[i].free_bytes);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_kint(w, "download_bytes", (int64_t)t->fetch_bytes);
	jw_kint(w, "upload_bytes", (int64_t)t->upload_bytes);
	jw_kint(w, "jobs_measured", (int64_t)bill.measured);
	jw_key(w, "seconds");
	if (bill.measured)
		jw_num(w, (double)bill.ms / 1000);
	else
		jw_null(w);
	if (s->cfg->window) {
		jw_kstr(w, "window", s->cfg->window);
		jw_kint(w, "nights", (int64_t)bill.spans);
		jw_key(w, "done_ms");
		if (bill.spans)
			jw_int(w, b->now_ms + bill.done_ms);
		else
			jw_null(w);
		jw_kint(w, "jobs_too_long", (int64_t)bill.too_long);
	}
	if (b->until_ms) {
		jw_kint(w, "until_ms", b->until_ms);
		jw_kint(w, "jobs_done_until", (int64_t)bill.done_in_time);
	}
	jw_end_object(w);
}

/* ---- until when */

int bill_until(const char *text, int64_t now_ms, int64_t *until_ms, struct err *e)
{
	time_t now = (time_t)(now_ms / 1000), at;
	int hour, minute, end = 0;
	int64_t span;
	struct tm tm;

	if (sscanf(text, "%2d:%2d%n", &hour, &minute, &end) == 2 && !text[end] && hour >= 0 &&
	    hour < 24 && minute >= 0 && minute < 60 && localtime_r(&now, &tm)) {
		tm.tm_hour = hour;
		tm.tm_min = minute;
		tm.tm_sec = 0;
		tm.tm_isdst = -1;
		at = mktime(&tm);
		if (at <= now) {
			tm.tm_mday++; /* not 24 hours more: a night may have 23 or 25 */
			tm.tm_isdst = -1;
			at = mktime(&tm);
		}
		*until_ms = (int64_t)at * 1000;
		return 0;
	}
	if (units_parse_duration(text, &span) == 0 && span > 0) {
		*until_ms = now_ms + span;
		return 0;
	}
	return err_set(
		e, ERR_INVALID,
		"--until %s is no time; write one of the clock, like 07:00, or how long from "
		"now, like 8h30m",
		text);
}
