/* tests/lib/backwards_clock.c -- for LD_PRELOAD: a wall clock that runs backwards, a second for
 * each millisecond that passes. The other clocks stay as they are. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPEED 1000
#define NS_PER_S 1000000000LL

static long long read_ns(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	syscall(SYS_clock_gettime, id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static long long start_wall_ns, start_mono_ns;

__attribute__((constructor)) static void start(void)
{
	start_wall_ns = read_ns(CLOCK_REALTIME);
	start_mono_ns = read_ns(CLOCK_MONOTONIC);
}

int clock_gettime(clockid_t id, struct timespec *tp)
{
	long long ns;

	if (id != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, id, tp);
	ns = start_wall_ns - SPEED * (read_ns(CLOCK_MONOTONIC) - start_mono_ns);
	tp->tv_sec = ns / NS_PER_S;
	tp->tv_nsec = ns % NS_PER_S;
	return 0;
}
