/* tests/conformance/hostile.c -- one attempt at something that a worker must not
 * be able to do. Prints "did it", or "refused" and the errno; or prints what it
 * sees, for the test to judge. launch.py starts it under quern-launch. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

/* rc as system calls have it. */
static int verdict(long rc)
{
	if (rc < 0)
		printf("refused %s\n", strerrorname_np(errno));
	else
		puts("did it");
	return 0;
}

static int try_read(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return verdict(fd < 0 ? fd : read(fd, &c, 1) > 0 ? 0 : -1);
}

static int try_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return verdict(fd < 0 ? fd : write(fd, "x", 1));
}

static int try_connect(const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return verdict(fd < 0 ? fd : connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

/* path: of the file system, or abstract with a leading '@'. */
static int try_unix(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = strlen(path);

	if (n >= sizeof(to.sun_path))
		return 2;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	return verdict(fd < 0 ? fd
			      : connect(fd, (struct sockaddr *)&to,
					(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)));
}

static int try_ptrace(const char *pid)
{
	return verdict(ptrace(PTRACE_ATTACH, atoi(pid), NULL, NULL));
}

static int try_kill(const char *pid)
{
	return verdict(kill(atoi(pid), SIGTERM));
}

static int try_mount(const char *path)
{
	return verdict(mount("none", path, "tmpfs", 0, NULL));
}

static int try_link(const char *path)
{
	return verdict(symlink("/etc/passwd", path));
}

static int try_mknod(const char *path)
{
	return verdict(mkfifo(path, 0600));
}

static int try_rename(const char *path)
{
	int fd = open("inside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return verdict(fd < 0 ? fd : rename("inside", path));
}

/* ---- system calls by name, with arguments that do nothing where the call is allowed */

static int try_call(const char *name)
{
	const struct {
		const char *name;
		long nr, a, b, c;
	} calls[] = {
		{ "ptrace", SYS_ptrace, PTRACE_TRACEME, 0, 0 },
		{ "process_vm_readv", SYS_process_vm_readv, 1, 0, 0 },
		{ "kcmp", SYS_kcmp, 1, 1, 0 },
		{ "pidfd_getfd", 438, -1, 0, 0 },
		{ "mount", SYS_mount, 0, 0, 0 },
		{ "umount2", SYS_umount2, 0, 0, 0 },
		{ "chroot", SYS_chroot, (long)"/", 0, 0 },
		{ "unshare-user", SYS_unshare, CLONE_NEWUSER, 0, 0 },
		{ "unshare-net", SYS_unshare, CLONE_NEWNET, 0, 0 },
		{ "setns", SYS_setns, -1, 0, 0 },
		{ "clone-user", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0 },
		{ "clone-net", SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0 },
		{ "clone3", 435, 0, 0, 0 },
		{ "open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0 },
		{ "name_to_handle_at", SYS_name_to_handle_at, -1, 0, 0 },
		{ "mknodat", SYS_mknodat, -1, 0, 0 },
		{ "fanotify_init", SYS_fanotify_init, -1, 0, 0 },
		{ "bpf", SYS_bpf, -1, 0, 0 },
		{ "userfaultfd", SYS_userfaultfd, 0, 0, 0 },
		{ "perf_event_open", SYS_perf_event_open, 0, 0, -1 },
		{ "kexec_load", SYS_kexec_load, 0, 0, 0 },
		{ "init_module", SYS_init_module, 0, 0, 0 },
		{ "finit_module", SYS_finit_module, -1, 0, 0 },
		{ "delete_module", SYS_delete_module, 0, 0, 0 },
		{ "io_uring_setup", 425, 1, 0, 0 },
		{ "io_uring_enter", 426, -1, 0, 0 },
		{ "keyctl", SYS_keyctl, 0, -3, 0 },
		{ "add_key", SYS_add_key, 0, 0, 0 },
		{ "request_key", SYS_request_key, 0, 0, 0 },
		{ "fsopen", 430, 0, 0, 0 },
		{ "open_tree", 428, -1, 0, 0 },
		{ "move_mount", 429, -1, 0, -1 },
		{ "sethostname", SYS_sethostname, 0, 0, 0 },
		{ "clock_settime", SYS_clock_settime, 0, 0, 0 },
		{ "reboot", SYS_reboot, 0, 0, 0 },
		{ "syslog", SYS_syslog, 10, 0, 0 },
		{ "prlimit-parent", SYS_prlimit64, getppid(), RLIMIT_CORE, 0 },
		{ "prlimit-self", SYS_prlimit64, 0, RLIMIT_CORE, 0 },
		{ "kill-all", SYS_kill, -1, 0, 0 },
		{ "kill-parent", SYS_kill, getppid(), 0, 0 },
		{ "kill-self", SYS_kill, getpid(), 0, 0 },
		{ "tiocsti", SYS_ioctl, 0, 0x5412, 0 },
		{ "connect", SYS_connect, -1, 0, 0 },
		{ "bind", SYS_bind, -1, 0, 0 },
		{ "getpid", SYS_getpid, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strcmp(calls[i].name, name) == 0) {
			long rc = syscall(calls[i].nr, calls[i].a, calls[i].b, calls[i].c, 0, 0);

			if (rc == 0 && calls[i].nr == SYS_clone)
				_exit(0); /* the child of one that was let through */
			return verdict(rc);
		}
	}
	return 2;
}

/* Sockets of every family and kind: says which were made. */
static int try_sockets(const char *unused)
{
	static const int kinds[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET };
	int made = 0;

	(void)unused;
	for (int family = 0; family < 64; family++) {
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			int pair[2];

			if (socket(family, kinds[k], 0) >= 0)
				made += printf("socket %d %d\n", family, kinds[k]);
			if (socketpair(family, kinds[k], 0, pair) == 0)
				made += printf("pair %d %d\n", family, kinds[k]);
		}
	}
	if (!made)
		puts("none");
	return 0;
}

/* The calls of 32-bit programs, and those of x32: other numbers, which a filter by number would let
 * through. */
static int try_other_calls(const char *which)
{
#ifdef __x86_64__
	long rc = 20; /* getpid of i386 */

	if (strcmp(which, "i386") == 0)
		__asm__ volatile("int $0x80" : "+a"(rc)::"memory");
	else
		rc = syscall(0x40000000 | SYS_getpid);
	return verdict(rc);
#else
	(void)which;
	raise(SIGSYS);
	return 0;
#endif
}

/* Everything that a program is born with, one a line. */
static int show_birth(const char *unused)
{
	struct rlimit core, files;
	struct sigaction pipe_action;
	sigset_t mask;
	char cwd[4096];
	int pending = 0;

	(void)unused;
	for (char **p = environ; *p; p++)
		printf("env %s\n", *p);
	for (int fd = 0; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			printf("fd %d\n", fd);
	}
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_NOFILE, &files);
	sigaction(SIGPIPE, NULL, &pipe_action);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int sig = 1; sig < NSIG; sig++)
		pending += sigismember(&mask, sig) == 1;
	printf("core %llu\nfiles %llu\n", (unsigned long long)core.rlim_max,
	       (unsigned long long)files.rlim_max);
	printf("sigpipe %s\nblocked %d\n",
	       pipe_action.sa_handler == SIG_IGN ? "ignored" : "default", pending);
	printf("leader %d\npid %d\ncwd %s\n", getsid(0) == getpid() && getpgrp() == getpid(),
	       (int)getpid(), getcwd(cwd, sizeof(cwd)));
	return 0;
}

static int crash(const char *unused)
{
	(void)unused;
	signal(SIGSEGV, SIG_DFL); /* also where a sanitizer has its own handler */
	raise(SIGSEGV);
	return 0;
}

static int eat_memory(const char *bytes)
{
	void *volatile p =
		malloc(strtoull(bytes, NULL, 10)); /* volatile: not to be optimized away */
	int got = p != NULL;

	free(p);
	return verdict(got ? 0 : -1);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const char *arg);
	} acts[] = { { "read", try_read },	 { "write", try_write },
		     { "connect", try_connect }, { "unix", try_unix },
		     { "ptrace", try_ptrace },	 { "kill", try_kill },
		     { "mount", try_mount },	 { "symlink", try_link },
		     { "fifo", try_mknod },	 { "rename", try_rename },
		     { "birth", show_birth },	 { "crash", crash },
		     { "memory", eat_memory },	 { "call", try_call },
		     { "sockets", try_sockets }, { "other", try_other_calls } };

	for (size_t i = 0; argc == 3 && i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (strcmp(argv[1], acts[i].name) == 0)
			return acts[i].run(argv[2]);
	}
	return 2;
}
