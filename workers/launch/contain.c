/* workers/launch/contain.c -- quern-contain: one worker in a container of docker or
 * podman. It stays outside, holds the worker's lock, and speaks with the runtime's
 * program only. As long as it lives it answers for its container: it ends it when
 * it is told to stop, and takes it away at the end. A note, written before the
 * container is made and removed when it is gone, tells quern what is left to do
 * when this process was killed.
 *
 *   run NOTE LOCK RUNTIME -- ARGS   make it by `RUNTIME create ARGS`, run it to its end
 *   attach NOTE                     wait for one whose quern-contain was killed
 *   end NOTE                        stop it and take it away
 *
 * The name of the container is the last part of NOTE. Exit code: the worker's; a
 * worker that a signal ended is followed by the same signal; else as env(1). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workers/launch/place.h"

#define STOP_SECONDS "2" /* from the runtime's SIGTERM to its SIGKILL */
#define GONE_TRIES 50	 /* a runtime takes containers away after it said how they ended */
#define GONE_PAUSE_MS 100
#define WORDS_MAX 4096 /* of what a runtime answers */

struct contained {
	const char *note, *name;
	char runtime[PATH_MAX];
	int signals;  /* signalfd of SIGTERM, SIGINT and SIGHUP, which are blocked */
	int stopping; /* one of them came */
};

static void complain(const char *what, const char *why)
{
	dprintf(STDERR_FILENO, "quern-contain: %s: %s\n", what, why);
}

/* ---- the note: "RUNTIME\nLOCK\n" */

static int write_note(const struct contained *c, const char *lock)
{
	char temporary[PATH_MAX];
	const char *slash = strrchr(c->note, '/');
	FILE *f;
	int bad;

	/* A name that quern gc knows as unfinished. */
	if (snprintf(temporary, sizeof(temporary), "%.*s/.tmp-%s", (int)(slash - c->note), c->note,
		     c->name) >= (int)sizeof(temporary))
		return -1;
	f = fopen(temporary, "we");
	if (!f)
		return -1;
	bad = fprintf(f, "%s\n%s\n", c->runtime, lock) < 0;
	bad |= fclose(f) != 0;
	return bad ? -1 : rename(temporary, c->note);
}

static int read_note(struct contained *c)
{
	FILE *f = fopen(c->note, "re");
	char *end;
	int good;

	if (!f)
		return -1;
	good = fgets(c->runtime, sizeof(c->runtime), f) && (end = strchr(c->runtime, '\n'));
	fclose(f);
	if (!good)
		return -1;
	*end = '\0';
	return c->runtime[0] == '/' ? 0 : -1;
}

/* ---- the runtime's program */

/* out_fd -1: what it prints goes nowhere; quiet: so do its complaints. dies: it is killed with us,
 * so that nothing is made that nobody answers for. */
static pid_t start(const char *const *argv, int out_fd, int quiet, int dies)
{
	pid_t self = getpid(), pid = fork();
	int nowhere;

	if (pid != 0)
		return pid;
	if (dies && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != self))
		_exit(PLACE_CANNOT_SET_UP);
	/* A group of its own: what is sent to ours is for us to answer. */
	(void)setpgid(0, 0);
	place_reset_signals();
	nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(nowhere, STDIN_FILENO);
	dup2(out_fd >= 0 ? out_fd : nowhere, STDOUT_FILENO);
	if (quiet)
		dup2(nowhere, STDERR_FILENO);
	execv(argv[0], (char *const *)argv);
	complain(argv[0], strerror(errno));
	_exit(PLACE_CANNOT_RUN);
}

static int wait_for(pid_t pid)
{
	int status;

	while (pid > 0 && waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return PLACE_CANNOT_SET_UP;
	}
	if (pid <= 0)
		return PLACE_CANNOT_SET_UP;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(const char *const *argv, int quiet)
{
	return wait_for(start(argv, -1, quiet, 0));
}

/* The first line of what it prints, without its end. Exit code. */
static int ask(const char *const *argv, char *line, size_t size)
{
	int ends[2], code;
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	line[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) != 0)
		return PLACE_CANNOT_SET_UP;
	pid = start(argv, ends[1], 1, 0);
	close(ends[1]);
	while ((n = read(ends[0], line + have, size - 1 - have)) > 0)
		have += (size_t)n;
	close(ends[0]);
	code = wait_for(pid);
	line[have] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	return code;
}

/* ---- what becomes of the container */

static void pause_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* 1 there is none of this name, 0 there is, -1 the runtime does not answer. */
static int is_gone(const struct contained *c)
{
	char filter[NAME_MAX + 16], line[WORDS_MAX];
	const char *const argv[] = {
		c->runtime, "ps", "--all", "--quiet", "--filter", filter, NULL
	};

	snprintf(filter, sizeof(filter), "name=^%s$", c->name);
	if (ask(argv, line, sizeof(line)) != 0)
		return -1;
	return line[0] == '\0';
}

/* "running", "exited", "created" ...; "" if it cannot be told. */
static void state_of(const struct contained *c, char *line, size_t size)
{
	const char *const argv[] = { c->runtime,	  "container", "inspect", "--format",
				     "{{.State.Status}}", c->name,     NULL };

	if (ask(argv, line, size) != 0)
		line[0] = '\0';
}

static int remove_it(const struct contained *c)
{
	const char *const argv[] = { c->runtime, "rm", "--force", "--volumes", c->name, NULL };

	return run(argv, 1);
}

/* Stop it if it runs, take it away, then the note. 0, or -1 if it may still be there. */
static int end(const struct contained *c)
{
	int gone = 0;

	for (int i = 0; i < GONE_TRIES; i++) {
		gone = is_gone(c);
		if (gone != 0)
			break;
		/* It fails while the runtime takes it away by itself. */
		if (remove_it(c) != 0)
			pause_ms(GONE_PAUSE_MS);
	}
	if (gone == 1)
		return unlink(c->note) == 0 || errno == ENOENT ? 0 : -1;
	complain(c->name, gone < 0 ? "its runtime does not answer; the container may be left"
				   : "the container could not be taken away");
	return -1;
}

/* ---- while it runs */

/* What the client prints, on to whoever listens; when nobody does any more, nowhere. */
static int pass_on(int from, int to)
{
	char chunk[16384];
	ssize_t n = read(from, chunk, sizeof(chunk)), done = 0, w = 0;

	while (done < n && (w = write(to, chunk + done, (size_t)(n - done))) > 0)
		done += w;
	return n > 0 || (n < 0 && errno == EINTR);
}

static pid_t begin_stop(struct contained *c)
{
	const char *const argv[] = { c->runtime, "stop", "--time", STOP_SECONDS, c->name, NULL };
	struct signalfd_siginfo said;

	if (read(c->signals, &said, sizeof(said)) != sizeof(said) || c->stopping)
		return 0;
	c->stopping = 1;
	return start(argv, -1, 1, 0);
}

/* Until the client says no more and has ended. Its exit code. */
static int follow(struct contained *c, pid_t client, int from, int to)
{
	struct pollfd p[2] = { { .fd = c->signals, .events = POLLIN },
			       { .fd = from, .events = POLLIN } };
	pid_t stop = 0;

	while (p[1].fd >= 0) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents) {
			pid_t begun = begin_stop(c);

			stop = begun > 0 ? begun : stop;
		}
		if (p[1].revents && !pass_on(from, to)) {
			close(from);
			p[1].fd = -1;
		}
	}
	if (stop > 0 && wait_for(stop) != 0)
		(void)remove_it(c);
	return wait_for(client);
}

/* Run the client, its output to `to`. */
static int followed(struct contained *c, const char *const *argv, int to)
{
	int ends[2];
	pid_t client;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return PLACE_CANNOT_SET_UP;
	client = start(argv, ends[1], 0, 1);
	close(ends[1]);
	return follow(c, client, ends[0], to);
}

/* The client is gone and the container is not: its end is worth waiting for. */
static int wait_container(struct contained *c)
{
	const char *const argv[] = { c->runtime, "wait", c->name, NULL };
	char words[WORDS_MAX];
	int ends[2], code;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return PLACE_CANNOT_SET_UP;
	/* Its answer is one short line: it fits the pipe, which is read afterwards. */
	code = followed(c, argv, ends[1]);
	n = read(ends[0], words, sizeof(words) - 1);
	words[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	close(ends[1]);
	return code == 0 && words[0] >= '0' && words[0] <= '9' ? atoi(words) & 255
							       : PLACE_CANNOT_SET_UP;
}

/* What the client's exit code means for the worker. */
static int judge(struct contained *c, int code)
{
	char state[WORDS_MAX];

	if (code == 0 || c->stopping)
		return code;
	state_of(c, state, sizeof(state));
	if (strcmp(state, "running") == 0)
		return wait_container(c);
	if (strcmp(state, "created") == 0 || strcmp(state, "configured") == 0 ||
	    strcmp(state, "initialized") == 0)
		return PLACE_CANNOT_SET_UP; /* it never ran; its runtime has said why */
	return code;
}

static int run_container(struct contained *c, const char *lock, char **args)
{
	const char *const begin[] = { c->runtime, "start", "--attach", c->name, NULL };
	struct pollfd p = { .fd = c->signals, .events = POLLIN };

	if (write_note(c, lock) != 0) {
		complain(c->note, strerror(errno));
		return PLACE_CANNOT_SET_UP;
	}
	(void)remove_it(c); /* of an attempt with the same name: its store was lost */
	/* Not cut short by a stop: what was asked for would come when nobody waits for it. */
	if (wait_for(start((const char *const *)args, -1, 0, 1)) != 0)
		return PLACE_CANNOT_SET_UP;
	if (poll(&p, 1, 0) > 0) {
		c->stopping = 1;
		return 128 + SIGTERM;
	}
	return judge(c, followed(c, begin, STDOUT_FILENO));
}

static int attach_container(struct contained *c)
{
	char state[WORDS_MAX];

	state_of(c, state, sizeof(state));
	return strcmp(state, "running") == 0 ? wait_container(c) : PLACE_CANNOT_SET_UP;
}

/* ---- beginning and end */

static void prepare(struct contained *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	signal(SIGPIPE, SIG_IGN); /* a worker outlives its listener */
	/* The lock is ours: a runtime's program that stays must not seem to be the worker. */
	(void)fcntl(PLACE_LOCK_FD, F_SETFD, FD_CLOEXEC);
}

/* A worker that a signal ended shows the same way as one without a container. */
static int finish(int code)
{
	const struct rlimit none = { 0, 0 };
	sigset_t all;

	if (code <= 128 || code > 128 + 31)
		return code;
	setrlimit(RLIMIT_CORE, &none);
	place_reset_signals();
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	raise(code - 128);
	return code;
}

static void usage(void)
{
	fputs("usage: quern-contain run NOTE LOCK RUNTIME -- ARGS...\n"
	      "       quern-contain attach|end NOTE\n",
	      stderr);
	exit(PLACE_CANNOT_SET_UP);
}

/* args: RUNTIME create --name NAME ARGS; the place of "--" and what is before it is free. */
static char **create_args(struct contained *c, char **argv)
{
	static char create[] = "create", name[] = "--name";
	char **args = argv + 2;

	args[0] = c->runtime;
	args[1] = create;
	args[2] = name;
	args[3] = (char *)c->name;
	return args;
}

int main(int argc, char **argv)
{
	struct contained c = { .note = argc > 2 ? argv[2] : "" };
	const char *slash = strrchr(c.note, '/'), *lock;
	int code, is_run = argc > 6 && strcmp(argv[1], "run") == 0;

	if (!slash || !slash[1] || strlen(slash + 1) > NAME_MAX ||
	    (is_run ? strcmp(argv[5], "--") != 0 || strlen(argv[4]) >= sizeof(c.runtime)
		    : argc != 3))
		usage();
	c.name = slash + 1;
	prepare(&c);
	if (is_run) {
		lock = argv[3];
		strcpy(c.runtime, argv[4]); /* fits: looked at above */
		code = run_container(&c, lock, create_args(&c, argv));
	} else if (read_note(&c) != 0) {
		complain(c.note, "no note of a container");
		return PLACE_CANNOT_SET_UP;
	} else if (strcmp(argv[1], "attach") == 0) {
		code = attach_container(&c);
	} else if (strcmp(argv[1], "end") == 0) {
		return end(&c) == 0 ? 0 : 1;
	} else {
		usage();
	}
	(void)end(&c);
	return finish(code);
}
