#include "orchestrator/host/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/host/spawn.h"

extern char **environ;

#define ERR_KEEP 4096 /* of its standard error; the last line is what we want */

static int exit_code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int capture_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 127; /* not our child any more: somebody else waited for it */
	}
	return exit_code_of(status);
}

/* ---- what it says */

static void keep_tail(struct buf *b, const char *p, size_t n)
{
	if (n > ERR_KEEP) {
		p += n - ERR_KEEP;
		n = ERR_KEEP;
	}
	if (b->len + n > ERR_KEEP)
		buf_drop(b, b->len + n - ERR_KEEP);
	buf_add(b, p, n);
}

/* One read. Returns 1, or 0 at the end of the stream; ERR_NOSPACE when out is full. */
static int take(struct capture *c, int *fd)
{
	char chunk[16384];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n < 0 && errno == EINTR)
		return 1;
	if (n <= 0) {
		close(*fd);
		*fd = -1;
		return 0;
	}
	if (fd == &c->out_fd)
		return buf_add(c->out, chunk, (size_t)n) < 0 ? ERR_NOSPACE : 1;
	keep_tail(&c->last, chunk, (size_t)n);
	if (c->echo && write(STDERR_FILENO, chunk, (size_t)n) < 0)
		c->echo = false;
	return 1;
}

static void last_line(struct buf *b, char *out, size_t size)
{
	const char *s = buf_str(b), *line;
	size_t end = b->len;

	while (end && (s[end - 1] == '\n' || s[end - 1] == '\r' || s[end - 1] == ' '))
		end--;
	line = s + end;
	while (line > s && line[-1] != '\n')
		line--;
	snprintf(out, size, "%.*s", (int)(s + end - line), line);
}

/* The meaning of an exit code: docs/worker-protocol.md, and 125 and 127 of quern-launch. */
static void explain(struct capture *c, int code)
{
	char line[ERR_MSG_MAX];
	int kind = code == 3				     ? ERR_INVALID
		   : code == 4 || code == 125 || code == 127 ? ERR_ENV
							     : ERR_IO;

	last_line(&c->last, line, sizeof(line));
	if (code > 128)
		err_set(&c->err, ERR_IO, "%s was ended by signal %d (%s)%s%s",
			path_basename(c->name), code - 128, strsignal(code - 128),
			line[0] ? ": " : "", line);
	else if (line[0])
		err_set(&c->err, kind, "%s", line);
	else
		err_set(&c->err, kind, "%s ended with code %d and said nothing",
			path_basename(c->name), code);
}

/* ---- one program */

static int spawn(struct capture *c)
{
	static char *const no_env[] = { NULL }; /* quern-launch makes a worker's environment */
	posix_spawn_file_actions_t acts;
	posix_spawnattr_t attr;
	int out[2], err[2], rc;
	sigset_t none;

	if (pipe2(out, O_CLOEXEC) != 0)
		return err_errno(&c->err, "pipe");
	if (pipe2(err, O_CLOEXEC) != 0) {
		err_errno(&c->err, "pipe");
		close(out[0]);
		close(out[1]);
		return c->err.code;
	}
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&acts, out[1], 1);
	posix_spawn_file_actions_adddup2(&acts, err[1], 2);
	/* Onto itself is fine: the flag that closes it goes away then as well. */
	if (c->lock_fd >= 0)
		posix_spawn_file_actions_adddup2(&acts, c->lock_fd, SPAWN_LOCK_FD);
	rc = posix_spawnp(&c->pid, c->argv[0], &acts, &attr, (char *const *)c->argv,
			  c->env	    ? (char *const *)c->env
			  : c->lock_fd >= 0 ? no_env
					    : environ);
	posix_spawn_file_actions_destroy(&acts);
	posix_spawnattr_destroy(&attr);
	close(out[1]);
	close(err[1]);
	c->out_fd = out[0];
	c->err_fd = err[0];
	errno = rc;
	return rc ? err_errno(&c->err, "%s", c->argv[0]) : 0;
}

/* Over: rc so far, or its exit code when that is 0. A negative one ends it now. */
static void finish(struct capture *c, int rc)
{
	if (c->pid > 0) {
		int code;

		if (rc < 0 && kill(-c->pid, SIGKILL) != 0)
			kill(c->pid, SIGKILL); /* it does not lead its group yet */
		code = capture_wait(c->pid);
		if (rc == 0 && code != 0)
			explain(c, code);
		rc = rc < 0 ? rc : code;
	}
	if (c->out_fd >= 0)
		close(c->out_fd);
	if (c->err_fd >= 0)
		close(c->err_fd);
	buf_release(&c->last);
	c->out_fd = c->err_fd = -1;
	c->pid = 0;
	c->rc = rc;
}

static bool is_running(const struct capture *c)
{
	return c->pid > 0;
}

static void start(struct capture *c)
{
	c->err = (struct err)ERR_INIT;
	c->rc = 0;
	c->pid = 0;
	c->out_fd = c->err_fd = -1;
	buf_init(&c->last, ERR_KEEP);
	if (spawn(c) < 0) {
		c->pid = 0;
		finish(c, c->err.code);
	}
}

static void look(struct capture *c, const struct pollfd *out, const struct pollfd *err)
{
	if (out->revents && take(c, &c->out_fd) < 0) {
		finish(c, err_set(&c->err, ERR_NOSPACE, "it printed more than %zu bytes",
				  c->out->max));
		return;
	}
	if (err->revents)
		(void)take(c, &c->err_fd);
	if (c->out_fd < 0 && c->err_fd < 0)
		finish(c, 0);
}

/* ---- several */

static void cancel(struct capture *v, size_t n, size_t started)
{
	for (size_t i = 0; i < n; i++) {
		if (i >= started)
			v[i].rc = err_set(&v[i].err, ERR_CANCELLED, "interrupted");
		else if (is_running(&v[i]))
			finish(&v[i], err_set(&v[i].err, ERR_CANCELLED, "interrupted"));
	}
}

/* Wait until one of v says something, ends, or a signal comes (true). */
static bool pump(struct capture *v, size_t n, struct pollfd *p, int signal_fd)
{
	size_t used = 0;
	bool signalled;

	p[used++] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
	for (size_t i = 0; i < n; i++) {
		if (!is_running(&v[i]))
			continue;
		p[used++] = (struct pollfd){ .fd = v[i].out_fd, .events = POLLIN };
		p[used++] = (struct pollfd){ .fd = v[i].err_fd, .events = POLLIN };
	}
	while (poll(p, used, -1) < 0 && errno == EINTR)
		;
	signalled = p[0].revents != 0;
	used = 1;
	for (size_t i = 0; !signalled && i < n; i++) {
		if (!is_running(&v[i]))
			continue;
		look(&v[i], &p[used], &p[used + 1]);
		used += 2;
	}
	return signalled;
}

static size_t count_running(const struct capture *v, size_t n)
{
	size_t running = 0;

	for (size_t i = 0; i < n; i++)
		running += is_running(&v[i]);
	return running;
}

/* True when a signal ended it. */
static bool run_all(struct capture *v, size_t n, size_t at_once, int signal_fd)
{
	struct pollfd *p = mem_array(2 * at_once + 1, sizeof(*p));
	bool signalled = false;
	size_t started = 0;

	for (;;) {
		while (started < n && count_running(v, started) < at_once)
			start(&v[started++]);
		if (!count_running(v, started))
			break;
		signalled = pump(v, started, p, signal_fd);
		if (signalled) {
			cancel(v, n, started);
			break;
		}
	}
	free(p);
	return signalled;
}

void capture_run(struct capture *v, size_t n, size_t at_once)
{
	sigset_t ours, before;
	bool signalled;
	int signal_fd;

	/* The signals that would end us are held back and seen by poll(), so that no worker and no
	 * folder stays behind. */
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &ours, &before);
	signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	signalled = run_all(v, n, at_once, signal_fd);
	if (signal_fd >= 0)
		close(signal_fd);
	/* The caller learns of the signal by ERR_CANCELLED and ends in order: it must not strike as
	 * well. */
	if (signalled) {
		const struct timespec now = { 0 };

		while (sigtimedwait(&ours, NULL, &now) > 0)
			;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}
