#include "orchestrator/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/spawn.h"

extern char **environ;

/* ---- where our own programs are */

static const char *runnable(struct arena *a, const char *folder, const char *name)
{
	const char *path = arena_printf(a, "%s/%s", folder, name);
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? path : NULL;
}

const char *launch_program(struct arena *a, const char *name)
{
	char *here = path_program_dir(), *prefix;
	const char *found;

	if (!here)
		return NULL;
	found = runnable(a, here, name);
	if (!found) {
		prefix = path_dirname(here);
		found = runnable(a, arena_printf(a, "%s/libexec/quern", prefix), name);
		free(prefix);
	}
	free(here);
	return found;
}

/* ---- quern-launch around a program */

#define FIXED_ARGS 8 /* quern-launch, its options as below, --, the program and the last NULL */

/* NULL: quern-launch is missing. */
static const char **launch_argv(struct arena *a, const struct launch_place *p, const char *program,
				const char *const *args, size_t n_args, struct err *e)
{
	const char **v = arena_array(a, FIXED_ARGS + 2 * p->n_read + n_args, sizeof(*v));
	size_t n = 0;

	v[n++] = launch_program(a, "quern-launch");
	if (!v[0]) {
		err_set(e, ERR_ENV,
			"quern-launch is missing beside quern and in libexec/quern; install quern "
			"completely");
		return NULL;
	}
	v[n++] = "--job";
	v[n++] = p->dir;
	v[n++] = "--lock-fd";
	v[n++] = arena_printf(a, "%d", SPAWN_LOCK_FD);
	for (size_t i = 0; i < p->n_read; i++) {
		v[n++] = "--read";
		v[n++] = p->read[i];
	}
	v[n++] = "--";
	v[n++] = program;
	for (size_t i = 0; i < n_args; i++)
		v[n++] = args[i];
	v[n] = NULL;
	return v;
}

/* ---- run to the end */

static int exit_code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 127; /* not our child any more: somebody else waited for it */
	}
	return exit_code_of(status);
}

struct capture {
	struct buf *out;
	struct buf err;	    /* the last bytes of its standard error */
	int out_fd, err_fd; /* our ends; -1 at the end */
	int signal_fd;
	bool echo; /* its standard error goes to ours as well */
	pid_t pid;
};

#define ERR_KEEP 4096 /* of its standard error; the last line is what we want */

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
	keep_tail(&c->err, chunk, (size_t)n);
	if (c->echo && write(STDERR_FILENO, chunk, (size_t)n) < 0)
		c->echo = false;
	return 1;
}

/* Read both streams until they end. A signal that would end us is seen here first, so that no
 * worker and no folder stays behind. */
static int pump(struct capture *c, struct err *e)
{
	while (c->out_fd >= 0 || c->err_fd >= 0) {
		struct pollfd p[3] = { { .fd = c->out_fd, .events = POLLIN },
				       { .fd = c->err_fd, .events = POLLIN },
				       { .fd = c->signal_fd, .events = POLLIN } };

		if (poll(p, ARRAY_LEN(p), -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_errno(e, "poll");
		}
		if (p[2].revents)
			return err_set(e, ERR_CANCELLED, "interrupted");
		if (p[0].revents && take(c, &c->out_fd) < 0)
			return err_set(e, ERR_NOSPACE, "it printed more than %zu bytes",
				       c->out->max);
		if (p[1].revents)
			(void)take(c, &c->err_fd);
	}
	return 0;
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
static void explain(const char *program, int code, struct buf *text, struct err *e)
{
	char line[ERR_MSG_MAX];
	int kind = code == 3				     ? ERR_INVALID
		   : code == 4 || code == 125 || code == 127 ? ERR_ENV
							     : ERR_IO;

	last_line(text, line, sizeof(line));
	if (code > 128)
		err_set(e, ERR_IO, "%s was ended by signal %d (%s)%s%s", path_basename(program),
			code - 128, strsignal(code - 128), line[0] ? ": " : "", line);
	else if (line[0])
		err_set(e, kind, "%s", line);
	else
		err_set(e, kind, "%s ended with code %d and said nothing", path_basename(program),
			code);
}

static int spawn(struct capture *c, const char **argv, int lock_fd, struct err *e)
{
	static char *const no_env[] = { NULL }; /* quern-launch makes a worker's environment */
	posix_spawn_file_actions_t acts;
	posix_spawnattr_t attr;
	int out[2], err[2], rc;
	sigset_t none;

	if (pipe2(out, O_CLOEXEC) != 0)
		return err_errno(e, "pipe");
	if (pipe2(err, O_CLOEXEC) != 0) {
		err_errno(e, "pipe");
		close(out[0]);
		close(out[1]);
		return e->code;
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
	if (lock_fd >= 0)
		posix_spawn_file_actions_adddup2(&acts, lock_fd, SPAWN_LOCK_FD);
	rc = posix_spawnp(&c->pid, argv[0], &acts, &attr, (char *const *)argv,
			  lock_fd >= 0 ? no_env : environ);
	posix_spawn_file_actions_destroy(&acts);
	posix_spawnattr_destroy(&attr);
	close(out[1]);
	close(err[1]);
	c->out_fd = out[0];
	c->err_fd = err[0];
	errno = rc;
	return rc ? err_errno(e, "%s", argv[0]) : 0;
}

/* Run argv (a worker if it gets a lock) with the signals that would end us held back. */
static int run_captured(const char *program, const char **argv, int lock_fd, bool echo,
			struct buf *out, struct err *e)
{
	struct capture c = { .out = out, .out_fd = -1, .err_fd = -1, .echo = echo };
	sigset_t ours, before;
	int rc, code;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &ours, &before);
	c.signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	buf_init(&c.err, ERR_KEEP);
	rc = spawn(&c, argv, lock_fd, e);
	if (rc == 0) {
		rc = pump(&c, e);
		if (rc < 0 && kill(-c.pid, SIGKILL) != 0)
			kill(c.pid, SIGKILL); /* it does not lead its group yet */
		code = wait_for(c.pid);
		if (rc == 0 && code != 0)
			explain(program, code, &c.err, e);
		rc = rc < 0 ? rc : code;
	}
	if (c.out_fd >= 0)
		close(c.out_fd);
	if (c.err_fd >= 0)
		close(c.err_fd);
	if (c.signal_fd >= 0)
		close(c.signal_fd);
	buf_release(&c.err);
	/* The caller learns of the signal by ERR_CANCELLED and ends in order: it must not strike as
	 * well. */
	if (rc == ERR_CANCELLED) {
		const struct timespec now = { 0 };

		while (sigtimedwait(&ours, NULL, &now) > 0)
			;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int launch_worker(const struct launch_place *p, const char *program, const char *const *args,
		  size_t n_args, struct buf *out, struct err *e)
{
	struct arena *a = arena_new();
	int lock_fd = lock_take(arena_printf(a, "%s/lock", p->dir), e), rc;
	const char **argv = lock_fd < 0 ? NULL : launch_argv(a, p, program, args, n_args, e);

	rc = argv ? run_captured(program, argv, lock_fd, p->echo, out, e) : e->code;
	if (lock_fd >= 0)
		close(lock_fd);
	arena_free(a);
	return rc;
}

char *launch_folder(struct err *e)
{
	const char *base = getenv("TMPDIR");
	char *dir = mem_printf("%s/quern-XXXXXX", base && base[0] == '/' ? base : "/tmp");

	if (mkdtemp(dir))
		return dir;
	(void)err_errno(e, "%s", dir);
	free(dir);
	return NULL;
}

int launch_capture(const char *program, const char *const *args, size_t n_args,
		   const char *read_path, struct buf *out, struct err *e)
{
	struct err ignored = ERR_INIT;
	char *dir = launch_folder(e);
	const struct launch_place p = { .dir = dir,
					.read = &read_path,
					.n_read = read_path != NULL };
	int rc;

	if (!dir)
		return e->code;
	rc = launch_worker(&p, program, args, n_args, out, e);
	(void)path_remove_tree(
		dir, &ignored); /* a throw-away folder in the system's own place for such */
	free(dir);
	return rc;
}

int launch_output(const char *program, const char *const *args, size_t n_args, struct buf *out,
		  struct err *e)
{
	const char **argv = mem_array(n_args + 2, sizeof(*argv));
	int rc;

	argv[0] = program;
	memcpy(argv + 1, args, n_args * sizeof(*args));
	rc = run_captured(program, argv, -1, false, out, e);
	free(argv);
	return rc;
}

int launch_plain(const char *program, const char *const *args, size_t n_args, struct err *e)
{
	const char **argv = mem_array(n_args + 2, sizeof(*argv));
	struct sigaction ignore = { .sa_handler = SIG_IGN }, was_int, was_quit;
	posix_spawnattr_t attr;
	sigset_t dfl;
	pid_t pid;
	int rc;

	argv[0] = program;
	memcpy(argv + 1, args, n_args * sizeof(*args));
	/* The terminal sends its signals to both; the child decides, and we report how it ended. */
	sigaction(SIGINT, &ignore, &was_int);
	sigaction(SIGQUIT, &ignore, &was_quit);
	sigemptyset(&dfl);
	sigaddset(&dfl, SIGINT);
	sigaddset(&dfl, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &dfl);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(&pid, program, NULL, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	if (rc) {
		errno = rc;
		rc = err_errno(e, "%s", program);
	} else {
		rc = wait_for(pid);
	}
	sigaction(SIGINT, &was_int, NULL);
	sigaction(SIGQUIT, &was_quit, NULL);
	free(argv);
	return rc;
}
