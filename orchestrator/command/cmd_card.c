/* orchestrator/command/cmd_card.c -- quern card REPO: the card that would be written, and
 * with --audit whether a published repository holds what it says. */
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/command/upload_options.h"
#include "orchestrator/plan/hub_look.h"
#include "orchestrator/run/session.h"
#include "orchestrator/view/table.h"
#include "upload/audit.h"
#include "upload/uploader.h"

#define OUTPUT_MAX ((size_t)64 << 20)

struct card_options {
	bool audit, json, quick;
	struct option_list ignore;
};

struct carding {
	struct session s;
	struct hub *hub;
	const char *repo; /* "ns/name" */
	const struct card_options *opt;
};

static struct uploader_options settings_of(const struct config *c)
{
	return (struct uploader_options){ .work = c->work,
					  .hub_name = c->upload.hub,
					  .exclude = c->upload.exclude.v,
					  .n_exclude = c->upload.exclude.n,
					  .quantized_by = c->upload.quantized_by,
					  .template_name = c->upload.card,
					  .template_text = c->upload.card_text };
}

/* ---- the card */

static int print_card(struct carding *c, struct err *e)
{
	struct uploader_options o = settings_of(c->s.cfg);
	struct uploader_own own = { NULL, NULL };
	int rc;

	if (!c->s.store)
		return err_set(e, ERR_ENV, "%s: nothing has run here yet; start with quern run",
			       c->s.cfg->work);
	rc = uploader_preview(c->s.store, c->hub, c->repo, &o, false, c->s.a, &own, e);
	if (rc >= 0 && !own.readme)
		rc = err_set(e, ERR_NOTFOUND,
			     "%s: no job of it is converted; quern status shows the jobs", c->repo);
	if (rc < 0)
		return rc;
	fputs(c->opt->json ? own.manifest : own.readme, stdout);
	return EXIT_GOOD;
}

/* ---- the audit */

static const char *checked(const struct audit_row *row)
{
	if (!row->there)
		return "";
	if (row->read)
		return row->looked ? "content, inside" : "content";
	return row->looked ? "inside" : "listing";
}

static void print_rows(const struct carding *c, const struct audit_result *r)
{
	static const struct column columns[] = {
		{ "file", ALIGN_LEFT, 16 },
		{ "size", ALIGN_RIGHT, 0 },
		{ "checked", ALIGN_LEFT, 0 },
		{ "result", ALIGN_LEFT, 0 },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns));

	for (size_t i = 0; i < r->n; i++) {
		const struct audit_row *row = &r->rows[i];
		char size[24];
		const char *cells[] = { row->path, size, checked(row),
					!row->n_faults ? "ok"
					: row->there   ? "WRONG"
						       : "MISSING" };

		units_format_size(row->size_bytes, size, sizeof(size));
		table_add(t, cells);
		table_style(t, 3, row->n_faults ? STYLE_RED : STYLE_GREEN);
	}
	table_print(t, stdout, table_width_limit());
	table_free(t);
	for (size_t i = 0; i < r->n; i++) {
		for (size_t f = 0; f < r->rows[i].n_faults; f++) {
			cli_print_text(stdout, r->rows[i].path);
			fputs(": ", stdout);
			cli_print_text(stdout, r->rows[i].faults[f]);
			putchar('\n');
		}
	}
	printf("%s: %zu file%s, ", c->repo, r->n, r->n == 1 ? "" : "s");
	if (r->n_faults)
		printf("%zu fault%s\n", r->n_faults, r->n_faults == 1 ? "" : "s");
	else
		puts("all as quern.json and the card say");
}

static void print_json(const struct carding *c, const struct audit_result *r)
{
	struct json_out w;
	struct buf b;

	buf_init(&b, OUTPUT_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kstr(&w, "repo", c->repo);
	jw_kint(&w, "faults", (int64_t)r->n_faults);
	jw_karray(&w, "files");
	for (size_t i = 0; i < r->n; i++) {
		const struct audit_row *row = &r->rows[i];

		jw_object(&w);
		jw_kstr(&w, "path", row->path);
		jw_kint(&w, "size_bytes", (int64_t)row->size_bytes);
		jw_kbool(&w, "there", row->there);
		jw_kbool(&w, "content_read", row->read);
		jw_kbool(&w, "looked_inside", row->looked);
		jw_karray(&w, "faults");
		for (size_t f = 0; f < row->n_faults; f++)
			jw_str(&w, row->faults[f]);
		jw_end_array(&w);
		jw_end_object(&w);
		jw_flush(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	buf_addc(&b, '\n');
	jw_flush(&w);
	buf_release(&b);
}

static int audit(struct carding *c, struct err *e)
{
	struct uploader_options o = settings_of(c->s.cfg);
	struct uploader_own own = { NULL, NULL };
	struct audit_options a = { .settings = { .repo = c->repo,
						 .quantized_by = o.quantized_by,
						 .template_name = o.template_name,
						 .template_text = o.template_text },
				   .quick = c->opt->quick,
				   .ignore = c->opt->ignore.v,
				   .n_ignore = c->opt->ignore.n,
				   .look = hub_look,
				   .ctx = &c->s.engines };
	struct audit_result r;
	int rc = c->s.store
			 ? uploader_preview(c->s.store, c->hub, c->repo, &o, true, c->s.a, &own, e)
			 : 0;

	a.manifest = own.manifest;
	if (rc >= 0)
		rc = audit_run(c->hub, c->repo, &a, c->s.a, &r, e);
	if (rc < 0)
		return rc;
	if (c->opt->json)
		print_json(c, &r);
	else
		print_rows(c, &r);
	return r.n_faults ? EXIT_JOBS_FAILED : EXIT_GOOD;
}

/* ---- the command */

static int run_on(struct carding *c, const char *name, struct err *e)
{
	const struct config *cfg = c->s.cfg;
	struct hub_options ho = upload_hub_options(cfg);
	int rc;

	if (cfg->upload.kind == HUB_NONE)
		return err_set(
			e, ERR_INVALID,
			"%s has no `upload:` section; add one, at least `upload: {hub: local}`",
			cfg->file);
	c->repo = strchr(name, '/') ? name
				    : arena_printf(c->s.a, "%s/%s", cfg->upload.namespace_, name);
	rc = hub_repo_check(c->repo, e);
	if (rc >= 0)
		rc = hub_open(cfg->upload.hub, &ho, &c->hub, e);
	if (rc < 0)
		return rc;
	rc = c->opt->audit ? audit(c, e) : print_card(c, e);
	hub_close(c->hub);
	return rc;
}

static int check_usage(int argc, int at, const struct card_options *o, struct err *e)
{
	if (argc - at != 1)
		return err_set(e, ERR_INVALID,
			       "card needs one repository: quern card [--audit] NAMESPACE/NAME");
	if (!o->audit && (o->quick || o->ignore.n))
		return err_set(e, ERR_INVALID, "--quick and --ignore go with --audit");
	return 0;
}

int cmd_card(int argc, char **argv)
{
	const char *file = "jobs.yaml";
	struct option_list set = { .n = 0 };
	struct card_options o = { 0 };
	const struct option_def opts[] = {
		{ "audit", 0, OPT_FLAG, NULL, "compare what is published with what it says",
		  &o.audit },
		{ "quick", 0, OPT_FLAG, NULL, "believe the hub's hashes, read heads of files only",
		  &o.quick },
		{ "ignore", 0, OPT_LIST, "GLOB", "files that somebody else keeps there",
		  &o.ignore },
		{ "json", 0, OPT_FLAG, NULL, "print quern.json; with --audit, the findings",
		  &o.json },
		{ "file", 'f', OPT_STRING, "FILE", "the matrix (default jobs.yaml)", &file },
		{ "set", 0, OPT_LIST, "KEY=VALUE", "override a value of the file", &set },
	};
	struct carding c = { .opt = &o };
	struct err e = ERR_INIT;
	bool help;
	int at = cli_parse("card", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && check_usage(argc, at, &o, &e) < 0)
		at = e.code;
	if (at < 0)
		return cli_fail(&e);
	rc = session_open(&c.s, SESSION_LOOK, file, &(struct config_set){ set.v, set.n }, "card",
			  &e);
	if (rc < 0)
		return cli_fail(&e);
	rc = run_on(&c, argv[at], &e);
	session_close(&c.s);
	return rc < 0 ? cli_fail(&e) : rc;
}
