#include "orchestrator/host/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/proc.h"

/* ---- all processes */

int process_parse(const char *stat, struct process *out)
{
	const char *p = strrchr(stat, ')'); /* the name may hold brackets and spaces */
	long pid = strtol(stat, NULL, 10);
	unsigned long long start;
	int parent, group, session;

	/* Fields 3 to 22: proc(5). */
	if (!p || pid <= 0 ||
	    sscanf(p + 1,
		   " %*c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &parent, &group, &session, &start) != 4)
		return -1;
	*out = (struct process){ .pid = (pid_t)pid,
				 .parent = parent,
				 .group = group,
				 .session = session,
				 .start = start };
	return 0;
}

/* The text of /proc/PID/NAME; -1: the process has gone, or may not be looked at. */
static ssize_t read_of(const char *pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	if (n >= 0)
		text[n] = '\0';
	return n;
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void processes_read(struct processes *all)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;
	struct process p;
	char text[1024];

	all->n = 0;
	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    read_of(entry->d_name, "stat", text, sizeof(text)) <= 0 ||
		    process_parse(text, &p) != 0)
			continue;
		MEM_GROW(all->v, all->n, all->cap);
		all->v[all->n++] = p;
	}
	if (d)
		closedir(d);
	if (all->n)
		qsort(all->v, all->n, sizeof(*all->v), by_pid);
}

void processes_release(struct processes *all)
{
	free(all->v);
	*all = (struct processes){ 0 };
}

static const struct process *find(const struct processes *all, pid_t pid)
{
	const struct process key = { .pid = pid };

	return all->n ? bsearch(&key, all->v, all->n, sizeof(*all->v), by_pid) : NULL;
}

/* ---- those of a worker */

static bool has(const struct tree *t, pid_t pid)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].pid == pid)
			return true;
	}
	return false;
}

static bool add(struct tree *t, const struct process *p)
{
	if (t->n == TREE_MAX || has(t, p->pid))
		return false;
	t->v[t->n].pid = p->pid;
	t->v[t->n++].start = p->start;
	return true;
}

static void forget_the_dead(struct tree *t, const struct processes *all)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct process *p = find(all, t->v[i].pid);

		if (p && p->start == t->v[i].start)
			t->v[kept++] = t->v[i];
	}
	t->n = kept;
}

void tree_update(struct tree *t, const struct processes *all)
{
	bool more = true;

	forget_the_dead(t, all);
	while (more && t->root > 0) { /* children of those that were found now */
		more = false;
		for (size_t i = 0; i < all->n; i++) {
			const struct process *p = &all->v[i];

			if (p->pid == t->root || p->session == t->root || p->group == t->root ||
			    has(t, p->parent))
				more |= add(t, p);
		}
	}
}

void tree_kill(const struct tree *t, int sig)
{
	for (size_t i = 0; i < t->n; i++) {
		if (proc_start_time(t->v[i].pid) == t->v[i].start)
			(void)kill(t->v[i].pid, sig);
	}
}

/* ---- memory */

static uint64_t sum_of(const char *text, const char *const *names, size_t n, bool *found)
{
	unsigned long long kib;
	uint64_t sum = 0;

	*found = false;
	for (size_t i = 0; i < n; i++) {
		const char *p = strstr(text, names[i]);

		if (p && sscanf(p + strlen(names[i]), " %llu kB", &kib) == 1) {
			sum += (uint64_t)kib * 1024;
			*found = true;
		}
	}
	return sum;
}

static uint64_t process_memory(pid_t pid, enum tree_by *by)
{
	static const char *const pss[] = { "\nPss_Anon:", "\nPss_Shmem:", "\nSwapPss:" };
	static const char *const rss[] = { "\nRssAnon:", "\nRssShmem:", "\nVmSwap:" };
	char text[4096], name[24];
	uint64_t bytes;
	bool found;

	snprintf(name, sizeof(name), "%ld", (long)pid);
	if (read_of(name, "smaps_rollup", text, sizeof(text)) > 0) {
		bytes = sum_of(text, pss, ARRAY_LEN(pss), &found);
		if (found) {
			if (*by == TREE_BY_NOTHING)
				*by = TREE_BY_PSS;
			return bytes;
		}
	}
	if (read_of(name, "status", text, sizeof(text)) <= 0)
		return 0;
	bytes = sum_of(text, rss, ARRAY_LEN(rss), &found);
	if (found)
		*by = TREE_BY_RSS;
	return bytes;
}

uint64_t tree_memory(const struct tree *t, enum tree_by *by)
{
	uint64_t sum = 0;

	*by = TREE_BY_NOTHING;
	for (size_t i = 0; i < t->n; i++)
		sum += process_memory(t->v[i].pid, by);
	return sum;
}

/* ---- disk */

#define FILES_MAX 100000
#define DEPTH_MAX 16

static uint64_t below(int fd, int depth, size_t *files)
{
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	uint64_t sum = 0;
	struct stat st;
	int sub;

	if (!d) {
		close(fd);
		return 0;
	}
	while (*files < FILES_MAX && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		++*files;
		sum += (uint64_t)st.st_blocks * 512;
		if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
			continue;
		sub = openat(dirfd(d), entry->d_name,
			     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			sum += below(sub, depth + 1, files);
	}
	closedir(d);
	return sum;
}

uint64_t folder_bytes(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	size_t files = 0;

	return fd < 0 ? 0 : below(fd, 0, &files);
}
