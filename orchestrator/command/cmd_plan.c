/* orchestrator/command/cmd_plan.c -- quern plan, and quern run --dry-run. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/cmd_plan.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/upload_options.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/view/bill_view.h"
#include "orchestrator/view/summary.h"

static enum style style_of(enum plan_status s)
{
	switch (s) {
	case PLAN_DONE:
	case PLAN_CONVERTED:
		return STYLE_GREEN;
	case PLAN_ILLEGAL:
	case PLAN_FAILED:
		return STYLE_RED;
	case PLAN_CHANGED:
	case PLAN_LOST:
		return STYLE_YELLOW;
	default:
		return STYLE_PLAIN;
	}
}

/* In a line of its own, below the point. */
static void print_remark(FILE *f, const char *what, const char *text)
{
	if (!text)
		return;
	fprintf(f, "\n           %s", what);
	cli_print_text(f, text);
}

struct showing {
	FILE *f;
	struct json_out *w;
	struct bill_sheet bill;
};

/* What it was measured to take; nothing where that is not known. */
static void print_measured(FILE *f, const struct learned *l)
{
	char took[24];

	if (l->ms) {
		units_format_duration(l->ms, took, sizeof(took));
		fprintf(f, "  %8s", took);
	}
	if (l->samples)
		fprintf(f, "  (%lld measured%s)", (long long)l->samples,
			l->basis == LEARN_SIZES ? " of other sizes" : "");
	if (l->ran_out)
		fputs("  (raised: it ran out of memory)", f);
}

static int print_point(void *ctx, const struct plan_point *p, struct err *e)
{
	struct showing *show = ctx;
	FILE *f = show->f;
	char size[24], mem[24];

	(void)e;
	bill_sheet_add(&show->bill, p);
	units_format_size(p->need.output_bytes, size, sizeof(size));
	units_format_size(p->need.memory_bytes, mem, sizeof(mem));
	fprintf(f, "%s%-10s%s ", cli_style(f, style_of(p->status)), plan_status_name(p->status),
		cli_style(f, STYLE_PLAIN));
	if (p->status == PLAN_ILLEGAL || p->status == PLAN_DUPLICATE)
		fprintf(f, "%-40s", p->label);
	else
		fprintf(f, "%-40s %10s  mem %9s", p->label, size, mem);
	if (p->status != PLAN_ILLEGAL && p->status != PLAN_DUPLICATE)
		print_measured(f, &p->learned);
	if (p->environment && p->status != PLAN_ILLEGAL)
		fprintf(f, "  with %s", p->environment->version);
	if (p->why[0]) {
		fputs("  ", f);
		cli_print_text(f, p->why);
	}
	if (p->status != PLAN_ILLEGAL && p->status != PLAN_DUPLICATE) {
		print_remark(f, "", p->passed_over);
		print_remark(f, "warning: ", p->warning);
	}
	fputc('\n', f);
	return ferror(f) ? err_errno(e, "standard output") : 0;
}

/* Where the estimate comes from; what was not measured is null. */
static void json_estimate(struct json_out *w, const struct learned *l)
{
	jw_kobject(w, "estimate");
	jw_kstr(w, "basis", learn_basis_name(l->basis));
	jw_kint(w, "samples", l->samples);
	jw_kbool(w, "ran_out_of_memory", l->ran_out);
	jw_key(w, "memory_range_bytes");
	if (l->samples) {
		jw_array(w);
		jw_int(w, (int64_t)l->memory_min_bytes);
		jw_int(w, (int64_t)l->memory_max_bytes);
		jw_end_array(w);
	} else {
		jw_null(w);
	}
	jw_key(w, "seconds");
	if (l->ms)
		jw_num(w, (double)l->ms / 1000);
	else
		jw_null(w);
	jw_key(w, "seconds_range");
	if (l->ms) {
		jw_array(w);
		jw_num(w, (double)l->ms_min / 1000);
		jw_num(w, (double)l->ms_max / 1000);
		jw_end_array(w);
	} else {
		jw_null(w);
	}
	jw_end_object(w);
}

static int json_point(void *ctx, const struct plan_point *p, struct err *e)
{
	struct showing *show = ctx;
	struct json_out *w = show->w;
	char hex[SHA256_HEX];

	(void)e;
	bill_sheet_add(&show->bill, p);
	jw_object(w);
	jw_kstr(w, "status", plan_status_name(p->status));
	jw_kbool(w, "legal", p->status != PLAN_ILLEGAL);
	jw_kstr(w, "why", p->why);
	jw_kstr(w, "label", p->label);
	if (p->status != PLAN_ILLEGAL && p->status != PLAN_DUPLICATE && p->spec.source_version[0]) {
		hex_encode(p->key, SHA256_LEN, hex);
		jw_kstr(w, "key", hex);
	}
	if (p->job_id)
		jw_kint(w, "job", p->job_id);
	jw_kstr(w, "model", p->spec.model);
	jw_kstr(w, "engine", p->spec.engine);
	jw_kstr(w, "engine_version", p->spec.engine_version);
	jw_kstr(w, "toolkit", p->spec.toolkit);
	jw_kstr(w, "environment", p->environment ? p->environment->path : NULL);
	jw_kstr(w, "passed_over", p->passed_over);
	jw_kstr(w, "warning", p->warning);
	jw_kstr(w, "platform", p->spec.platform);
	jw_kstr(w, "quant", p->spec.quant);
	jw_knum(w, "hybrid", p->spec.hybrid);
	jw_kint(w, "opt", p->spec.opt);
	jw_kstr(w, "repo", p->repo);
	jw_kstr(w, "file", p->file);
	jw_kint(w, "output_bytes", (int64_t)p->need.output_bytes);
	jw_kint(w, "memory_bytes", (int64_t)p->need.memory_bytes);
	jw_kint(w, "scratch_bytes", (int64_t)p->need.scratch_bytes);
	json_estimate(w, &p->learned);
	jw_end_object(w);
	/* A matrix may have a million points: what is written leaves memory. */
	fwrite(buf_str(w->b), 1, w->b->len, stdout);
	buf_clear(w->b);
	return 0;
}

static void json_hub_source(struct json_out *w, const char *name, const struct hub_source *h)
{
	jw_object(w);
	jw_kstr(w, "model", name);
	jw_kbool(w, "adapter", h->adapter);
	jw_kstr(w, "repo", h->repo);
	jw_kstr(w, "id", h->id);
	jw_kstr(w, "revision", h->revision);
	jw_kstr(w, "commit", h->commit);
	jw_kstr(w, "gated", h->gated);
	jw_kbool(w, "private", h->is_private);
	jw_kstr(w, "architecture", h->facts.architecture);
	jw_kstr(w, "dtype", h->facts.dtype);
	jw_kstr(w, "license", h->facts.license);
	jw_kint(w, "parameters", (int64_t)h->facts.params);
	jw_kint(w, "size_bytes", (int64_t)h->size_bytes);
	jw_kint(w, "missing_bytes", (int64_t)hub_source_missing_bytes(h));
	jw_end_object(w);
}

static void json_models(struct json_out *w, const struct session *s)
{
	jw_array(w);
	for (size_t i = 0; i < s->cfg->n_models; i++) {
		const struct resolved *r = sources_seen(s->sources, i);

		if (r && r->hub)
			json_hub_source(w, r->model->name, r->hub);
		if (r && r->lora)
			json_hub_source(w, r->model->name, r->lora);
	}
	jw_end_array(w);
}

static int plan_json(struct session *s, const char *only, struct showing *show,
		     struct plan_totals *t, struct err *e)
{
	struct json_out w;
	struct buf b;
	int rc;

	buf_init(&b, 1u << 20);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kstr(&w, "name", s->cfg->name);
	jw_karray(&w, "points");
	show->w = &w;
	rc = plan_walk(s, only, 0, json_point, show, t, e);
	show->w = NULL;
	jw_end_array(&w);
	jw_key(&w, "models");
	json_models(&w, s);
	jw_kobject(&w, "totals");
	jw_kint(&w, "points", (int64_t)t->points);
	for (int i = 0; i < PLAN_STATUS_COUNT; i++)
		jw_kint(&w, plan_status_name((enum plan_status)i), (int64_t)t->count[i]);
	jw_kint(&w, "excluded", (int64_t)t->excluded);
	jw_kint(&w, "output_bytes", (int64_t)t->output_bytes);
	jw_kint(&w, "source_bytes", (int64_t)t->source_bytes);
	jw_kint(&w, "largest_memory_bytes", (int64_t)t->largest_memory_bytes);
	jw_kint(&w, "peak_memory_bytes", (int64_t)t->peak_memory_bytes);
	jw_kint(&w, "disk_free_bytes", (int64_t)t->disk_free_bytes);
	jw_end_object(&w);
	jw_key(&w, "bill");
	bill_json(&w, &show->bill, s, t);
	jw_end_object(&w);
	if (rc >= 0)
		printf("%s\n", buf_str(&b));
	buf_release(&b);
	return rc;
}

int plan_show(const char *file, const struct config_set *set, const char *only, const char *until,
	      bool json)
{
	struct session s;
	struct plan_totals t;
	struct err e = ERR_INIT;
	struct showing show = { .f = stdout, .bill = { .now_ms = clock_wall_ms() } };
	int rc = until ? bill_until(until, show.bill.now_ms, &show.bill.until_ms, &e) : 0;

	if (rc >= 0)
		rc = session_open(&s, SESSION_LOOK, file, set, "plan", &e);

	if (rc < 0)
		return cli_fail(&e);
	if (json) {
		rc = plan_json(&s, only, &show, &t, &e);
	} else {
		rc = plan_walk(&s, only, 0, print_point, &show, &t, &e);
		if (rc >= 0) {
			summary_models(stdout, &s);
			summary_plan(stdout, &s, &t);
			bill_print(stdout, &show.bill, &s, &t);
		}
	}
	bill_sheet_release(&show.bill);
	/* The plan is shown all the same; a run would not start. */
	if (rc >= 0 && !s.cfg->upload.hold)
		rc = upload_check_token(s.cfg, &e);
	session_close(&s);
	return rc < 0 ? cli_fail(&e) : EXIT_GOOD;
}

int cmd_plan(int argc, char **argv)
{
	const char *file = "jobs.yaml", *only = NULL, *legal = NULL, *until = NULL;
	struct option_list set = { .n = 0 };
	bool json = false, help;
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE", "the matrix (default jobs.yaml)", &file },
		{ "only", 0, OPT_STRING, "GLOB", "points whose label matches", &only },
		{ "set", 0, OPT_LIST, "KEY=VALUE", "override a value of the file", &set },
		{ "legal", 0, OPT_STRING, "PLATFORM",
		  "list what a platform can do instead; needs no matrix", &legal },
		{ "until", 0, OPT_STRING, "TIME", "say what will be done by then: 07:00, or 8h",
		  &until },
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &json },
	};
	struct err e = ERR_INIT;
	int at = cli_parse("plan", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at < argc)
		at = err_set(&e, ERR_INVALID, "plan takes no operand; name the file with -f %s",
			     argv[at]);
	if (at < 0)
		return cli_fail(&e);
	if (legal)
		return plan_legal(legal, json);
	return plan_show(file, &(struct config_set){ set.v, set.n }, only, until, json);
}
