/* orchestrator/host/kmsg.h -- what the kernel's log says of processes that it killed for want of
 * memory. Ordinary users may not read it on most systems: then it says nothing. */
#ifndef QUERN_ORCHESTRATOR_KMSG_H
#define QUERN_ORCHESTRATOR_KMSG_H

#include <stddef.h>
#include <sys/types.h>

#define KMSG_KEPT 64 /* kills; of the newest */
#define KMSG_LINE_MAX 256

struct kmsg {
	int fd;	  /* -1: not readable */
	size_t n; /* kills ever seen; the last KMSG_KEPT of them stand in v */
	struct {
		pid_t pid;
		char line[KMSG_LINE_MAX];
	} v[KMSG_KEPT];
};

/* From now on: older lines are left out. */
void kmsg_open(struct kmsg *k);
void kmsg_close(struct kmsg *k);
/* Read what is new. Never waits. */
void kmsg_poll(struct kmsg *k);
/* The line about one of these processes; NULL: none. */
const char *kmsg_killed(const struct kmsg *k, const pid_t *pids, size_t n);

/* One record of /dev/kmsg. Returns the pid that was killed, 0: it tells of none; *text begins at
 * its words. */
pid_t kmsg_parse(const char *record, const char **text);

#endif
