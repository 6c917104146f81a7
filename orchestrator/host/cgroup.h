/* orchestrator/host/cgroup.h -- control groups, version 2: a group of its own for each attempt, in
 * which the kernel keeps its limits, counts all its processes and ends them together. Where they
 * cannot be had, quern says why and does without. docs/adr/0022-limits.md has the choice. */
#ifndef QUERN_ORCHESTRATOR_CGROUP_H
#define QUERN_ORCHESTRATOR_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_MAX 1024

struct cgroup {
	bool usable;
	char why[300];		    /* not, and what would help */
	char dir[CGROUP_PATH_MAX];  /* attempts get groups below it */
	char self[CGROUP_PATH_MAX]; /* we are in it; "": we stayed where we were */
};

/* Where the text of /proc/self/mountinfo and /proc/self/cgroup say that our group is. Returns 0, or
 * -1 when no version 2 is mounted that shows it. */
int cgroup_place(const char *mountinfo, const char *own, char dir[CGROUP_PATH_MAX]);
/* Could it be used? Changes nothing. */
void cgroup_look(struct cgroup *g);
/* Use it: we move into a group of our own below ours, so that it may hand out memory. */
void cgroup_open(struct cgroup *g);
/* Remove the groups of attempts that have ended. */
void cgroup_close(struct cgroup *g);

struct cgroup_limits {
	uint64_t memory_bytes;
	bool swap; /* it may be swapped out beyond that */
	unsigned processes;
};
/* A new group; out gets its path. Returns a descriptor that a process enters the group by (write
 * "0"), above 9 and close-on-exec, or -1. */
int cgroup_make(const struct cgroup *g, const char *name, const struct cgroup_limits *l,
		char out[CGROUP_PATH_MAX]);
/* What its processes have of memory that would be free again without them; -1: not known. */
int64_t cgroup_memory(const char *path);
/* Processes in it that the kernel ended for want of memory. */
uint64_t cgroup_kills(const char *path);
/* End all that is in it. */
void cgroup_kill(const char *path);
/* 0, or -1 while a process in it has not been waited for. */
int cgroup_remove(const char *path);

/* Open g; where that is not possible, make a scope of systemd's the home of this process, of the
 * user's own manager or of the system's for root. Returns when there is none, with g as it is; else
 * the program begins again in its scope, with these arguments. */
void cgroup_open_scope(struct cgroup *g, char **args);

#endif
