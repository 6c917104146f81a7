/* tests/sim/clock.c -- time that passes only when nothing else can happen. libuv and quern ask the
 * C library for the time and wait in epoll; both find these functions instead. While pool threads
 * work, the loop really waits for them, and no virtual time passes. */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "sim.h"

static uv_loop_t *loop_of_run;

int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
	int (*real)(uv_loop_t *, uv_run_mode) =
		(int (*)(uv_loop_t *, uv_run_mode))dlsym(RTLD_NEXT, "uv_run");

	loop_of_run = loop;
	return real(loop, mode);
}

static void pass(int64_t ms)
{
	if (!world)
		return;
	world->mono_ms += ms;
	if (world->jump_at_ms && world->mono_ms >= world->jump_at_ms) {
		world->wall_offset_ms = world->jump_to_ms;
		world->jump_at_ms = 0;
	}
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ms;

	if (!world)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ms = world->mono_ms +
	     (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? world->wall_offset_ms : 0);
	ts->tv_sec = ms / 1000;
	ts->tv_nsec = ms % 1000 * 1000000;
	return 0;
}

static int real_epoll(int fd, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
	return (int)syscall(SYS_epoll_pwait, fd, ev, max, timeout, mask, 8);
}

int epoll_pwait(int fd, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
	int n;

	if (!world)
		return real_epoll(fd, ev, max, timeout, mask);
	n = real_epoll(fd, ev, max, 0, mask);
	if (n != 0 || timeout == 0)
		return n;
	if (loop_of_run && loop_of_run->active_reqs.count > 0)
		return real_epoll(fd, ev, max, -1, mask);
	if (timeout < 0) {
		sim_wrong("the loop waits, with nothing to wait for");
		_exit(1);
	}
	pass(timeout);
	return 0;
}

int epoll_wait(int fd, struct epoll_event *ev, int max, int timeout)
{
	return epoll_pwait(fd, ev, max, timeout, NULL);
}

int nanosleep(const struct timespec *wait, struct timespec *left)
{
	(void)left;
	if (!world)
		return (int)syscall(SYS_nanosleep, wait, left);
	pass((int64_t)wait->tv_sec * 1000 + wait->tv_nsec / 1000000 + 1);
	return 0;
}

int usleep(useconds_t us)
{
	struct timespec wait = { us / 1000000, us % 1000000 * 1000 };

	return nanosleep(&wait, NULL);
}
