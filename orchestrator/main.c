/* orchestrator/main.c -- the table of commands. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "upload/hub_env.h"

/* clang-format off */
const struct command commands[] = {
	{ "init",    "",             "ask a few questions and write a jobs.yaml", cmd_init, false },
	{ "import",  "WHAT...",      "take over a batch script's lists, or files that are converted already", cmd_import, false },
	{ "run",     "",             "do everything that is not done yet: convert, check, publish", cmd_run, false },
	{ "plan",    "",             "show the expanded matrix: new, done, changed, or not legal and why", cmd_plan, false },
	{ "status",  "",             "show the last run at a glance", cmd_status, false },
	{ "show",    "JOB",          "show one job: parameters, attempts, reasons, artifact", cmd_show, false },
	{ "logs",    "JOB",          "print the log of a job's last attempt", cmd_logs, false },
	{ "explain", "JOB",          "say why a job would or would not run now, and what its key is made of", cmd_explain, false },
	{ "affected", "",            "list the done jobs that a change would make anew", cmd_affected, false },
	{ "retry",   "[JOB...]",     "put failed or cancelled jobs back in the queue", cmd_retry, false },
	{ "cancel",  "[JOB...]",     "take jobs out of the queue", cmd_cancel, false },
	{ "pause",   "",             "start nothing new in this folder until quern resume", cmd_pause, false },
	{ "resume",  "",             "end a pause", cmd_resume, false },
	{ "drain",   "",             "let the run that goes on finish what it has begun, then end", cmd_drain, false },
	{ "upload",  "",             "publish what is ready, convert nothing", cmd_upload, false },
	{ "report",  "",             "tell what the last run did, for a mail or as a page", cmd_report, false },
	{ "card",    "REPO",         "print a repository's card, or check what is published (--audit)", cmd_card, false },
	{ "gc",      "",             "remove what no job needs any more", cmd_gc, false },
	{ "calib",   "MODEL [TXT]", "make a calibration set for a toolkit, with the model itself", cmd_calib, false },
	{ "convert", "SRC",          "convert one model without a matrix", cmd_convert, false },
	{ "bench",   "[JOB|FILE]",   "measure how fast a file runs, and whether it talks sense", cmd_bench, false },
	{ "verify",  "FILE...",      "check converted or source files", cmd_verify, false },
	{ "inspect", "FILE",         "describe a converted or source file", cmd_inspect, false },
	{ "fake",    "SPEC DIR",     "make a loadable model with zero or random weights in real shapes", cmd_fake, false },
	{ "engines", "",             "list engines, their formats and quantizations", cmd_engines, false },
	{ "doctor",  "",             "check this machine and say how to fix what is missing", cmd_doctor, false },
	{ "help",    "[COMMAND]",    "explain a command", cmd_help, false },
	{ "upload-repo", "",         "publish one repository (started by run)", cmd_upload_repo, true },
	{ "notify-post", "",         "post a notification (started by run)", cmd_notify_post, true },
	{ "fetch-repo", "",          "fetch one model of a hub (started by run and plan)", cmd_fetch_repo, true },
	{ "measure-job", "",         "measure one artifact (started by run)", cmd_measure_job, true },
	{ NULL, NULL, NULL, NULL, false },
};
/* clang-format on */

static void usage(FILE *f)
{
	fputs("usage: quern COMMAND [options]\n\n"
	      "Turns a YAML matrix of models and settings into converted, checked, published "
	      "models.\n\n",
	      f);
	for (const struct command *c = commands; c->name; c++) {
		if (!c->hidden)
			fprintf(f, "  %-9s %-11s  %s\n", c->name, c->args, c->help);
	}
	fputs("\n'quern help COMMAND' has the options; man quern has the rest.\n", f);
}

static const struct command *find(const char *name)
{
	const struct command *c;

	for (c = commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static int unknown(const char *word)
{
	const char *names[64], *near;
	size_t n = 0;

	for (const struct command *c = commands; c->name && n < ARRAY_LEN(names); c++) {
		if (!c->hidden)
			names[n++] = c->name;
	}
	near = nearest_name(word, names, n);
	fputs("quern: there is no command \"", stderr);
	cli_print_text(stderr, word);
	if (near)
		fprintf(stderr, "\"; did you mean %s?\n", near);
	else
		fputs("\"; 'quern help' lists them\n", stderr);
	return EXIT_USAGE;
}

int cmd_help(int argc, char **argv)
{
	const struct command *c;
	char *ask[] = { NULL, (char *)"--help", NULL };

	if (argc < 2) {
		usage(stdout);
		return EXIT_GOOD;
	}
	c = find(argv[1]);
	if (!c)
		return unknown(argv[1]);
	if (c->run == cmd_help) {
		usage(stdout);
		return EXIT_GOOD;
	}
	ask[0] = argv[1];
	return c->run(2, ask);
}

int main(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return EXIT_GOOD;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("quern " QUERN_VERSION);
		return EXIT_GOOD;
	}
	/* Whatever the command: the environment is part of a core dump. */
	if (hub_env_has_secret())
		hub_env_protect();
	c = find(argv[1]);
	return c ? c->run(argc - 1, argv + 1) : unknown(argv[1]);
}
