/* orchestrator/view/report_data.c -- the details of each job, for the page's script. An array a
 * job, in the order that report.js names, and texts by number: with 20,000 jobs names of members
 * would be most of the page. Foreign text becomes visible text here; "<" is written as an escape,
 * so that nothing within ends the element. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "orchestrator/view/report.h"
#include "orchestrator/view/report_page.h"

#define TEXTS_OF_JOB (8 + 5 * REPORT_ATTEMPTS_MAX + REPORT_FILES_MAX + 2 * QUALITY_WORST)
#define WORST_OF_MANY 3 /* tensors of each job on a page of more jobs than it lists */
#define DATA_MAX (192u << 20)

struct writing {
	const struct report *r;
	struct json_out w;
	struct interner texts;
	struct report_names kept;
	struct arena *a;
};

static void text(struct writing *d, const char *s)
{
	jw_int(&d->w, (int64_t)intern(&d->texts, d->a, s ? s : ""));
}

static void visible(struct json_out *w, const char *s)
{
	char shown[4 * ERR_MSG_MAX];

	text_visible(s, shown, sizeof(shown));
	jw_str(w, shown);
}

static void names(struct json_out *w, const char *key, const char *const *v, size_t n)
{
	jw_karray(w, key);
	for (size_t i = 0; i < n; i++)
		visible(w, v[i]);
	jw_end_array(w);
}

static void attempts(struct writing *d, const struct report_job *j)
{
	jw_array(&d->w);
	for (size_t i = 0; i < j->n_attempts; i++) {
		const struct report_attempt *at = &j->attempts[i];

		jw_array(&d->w);
		jw_int(&d->w, at->number);
		jw_int(&d->w, (at->started_ms - d->r->run.started_ms) / 1000);
		jw_int(&d->w, at->ended_ms ? at->ended_ms - at->started_ms : -1);
		jw_int(&d->w, at->peak_bytes);
		jw_int(&d->w, at->exit_code);
		jw_int(&d->w, at->signal);
		text(d, at->cause);
		text(d, at->message);
		text(d, at->evidence_from);
		text(d, at->evidence);
		text(d, at->rungs);
		jw_end_array(&d->w);
	}
	jw_end_array(&d->w);
}

static void files(struct writing *d, const struct report_job *j)
{
	char hex[SHA256_HEX];

	jw_array(&d->w);
	for (size_t i = 0; i < j->n_files; i++) {
		hex_encode(j->files[i].sha256, SHA256_LEN, hex);
		jw_array(&d->w);
		visible(&d->w, j->files[i].name);
		jw_int(&d->w, j->files[i].bytes);
		jw_str(&d->w, hex);
		jw_end_array(&d->w);
	}
	jw_end_array(&d->w);
}

static void quality(struct writing *d, const struct report_job *j)
{
	const struct quality_facts *q = j->quality;
	size_t n;

	if (!q) {
		jw_int(&d->w, 0);
		return;
	}
	n = d->r->n_jobs > PAGE_LISTED && q->n_worst > WORST_OF_MANY ? WORST_OF_MANY : q->n_worst;
	jw_array(&d->w);
	jw_str(&d->w, quality_error_text(d->a, &q->all));
	jw_str(&d->w, quality_snr_text(d->a, &q->all));
	jw_int(&d->w, (int64_t)q->n_tensors);
	for (size_t i = 0; i < n; i++) {
		text(d, q->worst[i].tensor);
		text(d, q->worst[i].type);
		jw_str(&d->w, quality_error_text(d->a, &q->worst[i]));
	}
	jw_end_array(&d->w);
}

static void job(struct writing *d, const struct report_job *j)
{
	char hex[SHA256_HEX];

	hex_encode(j->key, SHA256_LEN, hex);
	hex[16] = '\0'; /* enough to name it */
	jw_array(&d->w);
	jw_int(&d->w, j->id);
	jw_int(&d->w, (int64_t)j->state);
	jw_int(&d->w, (int64_t)j->model);
	jw_int(&d->w, (int64_t)j->variant);
	jw_str(&d->w, hex);
	text(d, j->engine_version);
	text(d, strcmp(j->with, "{}") == 0 ? "" : j->with);
	text(d, j->source);
	text(d, j->source_version);
	text(d, j->lora);
	text(d, j->repo);
	text(d, j->cause);
	text(d, j->message);
	jw_int(&d->w, j->took_ms);
	jw_int(&d->w, j->artifact_bytes);
	attempts(d, j);
	files(d, j);
	quality(d, j);
	jw_end_array(&d->w);
}

static void states(struct json_out *w)
{
	jw_karray(w, "states");
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		jw_str(w, job_state_name((enum job_state)i));
	jw_end_array(w);
}

static void commands(struct json_out *w, const struct report *r)
{
	jw_kobject(w, "commands");
	for (size_t i = 0; i < r->n_causes; i++)
		jw_kstr(w, r->causes[i].cause, r->causes[i].command);
	jw_end_object(w);
}

/* Seconds that this machine's time is ahead of UTC: the page shows the times of where it ran. */
static int64_t zone(int64_t at_ms)
{
	time_t at = (time_t)(at_ms / 1000);
	struct tm local;

	return localtime_r(&at, &local) ? local.tm_gmtoff : 0;
}

void page_data(const struct report *r, struct arena *a, struct buf *b)
{
	struct writing d = { .r = r, .a = arena_new() };
	struct buf json;
	const char *p;

	(void)a;
	buf_init(&json, DATA_MAX);
	interner_init(&d.texts, d.a, &d.kept, r->n_jobs * TEXTS_OF_JOB + 1);
	jw_init(&d.w, &json, 0);
	jw_object(&d.w);
	jw_kint(&d.w, "started", r->run.started_ms / 1000);
	jw_kint(&d.w, "zone", zone(r->run.started_ms));
	states(&d.w);
	commands(&d.w, r);
	names(&d.w, "models", r->models.v, r->models.n);
	names(&d.w, "variants", r->variants.v, r->variants.n);
	jw_karray(&d.w, "jobs");
	for (size_t i = 0; i < r->n_jobs; i++)
		job(&d, &r->jobs[i]);
	jw_end_array(&d.w);
	names(&d.w, "texts", d.kept.v, d.kept.n);
	jw_end_object(&d.w);
	b->overflow |= json.overflow;
	buf_adds(b, "<script type=\"application/json\" id=\"data\">");
	for (p = buf_str(&json); *p;) {
		size_t run = strcspn(p, "<");

		buf_add(b, p, run);
		p += run;
		if (*p) {
			buf_adds(b, "\\u003c");
			p++;
		}
	}
	buf_adds(b, "</script>\n");
	buf_release(&json);
	arena_free(d.a);
}
