#include "workers/board/wire.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"

#define DEAF_MS 60000 /* how long a reader may not read, when silence says nothing else */
#define PIECE 4096    /* PIPE_BUF: as much as a pipe that is ready takes without waiting */

static volatile sig_atomic_t stopped_by;

static void on_signal(int sig)
{
	stopped_by = sig;
}

void wire_init(struct wire *w, bool listens, int64_t silence_ms)
{
	struct sigaction act = { .sa_handler = on_signal };
	sigset_t ours;

	memset(w, 0, sizeof(*w));
	w->listens = listens;
	w->silence_ms = silence_ms;
	w->heard_ms = clock_mono_ms();
	buf_init(&w->in, WIRE_LINE_MAX);
	buf_init(&w->out, 4 * WIRE_LINE_MAX);
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigprocmask(SIG_BLOCK, &ours, NULL);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
}

void wire_release(struct wire *w)
{
	buf_release(&w->in);
	buf_release(&w->out);
}

static void over(struct wire *w, const char *why)
{
	if (!w->ended)
		w->why = why;
	w->ended = true;
}

static void hear(struct wire *w)
{
	char chunk[16384];
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		over(w, "the other side is gone");
		return;
	}
	w->heard_ms = clock_mono_ms();
	if (buf_add(&w->in, chunk, (size_t)n) < 0)
		over(w, "the other side sent a line without an end");
}

/* Until until_ms, or the moment at which silence has lasted too long. */
static int64_t next_look(const struct wire *w, int64_t until_ms)
{
	int64_t silent;

	if (!w->listens || !w->silence_ms)
		return until_ms;
	silent = w->heard_ms + w->silence_ms;
	return until_ms < 0 || silent < until_ms ? silent : until_ms;
}

int wire_wait(struct wire *w, struct pollfd *fds, size_t n, int64_t until_ms)
{
	int64_t until = next_look(w, until_ms), left = until - clock_mono_ms();
	struct timespec ts = { 0 };
	sigset_t none;
	int rc;

	if (stopped_by)
		over(w, "stopped by a signal");
	if (w->ended)
		return 0;
	if (left > 0)
		ts = (struct timespec){ left / 1000, left % 1000 * 1000000 };
	fds[0] = (struct pollfd){ .fd = w->listens ? STDIN_FILENO : -1, .events = POLLIN };
	sigemptyset(&none);
	rc = ppoll(fds, n, until < 0 ? NULL : &ts, &none);
	if (rc < 0) {
		for (size_t i = 0; i < n; i++)
			fds[i].revents = 0;
	}
	if (stopped_by)
		over(w, "stopped by a signal");
	if (fds[0].revents)
		hear(w);
	if (w->listens && w->silence_ms && clock_mono_ms() - w->heard_ms >= w->silence_ms)
		over(w, "the other side has been silent for too long");
	if (w->ended)
		return 0;
	return rc != 0 || until_ms < 0 || clock_mono_ms() < until_ms;
}

char *wire_line(struct wire *w, size_t *len)
{
	static char *last;

	free(last);
	last = NULL;
	while (w->in.len) {
		char *end = memchr(w->in.data, '\n', w->in.len);
		size_t n;

		if (!end)
			return NULL;
		n = (size_t)(end - w->in.data);
		if (n) {
			last = mem_strndup(w->in.data, n);
			*len = strlen(last);
		}
		buf_drop(&w->in, n + 1);
		if (last)
			return last;
	}
	return NULL;
}

/* ---- out */

struct json_out *wire_event(struct wire *w, const char *name)
{
	buf_clear(&w->out);
	jw_init(&w->json, &w->out, 0);
	jw_object(&w->json);
	jw_kstr(&w->json, "event", name);
	return &w->json;
}

void wire_send(struct wire *w)
{
	int64_t patience = w->silence_ms ? w->silence_ms : DEAF_MS;
	const char *at;
	size_t left;

	jw_end_object(&w->json);
	buf_addc(&w->out, '\n');
	at = w->out.data;
	left = w->out.overflow ? 0 : w->out.len;
	while (left) {
		struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };
		ssize_t n;

		if (poll(&p, 1, (int)patience) <= 0) {
			over(w, "nobody reads what is said");
			return;
		}
		n = write(STDOUT_FILENO, at, left < PIECE ? left : PIECE);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			over(w, "nobody reads what is said");
			return;
		}
		at += n;
		left -= (size_t)n;
	}
}

void wire_warn(struct wire *w, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	jw_kstr(wire_event(w, "warning"), "text", text);
	wire_send(w);
}
