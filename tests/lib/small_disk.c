/* tests/lib/small_disk.c -- for LD_PRELOAD: the folder SMALL_DISK is a disk of
 * SMALL_DISK_BYTES bytes. What lies in it counts as the real disk counts; taking more room with
 * fallocate() fails, and statvfs() says what is left. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static __thread unsigned long long used;

static int add(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)type;
	(void)at;
	used += (unsigned long long)st->st_blocks * 512;
	return 0;
}

static unsigned long long left(void)
{
	unsigned long long size = strtoull(getenv("SMALL_DISK_BYTES"), NULL, 10);

	used = 0;
	(void)nftw(getenv("SMALL_DISK"), add, 8, FTW_PHYS);
	return used < size ? size - used : 0;
}

static int is_in(const char *path)
{
	const char *dir = getenv("SMALL_DISK");
	char real[PATH_MAX];

	return dir && realpath(path, real) && strncmp(real, dir, strlen(dir)) == 0;
}

int statvfs64(const char *path, struct statvfs64 *out)
{
	int (*real)(const char *, struct statvfs64 *) = dlsym(RTLD_NEXT, "statvfs64");
	int rc = real(path, out);

	if (rc == 0 && is_in(path)) {
		out->f_frsize = out->f_bsize = 512;
		out->f_bavail = out->f_bfree = left() / 512;
	}
	return rc;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t n)
{
	int (*real)(int, int, off64_t, off64_t) = dlsym(RTLD_NEXT, "fallocate64");
	char link[64], path[PATH_MAX];
	struct stat st;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	if (is_in(path) && fstat(fd, &st) == 0 &&
	    (unsigned long long)(offset + n) > left() + (unsigned long long)st.st_blocks * 512) {
		errno = ENOSPC;
		return -1;
	}
	return real(fd, mode, offset, n);
}
