#include "core/crash.h"

#ifdef QUERN_CRASH_TESTS

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define CRASH_EXIT 99

/* One writev() in append mode: points of several processes never mix within a line. */
static void log_point(const char *file, const char *name)
{
	struct iovec line[2] = { { (void *)name, strlen(name) }, { (void *)"\n", 1 } };
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	/* A test that cannot record is a failed test, not a passed one. */
	if (fd < 0 || writev(fd, line, 2) < 0)
		abort();
	close(fd);
}

void crash_point(const char *name)
{
	static atomic_long passed;
	static atomic_int counted_by;
	int self = getpid();
	long n;
	const char *file = getenv("QUERN_CRASH_LOG");
	const char *at = getenv("QUERN_CRASH_AT");

	/* A process that was forked begins its own count. */
	if (atomic_exchange(&counted_by, self) != self)
		atomic_store(&passed, 0);
	n = atomic_fetch_add(&passed, 1) + 1;
	if (file)
		log_point(file, name);
	if (at && (strtol(at, NULL, 10) == n || strcmp(at, name) == 0))
		_exit(CRASH_EXIT);
}

#else

/* ISO C wants a declaration in every file. */
extern const int crash_points_are_compiled_out;
const int crash_points_are_compiled_out = 1;

#endif
