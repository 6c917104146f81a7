/* orchestrator/cli.h -- what every command shares: the table of commands, options
 * parsed from a table that also prints the help, exit codes, the terminal. Results
 * go to stdout, talk goes to stderr. */
#ifndef QUERN_ORCHESTRATOR_CLI_H
#define QUERN_ORCHESTRATOR_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/err.h"

/* PRODUCT: documented in quern(1), used by cron and CI. */
enum exit_code {
	EXIT_GOOD = 0,
	EXIT_JOBS_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_HELD = 3,
	EXIT_ENVIRONMENT = 4,
	EXIT_INTERRUPTED = 130,
};

/* The exit code that fits an error: INVALID, NOTFOUND and CONFLICT are the user's to fix (2), BUSY
 * is 3, the rest is the machine's (4). */
int exit_code_for(const struct err *e);

enum option_kind {
	OPT_FLAG,   /* bool *: set true */
	OPT_STRING, /* const char **: the last one wins */
	OPT_INT,    /* int64_t *: decimal, 0 or more */
	OPT_LIST,   /* struct option_list *: may be repeated */
};

struct option_list {
	const char *v[64];
	size_t n;
};

struct option_def {
	const char *name; /* long name without dashes */
	char letter;	  /* 0: none */
	enum option_kind kind;
	const char *arg; /* NAME in the help; NULL for flags */
	const char *help;
	void *target;
};

struct command {
	const char *name;
	const char *args;		   /* for the usage line, without options */
	const char *help;		   /* one line */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an exit_code */
	bool hidden;			   /* for quern's own children */
};

extern const struct command commands[]; /* ended by name NULL */

/* Parse argv by the options (n of them); --help prints usage to stdout and sets *help. Returns the
 * index of the first operand in argv (operands are moved behind the options), or ERR_INVALID with
 * one line in e. */
int cli_parse(const char *command, const struct option_def *opts, size_t n, int argc, char **argv,
	      bool *help, struct err *e);

/* Print "quern: TEXT" to stderr, and return the exit code for it. */
int cli_fail(const struct err *e);

/* Terminal: is this stream one, may it have colours (NO_COLOR, TERM=dumb), how wide is it. */
bool cli_is_terminal(FILE *f);
bool cli_colour(FILE *f);
int cli_width(FILE *f);

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GREEN, STYLE_YELLOW, STYLE_RED, STYLE_BLUE };
/* Escape that begins a style on f ("" when f has no colours); STYLE_PLAIN ends it. */
const char *cli_style(FILE *f, enum style s);

/* Print foreign text (names, messages) with control characters made visible. */
void cli_print_text(FILE *f, const char *s);

#endif
