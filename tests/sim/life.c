/* tests/sim/life.c -- what befalls a life: at the Nth call that changes a file it is killed, before
 * or in the middle of it, or the disk is full, broken or read-only; or the Nth allocation fails.
 * quern, SQLite and libuv call the functions of the C library by name and find these. */
/* Both open() and open64() are defined here, so the one must not stand for the other. */
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sim.h"

#define NOSPACE_CALLS 12 /* so many calls find the disk full; then somebody has made room */

static enum trouble trouble;
static int64_t trouble_at;
static atomic_llong calls, allocations;
_Thread_local bool life_is_a_workers;

void life_arm(enum trouble what, int64_t at)
{
	trouble = what;
	trouble_at = at;
	atomic_store(&calls, 0);
	atomic_store(&allocations, 0);
}

/* One call that changes a file. grows: it needs room. Returns 0, or what it fails with; -1: a write
 * is to be done by half, and then we are dead. */
static int befalls(bool grows, bool may_half)
{
	int64_t n;

	if (!world || trouble == TROUBLE_NONE || trouble == TROUBLE_MEMORY || life_is_a_workers)
		return 0;
	n = atomic_fetch_add(&calls, 1) + 1;
	if (n < trouble_at)
		return 0;
	switch (trouble) {
	case TROUBLE_KILL:
		_exit(SIM_EXIT_KILLED);
	case TROUBLE_KILL_MID:
		if (may_half)
			return -1;
		_exit(SIM_EXIT_KILLED);
	case TROUBLE_NOSPACE:
		if (!grows || n >= trouble_at + NOSPACE_CALLS)
			return 0;
		world->faulty = true;
		return ENOSPC;
	case TROUBLE_IO:
		if (n > trouble_at)
			return 0;
		world->faulty = true;
		return EIO;
	default:
		world->faulty = true;
		return EROFS;
	}
}

static bool is_file(int fd)
{
	struct stat st;

	return fd > 2 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int fails(int error)
{
	errno = error;
	return -1;
}

#define CHANGE(grows, CALL)                                                                        \
	do {                                                                                       \
		int why_ = befalls(grows, false);                                                  \
		return why_ ? fails(why_) : (int)(CALL);                                           \
	} while (0)

ssize_t write(int fd, const void *data, size_t n)
{
	int why = is_file(fd) ? befalls(true, true) : 0;

	if (why < 0) {
		syscall(SYS_write, fd, data, n / 2);
		_exit(SIM_EXIT_KILLED);
	}
	return why ? fails(why) : syscall(SYS_write, fd, data, n);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t at)
{
	int why = befalls(true, true);

	if (why < 0) {
		syscall(SYS_pwrite64, fd, data, n / 2, at);
		_exit(SIM_EXIT_KILLED);
	}
	return why ? fails(why) : syscall(SYS_pwrite64, fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite64(fd, data, n, at);
}

int fsync(int fd)
{
	CHANGE(false, syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
	CHANGE(false, syscall(SYS_fdatasync, fd));
}

int ftruncate64(int fd, off_t size)
{
	CHANGE(false, syscall(SYS_ftruncate, fd, size));
}

int ftruncate(int fd, off_t size)
{
	return ftruncate64(fd, size);
}

int rename(const char *from, const char *to)
{
	CHANGE(true, syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	CHANGE(true, syscall(SYS_renameat, from_fd, from, to_fd, to));
}

int unlink(const char *path)
{
	CHANGE(false, syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

int unlinkat(int fd, const char *path, int flags)
{
	CHANGE(false, syscall(SYS_unlinkat, fd, path, flags));
}

int rmdir(const char *path)
{
	CHANGE(false, syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}

int mkdir(const char *path, mode_t mode)
{
	CHANGE(true, syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	CHANGE(true, syscall(SYS_mkdirat, fd, path, mode));
}

static int open_with(int dir, const char *path, int flags, mode_t mode)
{
	int why = flags & (O_CREAT | O_TRUNC) ? befalls(true, false) : 0;

	return why ? fails(why) : (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define MODE_OF(flags, last)                                                                       \
	mode_t mode = 0;                                                                           \
	if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {                                    \
		va_list ap;                                                                        \
		va_start(ap, last);                                                                \
		mode = va_arg(ap, mode_t);                                                         \
		va_end(ap);                                                                        \
	}

int open64(const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return open_with(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return open_with(AT_FDCWD, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return open_with(dir, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return open_with(dir, path, flags, mode);
}

/* ---- memory */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static bool out_of_memory(void)
{
	if (trouble != TROUBLE_MEMORY || life_is_a_workers ||
	    atomic_fetch_add(&allocations, 1) + 1 != trouble_at)
		return false;
	world->faulty = true;
	return true;
}

void *malloc(size_t size)
{
	return out_of_memory() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return out_of_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return out_of_memory() ? NULL : __libc_realloc(p, size);
}
