/* upload/fetch_use.c -- a snapshot held against being dropped. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_drop.h"
#include "upload/fetch_private.h"

/* A cache of somebody else's: it can be read, and we drop nothing there. */
static bool is_read_only(int error)
{
	return error == EACCES || error == EPERM || error == EROFS;
}

static char *use_path(const char *cache, const char *folder, const char *commit)
{
	return mem_printf("%s/.locks/%s/%s.quern-use", cache, folder, commit);
}

int fetch_flock(int fd, int operation)
{
	while (flock(fd, operation) != 0) {
		if (errno == EINTR)
			continue;
		return errno == EWOULDBLOCK ? 0 : -1; /* ENOSYS, ENOLCK, EOPNOTSUPP: none here */
	}
	return 1;
}

int fetch_use(const char *cache, const char *repo, const char *commit, bool wait, int *fd,
	      struct err *e)
{
	char *folder = fetch_cache_folder(repo), *path = use_path(cache, folder, commit);
	char *dir = path_dirname(path);
	struct err ignored = ERR_INIT; /* open() will say it */
	int held = -1, file, rc = 0;

	(void)path_mkdirs(dir, 0777, &ignored);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
	if (file < 0 && !is_read_only(errno))
		rc = err_errno(e, "%s", path);
	else if (file >= 0)
		held = fetch_flock(file, LOCK_SH | (wait ? 0 : LOCK_NB));
	if (held == 1)
		(void)futimens(file, NULL); /* the last use */
	else if (file >= 0)
		close(file);
	if (held == 0)
		rc = err_set(e, ERR_BUSY, "%s: it is being removed from the cache", path);
	else if (rc == 0)
		*fd = held == 1 ? file : -1;
	free(dir);
	free(path);
	free(folder);
	return rc;
}

int fetch_use_alone(const char *cache, const char *folder, const char *commit)
{
	char *path = use_path(cache, folder, commit);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);

	free(path);
	if (fd >= 0 && fetch_flock(fd, LOCK_EX | LOCK_NB) != 1) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int64_t fetch_use_last(const char *cache, const char *folder, const char *commit)
{
	char *path = use_path(cache, folder, commit);
	struct stat st;
	int64_t at = 0;

	if (stat(path, &st) == 0)
		at = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	free(path);
	return at;
}
