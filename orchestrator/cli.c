#include "orchestrator/cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/log.h"
#include "core/units.h"

#define MAX_OPTIONS 32

int exit_code_for(const struct err *e)
{
	switch (e->code) {
	case ERR_INVALID:
	case ERR_NOTFOUND:
	case ERR_CONFLICT:
		return EXIT_USAGE;
	case ERR_BUSY:
		return EXIT_HELD;
	case ERR_CANCELLED:
		return EXIT_INTERRUPTED;
	default:
		return EXIT_ENVIRONMENT;
	}
}

int cli_fail(const struct err *e)
{
	fflush(stdout);
	fputs("quern: ", stderr);
	cli_print_text(stderr, e->msg);
	fputc('\n', stderr);
	return exit_code_for(e);
}

static void print_usage(const char *command, const struct option_def *opts, size_t n)
{
	const struct command *c;

	for (c = commands; c->name && strcmp(c->name, command) != 0; c++)
		;
	printf("usage: quern %s%s%s%s\n", command, n ? " [options]" : "",
	       c->args && *c->args ? " " : "", c->args ? c->args : "");
	if (c->help)
		printf("\n%c%s.\n", toupper((unsigned char)c->help[0]), c->help + 1);
	if (n)
		puts("\noptions:");
	for (size_t i = 0; i < n; i++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%c%s--%s%s%s", opts[i].letter ? "-" : " ",
			 opts[i].letter ? opts[i].letter : ' ', opts[i].letter ? ", " : "  ",
			 opts[i].name, opts[i].arg ? " " : "", opts[i].arg ? opts[i].arg : "");
		printf("  %-28s %s\n", left, opts[i].help);
	}
	printf("  %-28s %s\n", "-h, --help", "this text");
}

static int take(const struct option_def *o, const char *value, struct err *e)
{
	struct option_list *list;
	char *end;

	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)o->target = true;
		return 0;
	case OPT_STRING:
		*(const char **)o->target = value;
		return 0;
	case OPT_INT:
		errno = 0;
		*(int64_t *)o->target = strtoll(value, &end, 10);
		if (errno || end == value || *end || *(int64_t *)o->target < 0)
			return err_set(e, ERR_INVALID, "--%s: \"%s\" is not a whole number",
				       o->name, value);
		return 0;
	case OPT_LIST:
		list = o->target;
		if (list->n == sizeof(list->v) / sizeof(list->v[0]))
			return err_set(e, ERR_INVALID, "--%s: given more than %zu times", o->name,
				       list->n);
		list->v[list->n++] = value;
		return 0;
	}
	return 0;
}

static int unknown_option(const char *command, const struct option_def *opts, size_t n,
			  const char *word, struct err *e)
{
	const char *names[MAX_OPTIONS], *near;

	for (size_t i = 0; i < n; i++)
		names[i] = opts[i].name;
	near = strncmp(word, "--", 2) == 0 ? nearest_name(word + 2, names, n) : NULL;
	if (near)
		return err_set(e, ERR_INVALID, "%s: unknown option %s; did you mean --%s?", command,
			       word, near);
	return err_set(e, ERR_INVALID, "%s: unknown option %s; 'quern help %s' lists them", command,
		       word, command);
}

int cli_parse(const char *command, const struct option_def *opts, size_t n, int argc, char **argv,
	      bool *help, struct err *e)
{
	struct option longs[MAX_OPTIONS + 2] = { 0 };
	char letters[2 * MAX_OPTIONS + 4] = ":h", *p = letters + 2;
	int c, which;

	for (size_t i = 0; i < n; i++) {
		longs[i].name = opts[i].name;
		longs[i].has_arg = opts[i].kind == OPT_FLAG ? no_argument : required_argument;
		longs[i].val = 256 + (int)i;
		if (opts[i].letter) {
			*p++ = opts[i].letter;
			if (opts[i].kind != OPT_FLAG)
				*p++ = ':';
		}
	}
	longs[n] = (struct option){ "help", no_argument, NULL, 'h' };
	*p = '\0';
	*help = false;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (c == 'h') {
			*help = true;
			print_usage(command, opts, n);
			return 0;
		}
		if (c == ':')
			return err_set(e, ERR_INVALID, "%s: %s needs a value", command,
				       argv[optind - 1]);
		if (c == '?')
			return unknown_option(command, opts, n, argv[optind - 1], e);
		which = c - 256;
		for (size_t i = 0; c < 256 && i < n; i++) {
			if (opts[i].letter == c)
				which = (int)i;
		}
		if (take(&opts[which], optarg, e) < 0)
			return e->code;
	}
	return optind;
}

bool cli_is_terminal(FILE *f)
{
	return isatty(fileno(f)) == 1;
}

bool cli_colour(FILE *f)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return cli_is_terminal(f) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int cli_width(FILE *f)
{
	struct winsize w;

	if (ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col >= 20)
		return w.ws_col;
	return 80;
}

const char *cli_style(FILE *f, enum style s)
{
	static const char *const codes[] = {
		[STYLE_PLAIN] = "\033[0m",  [STYLE_BOLD] = "\033[1m",	 [STYLE_DIM] = "\033[2m",
		[STYLE_GREEN] = "\033[32m", [STYLE_YELLOW] = "\033[33m", [STYLE_RED] = "\033[31m",
		[STYLE_BLUE] = "\033[34m",
	};

	return cli_colour(f) ? codes[s] : "";
}

void cli_print_text(FILE *f, const char *s)
{
	char shown[4 * ERR_MSG_MAX];

	text_visible(s, shown, sizeof(shown));
	fputs(shown, f);
}
