/* workers/launch/launch.c -- quern-launch: make the place a worker runs in, then
 * become the worker. A few system calls and no library of quern's: it is
 * started for every job. docs/worker-protocol.md tells workers what they get. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "workers/launch/sandbox.h"

#define CANNOT_SET_UP 125 /* as env(1) and chroot(1) have it */
#define CANNOT_RUN 127

#define READ_MAX 16
#define ENV_MAX 32

struct options {
	const char *job;
	int lock_fd;
	const char *read[READ_MAX];
	size_t n_read;
	const char *setenv[ENV_MAX];
	size_t n_setenv;
	int network;
	rlim_t memory, file_size, files, processes, cpu; /* 0: as it is */
	char **program;
};

static void die(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

static void die(int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	fputs("quern-launch: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(saved));
	_exit(code);
}

static void usage(void)
{
	fputs("usage: quern-launch --job DIR --lock-fd N [--read PATH]... [--setenv "
	      "NAME=VALUE]...\n"
	      "           [--network] [--memory BYTES] [--file-size BYTES] [--files N] "
	      "[--processes N]\n"
	      "           [--cpu SECONDS] -- PROGRAM ARGS...\n"
	      "       quern-launch --features | --probe-socket\n",
	      stderr);
	_exit(CANNOT_SET_UP);
}

/* ---- options: names and values alternate; order does not matter */

static unsigned long long number(const char *s)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = s ? strtoull(s, &end, 10) : 0;
	if (!s || errno || end == s || *end)
		usage();
	return v;
}

static int take_limit(struct options *o, const char *name, const char *value)
{
	const struct {
		const char *name;
		rlim_t *at;
	} limits[] = { { "--memory", &o->memory },
		       { "--file-size", &o->file_size },
		       { "--files", &o->files },
		       { "--processes", &o->processes },
		       { "--cpu", &o->cpu } };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (strcmp(name, limits[i].name) == 0) {
			*limits[i].at = number(value);
			return 1;
		}
	}
	return 0;
}

static void parse(int argc, char **argv, struct options *o)
{
	int i;

	memset(o, 0, sizeof(*o));
	o->lock_fd = -1;
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *name = argv[i];

		if (strcmp(name, "--network") == 0) {
			o->network = 1;
			continue;
		}
		if (++i >= argc)
			usage();
		if (strcmp(name, "--job") == 0)
			o->job = argv[i];
		else if (strcmp(name, "--lock-fd") == 0)
			o->lock_fd = (int)number(argv[i]);
		else if (strcmp(name, "--read") == 0 && o->n_read < READ_MAX)
			o->read[o->n_read++] = argv[i];
		else if (strcmp(name, "--setenv") == 0 && o->n_setenv < ENV_MAX &&
			 strchr(argv[i], '='))
			o->setenv[o->n_setenv++] = argv[i];
		else if (!take_limit(o, name, argv[i]))
			usage();
	}
	if (i + 1 >= argc || !o->job || o->job[0] != '/' || o->lock_fd < 3)
		usage();
	o->program = argv + i + 1;
}

/* ---- steps */

/* "PID START-TIME": whoever finds the lock held can signal its holder, and nobody else. */
static void sign_lock(int fd)
{
	char stat[1024], line[64], *p;
	int self = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = self < 0 ? -1 : read(self, stat, sizeof(stat) - 1);
	unsigned long long start = 0;

	if (self >= 0)
		close(self);
	if (n > 0) {
		stat[n] = '\0';
		p = strrchr(stat,
			    ')'); /* the command's name may hold anything, spaces and ')' too */
		for (int field = 2; p && field < 22; field++)
			p = strchr(p + 1, ' ');
		if (p)
			start = strtoull(p, NULL, 10);
	}
	n = snprintf(line, sizeof(line), "%d %llu\n", (int)getpid(), start);
	if (ftruncate(fd, 0) != 0 || pwrite(fd, line, (size_t)n, 0) != n)
		die(CANNOT_SET_UP, "lock file on descriptor %d", fd);
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
		die(CANNOT_SET_UP, "limit %s", name);
}

static void set_limits(const struct options *o)
{
	limit(RLIMIT_CORE, 0, "core");
	if (o->memory)
		limit(RLIMIT_AS, o->memory, "memory");
	if (o->file_size)
		limit(RLIMIT_FSIZE, o->file_size, "file size");
	if (o->files)
		limit(RLIMIT_NOFILE, o->files, "open files");
	if (o->processes)
		limit(RLIMIT_NPROC, o->processes, "processes");
	if (o->cpu)
		limit(RLIMIT_CPU, o->cpu, "processor time");
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++) {
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL);
	}
	signal(SIGPIPE, SIG_IGN); /* a worker outlives its listener */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void leave_network(const struct options *o)
{
	if (o->network || sandbox_no_network() == 0 || sandbox_empty_network() == 0)
		return;
	fprintf(stderr,
		"quern-launch: neither seccomp nor a network namespace (%s): the network is closed "
		"to TCP "
		"by Landlock at most; quern doctor says more\n",
		strerror(errno));
}

static void enter_sandbox(struct options *o)
{
	const char *read[READ_MAX + 1];
	struct sandbox s = { .write = o->job, .read = read, .network = o->network };
	char folder[4096];
	const char *slash = strrchr(o->program[0], '/');
	int rc;

	for (; s.n_read < o->n_read; s.n_read++)
		read[s.n_read] = o->read[s.n_read];
	if (slash && slash > o->program[0]) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - o->program[0]),
			 o->program[0]);
		read[s.n_read++] = folder;
	}
	rc = sandbox_enter(&s);
	if (rc < 0)
		die(CANNOT_SET_UP, "sandbox");
	if (rc > 0)
		fputs("quern-launch: this kernel has no Landlock: the worker's files are not "
		      "confined\n",
		      stderr);
}

static void run(const struct options *o)
{
	const char *env[ENV_MAX + 6];
	char home[4200], tmp[4200];
	size_t n = 0;

	snprintf(home, sizeof(home), "HOME=%s/tmp", o->job);
	snprintf(tmp, sizeof(tmp), "TMPDIR=%s/tmp", o->job);
	if (mkdir(home + 5, 0700) != 0 && errno != EEXIST)
		die(CANNOT_SET_UP, "%s", home + 5);
	env[n++] = "PATH=/usr/local/bin:/usr/bin:/bin";
	env[n++] = home;
	env[n++] = tmp;
	env[n++] = "LANG=C.UTF-8";
	env[n++] = "TZ=UTC";
	for (size_t i = 0; i < o->n_setenv; i++)
		env[n++] = o->setenv[i];
	env[n] = NULL;
	execve(o->program[0], o->program, (char *const *)env);
	die(CANNOT_RUN, "%s", o->program[0]);
}

/* ---- --features */

static void feature(const char *name, int has, const char *detail)
{
	printf("%s\t%s\t%s\n", name, has ? "yes" : "no", detail);
}

static int features(void)
{
	struct utsname u;
	char text[128];
	int abi = sandbox_landlock_abi();

	uname(&u);
	snprintf(text, sizeof(text), "ABI %d", abi);
	feature("landlock", abi > 0,
		abi > 0 ? text
			: "workers can write wherever this user can; needs Linux 5.13 with "
			  "CONFIG_SECURITY_LANDLOCK and lsm=landlock");
	feature("landlock-tcp", abi >= 4, abi >= 4 ? "TCP is closed" : "needs Linux 6.7");
	feature("landlock-scope", abi >= 6, abi >= 6 ? "signals stay inside" : "needs Linux 6.12");
	if (sandbox_empty_network() == 0)
		feature("network-namespace", 1, geteuid() == 0 ? "as root" : "by a user namespace");
	else
		feature("network-namespace", 0, "used where there is no seccomp");
	feature("seccomp", sandbox_no_network() == 0, "workers can make no sockets");
	feature("no-new-privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "");
	feature("kernel", 1, u.release);
	return 0;
}

/* For quern doctor, inside the sandbox: can a socket be made? */
static int probe_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct options o;

	if (argc == 2 && strcmp(argv[1], "--probe-socket") == 0)
		return probe_socket();

	if (argc == 2 && strcmp(argv[1], "--features") == 0)
		return features();
	parse(argc, argv, &o);
	if (getsid(0) != getpid() && setsid() < 0 && setpgid(0, 0) < 0)
		die(CANNOT_SET_UP, "process group");
	sign_lock(o.lock_fd);
	close_others(o.lock_fd);
	if (chdir(o.job) != 0)
		die(CANNOT_SET_UP, "%s", o.job);
	set_limits(&o);
	reset_signals();
	enter_sandbox(&o);
	leave_network(&o);
	if (sandbox_drop_powers() != 0)
		die(CANNOT_SET_UP, "powers of root");
	run(&o);
}
