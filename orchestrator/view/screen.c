#include "orchestrator/view/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "orchestrator/view/table.h"

/* xterm's, which every terminal that is still used has taken over: the other screen, no cursor, no
 * folding of long lines. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"
#define OUT_MAX (1u << 20)

struct screen {
	int rows, columns;
	char *shown[SCREEN_ROWS_MAX], *wanted[SCREEN_ROWS_MAX]; /* NULL: empty */
	bool all; /* what the terminal shows is not known */
	struct buf out;
};

/* What a signal handler needs to give the terminal back. */
static struct termios before;
static volatile sig_atomic_t entered, raw;

static const int faults[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

/* ---- the terminal, taken and given back */

/* Async-signal-safe. */
static void give_back(void)
{
	ssize_t ignored;

	if (!entered)
		return;
	entered = 0;
	ignored = write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);
	(void)ignored;
	if (raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	raw = 0;
}

static void on_fault(int sig)
{
	give_back();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void take(struct screen *s)
{
	struct termios t;

	fflush(stdout);
	if (tcgetattr(STDIN_FILENO, &before) == 0) {
		t = before;
		/* Signals stay: Ctrl-C comes as one. */
		t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		t.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
		t.c_cc[VMIN] = 1;
		t.c_cc[VTIME] = 0;
		raw = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
	}
	entered = 1;
	s->all = true;
	buf_adds(&s->out, ENTER);
}

struct screen *screen_open(void)
{
	static bool known;
	struct screen *s = mem_zalloc(sizeof(*s));

	buf_init(&s->out, OUT_MAX);
	if (!known)
		(void)atexit(give_back);
	known = true;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		signal(faults[i], on_fault);
	take(s);
	return s;
}

void screen_close(struct screen *s)
{
	if (!s)
		return;
	give_back();
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		signal(faults[i], SIG_DFL);
	for (int i = 0; i < SCREEN_ROWS_MAX; i++) {
		free(s->shown[i]);
		free(s->wanted[i]);
	}
	buf_release(&s->out);
	free(s);
}

void screen_suspend(struct screen *s)
{
	(void)s;
	give_back();
}

void screen_resume(struct screen *s)
{
	take(s);
}

/* ---- drawing */

void screen_size(struct screen *s, int *rows, int *columns)
{
	struct winsize w = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_row == 0 || w.ws_col == 0) {
		w.ws_row = 24;
		w.ws_col = 80;
	}
	*rows = w.ws_row > SCREEN_ROWS_MAX ? SCREEN_ROWS_MAX : w.ws_row;
	*columns = w.ws_col > SCREEN_COLUMNS_MAX ? SCREEN_COLUMNS_MAX : w.ws_col;
	if (*rows != s->rows || *columns != s->columns)
		s->all = true;
	s->rows = *rows;
	s->columns = *columns;
}

void screen_set(struct screen *s, int row, const char *text)
{
	char *cut = NULL;
	size_t size = 0;
	FILE *f;

	if (row < 0 || row >= s->rows)
		return;
	f = open_memstream(&cut, &size);
	if (!f)
		return;
	text_print_cut(f, text, (size_t)s->columns);
	fclose(f);
	free(s->wanted[row]);
	s->wanted[row] = cut;
}

static bool same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static size_t send_out(struct screen *s)
{
	size_t sent = 0;

	while (sent < s->out.len) {
		ssize_t n = write(STDOUT_FILENO, s->out.data + sent, s->out.len - sent);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	buf_clear(&s->out);
	return sent;
}

size_t screen_show(struct screen *s)
{
	if (s->all)
		buf_adds(&s->out, "\033[0m\033[2J");
	for (int row = 0; row < SCREEN_ROWS_MAX; row++) {
		if (row < s->rows &&
		    (s->all ? s->wanted[row] != NULL : !same(s->shown[row], s->wanted[row])))
			buf_addf(&s->out, "\033[%d;1H%s\033[0m\033[K", row + 1,
				 s->wanted[row] ? s->wanted[row] : "");
		free(s->shown[row]);
		s->shown[row] = s->wanted[row];
		s->wanted[row] = NULL;
	}
	s->all = false;
	return send_out(s);
}

/* ---- keys */

/* The sequences of xterm, of the Linux console and of "application mode". Returns how many bytes
 * were one key. */
static size_t decode(const char *p, size_t n, int *key)
{
	static const struct {
		const char *bytes;
		int key;
	} known[] = { { "[A", KEY_UP },	  { "[B", KEY_DOWN },	  { "OA", KEY_UP },
		      { "OB", KEY_DOWN }, { "[5~", KEY_PAGE_UP }, { "[6~", KEY_PAGE_DOWN },
		      { "[H", KEY_HOME }, { "[F", KEY_END },	  { "[1~", KEY_HOME },
		      { "[4~", KEY_END }, { "OH", KEY_HOME },	  { "OF", KEY_END } };
	size_t len;

	*key = (unsigned char)p[0];
	if (p[0] == '\n')
		*key = KEY_ENTER;
	if (p[0] == '\b')
		*key = KEY_BACKSPACE;
	if (p[0] != '\033')
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		len = strlen(known[i].bytes);
		if (n > len && memcmp(p + 1, known[i].bytes, len) == 0) {
			*key = known[i].key;
			return len + 1;
		}
	}
	*key = KEY_ESCAPE;
	if (n < 2 || (p[1] != '[' && p[1] != 'O'))
		return 1;
	/* A sequence that nobody here knows: its end is a letter or '~'. */
	*key = KEY_NONE;
	for (len = 2; len < n && !(p[len] >= '@' && p[len] <= '~'); len++)
		;
	return len < n ? len + 1 : n;
}

int screen_keys(struct screen *s, int *keys, int n)
{
	char bytes[256];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
	size_t at = 0;
	int found = 0;

	(void)s;
	if (got <= 0) {
		keys[0] = KEY_CLOSED;
		return got < 0 && errno == EINTR ? 0 : 1;
	}
	while (at < (size_t)got && found < n) {
		at += decode(bytes + at, (size_t)got - at, &keys[found]);
		found += keys[found] != KEY_NONE;
	}
	return found;
}
