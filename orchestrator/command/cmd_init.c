/* orchestrator/command/cmd_init.c -- quern init: a few questions, what a run would cost, and a
 * jobs.yaml. Nothing is written before the last question. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/upload_options.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/start/init.h"
#include "orchestrator/view/summary.h"

#define TEXT_MAX (1u << 20)
#define NOTE                                                                                       \
	"Written by quern init. `quern plan` shows what it means, `quern run` does what is not "   \
	"done yet.\nMore models, targets and keys: man quern."

/* ---- the file */

static int file_is_free(struct init *x, struct err *e)
{
	const char *file = x->flags->file;
	int rc;

	if (access(file, F_OK) != 0 || x->flags->force)
		return 0;
	if (!x->ask.terminal || x->flags->yes)
		return err_set(e, ERR_INVALID,
			       "%s is there already; --force writes over it, -f names another file",
			       file);
	rc = ask_yes(&x->ask, arena_printf(x->a, "%s is there already. Write over it?", file),
		     false, e);
	return rc ? rc : err_set(e, ERR_CANCELLED, "nothing was written; -f names another file");
}

static int find_dir(struct init *x, struct err *e)
{
	char *dir = path_dirname(x->flags->file), *real = path_real(dir, e);

	if (real)
		x->dir = arena_strdup(x->a, real);
	free(dir);
	free(real);
	return x->dir ? 0 : e->code;
}

static int ask_all(struct init *x, struct err *e)
{
	int rc = file_is_free(x, e);

	if (rc >= 0)
		rc = init_model(x, e);
	if (rc >= 0)
		rc = init_engine(x, e);
	if (rc >= 0)
		rc = init_environment(x, e);
	if (rc >= 0)
		rc = init_settings(x, e);
	if (rc >= 0)
		rc = init_hub(x, e);
	if (rc < 0)
		return rc;
	init_targets(x);
	x->sketch.note = NOTE;
	x->sketch.models = &x->model;
	x->sketch.n_models = 1;
	return 0;
}

/* ---- what it means */

struct looking {
	uint64_t not_legal;
	char why[ERR_MSG_MAX];
};

static int look_at_point(void *ctx, const struct plan_point *p, struct err *e)
{
	struct looking *l = ctx;

	(void)e;
	if (p->status != PLAN_ILLEGAL)
		return 0;
	l->not_legal++;
	snprintf(l->why, sizeof(l->why), "%s", p->why);
	fprintf(stderr, "  %s", cli_style(stderr, STYLE_YELLOW));
	cli_print_text(stderr, p->label);
	fprintf(stderr, "%s: ", cli_style(stderr, STYLE_PLAIN));
	cli_print_text(stderr, p->why);
	fputc('\n', stderr);
	return 0;
}

/* Through the planner: what the file would do, before it is there. */
static int show_plan(struct init *x, const struct buf *text, struct err *e)
{
	struct looking l = { 0 };
	struct plan_totals t;
	struct session s;
	struct err token = ERR_INIT;
	int rc = session_open_text(&s, x->flags->file, x->dir, buf_str(text), text->len, e);

	if (rc < 0)
		return rc;
	if (x->known) {
		rc = plan_walk(&s, NULL, 0, look_at_point, &l, &t, e);
		if (rc >= 0)
			summary_plan(stderr, &s, &t);
		if (rc >= 0 && l.not_legal == t.points)
			rc = err_set(e, ERR_INVALID, "nothing of this can be done: %s", l.why);
	}
	if (rc >= 0 && upload_check_token(s.cfg, &token) < 0) {
		fputs("quern: before publishing: ", stderr);
		cli_print_text(stderr, token.msg);
		fputc('\n', stderr);
	}
	session_close(&s);
	return rc < 0 ? rc : 0;
}

static int write_file(struct init *x, const struct buf *text, struct err *e)
{
	int rc = ask_stopped(e);

	if (rc >= 0 && x->ask.terminal && !x->flags->yes) {
		rc = ask_yes(&x->ask, arena_printf(x->a, "Write %s?", x->flags->file), true, e);
		if (rc == 0)
			rc = err_set(e, ERR_CANCELLED, "nothing was written");
	}
	if (rc >= 0)
		rc = path_write(x->flags->file, buf_str(text), text->len, 0644, e);
	if (rc >= 0)
		printf("%s\n", x->flags->file);
	return rc < 0 ? rc : 0;
}

/* ---- the command */

/* Publishing somewhere else is not for a slip of the Enter key. */
static int wants_run(struct init *x, struct err *e)
{
	const char *hub = x->sketch.hub;

	if (x->flags->run || !x->ask.terminal || x->flags->yes)
		return x->flags->run;
	return ask_yes(&x->ask, "Run it now?", !hub || strcmp(hub, "local") == 0, e);
}

static int run_it(const struct init *x)
{
	char *argv[] = { (char *)"run", (char *)"-f", (char *)x->flags->file, NULL };

	fflush(stdout);
	return cmd_run(3, argv);
}

/* A look at the hub leaves its notes in the work folder; without a file, nobody knows that folder.
 * What a run has put there meanwhile stays: only empty folders go. */
static void remove_notes(struct arena *a, const char *work)
{
	struct err ignored = ERR_INIT;

	(void)path_remove_tree(workdir_hub_memory(a, work), &ignored);
	(void)rmdir(arena_printf(a, "%s/cache", work));
	(void)rmdir(work);
}

static void say_next(const struct init *x)
{
	bool usual = strcmp(x->flags->file, "jobs.yaml") == 0;

	fprintf(stderr, "next: quern run%s%s\n", usual ? "" : " -f ", usual ? "" : x->flags->file);
}

static int init(struct init *x, bool *run, struct err *e)
{
	const char *work = arena_printf(x->a, "%s/.quern", x->dir);
	bool was_there = access(work, F_OK) == 0;
	struct buf text;
	int rc;

	buf_init(&text, TEXT_MAX);
	rc = ask_all(x, e);
	if (rc >= 0) {
		jobs_write(&text, &x->sketch);
		rc = text.overflow
			     ? err_set(e, ERR_INVALID, "these answers are too long for a file")
			     : show_plan(x, &text, e);
	}
	if (rc >= 0)
		rc = write_file(x, &text, e);
	buf_release(&text);
	if (rc < 0) {
		if (!was_there)
			remove_notes(x->a, work);
		return rc;
	}
	rc = wants_run(x, e);
	*run = rc > 0;
	if (rc == ERR_CANCELLED) { /* the file is there: stopping here is an answer */
		*e = (struct err)ERR_INIT;
		rc = 0;
	}
	if (rc >= 0 && !*run)
		say_next(x);
	return rc < 0 ? rc : 0;
}

static int with_flags(const struct init_flags *f)
{
	struct init x = { .a = arena_new(), .flags = f };
	struct faults manifests = { .a = x.a, .file = "engines" };
	struct err e = ERR_INIT;
	bool run = false;
	int rc = find_dir(&x, &e);

	ask_begin(&x.ask, x.a, "init", f->yes);
	if (rc >= 0)
		rc = engines_load(x.a, &x.engines, &manifests, &e);
	if (rc >= 0)
		rc = init(&x, &run, &e);
	ask_end();
	rc = rc < 0 ? cli_fail(&e) : run ? run_it(&x) : EXIT_GOOD;
	sources_free(x.sources);
	arena_free(x.a);
	return rc;
}

int cmd_init(int argc, char **argv)
{
	struct init_flags f = { .file = "jobs.yaml" };
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE", "the file to write (default jobs.yaml)",
		  &f.file },
		{ "model", 'm', OPT_STRING, "MODEL", "org/name on the Hub, a folder, or fake:SPEC",
		  &f.model },
		{ "revision", 0, OPT_STRING, "REV", "branch, tag or commit on the Hub",
		  &f.revision },
		{ "lora", 0, OPT_STRING, "LORA", "an adapter to merge: org/name, or a folder",
		  &f.lora },
		{ "name", 0, OPT_STRING, "NAME", "the model's name (default: from its source)",
		  &f.name },
		{ "engine", 'e', OPT_STRING, "ENGINE", "see quern engines", &f.engine },
		{ "environment", 0, OPT_STRING, "DIR",
		  "Python environment with the engine's toolkit", &f.environment },
		{ "container", 0, OPT_STRING, "IMAGE",
		  "image of containers with the engine's toolkit", &f.container },
		{ "platform", 0, OPT_STRING, "NAMES", "platforms, with commas", &f.platform },
		{ "quant", 'q', OPT_STRING, "QUANTS", "quantizations, with commas", &f.quant },
		{ "hybrid", 0, OPT_STRING, "R", "shares kept at higher precision, with commas",
		  &f.hybrid },
		{ "opt", 0, OPT_STRING, "N", "optimization levels, with commas", &f.opt },
		{ "with", 0, OPT_LIST, "NAME=VALUE", "engine parameter", &f.with },
		{ "hub", 0, OPT_STRING, "HUB", "local, an address, or none", &f.hub },
		{ "namespace", 0, OPT_STRING, "NAME", "account or organisation there",
		  &f.namespace_ },
		{ "repo", 0, OPT_STRING, "TEMPLATE", "repository, as upload.repo", &f.repo },
		{ "private", 0, OPT_FLAG, NULL, "new repositories are private", &f.is_private },
		{ "force", 0, OPT_FLAG, NULL, "write over a file that is there", &f.force },
		{ "yes", 'y', OPT_FLAG, NULL, "take defaults without asking", &f.yes },
		{ "run", 0, OPT_FLAG, NULL, "run it when it is written", &f.run },
	};
	struct err e = ERR_INIT;
	bool help;
	int at = cli_parse("init", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at < argc)
		at = err_set(&e, ERR_INVALID, "init takes no operand; --model %s", argv[at]);
	return at < 0 ? cli_fail(&e) : with_flags(&f);
}
