/* Whole folders, by descriptors: no component of a path is looked up twice, so nobody can put a
 * link in the way between the look and the act. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/path.h"

/* One descriptor a level; far below the usual limit of 1024 of them. */
#define DEPTH_MAX 64

static int is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int open_folder(int parent, const char *name)
{
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* readdir() with its error told apart from the end: 1, 0 at the end, -1 with errno. */
static int next_entry(DIR *d, struct dirent **entry)
{
	do {
		errno = 0;
		*entry = readdir(d);
	} while (*entry && is_dot((*entry)->d_name));
	return *entry ? 1 : errno ? -1 : 0;
}

/* ------------------------------------------------------------------ syncing */

/* fd is consumed. */
static int sync_folder(int fd, const char *path, int depth, struct err *e);

static int sync_entry(int parent, const char *folder, const char *name, int depth, struct err *e)
{
	/* O_NONBLOCK for named pipes, which are refused below. */
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc = 0, failed;

	if (fd < 0 && (errno == ELOOP || errno == ENXIO))
		return err_set(e, ERR_INVALID, "%s/%s: neither a regular file nor a folder", folder,
			       name);
	if (fd < 0)
		return err_errno(e, "%s/%s", folder, name);
	failed = fstat(fd, &st) != 0;
	if (!failed && S_ISDIR(st.st_mode)) {
		rc = sync_folder(fd, name, depth + 1, e);
		if (rc < 0)
			(void)err_wrap(e, "%s", folder);
		return rc;
	}
	if (!failed && !S_ISREG(st.st_mode)) {
		rc = err_set(e, ERR_INVALID, "%s/%s: neither a regular file nor a folder", folder,
			     name);
	} else if (failed || fsync(fd) != 0) {
		rc = err_errno(e, "%s/%s", folder, name);
	}
	close(fd);
	return rc;
}

static int sync_folder(int fd, const char *path, int depth, struct err *e)
{
	DIR *d = depth <= DEPTH_MAX ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int rc = 0, more;

	if (!d) {
		rc = depth > DEPTH_MAX ? err_set(e, ERR_INVALID, "%s: folders more than %d deep",
						 path, DEPTH_MAX)
				       : err_errno(e, "%s", path);
		close(fd);
		return rc;
	}
	while ((more = next_entry(d, &entry)) > 0) {
		rc = sync_entry(fd, path, entry->d_name, depth, e);
		if (rc < 0)
			break;
	}
	if (more < 0)
		rc = err_errno(e, "%s", path);
	if (rc == 0 && fsync(fd) != 0)
		rc = err_errno(e, "%s", path);
	closedir(d);
	return rc;
}

int path_sync_tree(const char *dir, struct err *e)
{
	int fd = open_folder(AT_FDCWD, dir);

	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_set(e, ERR_INVALID, "%s: not a folder", dir);
	if (fd < 0)
		return err_errno(e, "%s", dir);
	return sync_folder(fd, dir, 0, e);
}

/* ----------------------------------------------------------------- removing */

struct removal {
	int top;	  /* the folder that is being removed */
	unsigned counter; /* of folders moved up */
	int moved;	  /* some were, since the last pass over top began */
};

/* Open a folder that is going to be emptied, whatever its mode says. -1 with errno. */
static int open_to_empty(int parent, const char *name)
{
	int fd = open_folder(parent, name);
	struct stat st;

	if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = open_folder(parent, name);
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)fchmod(fd, 0700); /* if it mattered, unlinkat() will say so */
	return fd;
}

/* A folder too deep for our descriptors goes to the top, where the next pass finds it; so the
 * depth of a tree does not matter. */
static int move_up(struct removal *r, int parent, const char *name)
{
	char up[32];

	do {
		(void)snprintf(up, sizeof(up), ".quern-deep-%u", r->counter++);
		if (renameat2(parent, name, r->top, up, RENAME_NOREPLACE) == 0) {
			r->moved = 1;
			return 0;
		}
	} while (errno == EEXIST);
	return -1;
}

static int empty_folder(struct removal *r, int fd, int depth);

static int remove_entry(struct removal *r, int parent, const char *name, int depth)
{
	int fd, rc;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth == DEPTH_MAX)
		return move_up(r, parent, name);
	fd = open_to_empty(parent, name);
	if (fd < 0)
		return -1;
	rc = empty_folder(r, fd, depth + 1);
	if (rc == 0 && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		rc = -1;
	return rc;
}

/* Consumes fd. 0, or -1 with errno. */
static int empty_folder(struct removal *r, int fd, int depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	int rc = 0, saved;

	if (!d) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	while (rc == 0 && (rc = next_entry(d, &entry)) > 0)
		rc = remove_entry(r, fd, entry->d_name, depth);
	saved = errno;
	closedir(d);
	errno = saved;
	return rc;
}

/* Passes over the top until no folder was moved up during one. */
static int empty_top(int top)
{
	struct removal r = { .top = top };
	int rc;

	do {
		int fd = dup(top);

		r.moved = 0;
		if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
			return -1;
		rc = empty_folder(&r, fd, 0);
	} while (rc == 0 && r.moved);
	return rc;
}

int path_remove_tree(const char *path, struct err *e)
{
	int top, rc;

	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(e, "cannot remove %s", path);
	top = open_to_empty(AT_FDCWD, path);
	if (top < 0)
		return err_errno(e, "cannot remove %s", path);
	rc = empty_top(top);
	if (rc == 0 && rmdir(path) != 0 && errno != ENOENT)
		rc = -1;
	if (rc < 0)
		rc = err_errno(e, "cannot remove %s", path);
	close(top);
	return rc;
}
