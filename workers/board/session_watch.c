/* workers/board/session_watch.c -- the process that holds the runtime, seen from outside: what it
 * prints, the frames it sends, how it ends. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "workers/board/session_private.h"

#define END_MS 3000 /* for rkllm_destroy() */

/* ---- the log */

static void log_line(struct session *s)
{
	if (s->line.len == 0)
		return;
	rklog_line(&s->log, s->line.data, s->line.len);
	/* What is printed for a file that is not there would only confuse, unless it was all. */
	if (s->looking && s->job) {
		buf_clear(&s->line);
		return;
	}
	if (s->log_lines++ < SESSION_LOG_LINES_MAX) {
		struct json_out *o = wire_event(s->wire, "log");

		jw_key(o, "text");
		jw_strn(o, s->line.data, s->line.len);
		wire_send(s->wire);
	}
	buf_clear(&s->line);
}

static void log_bytes(struct session *s, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			log_line(s);
		else
			(void)buf_addc(&s->line, p[i]); /* full: dropped */
	}
}

void session_read_log(struct session *s)
{
	char chunk[8192];
	ssize_t n = read(s->runner.log_fd, chunk, sizeof(chunk));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		close(s->runner.log_fd);
		s->runner.log_fd = -1;
		return;
	}
	log_bytes(s, chunk, (size_t)n);
}

/* What was printed before a frame is in the pipe before it; but never more than a pipe holds. */
static void drain_log(struct session *s)
{
	for (int i = 0; i < 64 && s->runner.log_fd >= 0; i++) {
		struct pollfd p = { .fd = s->runner.log_fd, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0)
			return;
		session_read_log(s);
	}
}

/* ---- the process */

static void reap(struct session *s)
{
	struct rusage used = { 0 };

	if (!s->runner.pid)
		return;
	while (wait4(s->runner.pid, &s->status, 0, &used) < 0 && errno == EINTR)
		;
	s->runner.pid = 0;
	if ((uint64_t)used.ru_maxrss * 1024 > s->peak_rss_bytes)
		s->peak_rss_bytes = (uint64_t)used.ru_maxrss * 1024;
	drain_log(s);
	log_line(s);
	close(s->runner.ask_fd);
	close(s->runner.frame_fd);
	if (s->runner.log_fd >= 0)
		close(s->runner.log_fd);
}

void session_end_runner(struct session *s)
{
	int64_t until = clock_mono_ms() + END_MS;
	siginfo_t info;

	if (!s->runner.pid)
		return;
	kill(s->runner.pid, SIGTERM);
	for (;;) {
		struct pollfd p[2] = { { .fd = s->runner.frame_fd, .events = POLLIN },
				       { .fd = s->runner.log_fd, .events = POLLIN } };
		char waste[4096];

		info.si_pid = 0;
		if (waitid(P_PID, (id_t)s->runner.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid)
			break;
		if (clock_mono_ms() >= until) {
			kill(s->runner.pid, SIGKILL);
			break;
		}
		(void)poll(p, 2, 50);
		if (p[0].revents & POLLIN && read(s->runner.frame_fd, waste, sizeof(waste)) < 0)
			break;
		if (p[1].revents & POLLIN)
			session_read_log(s);
		if ((p[0].revents | p[1].revents) & POLLHUP)
			(void)poll(NULL, 0, 10);
	}
	reap(s);
}

int session_fault(struct session *s, const char *cause, struct err *e, int code, const char *fmt,
		  ...)
{
	va_list ap;

	s->cause = cause;
	va_start(ap, fmt);
	err_setv(e, code, fmt, ap);
	va_end(ap);
	return code;
}

int session_died(struct session *s, const char *doing, struct err *e)
{
	const char *last;

	reap(s);
	last = s->log.error;
	if (WIFSIGNALED(s->status) && WTERMSIG(s->status) == SIGKILL)
		return session_fault(
			s, "out of memory", e, ERR_IO,
			"the runtime was killed while %s: the board is probably out of memory",
			doing);
	if (WIFSIGNALED(s->status))
		return session_fault(s, "crash", e, ERR_IO,
				     "the runtime crashed while %s: signal %d (%s)%s%s", doing,
				     WTERMSIG(s->status), strsignal(WTERMSIG(s->status)),
				     last[0] ? "; it said: " : "", last);
	return session_fault(s, "crash", e, ERR_IO,
			     "the runtime ended the process while %s, with code %d%s%s", doing,
			     WEXITSTATUS(s->status), last[0] ? "; it said: " : "", last);
}

/* ---- frames */

/* What the runtime printed tells more than its number. */
static int failed(struct session *s, const char *p, size_t n, struct err *e)
{
	struct frame_failed f;
	const char *last = s->log.error;
	char text[512];

	memcpy(&f, p, sizeof(f));
	n -= sizeof(f);
	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, p + sizeof(f), n);
	text[n] = '\0';
	if (f.code == ERR_ENV || strstr(last, "open rknpu") || strstr(last, "driver"))
		return session_fault(s, "missing dependency", e, ERR_ENV, "%s%s%s", text,
				     last[0] ? ": " : "", last);
	if (f.code == ERR_INVALID)
		return session_fault(s, "refused", e, ERR_INVALID,
				     "the runtime does not load this file: %s%s%s", text,
				     last[0] ? ": " : "", last);
	return session_fault(s, "bad output", e, ERR_IO, "%s%s%s", text, last[0] ? ": " : "", last);
}

int session_await(struct session *s, enum frame_kind want, int64_t limit_ms, const char *doing,
		  const char **payload, size_t *size, struct err *e)
{
	int64_t until = clock_mono_ms() + limit_ms;

	for (;;) {
		struct pollfd p[3] = { { 0 },
				       { .fd = s->runner.frame_fd, .events = POLLIN },
				       { .fd = s->runner.log_fd, .events = POLLIN } };
		int kind = runner_frame(&s->frames, payload, size, e);
		char chunk[16384];
		ssize_t n;

		if (kind < 0)
			return session_fault(s, "crash", e, kind,
					     "while %s: the runtime wrote into our pipe", doing);
		if (kind) {
			drain_log(s);
			log_line(s);
			if (kind == FRAME_FAILED)
				return failed(s, *payload, *size, e);
			if ((enum frame_kind)kind == want)
				return 0;
			return session_fault(s, "crash", e, ERR_CORRUPT, "while %s: frame %d came",
					     doing, kind);
		}
		if (!wire_wait(s->wire, p, 3, until)) {
			if (s->wire->ended)
				return session_fault(s, "stopped", e, ERR_CANCELLED, "%s",
						     s->wire->why);
			return session_fault(s, "timeout", e, ERR_BUSY,
					     "the runtime has been %s for more than %lld s", doing,
					     (long long)(limit_ms + 999) / 1000);
		}
		if (p[2].revents)
			session_read_log(s);
		if (!p[1].revents)
			continue;
		n = read(s->runner.frame_fd, chunk, sizeof(chunk));
		if (n == 0)
			return session_died(s, doing, e);
		if (n > 0 && buf_add(&s->frames, chunk, (size_t)n) < 0)
			return session_fault(s, "crash", e, ERR_CORRUPT,
					     "while %s: too long a frame", doing);
	}
}

void session_drop_frame(struct session *s, size_t size)
{
	buf_drop(&s->frames, sizeof(struct frame) + size);
}
