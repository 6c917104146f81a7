#include "orchestrator/measure/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "orchestrator/measure/measure.h"

#define ARGS_MAX 64
#define ROUND_MS 50
#define LAST_WORDS 4096
#define CANNOT_RUN 127
#define LOST 255 /* ssh's own exit code: ssh(1), EXIT STATUS */

static bool stopped(const struct ssh *s)
{
	return !s->finishing && measure_stopped();
}

/* ---- processes here */

/* in_fd, out_fd: -1 is /dev/null. Its end comes with ours. */
static pid_t start_client(const struct ssh *s, const char *const *argv, int in_fd, int out_fd)
{
	static const char *const secrets[] = { "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
					       "QUERN_GIT_TOKEN", "SSH_ASKPASS", "DISPLAY" };
	pid_t parent = getpid(), pid = fork();
	int null_fd, err_fd;
	sigset_t none;

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(CANNOT_RUN);
	(void)setpgid(0, 0); /* Ctrl-C is for us, who still need the connection then */
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		(void)unsetenv(secrets[i]);
	null_fd = open("/dev/null", O_RDWR);
	err_fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (null_fd < 0 || err_fd < 0 || dup2(in_fd < 0 ? null_fd : in_fd, 0) < 0 ||
	    dup2(out_fd < 0 ? null_fd : out_fd, 1) < 0 || dup2(err_fd, 2) < 0)
		_exit(CANNOT_RUN);
	closefrom(3);
	(void)execvp(argv[0], (char *const *)argv);
	_exit(CANNOT_RUN);
}

static int wait_code(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return LOST;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : LOST;
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
	       info.si_pid != 0;
}

static int64_t log_size(const struct ssh *s)
{
	struct stat st;

	return stat(s->log, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* The last line that ssh has said since. */
static void last_words(const struct ssh *s, int64_t since, char out[300])
{
	char text[LAST_WORDS + 1], *line, *save = NULL;
	int fd = open(s->log, O_RDONLY | O_CLOEXEC);
	int64_t size = log_size(s);
	ssize_t n;

	out[0] = '\0';
	if (fd < 0)
		return;
	n = pread(fd, text, LAST_WORDS, size - since > LAST_WORDS ? size - LAST_WORDS : since);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		if (line[strspn(line, " \t")])
			text_visible(line, out, 300);
	}
}

/* ---- the command line */

/* A path in an option: ssh splits at blanks and replaces what follows a '%'. */
static const char *option_path(struct arena *a, const char *name, const char *path)
{
	struct buf b;
	const char *out;

	buf_init(&b, 3 * 4096);
	buf_addf(&b, "%s=\"", name);
	for (; *path; path++) {
		if (*path == '%')
			buf_addc(&b, '%');
		if (*path == '"' || *path == '\\')
			buf_addc(&b, '\\');
		buf_addc(&b, *path);
	}
	buf_addc(&b, '"');
	out = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return out;
}

struct args {
	const char *v[ARGS_MAX];
	size_t n;
};

static void add(struct args *args, const char *first, const char *second)
{
	args->v[args->n++] = first;
	if (second)
		args->v[args->n++] = second;
}

static void common(struct ssh *s, struct args *args)
{
	static const char *const fixed[] = {
		"BatchMode=yes",	   "StrictHostKeyChecking=yes",
		"ForwardAgent=no",	   "ForwardX11=no",
		"ClearAllForwardings=yes", "PermitLocalCommand=no",
		"RequestTTY=no",	   "LogLevel=ERROR",
		"EscapeChar=none",	   "RemoteCommand=none",
	};

	add(args, "ssh", NULL);
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		add(args, "-o", fixed[i]);
	add(args, "-o", option_path(s->a, "ControlPath", s->socket));
	if (s->board->port)
		add(args, "-p", arena_printf(s->a, "%d", s->board->port));
	if (s->board->user)
		add(args, "-l", s->board->user);
	if (s->board->known_hosts)
		add(args, "-o", option_path(s->a, "UserKnownHostsFile", s->board->known_hosts));
	if (s->board->identity) {
		add(args, "-o", option_path(s->a, "IdentityFile", s->board->identity));
		add(args, "-o", "IdentitiesOnly=yes");
	}
}

static pid_t start_master(struct ssh *s, int64_t patience_ms)
{
	struct args args = { .n = 0 };

	common(s, &args);
	add(&args, "-o", "ControlMaster=yes");
	add(&args, "-o", "ControlPersist=no");
	add(&args, "-o",
	    arena_printf(s->a, "ConnectTimeout=%lld",
			 (long long)(patience_ms / 1000 > 1 ? patience_ms / 1000 : 1)));
	/* A board that was unplugged is seen after half a minute. */
	add(&args, "-o", "ServerAliveInterval=10");
	add(&args, "-o", "ServerAliveCountMax=3");
	add(&args, "-N", "--");
	add(&args, s->board->host, NULL);
	return start_client(s, args.v, -1, -1);
}

static void client_args(struct ssh *s, struct args *args, const char *script)
{
	common(s, args);
	add(args, "-o", "ControlMaster=no");
	/* Without the master's connection there shall be none. */
	add(args, "-o", "ProxyCommand=false");
	add(args, "-T", "--");
	add(args, s->board->host, arena_printf(s->a, "exec sh -c %s", ssh_quoted(s->a, script)));
}

const char *ssh_quoted(struct arena *a, const char *word)
{
	struct buf b;
	const char *out;

	buf_init(&b, (size_t)1 << 20);
	buf_addc(&b, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			buf_adds(&b, "'\\''");
		else
			buf_addc(&b, *word);
	}
	buf_addc(&b, '\'');
	out = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return out;
}

/* ---- the connection */

static int why_not(struct ssh *s, int64_t since, int code, struct err *e)
{
	const char *host = s->board->host;
	char said[300];

	last_words(s, since, said);
	if (code == CANNOT_RUN)
		return err_set(e, ERR_ENV, "ssh cannot be run here; install the OpenSSH client");
	if (strstr(said, "Host key verification failed") || strstr(said, "host key is known for"))
		return err_set(e, ERR_ENV,
			       "the host key of %s is not the one in known_hosts, or is not there: "
			       "connect once by hand "
			       "and look at it (%s)",
			       host, said);
	if (strstr(said, "Permission denied") || strstr(said, "Too many authentication failures"))
		return err_set(e, ERR_ENV,
			       "%s lets nobody in without a question: make `ssh %s true` work with "
			       "a key (%s)",
			       host, host, said);
	return err_set(e, ERR_BUSY, "%s is not reachable by ssh%s%s", host, said[0] ? ": " : "",
		       said);
}

static void remove_dir(struct ssh *s)
{
	if (!s->dir)
		return;
	(void)unlink(s->socket);
	(void)rmdir(s->dir);
	free(s->dir);
	s->dir = NULL;
}

/* Socket paths have 108 bytes, of which ssh wants some; so not below the work folder. */
static int make_dir(struct ssh *s, struct err *e)
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	s->dir = mem_printf(
		"%s/quern-ssh-XXXXXX",
		run && run[0] == '/' && strlen(run) < 60 && access(run, W_OK) == 0 ? run : "/tmp");
	if (!mkdtemp(s->dir)) {
		(void)err_errno(e, "%s", s->dir);
		free(s->dir);
		s->dir = NULL;
		return e->code;
	}
	s->socket = arena_printf(s->a, "%s/c", s->dir);
	return 0;
}

int ssh_open(struct ssh *s, int64_t patience_ms, struct err *e)
{
	int64_t until = clock_mono_ms() + patience_ms + 1000, since = log_size(s);
	int rc = make_dir(s, e);

	if (rc < 0)
		return rc;
	s->master = start_master(s, patience_ms);
	if (s->master < 0) {
		s->master = 0;
		rc = err_errno(e, "cannot start a process");
	}
	/* The socket is made when the way in is open. */
	while (rc == 0 && access(s->socket, F_OK) != 0) {
		if (has_ended(s->master)) {
			rc = why_not(s, since, wait_code(s->master), e);
			s->master = 0;
		} else if (stopped(s)) {
			rc = err_set(e, ERR_CANCELLED, "stopped");
		} else if (clock_mono_ms() > until) {
			rc = err_set(e, ERR_BUSY, "%s has not answered by ssh for %lld s",
				     s->board->host, (long long)patience_ms / 1000);
		} else {
			(void)poll(NULL, 0, ROUND_MS);
		}
	}
	if (rc < 0)
		ssh_close(s);
	return rc;
}

bool ssh_is_up(struct ssh *s)
{
	return s->master > 0 && !has_ended(s->master);
}

void ssh_close(struct ssh *s)
{
	if (s->master > 0) {
		int64_t until = clock_mono_ms() + 2000;

		(void)kill(s->master, SIGTERM);
		while (!has_ended(s->master) && clock_mono_ms() < until)
			(void)poll(NULL, 0, ROUND_MS / 5);
		(void)kill(s->master, SIGKILL);
		(void)wait_code(s->master);
	}
	s->master = 0;
	remove_dir(s);
}

/* ---- to the end */

static int lost(struct ssh *s, int64_t since, struct err *e)
{
	char said[300];

	last_words(s, since, said);
	return err_set(e, ERR_BUSY, "the connection to %s was lost%s%s", s->board->host,
		       said[0] ? ": " : "", said);
}

static int read_to_end(const struct ssh *s, pid_t pid, int fd, int stdin_fd, struct buf *out,
		       int64_t limit_ms, void (*at)(void *ctx, int64_t position), void *ctx,
		       struct err *e)
{
	int64_t until = clock_mono_ms() + limit_ms;
	char chunk[16384];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, 250) < 0 && errno != EINTR)
			return err_errno(e, "poll");
		if (stopped(s) || (limit_ms >= 0 && clock_mono_ms() > until)) {
			(void)kill(pid, SIGTERM);
			return stopped(s) ? err_set(e, ERR_CANCELLED, "stopped")
					  : err_set(e, ERR_BUSY, "no answer for %lld s",
						    (long long)limit_ms / 1000);
		}
		if (at && stdin_fd >= 0) /* the client shares the file's position with us */
			at(ctx, (int64_t)lseek(stdin_fd, 0, SEEK_CUR));
		if (!p.revents)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		if (out && buf_add(out, chunk, (size_t)n) < 0) {
			(void)kill(pid, SIGTERM);
			return err_set(e, ERR_IO, "it printed more than %zu bytes", out->max);
		}
	}
}

int ssh_run(struct ssh *s, const char *script, int stdin_fd, struct buf *out, int64_t limit_ms,
	    void (*at)(void *ctx, int64_t position), void *ctx, struct err *e)
{
	struct args args = { .n = 0 };
	int64_t since = log_size(s);
	int p[2], rc, code;
	pid_t pid;

	if (!ssh_is_up(s))
		return lost(s, since, e);
	if (pipe2(p, O_CLOEXEC) != 0)
		return err_errno(e, "cannot make a pipe");
	client_args(s, &args, script);
	pid = start_client(s, args.v, stdin_fd, p[1]);
	close(p[1]);
	rc = pid < 0 ? err_errno(e, "cannot start a process")
		     : read_to_end(s, pid, p[0], stdin_fd, out, limit_ms, at, ctx, e);
	close(p[0]);
	code = pid > 0 ? wait_code(pid) : LOST;
	if (rc < 0)
		return rc == ERR_BUSY ? err_wrap(e, "%s", s->board->host) : rc;
	return code == LOST ? lost(s, since, e) : code;
}

/* ---- line by line */

int ssh_start(struct ssh *s, const char *script, struct ssh_channel *c, struct err *e)
{
	struct args args = { .n = 0 };
	int in[2], out[2];

	if (!ssh_is_up(s))
		return lost(s, log_size(s), e);
	if (pipe2(in, O_CLOEXEC) != 0)
		return err_errno(e, "cannot make a pipe");
	if (pipe2(out, O_CLOEXEC) != 0) {
		(void)err_errno(e, "cannot make a pipe");
		close(in[0]);
		close(in[1]);
		return e->code;
	}
	client_args(s, &args, script);
	*c = (struct ssh_channel){ .in_fd = out[0], .out_fd = in[1], .ssh = s };
	buf_init(&c->in, SSH_LINE_MAX);
	c->pid = start_client(s, args.v, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	if (c->pid < 0) {
		c->pid = 0;
		(void)err_errno(e, "cannot start a process");
		(void)ssh_drop(c);
		return e->code;
	}
	/* What is sent is small, so a pipe that is full has nobody at its end. */
	(void)fcntl(c->out_fd, F_SETFL, O_NONBLOCK);
	return 0;
}

int ssh_send(struct ssh_channel *c, const char *line, struct err *e)
{
	char *text = mem_printf("%s\n", line);
	size_t left = strlen(text);
	const char *at = text;
	int rc = 0;

	while (left && rc == 0) {
		struct pollfd p = { .fd = c->out_fd, .events = POLLOUT };
		ssize_t n = c->out_fd < 0 ? -1 : write(c->out_fd, at, left);

		if (n > 0) {
			at += n;
			left -= (size_t)n;
		} else if (n < 0 && c->out_fd >= 0 && (errno == EINTR || errno == EAGAIN)) {
			if (poll(&p, 1, 30000) == 0)
				rc = err_set(e, ERR_BUSY, "the board takes no more lines");
		} else {
			rc = err_set(e, ERR_BUSY, "the board's side has ended");
		}
	}
	free(text);
	return rc;
}

/* A whole line in the buffer? */
static bool next_line(struct ssh_channel *c, char **line, size_t *len)
{
	char *end;

	buf_drop(&c->in, c->taken);
	c->taken = 0;
	end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
	if (!end)
		return false;
	*end = '\0';
	*line = c->in.data;
	*len = (size_t)(end - c->in.data);
	c->taken = *len + 1;
	return true;
}

int ssh_line(struct ssh_channel *c, int64_t wait_ms, char **line, size_t *len, struct err *e)
{
	int64_t until = clock_mono_ms() + wait_ms;
	char chunk[16384];

	for (;;) {
		struct pollfd p = { .fd = c->in_fd, .events = POLLIN };
		int64_t left = until - clock_mono_ms();
		ssize_t n;

		if (next_line(c, line, len))
			return 1;
		if (stopped(c->ssh))
			return err_set(e, ERR_CANCELLED, "stopped");
		if (left <= 0 && wait_ms > 0)
			return 0;
		if (poll(&p, 1, (int)(left > 0 ? left : 0)) <= 0) {
			if (wait_ms <= 0)
				return 0;
			continue;
		}
		n = read(c->in_fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_BUSY, "the board's side has ended");
		c->in_bytes += (uint64_t)n;
		if (c->in_bytes > SSH_TOTAL_MAX || buf_add(&c->in, chunk, (size_t)n) < 0)
			return err_set(e, ERR_IO, "the board says more than quern takes");
	}
}

void ssh_end_input(struct ssh_channel *c)
{
	if (c->out_fd >= 0)
		close(c->out_fd);
	c->out_fd = -1;
}

int ssh_drop(struct ssh_channel *c)
{
	int code = LOST;

	ssh_end_input(c);
	if (c->in_fd >= 0)
		close(c->in_fd);
	c->in_fd = -1;
	if (c->pid > 0) {
		int64_t until = clock_mono_ms() + 1000;

		while (!has_ended(c->pid) && clock_mono_ms() < until)
			(void)poll(NULL, 0, 10);
		(void)kill(c->pid, SIGKILL);
		code = wait_code(c->pid);
	}
	c->pid = 0;
	buf_release(&c->in);
	return code;
}
