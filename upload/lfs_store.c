#include "upload/lfs_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/crash.h"
#include "core/path.h"
#include "upload/lfs.h"

#define ANY_WRITE (S_IWUSR | S_IWGRP | S_IWOTH)

static const char *object_path(struct arena *a, const char *lfs, const uint8_t sha256[SHA256_LEN])
{
	return arena_printf(a, "%s/objects/%s", lfs, lfs_object_path(a, sha256));
}

static const char *scratch_dir(struct arena *a, const char *lfs)
{
	return arena_printf(a, "%s/tmp/quern", lfs);
}

/* 1 a regular file of that size, 0 nothing or something else. */
static int have_object(const char *path, uint64_t size_bytes, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(e, "%s", path);
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == size_bytes;
}

int lfs_store_have(const char *lfs, const uint8_t sha256[SHA256_LEN], uint64_t size_bytes,
		   struct err *e)
{
	struct arena *a = arena_new();
	int rc = have_object(object_path(a, lfs, sha256), size_bytes, e);

	arena_free(a);
	return rc;
}

int lfs_store_read_at(const char *lfs, const uint8_t sha256[SHA256_LEN], uint64_t offset,
		      void *data, size_t len, size_t *got, struct err *e)
{
	struct arena *a = arena_new();
	const char *path = object_path(a, lfs, sha256);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc = 0;
	size_t done = 0;

	if (fd < 0)
		rc = err_errno(e, "%s", path);
	while (rc == 0 && done < len) {
		ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno != EINTR)
			rc = err_errno(e, "%s", path);
		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	if (rc == 0)
		*got = done;
	arena_free(a);
	return rc;
}

/* objects/aa/bb, with the names of both levels on disk before an object's. */
static int make_object_dir(const char *lfs, const uint8_t sha256[SHA256_LEN], struct arena *a,
			   struct err *e)
{
	const char *objects = arena_printf(a, "%s/objects", lfs);
	const char *first = arena_printf(a, "%s/%02x", objects, sha256[0]);
	const char *second = arena_printf(a, "%s/%02x", first, sha256[1]);
	int rc;

	if (access(second, F_OK) == 0)
		return 0;
	rc = path_mkdirs(second, 0777, e);
	if (rc >= 0)
		rc = path_sync(first, e);
	if (rc >= 0)
		rc = path_sync(objects, e);
	return rc;
}

/* 1 linked, 0 it must be copied. What may still be written to is never linked: the object would
 * change with it. */
static int try_link(const struct hub_file *f, const char *object, struct err *e)
{
	struct stat st;

	if (lstat(f->local, &st) < 0)
		return err_errno(e, "%s", f->local);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "%s is not a regular file", f->local);
	if ((uint64_t)st.st_size != f->size_bytes)
		return err_set(e, ERR_CORRUPT, "%s has %lld bytes, not %llu", f->local,
			       (long long)st.st_size, (unsigned long long)f->size_bytes);
	if (st.st_mode & ANY_WRITE)
		return 0;
	if (link(f->local, object) == 0)
		return 1;
	if (errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP ||
	    errno == EEXIST)
		return 0;
	return err_errno(e, "%s", object);
}

static int check_copy(const char *path, const struct hub_file *f, struct err *e)
{
	uint8_t sha256[SHA256_LEN];
	uint64_t size;
	int rc = sha256_file(path, sha256, &size, e);

	if (rc < 0)
		return rc;
	if (size != f->size_bytes || memcmp(sha256, f->sha256, SHA256_LEN) != 0)
		return err_set(e, ERR_CORRUPT,
			       "%s: the content does not have the hash it is sent under", f->path);
	return 0;
}

static int put_copy(const char *lfs, const struct hub_file *f, const char *object, struct arena *a,
		    struct err *e)
{
	const char *dir = scratch_dir(a, lfs);
	const char *tmp = arena_printf(a, "%s/%s", dir, path_basename(object));
	int rc = path_mkdirs(dir, 0777, e);

	if (rc >= 0)
		rc = f->local ? path_copy(f->local, tmp, 0444, e)
			      : path_write(tmp, f->data, (size_t)f->size_bytes, 0444, e);
	if (rc < 0)
		return rc;
	CRASH_POINT("upload:object_copied");
	rc = check_copy(tmp, f, e);
	if (rc >= 0)
		rc = path_rename(tmp, object, e);
	if (rc < 0)
		(void)unlink(tmp);
	return rc;
}

int lfs_store_put(const char *lfs, const struct hub_file *f, struct err *e)
{
	struct arena *a = arena_new();
	const char *object = object_path(a, lfs, f->sha256);
	int rc = have_object(object, f->size_bytes, e);

	if (rc != 0)
		goto out;
	rc = make_object_dir(lfs, f->sha256, a, e);
	if (rc < 0)
		goto out;
	rc = f->local ? try_link(f, object, e) : 0;
	if (rc == 0) {
		rc = put_copy(lfs, f, object, a, e);
	} else if (rc > 0) {
		char *dir = path_dirname(object);

		rc = path_sync(dir, e);
		free(dir);
	}
	if (rc >= 0)
		CRASH_POINT("upload:object_placed");
out:
	arena_free(a);
	return rc < 0 ? rc : 0;
}

int lfs_store_clean(const char *lfs, struct err *e)
{
	struct arena *a = arena_new();
	int rc = path_remove_tree(scratch_dir(a, lfs), e);

	arena_free(a);
	return rc;
}
