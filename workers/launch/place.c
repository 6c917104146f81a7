#include "workers/launch/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "workers/launch/sandbox.h"
#include "workers/launch/text.h"

/* ---- what goes wrong */

static const char *reason(int error)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
	const char *words = strerrordesc_np(error); /* strerror() translates, and may allocate */

	return words ? words : "unknown error";
#else
	return strerror(error);
#endif
}

/* One writev(): the line stays whole among those of others. */
static void say(const char *what, const char *name, const char *why)
{
	const char *const words[] = { "quern-launch: ", what, name, ": ", why, "\n" };
	struct iovec v[sizeof(words) / sizeof(words[0])];
	ssize_t ignored;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		v[i].iov_base = (void *)words[i];
		v[i].iov_len = strlen(words[i]);
	}
	ignored = writev(STDERR_FILENO, v, sizeof(v) / sizeof(v[0]));
	(void)ignored; /* nobody else can be told */
}

static void die(int code, const char *what, const char *name) __attribute__((noreturn));

static void die(int code, const char *what, const char *name)
{
	say(what, name, reason(errno));
	_exit(code);
}

/* ---- steps */

/* Field 22 of /proc/self/stat: when this process began. Digits into out; "0" if it cannot be told.
 */
static char *add_start_time(char *out)
{
	char stat[1024], *p = NULL, *end;
	int self = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = self < 0 ? -1 : read(self, stat, sizeof(stat) - 1);

	if (self >= 0)
		close(self);
	if (n > 0) {
		stat[n] = '\0';
		p = strrchr(stat, ')'); /* the command's name may hold spaces and ')' too */
	}
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	end = p ? strchr(p + 1, ' ') : NULL;
	if (!end || end - p > TEXT_NUMBER_MAX)
		return text_add(out, "0", 1);
	return text_add(out, p + 1, (size_t)(end - p - 1));
}

/* "PID START-TIME": whoever finds the lock held can signal its holder, and nobody else. */
static void sign_lock(int fd)
{
	char line[2 * TEXT_NUMBER_MAX + 3], *p = text_number(line, (uint64_t)getpid());
	ssize_t n;

	*p++ = ' ';
	p = add_start_time(p);
	*p++ = '\n';
	n = p - line;
	if (ftruncate(fd, 0) != 0 || pwrite(fd, line, (size_t)n, 0) != n)
		die(PLACE_CANNOT_SET_UP, "the descriptor of the lock", "");
}

static void close_others(int keep)
{
	if (keep > 3)
		(void)syscall(SYS_close_range, 3u, (unsigned)keep - 1, 0u);
	if (syscall(SYS_close_range, (unsigned)keep + 1, ~0u, 0u) == 0)
		return;
	for (int fd = 3; fd < 4096; fd++) { /* kernels before 5.9 */
		if (fd != keep)
			close(fd);
	}
}

static void limit(int what, rlim_t value, const char *name)
{
	struct rlimit now, want = { value, value };

	if (getrlimit(what, &now) == 0 && now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
		want.rlim_cur = want.rlim_max = now.rlim_max; /* lower already */
	if (setrlimit(what, &want) != 0)
		die(PLACE_CANNOT_SET_UP, "limit of ", name);
}

static void set_limits(const struct place *p)
{
	limit(RLIMIT_CORE, 0, "core");
	if (p->memory_bytes)
		limit(RLIMIT_AS, p->memory_bytes, "memory");
	if (p->file_bytes)
		limit(RLIMIT_FSIZE, p->file_bytes, "file size");
	if (p->files)
		limit(RLIMIT_NOFILE, p->files, "open files");
	if (p->processes)
		limit(RLIMIT_NPROC, p->processes, "processes");
	if (p->cpu_seconds)
		limit(RLIMIT_CPU, p->cpu_seconds, "processor time");
}

static void set_action(int sig, void (*action)(int))
{
	struct sigaction sa = { .sa_handler = action };

	(void)sigaction(sig, &sa, NULL); /* SIGKILL, SIGSTOP and libc's own two refuse */
}

void place_reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		set_action(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void confine_files(const struct place *p)
{
	const char *read[PLACE_READ_MAX + 1];
	struct sandbox s = { .write = p->job, .read = read, .network = p->network, .gpu = p->gpu };
	const char *program = p->program[0], *slash = strrchr(program, '/');
	char folder[PATH_MAX];
	int rc;

	for (; p->read && s.n_read < PLACE_READ_MAX && p->read[s.n_read]; s.n_read++)
		read[s.n_read] = p->read[s.n_read];
	if (slash && slash > program && slash - program < PATH_MAX) {
		*text_add(folder, program, (size_t)(slash - program)) = '\0';
		read[s.n_read++] = folder;
	}
	rc = sandbox_enter(&s);
	if (rc < 0)
		die(PLACE_CANNOT_SET_UP, "sandbox", "");
	if (rc > 0)
		say("this kernel has no Landlock", "", "the worker's files are not confined");
}

static void refuse_calls(const struct place *p)
{
	if (sandbox_refuse_calls(p->network) == 0)
		return;
	say("this kernel has no seccomp", "", "the worker's system calls are not confined");
	if (p->network || sandbox_empty_network() == 0)
		return;
	say("neither seccomp nor a network namespace: the network is closed to TCP by Landlock at "
	    "most; quern doctor says more",
	    "", reason(errno));
}

/* NAME=JOB into out, whose size fits the longest path. */
static const char *variable(char *out, const char *name, const char *job)
{
	char *p = text_add(out, name, strlen(name));

	text_add(p, job, strlen(job) + 1);
	return out;
}

static void run(const struct place *p)
{
	const char *env[PLACE_ENV_MAX + 6];
	char home[PATH_MAX + 16], tmp[PATH_MAX + 16];
	size_t n = 0;

	env[n++] = "PATH=/usr/local/bin:/usr/bin:/bin";
	env[n++] = variable(home, "HOME=", p->job);
	env[n++] = variable(tmp, "TMPDIR=", p->job);
	env[n++] = "LANG=C.UTF-8";
	env[n++] = "TZ=UTC";
	for (size_t i = 0; p->setenv && i < PLACE_ENV_MAX && p->setenv[i]; i++)
		env[n++] = p->setenv[i];
	env[n] = NULL;
	/* execve() promises to change neither; its type is older than const. */
	execve(p->program[0], (char *const *)p->program, (char *const *)env);
	die(PLACE_CANNOT_RUN, p->program[0], "");
}

void place_enter(const struct place *p)
{
	if (getsid(0) != getpid() && setsid() < 0 && setpgid(0, 0) < 0)
		die(PLACE_CANNOT_SET_UP, "process group", "");
	if (p->group_fd && write(p->group_fd, "0", 1) != 1)
		die(PLACE_CANNOT_SET_UP, "control group", "");
	sign_lock(p->lock_fd);
	close_others(p->lock_fd);
	if (chdir(p->job) != 0)
		die(PLACE_CANNOT_SET_UP, p->job, "");
	set_limits(p);
	place_reset_signals();
	set_action(SIGPIPE, SIG_IGN); /* a worker outlives its listener */
	confine_files(p);
	if (sandbox_drop_powers() != 0)
		die(PLACE_CANNOT_SET_UP, "powers of root", "");
	refuse_calls(p); /* last: what comes before makes some of these calls */
	run(p);
	_exit(PLACE_CANNOT_RUN);
}
