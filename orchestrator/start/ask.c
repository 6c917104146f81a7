#include "orchestrator/start/ask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/view/table.h"

#define THERE_MAX 700	/* what a message can hold; more is left out */
#define ANSWER_MAX 4096 /* N_TTY_BUF_SIZE: a terminal gives no longer line */

static volatile sig_atomic_t stopped;
static struct sigaction before;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

void ask_begin(struct asker *k, struct arena *a, const char *command, bool yes)
{
	struct sigaction sa = { .sa_handler = on_signal };

	*k = (struct asker){ .a = a,
			     .command = command,
			     .yes = yes,
			     .terminal = cli_is_terminal(stdin) && cli_is_terminal(stderr) };
	stopped = 0;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, &before);
}

void ask_end(void)
{
	sigaction(SIGINT, &before, NULL);
}

int ask_stopped(struct err *e)
{
	return stopped ? err_set(e, ERR_CANCELLED, "stopped; nothing was written") : 0;
}

/* Until a line is there, or SIGINT came: before the wait or in it, no matter. A terminal gives one
 * line at a time, so nothing waits in stdin's own buffer. */
static void wait_for_line(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	sigset_t interrupt, usual;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, &usual);
	while (!stopped && ppoll(&in, 1, NULL, &usual) < 0 && errno == EINTR)
		;
	sigprocmask(SIG_SETMASK, &usual, NULL);
}

/* One line without its end and the white space around it, in line. */
static int read_line(char line[ANSWER_MAX], const char **out, struct err *e)
{
	size_t n;
	char *p = line;

	wait_for_line();
	if (stopped || !fgets(line, ANSWER_MAX, stdin)) {
		fputc('\n', stderr);
		if (ask_stopped(e) < 0)
			return e->code;
		return err_set(e, ERR_CANCELLED,
			       "the input ended before all was answered; nothing was written");
	}
	n = strlen(line);
	while (n && strchr(" \t\r\n", line[n - 1]))
		line[--n] = '\0';
	while (*p == ' ' || *p == '\t')
		p++;
	*out = p;
	return ask_stopped(e);
}

/* In one piece: who types ahead would see the echo in the middle of it. */
static void prompt(const struct question *q)
{
	char dflt[ANSWER_MAX];

	text_visible(q->dflt ? q->dflt : "", dflt, sizeof(dflt));
	fprintf(stderr, "%s%s%s %s%s%s", cli_style(stderr, STYLE_BOLD), q->text,
		cli_style(stderr, STYLE_PLAIN), *dflt ? "[" : "", dflt, *dflt ? "] " : "");
}

static int take_line(const struct question *q, const char *answer, struct err *e)
{
	if (!*answer && !q->dflt)
		return err_set(e, ERR_INVALID, "an answer is needed here");
	return q->take(q->ctx, *answer ? answer : q->dflt, e);
}

static int ask_terminal(const struct question *q, struct err *e)
{
	char line[ANSWER_MAX];
	const char *answer = "";
	int rc;

	for (;;) {
		rc = ask_stopped(e);
		if (rc < 0)
			return rc;
		prompt(q);
		rc = read_line(line, &answer, e);
		if (rc < 0)
			return rc;
		rc = take_line(q, answer, e);
		if (rc != ERR_INVALID && rc != ERR_NOTFOUND)
			return rc;
		fprintf(stderr, "  %s", cli_style(stderr, STYLE_YELLOW));
		cli_print_text(stderr, e->msg);
		fprintf(stderr, "%s\n", cli_style(stderr, STYLE_PLAIN));
		*e = (struct err)ERR_INIT;
	}
}

int ask(struct asker *k, const struct question *q, struct err *e)
{
	int rc;

	if (q->given) {
		rc = q->take(q->ctx, q->given, e);
		return rc < 0 ? err_wrap(e, "%.*s", (int)strcspn(q->flag, " "), q->flag) : rc;
	}
	if (k->yes && q->dflt)
		return q->take(q->ctx, q->dflt, e);
	if (k->terminal)
		return ask_terminal(q, e);
	return err_set(e, ERR_INVALID, "%s needs %s where nobody can be asked%s", k->command,
		       q->flag, q->dflt ? "; --yes takes the default" : "");
}

static int take_yes(void *ctx, const char *answer, struct err *e)
{
	static const char *const yes[] = { "y", "yes" }, *const no[] = { "n", "no" };
	int *out = ctx;

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(answer, yes[i]) == 0)
			return *out = 1;
		if (strcasecmp(answer, no[i]) == 0)
			return *out = 0;
	}
	return err_set(e, ERR_INVALID, "\"%.40s\" is neither y nor n", answer);
}

int ask_yes(struct asker *k, const char *text, bool dflt, struct err *e)
{
	int answer = dflt, rc;
	struct question q = { .flag = "--yes",
			      .text = text,
			      .dflt = dflt ? "y" : "n",
			      .take = take_yes,
			      .ctx = &answer };

	if (k->yes || !k->terminal)
		return dflt;
	rc = ask(k, &q, e);
	return rc < 0 ? rc : answer;
}

/* ---- lists to choose from */

static void show_with_help(const struct choice *c, size_t n)
{
	static const struct column columns[] = {
		{ NULL, ALIGN_RIGHT, 0 },
		{ NULL, ALIGN_LEFT, 0 },
		{ NULL, ALIGN_LEFT, 20 },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns));
	char number[32];

	for (size_t i = 0; i < n; i++) {
		const char *row[] = { number, c[i].name, c[i].help };

		snprintf(number, sizeof(number), "  %zu", i + 1);
		table_add(t, row);
	}
	table_print(t, stderr, (size_t)cli_width(stderr));
	table_free(t);
}

void ask_show(const struct asker *k, const struct choice *c, size_t n)
{
	size_t widest = 0, a_line;

	if (!k->terminal || k->yes)
		return;
	if (n && c[0].help) {
		show_with_help(c, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (text_width(c[i].name) > widest)
			widest = text_width(c[i].name);
	}
	a_line = (size_t)cli_width(stderr) / (widest + 6);
	if (a_line == 0)
		a_line = 1;
	for (size_t i = 0; i < n; i++) {
		fprintf(stderr, "  %2zu ", i + 1);
		cli_print_text(stderr, c[i].name);
		if ((i + 1) % a_line == 0 || i + 1 == n)
			fputc('\n', stderr);
		else
			fprintf(stderr, "%*s", (int)(widest - text_width(c[i].name)), "");
	}
}

static int no_choice(const struct choice *c, size_t n, const char *word, struct err *e)
{
	const char **names = mem_array(n + 1, sizeof(*names)), *near;
	struct buf there;

	buf_init(&there, THERE_MAX);
	for (size_t i = 0; i < n; i++) {
		names[i] = c[i].name;
		buf_addf(&there, "%s%s", i ? ", " : "", c[i].name);
	}
	near = nearest_name(word, names, n);
	if (near)
		err_set(e, ERR_INVALID, "\"%.80s\" is no choice; did you mean %s?", word, near);
	else
		err_set(e, ERR_INVALID, "\"%.80s\" is no choice; there is: %s", word,
			buf_str(&there));
	buf_release(&there);
	free(names);
	return e->code;
}

static int find_choice(const struct choice *c, size_t n, const char *word, struct err *e)
{
	char *end;
	unsigned long number;

	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(word, c[i].name) == 0)
			return (int)i;
	}
	errno = 0;
	number = strtoul(word, &end, 10);
	if (!errno && *end == '\0' && word[0] != '-' && number >= 1 && number <= n)
		return (int)number - 1;
	return no_choice(c, n, word, e);
}

int ask_choices(const struct choice *c, size_t n, const char *answer, size_t *at, struct err *e)
{
	char *words = mem_strdup(answer), *rest = words, *word;
	int found = 0, i = 0;

	while (i >= 0 && (word = strtok_r(rest, ", \t", &rest)) != NULL) {
		bool all = strcasecmp(word, "all") == 0, had = false;

		if (all) {
			for (found = 0; (size_t)found < n; found++)
				at[found] = (size_t)found;
			break;
		}
		i = find_choice(c, n, word, e);
		for (int j = 0; i >= 0 && j < found; j++)
			had |= at[j] == (size_t)i;
		if (i >= 0 && !had)
			at[found++] = (size_t)i;
	}
	free(words);
	if (i >= 0 && found == 0)
		return err_set(e, ERR_INVALID,
			       "nothing is chosen; a number from 1 to %zu or a name", n);
	return i < 0 ? i : found;
}
