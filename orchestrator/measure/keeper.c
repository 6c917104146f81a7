#include "orchestrator/measure/keeper.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/proc.h"

#define TERM_MS 5000 /* from SIGTERM to SIGKILL */
#define ROUND_MS 20
#define CANNOT_RUN 127
#define DESCRIPTORS 1024 /* we never have more */

enum told { TOLD_STARTED, TOLD_ENDED, TOLD_CANNOT };
struct telling {
	enum told what;
	int value; /* pid, status or errno */
};

/* ---- in the keeper: no allocation, as it is a fork of a process that may have had threads */

static void tell(int fd, enum told what, int value)
{
	const struct telling t = { what, value };

	(void)!write(fd, &t, sizeof(t)); /* below PIPE_BUF: all or nothing */
}

static void on_child(int sig)
{
	(void)sig; /* it only ends a wait */
}

static void run_server(const char *const *argv, int log_fd, int fail_fd, pid_t keeper)
{
	static const char *const secrets[] = { "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
					       "QUERN_GIT_TOKEN" };
	static const int plain[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD };
	int null_fd = open("/dev/null", O_RDONLY);
	sigset_t none;

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(CANNOT_RUN);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		(void)signal(plain[i], SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		(void)unsetenv(secrets[i]);
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
		_exit(CANNOT_RUN);
	(void)execvp(argv[0], (char *const *)argv);
	tell(fail_fd, TOLD_CANNOT, errno);
	_exit(CANNOT_RUN);
}

/* Signal everything below us. What loses its parent becomes our child, and is met next time. */
static void signal_children(pid_t group, int sig)
{
	char path[64], text[4096];
	int fd;
	ssize_t n;

	(void)kill(-group, sig);
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	for (char *p = text; *p;) {
		char *end;
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		if (pid > 1)
			(void)kill((pid_t)pid, sig);
		p = end;
	}
}

static int64_t mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wait for those that have ended. False: there is nobody any more. */
static bool reap(pid_t server, int told_fd)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == server)
			tell(told_fd, TOLD_ENDED, status);
	return pid == 0;
}

static void end_all(pid_t server, int told_fd)
{
	const struct timespec round = { 0, ROUND_MS * 1000000L };
	int64_t until = mono_ms() + TERM_MS;

	signal_children(server, SIGTERM);
	while (reap(server, told_fd)) {
		if (mono_ms() >= until)
			signal_children(server, SIGKILL);
		(void)nanosleep(&round, NULL);
	}
	(void)kill(-server, SIGKILL);
}

/* Nothing of ours but these three: whoever reads our standard output must not wait for the keeper.
 */
static void forget_descriptors(int log_fd, int life_fd, int told_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null_fd >= 0)
		(void)dup2(null_fd, 0);
	(void)dup2(log_fd, 1);
	(void)dup2(log_fd, 2);
	for (int fd = 3; fd < DESCRIPTORS; fd++)
		if (fd != log_fd && fd != life_fd && fd != told_fd)
			close(fd);
}

static void keep(const char *const *argv, int log_fd, int life_fd, int told_fd)
{
	const struct sigaction child = { .sa_handler = on_child };
	struct pollfd life = { .fd = life_fd, .events = POLLIN };
	sigset_t blocked, open_mask;
	pid_t self = getpid(), server;

	forget_descriptors(log_fd, life_fd, told_fd);
	(void)setsid();
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &blocked, NULL);
	(void)sigaction(SIGCHLD, &child, NULL);
	sigemptyset(&open_mask);
	server = fork();
	if (server == 0)
		run_server(argv, log_fd, told_fd, self);
	if (server < 0) {
		tell(told_fd, TOLD_CANNOT, errno);
		_exit(1);
	}
	(void)setpgid(server, server);
	tell(told_fd, TOLD_STARTED, server);
	/* The pipe is never written to: readable means closed. */
	while (ppoll(&life, 1, NULL, &open_mask) <= 0)
		(void)reap(server, told_fd);
	end_all(server, told_fd);
	_exit(0);
}

/* ---- in our process */

static void read_tellings(struct keeper *k)
{
	struct telling t;

	while (read(k->told_fd, &t, sizeof(t)) == (ssize_t)sizeof(t)) {
		if (t.what == TOLD_STARTED)
			k->server = t.value;
		else if (t.what == TOLD_ENDED)
			k->status = t.value;
		else
			k->cannot = t.value;
	}
}

static int open_ends(int life[2], int told[2], int *log_fd, const char *log, struct err *e)
{
	*log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0644);
	if (*log_fd < 0)
		return err_errno(e, "%s", log);
	if (pipe2(life, O_CLOEXEC) != 0) {
		(void)err_errno(e, "cannot make a pipe");
		close(*log_fd);
		return e->code;
	}
	if (pipe2(told, O_CLOEXEC) != 0) {
		(void)err_errno(e, "cannot make a pipe");
		close(*log_fd);
		close(life[0]);
		close(life[1]);
		return e->code;
	}
	return 0;
}

/* The first word of the keeper: is there a server? */
static int wait_started(struct keeper *k, const char *program, struct err *e)
{
	struct pollfd p = { .fd = k->told_fd, .events = POLLIN };

	while (k->server == 0 && k->cannot == 0) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return err_errno(e, "cannot wait for the server");
		(void)fcntl(k->told_fd, F_SETFL, O_NONBLOCK);
		read_tellings(k);
		if (k->server == 0 && k->cannot == 0 && (p.revents & POLLHUP))
			return err_set(e, ERR_ENV, "%s cannot be started", program);
	}
	return 0;
}

int keeper_start(struct keeper *k, const char *const *argv, const char *log, struct err *e)
{
	int life[2] = { -1, -1 }, told[2] = { -1, -1 }, log_fd = -1;
	int rc = open_ends(life, told, &log_fd, log, e);

	*k = (struct keeper){ .life_fd = -1, .told_fd = -1, .status = -1 };
	if (rc < 0)
		return rc;
	k->pid = fork();
	if (k->pid == 0) {
		close(life[1]);
		close(told[0]);
		keep(argv, log_fd, life[0], told[1]);
	}
	close(log_fd);
	close(life[0]);
	close(told[1]);
	k->life_fd = life[1];
	k->told_fd = told[0];
	if (k->pid < 0) {
		k->pid = 0;
		rc = err_errno(e, "cannot start a process");
	} else {
		rc = wait_started(k, argv[0], e);
	}
	if (rc < 0)
		keeper_end(k);
	return rc;
}

int keeper_alive(struct keeper *k, struct err *e)
{
	read_tellings(k);
	if (k->cannot)
		return err_set(e, ERR_ENV, "it cannot be run: %s", strerror(k->cannot));
	if (k->status == -1)
		return 0;
	if (WIFSIGNALED(k->status))
		return err_set(e, ERR_ENV, "it was ended by signal %d", WTERMSIG(k->status));
	return err_set(e, ERR_ENV, "it ended by itself with exit code %d", WEXITSTATUS(k->status));
}

/* Process group of a process, field 5 of /proc/PID/stat (the name in front may have anything). */
static long group_of(const char *pid)
{
	char path[64], text[512], *end;
	long group = -1;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')');
	if (end && sscanf(end + 1, " %*c %*d %ld", &group) != 1)
		group = -1;
	return group;
}

uint64_t keeper_peak_bytes(const struct keeper *k)
{
	DIR *d = k->server ? opendir("/proc") : NULL;
	const struct dirent *entry;
	uint64_t sum = 0;

	while (d && (entry = readdir(d))) {
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    group_of(entry->d_name) == (long)k->server)
			sum += proc_peak_rss((pid_t)strtol(entry->d_name, NULL, 10));
	}
	if (d)
		closedir(d);
	return sum;
}

void keeper_end(struct keeper *k)
{
	if (k->life_fd >= 0)
		close(k->life_fd);
	if (k->pid > 0)
		while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR) {
		}
	if (k->told_fd >= 0)
		close(k->told_fd);
	*k = (struct keeper){ .life_fd = -1, .told_fd = -1, .status = -1 };
}
