#include "orchestrator/view/summary.h"

#include <string.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "db/store.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/upload_options.h"
#include "orchestrator/host/workdir.h"

#define HELD_MAX 10000 /* counted */
#define FAILURES_SHOWN 10
#define REPOS_SHOWN 20

/* What a hub says of a model is anybody's text. */
static void said(FILE *f, const char *before, const char *text)
{
	fputs(before, f);
	cli_print_text(f, text);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

void summary_hub_source(FILE *f, const char *name, const struct hub_source *h)
{
	uint64_t missing = hub_source_missing_bytes(h);
	char size[24];

	units_format_size(h->size_bytes, size, sizeof(size));
	said(f, "", name);
	said(f, ": ", h->repo);
	fprintf(f, " at %.10s", h->commit);
	if (h->facts.architecture)
		said(f, ", ", h->facts.architecture);
	if (h->facts.dtype) {
		fprintf(f, ", %.3g billion parameters", (double)h->facts.params / 1e9);
		said(f, " in ", h->facts.dtype);
	}
	fprintf(f, ", %s", size);
	said(f, ", license ", h->facts.license ? h->facts.license : "not named");
	if (h->is_private)
		fputs(", private", f);
	if (strcmp(h->gated, "no") != 0) {
		said(f, ", gated (", h->gated);
		fputc(')', f);
	}
	if (missing) {
		units_format_size(missing, size, sizeof(size));
		fprintf(f, "; %s to fetch", size);
	}
	fputc('\n', f);
}

void summary_models(FILE *f, const struct session *s)
{
	for (size_t i = 0; i < s->cfg->n_models; i++) {
		const struct resolved *r = sources_seen(s->sources, i);

		if (r && r->hub)
			summary_hub_source(f, r->model->name, r->hub);
		if (r && r->lora)
			summary_hub_source(f, "  its adapter", r->lora);
	}
	summary_renamed(f, s);
}

static void show_renamed(FILE *f, const struct hub_source *h, const char *key)
{
	if (!h || strcmp(h->id, h->repo) == 0)
		return;
	said(f, "", h->repo);
	said(f, " is called ", h->id);
	fprintf(f, " now; write the new name in `%s`\n", key);
}

void summary_renamed(FILE *f, const struct session *s)
{
	for (size_t i = 0; i < s->cfg->n_models; i++) {
		const struct resolved *r = sources_seen(s->sources, i);

		if (r)
			show_renamed(f, r->hub, "id");
		if (r)
			show_renamed(f, r->lora, "lora");
	}
}

void summary_plan(FILE *f, const struct session *s, const struct plan_totals *t)
{
	char size[24], mem[24], disk[24];
	const char *sep = ": ";

	fprintf(f, "%llu point%s", (unsigned long long)t->points, plural(t->points));
	for (int i = 0; i < PLAN_STATUS_COUNT; i++) {
		if (t->count[i] && i != PLAN_DUPLICATE) {
			fprintf(f, "%s%llu %s", sep, (unsigned long long)t->count[i],
				plan_status_name((enum plan_status)i));
			sep = ", ";
		}
	}
	if (t->count[PLAN_DUPLICATE])
		fprintf(f, "; %llu duplicate%s merged",
			(unsigned long long)t->count[PLAN_DUPLICATE],
			plural(t->count[PLAN_DUPLICATE]));
	if (t->excluded)
		fprintf(f, "; %llu excluded", (unsigned long long)t->excluded);
	fputc('\n', f);
	if (!t->output_bytes)
		return;
	units_format_size(t->output_bytes + t->source_bytes, size, sizeof(size));
	units_format_size(t->peak_memory_bytes, mem, sizeof(mem));
	units_format_size(t->disk_free_bytes, disk, sizeof(disk));
	fprintf(f, "to write %s (free: %s), memory at most %s with %d job%s at a time\n", size,
		disk, mem, s->cfg->resources.jobs, plural((uint64_t)s->cfg->resources.jobs));
}

static int show_failure(void *ctx, const struct job_row *j, struct err *e)
{
	FILE *f = ctx;

	(void)e;
	fprintf(f, "  %s%lld%s  ", cli_style(f, STYLE_RED), (long long)j->id,
		cli_style(f, STYLE_PLAIN));
	cli_print_text(f, j->label);
	said(f, ": ", j->cause);
	said(f, ": ", j->message);
	fputc('\n', f);
	return 0;
}

static void show_failures(FILE *f, struct session *s, int64_t run_id, int64_t n)
{
	struct job_filter filter = { .run_id = run_id,
				     .state = JOB_FAILED,
				     .limit = FAILURES_SHOWN };
	struct err e = ERR_INIT;

	if (!n)
		return;
	fprintf(f, "%lld failed:\n", (long long)n);
	(void)store_job_each(s->store, &filter, show_failure, f, &e);
	if (n > FAILURES_SHOWN)
		fprintf(f, "  ... and %lld more: quern status --state failed\n",
			(long long)(n - FAILURES_SHOWN));
	fputs("  quern show N says more, quern retry --failed tries again\n", f);
}

struct repos {
	struct arena *a;
	const char *v[REPOS_SHOWN];
	int64_t variants[REPOS_SHOWN];
	size_t n;
	int64_t more;
};

static int collect_repo(void *ctx, const struct job_row *j, struct err *e)
{
	struct repos *r = ctx;

	(void)e;
	for (size_t i = 0; i < r->n; i++) {
		if (strcmp(r->v[i], j->repo) == 0) {
			r->variants[i]++;
			return 0;
		}
	}
	if (r->n == REPOS_SHOWN) {
		r->more++;
		return 0;
	}
	r->variants[r->n] = 1;
	r->v[r->n++] = arena_strdup(r->a, j->repo);
	return 0;
}

static void show_repos(FILE *f, struct session *s, int64_t run_id)
{
	struct job_filter filter = { .run_id = run_id, .state = JOB_DONE };
	struct repos r = { .a = arena_new() };
	struct err e = ERR_INIT;
	struct hub_options o = upload_hub_options(s->cfg);
	struct hub *h = NULL;

	if (store_job_each(s->store, &filter, collect_repo, &r, &e) < 0 || r.n == 0 ||
	    hub_open(s->cfg->upload.hub, &o, &h, &e) < 0) {
		arena_free(r.a);
		return;
	}
	fprintf(f, "published in %zu repositor%s:\n", r.n, r.n == 1 ? "y" : "ies");
	for (size_t i = 0; i < r.n; i++)
		fprintf(f, "  %s (%lld variant%s)\n", h->ops->url(h, r.v[i], r.a),
			(long long)r.variants[i], plural((uint64_t)r.variants[i]));
	if (r.more)
		fputs("  ... and more: quern status --all\n", f);
	if (s->cfg->upload.kind != HUB_HTTP)
		fprintf(f,
			"look at one: git clone %s && cd %s && git lfs install --local && git lfs "
			"pull\n",
			h->ops->url(h, r.v[0], r.a), path_basename(r.v[0]));
	h->ops->close(h);
	arena_free(r.a);
}

static void first_line(FILE *f, const struct scheduler_result *r, const int64_t *counts,
		       const struct plan_totals *t, int64_t took_ms)
{
	char took[24], sent[24], dropped[24];
	int64_t good = counts[JOB_DONE] + counts[JOB_READY];

	units_format_duration(took_ms, took, sizeof(took));
	units_format_size(r->bytes_sent, sent, sizeof(sent));
	if (!r->finished && !r->failed && !r->commits && !r->interrupted &&
	    (uint64_t)good == t->points) {
		fprintf(f, "nothing to do: all %llu points are done already\n",
			(unsigned long long)t->points);
		return;
	}
	fprintf(f, "%s%lld converted%s in %s", cli_style(f, STYLE_BOLD), (long long)r->finished,
		cli_style(f, STYLE_PLAIN), took);
	if (r->retried)
		fprintf(f, ", %lld tried again", (long long)r->retried);
	if (r->adopted)
		fprintf(f, ", %lld taken over from an earlier run", (long long)r->adopted);
	if (r->dropped) {
		units_format_size(r->dropped_bytes, dropped, sizeof(dropped));
		fprintf(f, ", %lld source%s (%s) taken out of the cache", (long long)r->dropped,
			plural((uint64_t)r->dropped), dropped);
	}
	if (r->commits)
		fprintf(f, ", %s sent in %lld commit%s", sent, (long long)r->commits,
			plural((uint64_t)r->commits));
	fprintf(f, "; %lld of %llu points done\n", (long long)good, (unsigned long long)t->points);
}

/* What measurements keep from being published, in this run or before. */
static int64_t count_held(struct session *s)
{
	struct arena *a = arena_new();
	struct hold_row *rows = arena_array(a, HELD_MAX, sizeof(*rows));
	struct err ignored = ERR_INIT;
	int n = store_holds_publication(s->store, a, rows, HELD_MAX, &ignored);

	arena_free(a);
	return n > 0 ? n : 0;
}

static int64_t show_measured(FILE *f, struct session *s, const struct scheduler_result *r)
{
	int64_t held = count_held(s);

	if (held)
		fprintf(f,
			"%lld held back by measurements; quern upload --held publishes all the "
			"same\n",
			(long long)held);
	if (!r->measured && !r->measure_failed && !r->not_measured)
		return held;
	fprintf(f, "%lld measured", (long long)r->measured);
	if (r->measure_warned)
		fprintf(f, ", %lld with warnings", (long long)r->measure_warned);
	if (r->regressions)
		fprintf(f, ", %lld regression%s", (long long)r->regressions,
			plural((uint64_t)r->regressions));
	if (r->measure_failed + r->not_measured)
		fprintf(f, ", %lld not", (long long)(r->measure_failed + r->not_measured));
	fputs("; quern show N has the numbers\n", f);
	return held;
}

int summary_run(FILE *f, struct session *s, int64_t run_id, const struct plan_totals *t,
		const struct scheduler_result *r, int64_t took_ms)
{
	int64_t counts[JOB_STATE_COUNT] = { 0 };
	struct err e = ERR_INIT;
	int64_t left, held;

	if (store_job_counts(s->store, run_id, counts, &e) < 0)
		return cli_fail(&e);
	first_line(f, r, counts, t, took_ms);
	if (t->count[PLAN_ILLEGAL])
		fprintf(f, "%llu not legal or not possible, see quern plan\n",
			(unsigned long long)t->count[PLAN_ILLEGAL]);
	show_failures(f, s, run_id, counts[JOB_FAILED]);
	if (counts[JOB_CANCELLED])
		fprintf(f, "%lld cancelled\n", (long long)counts[JOB_CANCELLED]);
	left = counts[JOB_PENDING] + counts[JOB_RUNNING] + counts[JOB_VALIDATING];
	if (left)
		fprintf(f, "%lld not done yet; quern run goes on with them\n", (long long)left);
	held = show_measured(f, s, r);
	if (counts[JOB_READY] > held && s->cfg->upload.kind != HUB_NONE)
		fprintf(f, "%lld converted but not published; quern upload does that\n",
			(long long)(counts[JOB_READY] - held));
	show_repos(f, s, run_id);
	if (r->interrupted)
		return EXIT_INTERRUPTED;
	if (r->blocked)
		return EXIT_ENVIRONMENT;
	if (r->time_over || r->drained)
		left = 0; /* as was asked for */
	if (counts[JOB_FAILED] || r->publish_failed || held || t->count[PLAN_ILLEGAL] || left)
		return EXIT_JOBS_FAILED;
	return EXIT_GOOD;
}
