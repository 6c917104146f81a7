#include "orchestrator/host/kmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_MAX 8192 /* CONSOLE_EXT_LOG_MAX of the kernel */
#define RECORDS_AT_ONCE 512

pid_t kmsg_parse(const char *record, const char **text)
{
	static const char mark[] = "Killed process ";
	const char *words = strchr(record, ';'), *p;
	long pid;

	/* "6,1234,98765,-;Out of memory: Killed process 42 (name) total-vm:..." and
	 * "...;Memory cgroup out of memory: Killed process 42 ..." (mm/oom_kill.c). */
	if (!words)
		return 0;
	p = strstr(++words, mark);
	if (!p || (!strstr(words, "ut of memory") && !strstr(words, "oom")))
		return 0;
	pid = strtol(p + strlen(mark), NULL, 10);
	*text = words;
	return pid > 0 ? (pid_t)pid : 0;
}

void kmsg_open(struct kmsg *k)
{
	memset(k, 0, sizeof(*k));
	k->fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (k->fd >= 0)
		(void)lseek(k->fd, 0, SEEK_END);
}

void kmsg_close(struct kmsg *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

void kmsg_poll(struct kmsg *k)
{
	char record[RECORD_MAX + 1];
	const char *text;
	ssize_t n;
	pid_t pid;

	for (int i = 0; k->fd >= 0 && i < RECORDS_AT_ONCE; i++) {
		n = read(k->fd, record, RECORD_MAX);
		if (n < 0 && errno == EPIPE)
			continue; /* some were overwritten before we came */
		if (n <= 0)
			return;
		record[n] = '\0';
		pid = kmsg_parse(record, &text);
		if (!pid)
			continue;
		k->v[k->n % KMSG_KEPT].pid = pid;
		snprintf(k->v[k->n % KMSG_KEPT].line, KMSG_LINE_MAX, "%.*s",
			 (int)strcspn(text, "\n"), text);
		k->n++;
	}
}

const char *kmsg_killed(const struct kmsg *k, const pid_t *pids, size_t n)
{
	size_t kept = k->n < KMSG_KEPT ? k->n : KMSG_KEPT;

	for (size_t i = 0; i < kept; i++) {
		const size_t at = (k->n - 1 - i) % KMSG_KEPT;

		for (size_t j = 0; j < n; j++) {
			if (pids[j] == k->v[at].pid)
				return k->v[at].line;
		}
	}
	return NULL;
}
