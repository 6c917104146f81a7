/* orchestrator/view/status_watch.c -- quern status --watch: on a terminal the whole screen drawn
 * anew each second until the run ends or q is pressed; elsewhere one line for each change. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/status.h"
#include "orchestrator/view/table.h"

#define PERIOD_MS 1000
#define SCREEN_ENTER "\033[?1049h\033[?25l" /* alternate screen, no cursor */
#define SCREEN_LEAVE "\033[?25h\033[?1049l"

struct watch {
	struct store *store;
	const char *work;
	int64_t run_id;
	bool all;
	struct arena *a; /* of the last look; reset before the next */
	struct status now;
	int signal_fd;
	bool screen, keys;
	struct termios before;
	/* of the look before, for rates that follow the stage and not the whole attempt */
	struct {
		int64_t id, done, at_ms;
		char stage[32];
	} seen[STATUS_ACTIVE_MAX];
	int n_seen;
};

enum wake { WAKE_TIME, WAKE_QUIT, WAKE_INTERRUPTED };

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
	return 0;
}

/* ---- waiting */

static enum wake wait_a_period(struct watch *w)
{
	struct pollfd p[2] = { { .fd = w->signal_fd, .events = POLLIN },
			       { .fd = w->keys ? STDIN_FILENO : -1, .events = POLLIN } };
	struct signalfd_siginfo si;
	char key;

	if (poll(p, ARRAY_LEN(p), PERIOD_MS) <= 0)
		return WAKE_TIME;
	if (p[0].revents && read(w->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		return si.ssi_signo == SIGWINCH ? WAKE_TIME : WAKE_INTERRUPTED;
	if (p[1].revents) {
		if (read(STDIN_FILENO, &key, 1) != 1)
			w->keys = false; /* the keyboard is gone; signals still end us */
		else if (key == 'q' || key == 'Q')
			return WAKE_QUIT;
	}
	return WAKE_TIME;
}

/* ---- a terminal */

static void screen_begin(struct watch *w)
{
	struct termios raw;

	w->screen = true;
	fputs(SCREEN_ENTER, stdout);
	if (isatty(STDIN_FILENO) != 1 || tcgetattr(STDIN_FILENO, &w->before) != 0)
		return;
	raw = w->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* signals stay: Ctrl-C comes by signal_fd */
	w->keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void screen_end(struct watch *w)
{
	if (!w->screen)
		return;
	fputs(SCREEN_LEAVE, stdout);
	fflush(stdout);
	if (w->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &w->before);
	w->screen = false;
}

static int screen_height(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row >= 4)
		return size.ws_row;
	return 24;
}

/* Each line is written over the old one and its rest cleared, so that nothing flickers. */
static void draw(struct watch *w)
{
	int rows = screen_height() - 1, width = cli_width(stdout);
	char *text = NULL, *line, *rest;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return;
	status_print(&w->now, f, (size_t)width);
	fclose(f);
	fputs("\033[H", stdout);
	for (line = strtok_r(text, "\n", &rest); line && rows > 0;
	     line = strtok_r(NULL, "\n", &rest)) {
		text_print_cut(stdout, line, (size_t)width);
		fputs("\033[K\n", stdout);
		rows--;
	}
	printf("\033[J%sq leaves%s", cli_style(stdout, STYLE_DIM), cli_style(stdout, STYLE_PLAIN));
	fflush(stdout);
	free(text);
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

static int follow(struct watch *w, enum wake *why, struct err *e)
{
	struct status before = { .total = -1 };
	int rc = look(w, e);

	*why = WAKE_TIME;
	if (rc >= 0 && cli_is_terminal(stdout) && w->now.life == RUN_GOING)
		screen_begin(w);
	while (rc >= 0 && *why == WAKE_TIME) {
		if (w->screen)
			draw(w);
		else if (before.total < 0 || !same(&before, &w->now))
			print_line(&w->now);
		if (w->now.life != RUN_GOING || ferror(stdout))
			break;
		before = w->now;
		*why = wait_a_period(w);
		if (*why == WAKE_TIME)
			rc = look(w, e);
	}
	return rc;
}

int status_watch(struct store *s, const char *work, int64_t run_id, bool all)
{
	struct watch w = { .store = s, .work = work, .run_id = run_id, .all = all };
	struct err e = ERR_INIT;
	enum wake why;
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	w.a = arena_new();
	rc = follow(&w, &why, &e);
	screen_end(&w);
	/* What was last seen stays on the ordinary screen. */
	if (rc >= 0 && cli_is_terminal(stdout))
		status_print(&w.now, stdout, table_width_limit());
	if (rc >= 0)
		rc = why == WAKE_INTERRUPTED ? EXIT_INTERRUPTED : status_exit_code(&w.now);
	else
		rc = cli_fail(&e);
	if (w.signal_fd >= 0)
		close(w.signal_fd);
	arena_free(w.a);
	return rc;
}
