#include "orchestrator/host/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHARE_MEMORY                                                                               \
	0 /* sanitizers keep account of stacks and threads, and not of such a child's */
#else
#define SHARE_MEMORY 1
#endif

extern char **environ;

#define STACK_BYTES (64 << 10) /* place_enter() uses 20 KiB: a few paths, each of PATH_MAX */

/* Descriptors 0 to 2 (3 with a lock). A source that lies where another one goes is moved first. */
static int wire(const struct spawn *s)
{
	int from[] = { open("/dev/null", O_RDONLY | O_CLOEXEC), s->out_fd, s->err_fd, s->lock_fd };
	int n = s->lock_fd >= 0 ? SPAWN_LOCK_FD + 1 : SPAWN_LOCK_FD;

	for (int i = 0; i < n; i++) {
		if (from[i] < n && from[i] != i)
			from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, n);
		if (from[i] < 0)
			return -1;
	}
	for (int i = 0; i < n; i++) {
		if ((from[i] == i ? fcntl(i, F_SETFD, 0) : dup2(from[i], i)) < 0)
			return -1;
	}
	return 0;
}

/* Whoever was killed before the question has left its children to another parent already. */
static void end_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(PLACE_CANNOT_SET_UP);
}

struct start {
	const struct spawn *spawn;
	pid_t parent;
};

/* The new process. It may share our memory, so it calls nothing that locks or allocates. */
static int begin(void *arg)
{
	const struct start *start = arg;
	const struct spawn *s = start->spawn;

	if (wire(s) != 0)
		_exit(PLACE_CANNOT_SET_UP);
	if (s->place)
		place_enter(s->place);
	end_with(start->parent);
	place_reset_signals();
	execve(s->argv[0], (char *const *)s->argv, s->env ? (char *const *)s->env : environ);
	_exit(PLACE_CANNOT_RUN);
}

/* What vfork() does, on a stack of its own: nothing the child calls can harm the frames we return
 * through. The kernel holds this thread, and no other, until the child runs its program. */
static pid_t new_process(struct start *start)
{
#if SHARE_MEMORY
	_Alignas(16) char stack[STACK_BYTES];

	return clone(begin, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, start);
#else
	pid_t pid = fork();

	return pid == 0 ? begin(start) : pid;
#endif
}

pid_t spawn_start(const struct spawn *s)
{
	struct start start = { .spawn = s, .parent = getpid() };
	sigset_t all, before;
	int saved;
	pid_t pid;

	/* Our handlers must not run in the child: what they touch is ours. It takes them away
	 * before it lets signals in. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = new_process(&start);
	saved = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return pid;
}
