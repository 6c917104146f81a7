/* tests/conformance/hostile.c -- one attempt at something that a worker must not
 * be able to do. Prints "did it", or "refused" and the errno; or prints what it
 * sees, for the test to judge. launch.py starts it under quern-launch. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
	} acts[] = { { "read", try_read },     { "write", try_write },	 { "connect", try_connect },
		     { "unix", try_unix },     { "ptrace", try_ptrace }, { "kill", try_kill },
		     { "mount", try_mount },   { "symlink", try_link },	 { "fifo", try_mknod },
		     { "rename", try_rename }, { "birth", show_birth },	 { "crash", crash },
		     { "memory", eat_memory } };

	for (size_t i = 0; argc == 3 && i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (strcmp(argv[1], acts[i].name) == 0)
			return acts[i].run(argv[2]);
	}
	return 2;
}
