#include "core/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read /proc/PID/name whole; files of /proc of this kind are below 4 KiB. Returns the length or -1.
 */
static ssize_t read_proc(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, out, size - 1);
	close(fd);
	if (n >= 0)
		out[n] = '\0';
	return n;
}

uint64_t proc_start_time(pid_t pid)
{
	char text[4096];
	const char *p;

	if (pid <= 0 || read_proc(pid, "stat", text, sizeof(text)) <= 0)
		return 0;
	/* Field 2 is the program's name in brackets and may itself hold brackets and spaces, so
	 * counting starts behind the last one: the word there is field 3. */
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	return p ? strtoull(p, NULL, 10) : 0;
}

uint64_t proc_peak_rss(pid_t pid)
{
	char text[4096];
	const char *p;

	if (pid <= 0 || read_proc(pid, "status", text, sizeof(text)) <= 0)
		return 0;
	p = strstr(text, "\nVmHWM:");
	return p ? strtoull(p + strlen("\nVmHWM:"), NULL, 10) * 1024 : 0;
}

int lock_take(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int rc;

	if (fd < 0)
		return err_errno(e, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	rc = errno == EWOULDBLOCK ? err_set(e, ERR_BUSY, "%s is held by another process", path)
				  : err_errno(e, "%s", path);
	close(fd);
	return rc;
}

int lock_held(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "%s", path);
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		rc = 0;
	else
		rc = errno == EWOULDBLOCK ? 1 : err_errno(e, "%s", path);
	close(fd); /* gives our own lock back */
	return rc;
}

/* Is descriptor theirs of process pid the same file as our ours? */
static int has_open(pid_t pid, int theirs, int ours)
{
	char path[64];
	struct stat a, b;

	(void)snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)pid, theirs);
	return stat(path, &a) == 0 && fstat(ours, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static pid_t signer(int fd, int lock_fd)
{
	char line[64];
	unsigned long long start;
	ssize_t n = read(fd, line, sizeof(line) - 1);
	int pid;

	if (n <= 0 || line[n - 1] != '\n')
		return 0;
	line[n] = '\0';
	if (sscanf(line, "%d %llu", &pid, &start) != 2 || pid <= 1 || start == 0)
		return 0;
	return proc_start_time(pid) == start && has_open(pid, lock_fd, fd) ? pid : 0;
}

pid_t lock_signer(const char *path, int lock_fd)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	pid_t pid = fd < 0 ? 0 : signer(fd, lock_fd);

	if (fd >= 0)
		close(fd);
	return pid;
}

/* 1 when pid runs the same program as we do: it only asks whether the lock is held. */
static int is_one_of_us(pid_t pid)
{
	char path[64];
	struct stat theirs, ours;

	(void)snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
	return stat(path, &theirs) == 0 && stat("/proc/self/exe", &ours) == 0 &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

static int holds(pid_t pid, int fd)
{
	char path[64];
	struct dirent *de;
	int found = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	d = opendir(path);
	while (d && !found && (de = readdir(d)) != NULL)
		found = isdigit((unsigned char)de->d_name[0]) &&
			has_open(pid, (int)strtol(de->d_name, NULL, 10), fd);
	if (d)
		closedir(d);
	return found;
}

int lock_end_holders(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), ended = 0;
	DIR *d = fd < 0 ? NULL : opendir("/proc");
	struct dirent *de;

	while (d && (de = readdir(d)) != NULL) {
		pid_t pid = (pid_t)strtol(de->d_name, NULL, 10);

		if (pid > 1 && pid != getpid() && holds(pid, fd) && !is_one_of_us(pid))
			ended += kill(pid, SIGKILL) == 0;
	}
	if (d)
		closedir(d);
	if (fd >= 0)
		close(fd);
	return ended;
}
