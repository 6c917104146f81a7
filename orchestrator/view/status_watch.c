/* orchestrator/view/status_watch.c -- quern status --watch: on a terminal a screen that follows the
 * run, until it ends or q is pressed; elsewhere one line for each change. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/utf8.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/screen.h"
#include "orchestrator/view/status.h"
#include "orchestrator/view/table.h"
#include "orchestrator/view/watch_list.h"

#define PERIOD_MS 1000
#define HEAD_ROWS 3 /* run, counts, what is shown */

struct watch {
	struct store *store;
	const char *work;
	int64_t run_id;
	bool all;
	struct arena *a; /* of the last look; reset before the next */
	struct status now;
	int signal_fd;
	struct screen *screen; /* NULL: not a terminal */
	bool keys;	       /* the keyboard is there */
	bool typing, help;     /* a filter; the page of keys */
	struct watch_list list;
	/* of the look before, for rates that follow the stage and not the whole attempt */
	struct {
		int64_t id, done, at_ms;
		char stage[32];
	} seen[STATUS_ACTIVE_MAX];
	int n_seen;
};

enum wake { WAKE_TIME, WAKE_KEY, WAKE_QUIT, WAKE_INTERRUPTED };

/* ---- looking */

/* Rate over the last look, when it is of the same stage; the attempt's mean otherwise. */
static void sharpen_rates(struct watch *w)
{
	for (int i = 0; i < w->now.n_active; i++) {
		struct status_job *j = &w->now.active[i];

		for (int k = 0; k < w->n_seen; k++) {
			int64_t ms = w->now.now_ms - w->seen[k].at_ms;

			if (w->seen[k].id != j->id || strcmp(w->seen[k].stage, j->stage) != 0 ||
			    ms <= 0 || j->done <= w->seen[k].done)
				continue;
			j->rate = 1000.0 * (double)(j->done - w->seen[k].done) / (double)ms;
			if (j->total >= j->done)
				j->left_ms =
					(int64_t)(1000.0 * (double)(j->total - j->done) / j->rate);
		}
	}
}

static void remember(struct watch *w)
{
	w->n_seen = w->now.n_active;
	for (int i = 0; i < w->n_seen; i++) {
		w->seen[i].id = w->now.active[i].id;
		w->seen[i].done = w->now.active[i].done;
		w->seen[i].at_ms = w->now.now_ms;
		snprintf(w->seen[i].stage, sizeof(w->seen[i].stage), "%s", w->now.active[i].stage);
	}
}

static int look(struct watch *w, struct err *e)
{
	int rc;

	arena_reset(w->a);
	rc = status_load(w->store, w->work, w->run_id, w->all, w->a, &w->now, e);
	if (rc < 0)
		return rc;
	sharpen_rates(w);
	remember(w);
	return w->screen ? watch_list_load(&w->list, &w->now, e) : 0;
}

/* ---- the screen */

static const char *const keys_help[] = {
	"up, down, page up, page down   choose a job, or scroll its log",
	"home, end                      the first, the last",
	"enter                          the log of the chosen job, as it grows",
	"n                              what runs, and what has failed",
	"f                              what has failed",
	"a                              all jobs",
	"/                              show only what has this in its name, state or message",
	"escape                         back; the filter goes",
	"?                              this page",
	"q                              leave; the run goes on",
};

static void draw_head(struct watch *w)
{
	char *text = NULL, *line, *rest;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int row = 0;

	if (!f)
		return;
	status_print_head(&w->now, f);
	fclose(f);
	for (line = strtok_r(text, "\n", &rest); line && row < HEAD_ROWS - 1;
	     line = strtok_r(NULL, "\n", &rest))
		screen_set(w->screen, row++, line);
	free(text);
}

static void draw_title(struct watch *w, struct arena *a)
{
	static const char *const views[] = { [WATCH_NOW] = "running and failed",
					     [WATCH_FAILED] = "failed",
					     [WATCH_ALL] = "all jobs" };
	const struct watch_list *l = &w->list;
	const char *dim = cli_style(stdout, STYLE_DIM), *plain = cli_style(stdout, STYLE_PLAIN);
	const char *text;

	if (w->help)
		text = "keys";
	else if (l->log_id)
		text = arena_printf(a, "log of job %lld, attempt %d%s", (long long)l->log_id,
				    l->log_attempt, l->log_back ? "" : ", to its end");
	else
		text = arena_printf(a, "%s: %zu%s%s%s%s", views[l->what], l->n,
				    l->more ? " and more" : "",
				    l->filter[0] || w->typing ? ", with \"" : "", l->filter,
				    w->typing	   ? "_"
				    : l->filter[0] ? "\""
						   : "");
	screen_set(w->screen, HEAD_ROWS - 1, arena_printf(a, "%s-- %s%s", dim, text, plain));
}

static const char *help_line(const struct watch *w)
{
	if (w->typing)
		return "type to filter, enter keeps it, escape drops it";
	if (w->help)
		return "escape goes back, q leaves";
	if (w->list.log_id)
		return "q leaves, escape goes back, arrows scroll, end follows";
	return "q leaves, arrows choose, enter log, / filter, n now, f failed, a all, ? keys";
}

static void draw(struct watch *w)
{
	struct arena *a = arena_new();
	int rows, columns;

	screen_size(w->screen, &rows, &columns);
	draw_head(w);
	draw_title(w, a);
	for (size_t i = 0; w->help && i < ARRAY_LEN(keys_help); i++)
		screen_set(w->screen, HEAD_ROWS + (int)i, keys_help[i]);
	if (!w->help)
		watch_list_draw(&w->list, w->screen, HEAD_ROWS, rows - 1, columns);
	screen_set(w->screen, rows - 1,
		   arena_printf(a, "%s%s%s", cli_style(stdout, STYLE_DIM), help_line(w),
				cli_style(stdout, STYLE_PLAIN)));
	(void)screen_show(w->screen);
	arena_free(a);
}

/* ---- keys */

static void type(struct watch *w, int key)
{
	char *filter = w->list.filter;
	size_t n = strlen(filter);

	if (key == KEY_ENTER || key == KEY_ESCAPE)
		w->typing = false;
	if (key == KEY_ESCAPE)
		filter[0] = '\0';
	else if (key == KEY_BACKSPACE && n)
		filter[utf8_cut(filter, n - 1)] = '\0';
	else if (key >= ' ' && key < 256 && key != KEY_BACKSPACE &&
		 n + 1 < sizeof(w->list.filter)) {
		filter[n] = (char)key;
		filter[n + 1] = '\0';
	}
}

static void back(struct watch *w)
{
	if (w->help)
		w->help = false;
	else if (w->list.log_id)
		w->list.log_id = 0;
	else
		w->list.filter[0] = '\0';
}

static void show(struct watch *w, enum watch_what what)
{
	w->list.what = what;
	w->list.log_id = 0;
	w->list.top = 0;
}

static enum wake on_key(struct watch *w, int key)
{
	int rows, columns, page;

	screen_size(w->screen, &rows, &columns);
	page = rows > HEAD_ROWS + 3 ? rows - HEAD_ROWS - 2 : 1;
	if (key == KEY_CLOSED) {
		w->keys = false; /* signals still end us */
		return WAKE_TIME;
	}
	if (w->typing) {
		type(w, key);
		return WAKE_KEY;
	}
	switch (key) {
	case 'q':
	case 'Q':
		return WAKE_QUIT;
	case KEY_ESCAPE:
		back(w);
		break;
	case '?':
	case 'h':
		w->help = !w->help;
		break;
	case '/':
		show(w, w->list.what);
		w->typing = true;
		break;
	case 'n':
		show(w, WATCH_NOW);
		break;
	case 'f':
		show(w, WATCH_FAILED);
		break;
	case 'a':
		show(w, WATCH_ALL);
		break;
	case KEY_ENTER:
		if (!w->list.log_id)
			(void)watch_list_open(&w->list);
		break;
	case KEY_UP:
	case 'k':
		watch_list_move(&w->list, -1);
		break;
	case KEY_DOWN:
	case 'j':
		watch_list_move(&w->list, 1);
		break;
	case KEY_PAGE_UP:
		watch_list_move(&w->list, -page);
		break;
	case KEY_PAGE_DOWN:
	case ' ':
		watch_list_move(&w->list, page);
		break;
	case KEY_HOME:
		watch_list_move(&w->list, -INT32_MAX);
		break;
	case KEY_END:
		watch_list_move(&w->list, INT32_MAX);
		break;
	default:
		break;
	}
	return WAKE_KEY;
}

/* ---- waiting */

/* Ctrl-Z: the shell has its terminal back while we are stopped. */
static void stand_still(struct watch *w)
{
	const struct timespec at_once = { 0 };
	sigset_t go_on;

	if (w->screen)
		screen_suspend(w->screen);
	(void)raise(SIGSTOP);
	sigemptyset(&go_on);
	sigaddset(&go_on, SIGCONT);
	(void)sigtimedwait(&go_on, NULL, &at_once); /* what woke us is dealt with here */
	if (w->screen)
		screen_resume(w->screen);
}

static enum wake on_signal(struct watch *w)
{
	struct signalfd_siginfo si;

	if (read(w->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return WAKE_TIME;
	if (si.ssi_signo == SIGWINCH)
		return WAKE_KEY;
	if (si.ssi_signo == SIGTSTP) {
		stand_still(w);
		return WAKE_TIME;
	}
	if (si.ssi_signo != SIGCONT)
		return WAKE_INTERRUPTED;
	/* Somebody else had stopped us, without a word: who knows what the terminal shows. */
	if (w->screen) {
		screen_suspend(w->screen);
		screen_resume(w->screen);
	}
	return WAKE_TIME;
}

static enum wake wait_a_period(struct watch *w)
{
	struct pollfd p[2] = { { .fd = w->signal_fd, .events = POLLIN },
			       { .fd = w->keys ? STDIN_FILENO : -1, .events = POLLIN } };
	enum wake why = WAKE_TIME;
	int keys[64], n;

	if (poll(p, ARRAY_LEN(p), PERIOD_MS) <= 0)
		return WAKE_TIME;
	if (p[0].revents)
		return on_signal(w);
	n = screen_keys(w->screen, keys, ARRAY_LEN(keys));
	for (int i = 0; i < n && why != WAKE_QUIT; i++)
		why = on_key(w, keys[i]);
	return why;
}

/* ---- not a terminal */

static void print_line(const struct status *st)
{
	struct arena *a = arena_new();

	printf("%s run %lld %s:", show_time(a, st->now_ms), (long long)st->run.id,
	       run_life_name(st->life));
	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		if (st->counts[i])
			printf(" %s=%lld", job_state_name((enum job_state)i),
			       (long long)st->counts[i]);
	}
	putchar('\n');
	fflush(stdout);
	arena_free(a);
}

static bool same(const struct status *x, const struct status *y)
{
	return x->life == y->life && x->run.id == y->run.id &&
	       memcmp(x->counts, y->counts, sizeof(x->counts)) == 0;
}

/* ---- the loop */

/* A person who reads a log is not sent away when the run ends. */
static bool is_over(const struct watch *w)
{
	return w->now.life != RUN_GOING &&
	       !(w->screen && w->keys && (w->list.log_id || w->help || w->typing));
}

static int follow(struct watch *w, enum wake *why, struct err *e)
{
	struct status before = { .total = -1 };
	int rc = look(w, e);

	*why = WAKE_TIME;
	if (rc >= 0 && cli_is_terminal(stdout) && w->now.life == RUN_GOING) {
		w->screen = screen_open();
		w->keys = isatty(STDIN_FILENO) == 1;
		rc = look(w, e);
	}
	while (rc >= 0) {
		if (w->screen)
			draw(w);
		else if (before.total < 0 || !same(&before, &w->now))
			print_line(&w->now);
		if (is_over(w) || ferror(stdout))
			break;
		before = w->now;
		*why = wait_a_period(w);
		if (*why == WAKE_QUIT || *why == WAKE_INTERRUPTED)
			break;
		rc = look(w, e);
	}
	return rc;
}

int status_watch(struct store *s, const char *work, int64_t run_id, bool all)
{
	static const int signals[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH
	};
	struct watch w = { .store = s, .work = work, .run_id = run_id, .all = all };
	struct err e = ERR_INIT;
	enum wake why;
	sigset_t set;
	int rc;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	w.a = arena_new();
	watch_list_init(&w.list, s, work);
	rc = follow(&w, &why, &e);
	screen_close(w.screen);
	/* What was last seen stays on the ordinary screen. */
	if (rc >= 0 && cli_is_terminal(stdout))
		status_print(&w.now, stdout, table_width_limit());
	if (rc >= 0)
		rc = why == WAKE_INTERRUPTED ? EXIT_INTERRUPTED : status_exit_code(&w.now);
	else
		rc = cli_fail(&e);
	if (w.signal_fd >= 0)
		close(w.signal_fd);
	watch_list_release(&w.list);
	arena_free(w.a);
	return rc;
}
