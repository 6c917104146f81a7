#include "orchestrator/run/orphans.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"

#define CHILDREN_MAX (64u << 10) /* bytes of their numbers: some 8,000 of them */
#define STATUS_MAX 4096

void orphans_adopt(void)
{
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* since Linux 3.4 */
}

/* A file of /proc as text. */
static bool read_text(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		return false;
	while (n + 1 < size && (got = read(fd, out + n, size - 1 - n)) > 0)
		n += (size_t)got;
	close(fd);
	out[n] = '\0';
	return true;
}

/* Everything below a worker's sandbox has this, and cannot give it back. */
static bool in_a_sandbox(pid_t pid)
{
	char path[64], text[STATUS_MAX];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return read_text(path, text, sizeof(text)) && strstr(text, "\nNoNewPrivs:\t1\n");
}

static bool end(pid_t pid, orphans_known_fn known, void *ctx)
{
	pid_t session = getsid(pid), group = getpgid(pid);

	if (session < 0 || session == getsid(0) || known(ctx, session) || !in_a_sandbox(pid))
		return false;
	if (group == pid)
		(void)kill(-group, SIGKILL);
	(void)kill(pid, SIGKILL);
	return true;
}

int orphans_end(orphans_known_fn known, void *ctx)
{
	char path[64], *text = mem_alloc(CHILDREN_MAX), *at, *word;
	int ended = 0;

	/* Orphans come to the first thread. Kernels without this file (CONFIG_PROC_CHILDREN) let
	 * them be. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	if (!read_text(path, text, CHILDREN_MAX))
		text[0] = '\0';
	for (word = strtok_r(text, " \n", &at); word; word = strtok_r(NULL, " \n", &at)) {
		pid_t pid = (pid_t)strtol(word, NULL, 10);

		if (pid <= 1 || known(ctx, pid))
			continue;
		if (waitpid(pid, NULL, WNOHANG) == 0)
			ended += end(pid, known, ctx);
	}
	free(text);
	return ended;
}
