#include "orchestrator/host/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 65536 /* mountinfo of a machine full of containers */
#define OURS "quern-"  /* all groups that we make begin so */

/* ---- files */

static int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -1;
	while (len < size - 1 && n > 0) {
		n = read(fd, text + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	text[len] = '\0';
	return 0;
}

static int read_in(const char *dir, const char *name, char *text, size_t size)
{
	char path[CGROUP_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return read_text(path, text, size);
}

static int write_in(const char *dir, const char *name, const char *text)
{
	char path[CGROUP_PATH_MAX + 64];
	ssize_t n;
	int fd, saved;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	saved = errno;
	close(fd);
	errno = saved;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += n) {
		if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || !p[n]))
			return true;
	}
	return false;
}

/* ---- where we are */

static void no(struct cgroup *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void no(struct cgroup *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g->why, sizeof(g->why), fmt, ap);
	va_end(ap);
	g->usable = false;
}

/* proc(5): "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS TAGS - TYPE SOURCE SUPER". */
static int find_mount(const char *mountinfo, char root[512], char point[512])
{
	for (const char *line = mountinfo; *line;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		const char *dash = strstr(line, " - cgroup2 "), *end = line + strcspn(line, "\n");

		if (dash && dash < end && sscanf(line, "%*d %*d %*s %511s %511s", root, point) == 2)
			return 0;
	}
	return -1;
}

int cgroup_place(const char *mountinfo, const char *own, char dir[CGROUP_PATH_MAX])
{
	char root[512], point[512], path[512];
	const char *line = strncmp(own, "0::", 3) == 0 ? own : strstr(own, "\n0::"), *below;
	size_t n;

	if (!line || find_mount(mountinfo, root, point) != 0 ||
	    sscanf(strchr(line, '0'), "0::%511s", path) != 1)
		return -1;
	n = strcmp(root, "/") == 0 ? 0 : strlen(root);
	/* Mounted from further down: only what is below that can be seen. */
	if (n && (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n])))
		return -1;
	below = path + n;
	snprintf(dir, CGROUP_PATH_MAX, "%s%s", point, strcmp(below, "/") == 0 ? "" : below);
	return 0;
}

void cgroup_look(struct cgroup *g)
{
	static char text[TEXT_MAX]; /* asked by the one thread of the orchestrator */
	char own[4096], procs[CGROUP_PATH_MAX + 64];

	memset(g, 0, sizeof(*g));
	if (read_text("/proc/self/mountinfo", text, sizeof(text)) != 0 ||
	    read_text("/proc/self/cgroup", own, sizeof(own)) != 0 ||
	    cgroup_place(text, own, g->dir) != 0) {
		no(g, "control groups of version 2 are not mounted");
		return;
	}
	if (read_in(g->dir, "cgroup.controllers", own, sizeof(own)) != 0 ||
	    !has_word(own, "memory")) {
		no(g, "the control group %s has no memory controller", g->dir);
		return;
	}
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", g->dir);
	if (access(g->dir, W_OK) != 0 || access(procs, W_OK) != 0) {
		no(g, "the control group %s belongs to somebody else", g->dir);
		return;
	}
	g->usable = true;
}

/* ---- ours */

static void remove_old(const char *dir)
{
	char path[CGROUP_PATH_MAX + 300];
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		if (strncmp(entry->d_name, OURS, strlen(OURS)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		(void)rmdir(path); /* refused while somebody is in it */
	}
	if (d)
		closedir(d);
}

/* Groups below hand out memory only when no process is in dir itself. */
static int step_down(struct cgroup *g)
{
	char pid[32];

	if (snprintf(g->self, sizeof(g->self), "%.900s/" OURS "self-%ld", g->dir, (long)getpid()) <
		    0 ||
	    (mkdir(g->self, 0755) != 0 && errno != EEXIST))
		return -1;
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	return write_in(g->self, "cgroup.procs", pid);
}

static void step_back(struct cgroup *g)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	(void)write_in(g->dir, "cgroup.procs", pid);
	(void)rmdir(g->self);
	g->self[0] = '\0';
}

void cgroup_open(struct cgroup *g)
{
	char text[4096] = "";

	cgroup_look(g);
	if (!g->usable)
		return;
	remove_old(g->dir);
	(void)read_in(g->dir, "cgroup.subtree_control", text, sizeof(text));
	if (has_word(text, "memory") && has_word(text, "pids"))
		return;
	if (step_down(g) != 0) {
		no(g, "%s: %s", g->dir, strerror(errno));
		step_back(g);
		return;
	}
	if (write_in(g->dir, "cgroup.subtree_control", "+memory +pids") == 0)
		return;
	if (errno == EBUSY)
		no(g, "other processes are in the control group %s too", g->dir);
	else
		no(g, "%s/cgroup.subtree_control: %s", g->dir, strerror(errno));
	step_back(g);
}

void cgroup_close(struct cgroup *g)
{
	if (g->usable)
		remove_old(g->dir);
	g->usable = false;
}

/* ---- of attempts */

static int set_limits(const char *path, const struct cgroup_limits *l)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, l->memory_bytes);
	if (write_in(path, "memory.max", text) != 0)
		return -1;
	(void)write_in(path, "memory.oom.group", "1");
	if (!l->swap)
		(void)write_in(path, "memory.swap.max", "0"); /* not there without swap */
	snprintf(text, sizeof(text), "%u", l->processes);
	(void)write_in(path, "pids.max", text);
	return 0;
}

int cgroup_make(const struct cgroup *g, const char *name, const struct cgroup_limits *l,
		char out[CGROUP_PATH_MAX])
{
	char procs[CGROUP_PATH_MAX + 64];
	int fd = -1, high = -1;

	if (!g->usable || snprintf(out, CGROUP_PATH_MAX, "%.900s/" OURS "%.80s", g->dir, name) < 0)
		return -1;
	(void)rmdir(out); /* of an earlier life */
	if (mkdir(out, 0755) != 0)
		return -1;
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", out);
	if (set_limits(out, l) == 0)
		fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
		close(fd);
	}
	if (high < 0)
		(void)rmdir(out);
	return high;
}

/* The number behind "NAME " at the beginning of a line; 0: it is not there. */
static uint64_t number_of(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0 && line[n] == ' ')
			return strtoull(line + n + 1, NULL, 10);
	}
	return 0;
}

int64_t cgroup_memory(const char *path)
{
	char text[8192], swap[64] = "0";

	if (read_in(path, "memory.stat", text, sizeof(text)) != 0)
		return -1;
	(void)read_in(path, "memory.swap.current", swap, sizeof(swap));
	return (int64_t)(number_of(text, "anon") + number_of(text, "shmem") +
			 strtoull(swap, NULL, 10));
}

uint64_t cgroup_kills(const char *path)
{
	char text[4096];

	return read_in(path, "memory.events", text, sizeof(text)) == 0 ? number_of(text, "oom_kill")
								       : 0;
}

void cgroup_kill(const char *path)
{
	(void)write_in(path, "cgroup.kill", "1"); /* Linux 5.14; else signals do it */
}

int cgroup_remove(const char *path)
{
	return rmdir(path) == 0 || errno == ENOENT ? 0 : -1;
}
