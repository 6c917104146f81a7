#include "core/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/crash.h"
#include "core/mem.h"
#include "core/utf8.h"

#define COMPONENT_MAX 255 /* NAME_MAX of every Linux file system of note */

/* -------------------------------------------------------------------- names */

char *path_join(const char *a, const char *b)
{
	size_t n = strlen(a);

	if (*b == '/' || n == 0)
		return mem_strdup(b);
	while (n > 1 && a[n - 1] == '/')
		n--;
	return mem_printf("%.*s%s%s", (int)n, a, a[n - 1] == '/' ? "" : "/", b);
}

char *path_dirname(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_strdup(".");
	while (slash > path && slash[-1] == '/')
		slash--;
	return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

const char *path_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *path_real(const char *path, struct err *e)
{
	char *real = realpath(path, NULL);

	if (!real)
		(void)err_errno(e, "%s", path);
	return real;
}

static int component_ok(const char *name, size_t n)
{
	if (n == 0 || n > COMPONENT_MAX || (n == 1 && name[0] == '.') ||
	    (n == 2 && name[0] == '.' && name[1] == '.'))
		return 0;
	while (n > 0) {
		uint32_t cp;
		int len = utf8_next(name, n, &cp);

		if (len == 0 || utf8_is_control(cp) || cp == '/')
			return 0;
		name += len;
		n -= (size_t)len;
	}
	return 1;
}

int path_component_ok(const char *name)
{
	return component_ok(name, strlen(name));
}

int path_relative_ok(const char *path)
{
	if (strlen(path) >= PATH_MAX)
		return 0;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (!component_ok(path, n))
			return 0;
		if (!path[n])
			return 1;
		path += n + 1;
	}
}

/* ------------------------------------------------------------------ reading */

/* Open a regular file for reading. O_NONBLOCK: a named pipe is refused, not waited for. */
static int open_regular(const char *path, struct stat *st, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int rc;

	if (fd < 0)
		return err_errno(e, "%s", path);
	if (fstat(fd, st) != 0)
		rc = err_errno(e, "%s", path);
	else if (!S_ISREG(st->st_mode))
		rc = err_set(e, ERR_INVALID, "%s: not a regular file", path);
	else
		return fd;
	close(fd);
	return rc;
}

/* The size was looked at already, but the file may grow while it is read. */
static int read_all(int fd, const char *path, size_t max, struct buf *b, struct err *e)
{
	const size_t before = b->len;
	char *chunk = mem_alloc((size_t)64 << 10);
	int rc = 0;

	for (;;) {
		ssize_t n = read(fd, chunk, (size_t)64 << 10);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_errno(e, "%s", path);
		else if ((size_t)n > max - (b->len - before) || buf_add(b, chunk, (size_t)n) < 0)
			rc = err_set(e, ERR_INVALID, "%s: larger than %zu bytes", path, max);
		if (n <= 0 || rc < 0)
			break;
	}
	if (rc < 0 && b->data) {
		b->len = before;
		b->data[before] = '\0';
	}
	free(chunk);
	return rc;
}

int path_read(const char *path, size_t max, struct buf *b, struct err *e)
{
	struct stat st = { 0 };
	int fd = open_regular(path, &st, e);
	int rc;

	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size > max)
		rc = err_set(e, ERR_INVALID, "%s: %lld bytes; at most %zu are read", path,
			     (long long)st.st_size, max);
	else
		rc = read_all(fd, path, max, b, e);
	close(fd);
	return rc;
}

/* ------------------------------------------------------------------ writing */

/* A new file ".NAME.tmp-PID-N" beside path. A leftover of that name, from a dead process that had
 * our pid, makes N go up. *temp is left NULL on failure. */
static int temp_open(const char *path, mode_t mode, char **temp, struct err *e)
{
	static atomic_uint counter;
	char *dir = path_dirname(path);
	const char *name = path_basename(path);
	int keep = (int)utf8_cut(name, strlen(name) < 200 ? strlen(name) : 200);
	int fd = -1;

	for (int tries = 0; tries < 1000; tries++) {
		char *t = mem_printf("%s/.%.*s.tmp-%ld-%u", dir, keep, name, (long)getpid(),
				     atomic_fetch_add(&counter, 1));

		fd = open(t, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
		if (fd >= 0 || errno != EEXIST) {
			*temp = t;
			break;
		}
		free(t);
	}
	if (fd < 0) {
		fd = err_errno(e, "%s: cannot create a file beside it", path);
		free(*temp);
		*temp = NULL;
	}
	free(dir);
	return fd;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Close fd, keeping the first error: 0, or -1 with errno. A late write error, as on NFS, shows in
 * fsync() or here. */
static int sync_close(int fd, int failed)
{
	int saved;

	if (!failed && fsync(fd) != 0)
		failed = -1;
	saved = errno;
	if (close(fd) != 0 && !failed)
		return -1;
	errno = saved;
	return failed;
}

static int sync_folder_of(const char *path, struct err *e)
{
	char *dir = path_dirname(path);
	int rc = path_sync(dir, e);

	free(dir);
	return rc;
}

int path_write(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	char *temp = NULL;
	int fd = temp_open(path, mode, &temp, e);
	int rc = 0;

	if (!temp)
		return fd;
	CRASH_POINT("path_write:created");
	if (sync_close(fd, write_all(fd, data, len)) != 0) {
		rc = err_errno(e, "%s", path);
		goto out;
	}
	CRASH_POINT("path_write:synced");
	if (rename(temp, path) != 0) {
		rc = err_errno(e, "%s", path);
		goto out;
	}
	CRASH_POINT("path_write:renamed");
	rc = sync_folder_of(path, e);
	CRASH_POINT("path_write:done");
	free(temp);
	return rc;
out:
	(void)unlink(temp);
	free(temp);
	return rc;
}

int path_rename(const char *from, const char *to, struct err *e)
{
	int rc;

	CRASH_POINT("path_rename:start");
	if (rename(from, to) != 0)
		return err_errno(e, "cannot rename %s to %s", from, to);
	CRASH_POINT("path_rename:renamed");
	rc = sync_folder_of(to, e);
	CRASH_POINT("path_rename:done");
	return rc;
}

int path_sync(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_errno(e, "%s", path);
	if (sync_close(fd, 0) != 0)
		return err_errno(e, "%s: cannot be made durable", path);
	return 0;
}

/* ------------------------------------------------------------------ copying */

static int copy_by_hand(int in, int out)
{
	const size_t size = (size_t)1 << 20;
	char *chunk = mem_alloc(size);
	ssize_t n;

	while ((n = read(in, chunk, size)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || write_all(out, chunk, (size_t)n) != 0) {
			n = -1;
			break;
		}
	}
	free(chunk);
	return (int)n;
}

/* The cheapest way the file systems know; 0, or -1 with errno. */
static int copy_content(int in, int out)
{
	ssize_t n;

	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	do {
		n = copy_file_range(in, NULL, out, NULL, (size_t)1 << 30, 0);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0 && lseek(in, 0, SEEK_CUR) > 0)
		return 0;
	if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
		return -1;
	/* Not supported between these two, or a file of /proc that says it is empty. Both offsets
	 * are where the copy stopped. */
	return copy_by_hand(in, out);
}

int path_copy(const char *src, const char *dst, mode_t mode, struct err *e)
{
	struct stat st;
	char *temp = NULL;
	int in = open_regular(src, &st, e);
	int out, rc = 0;

	if (in < 0)
		return in;
	out = temp_open(dst, mode, &temp, e);
	if (!temp) {
		close(in);
		return out;
	}
	CRASH_POINT("path_copy:created");
	if (sync_close(out, copy_content(in, out)) != 0)
		rc = err_errno(e, "cannot copy %s to %s", src, dst);
	close(in);
	CRASH_POINT("path_copy:synced");
	if (rc == 0 && rename(temp, dst) != 0)
		rc = err_errno(e, "%s", dst);
	if (rc < 0)
		(void)unlink(temp);
	free(temp);
	if (rc < 0)
		return rc;
	CRASH_POINT("path_copy:renamed");
	rc = sync_folder_of(dst, e);
	CRASH_POINT("path_copy:done");
	return rc;
}

/* -------------------------------------------------------------------- other */

int path_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char *copy = mem_strdup(path);
	struct stat st;
	int rc = 0;

	for (char *p = copy; rc == 0 && *p;) {
		char kept;

		p += strspn(p, "/");
		p += strcspn(p, "/");
		kept = *p;
		*p = '\0';
		if (mkdir(copy, mode) != 0 && errno != EEXIST)
			rc = err_errno(e, "%s: cannot create this folder", copy);
		*p = kept;
	}
	if (rc == 0 && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
		rc = err_set(e, ERR_IO, "%s: exists and is not a folder", path);
	free(copy);
	return rc;
}

int path_free_space(const char *path, uint64_t *bytes, struct err *e)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return err_errno(e, "%s", path);
	*bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

char *path_program_dir(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	return path_dirname(path);
}
