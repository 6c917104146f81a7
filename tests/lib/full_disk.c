/* tests/lib/full_disk.c -- for LD_PRELOAD: a disk that is full once a process has written
 * FULL_DISK_AFTER bytes to regular files. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t room = (size_t)-1;

__attribute__((constructor)) static void start(void)
{
	const char *after = getenv("FULL_DISK_AFTER");

	if (after)
		room = strtoul(after, NULL, 10);
}

/* 1 when n more bytes fit. */
static int take(int fd, size_t n)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return 1;
	if (n > __atomic_load_n(&room, __ATOMIC_RELAXED)) {
		errno = ENOSPC;
		return 0;
	}
	__atomic_sub_fetch(&room, n, __ATOMIC_RELAXED);
	return 1;
}

ssize_t write(int fd, const void *buf, size_t n)
{
	ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");

	return take(fd, n) ? real(fd, buf, n) : -1;
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");

	return take(fd, n) ? real(fd, buf, n, offset) : -1;
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");

	return take(fd, n) ? real(fd, buf, n, offset) : -1;
}
