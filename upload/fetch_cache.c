/* upload/fetch_cache.c -- the cache that the official clients share. Their
 * rules: blobs by etag, snapshots of relative links, refs without a newline, a
 * flock per blob that is never unlinked. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_drop.h"
#include "upload/fetch_private.h"

/* https://bford.info/cachedir/, as huggingface_hub writes it */
#define TAG_TEXT                                                                                   \
	"Signature: 8a477f597d28d172789f06886806bc55\n"                                            \
	"# This file is a cache directory tag created by huggingface_hub.\n"

char *fetch_cache_folder(const char *repo)
{
	const char *slash = strchr(repo, '/');

	if (!slash)
		return mem_printf("models--%s", repo);
	return mem_printf("models--%.*s--%s", (int)(slash - repo), repo, slash + 1);
}

const char *fetch_snapshot(struct arena *a, const char *cache, const char *repo, const char *commit)
{
	char *folder = fetch_cache_folder(repo);
	const char *path = arena_printf(a, "%s/%s/snapshots/%s", cache, folder, commit);

	free(folder);
	return path;
}

static void write_tag(const char *cache)
{
	char *path = path_join(cache, "CACHEDIR.TAG");
	struct err ignored = ERR_INIT; /* a hint for backup programs, no more */

	if (access(path, F_OK) != 0)
		(void)path_write(path, TAG_TEXT, strlen(TAG_TEXT), 0644, &ignored);
	free(path);
}

int fetch_cache_open(struct fetch_cache *c, const struct fetch_options *o, const char *commit,
		     struct err *e)
{
	char *folder = fetch_cache_folder(o->repo);
	int rc;

	c->root = path_join(o->cache, folder);
	c->blobs = path_join(c->root, "blobs");
	c->snapshot = mem_printf("%s/snapshots/%s", c->root, commit);
	c->locks = mem_printf("%s/.locks/%s", o->cache, folder);
	c->use_fd = -1;
	free(folder);
	rc = path_mkdirs(c->locks, 0777, e);
	if (rc >= 0)
		rc = fetch_use(o->cache, o->repo, commit, true, &c->use_fd, e);
	if (rc >= 0)
		rc = path_mkdirs(c->blobs, 0777, e);
	if (rc >= 0)
		rc = path_mkdirs(c->snapshot, 0777, e);
	if (rc >= 0)
		write_tag(o->cache);
	return rc < 0 ? err_wrap(e, "the cache of models; HF_HUB_CACHE names another place") : 0;
}

void fetch_cache_close(struct fetch_cache *c)
{
	if (c->root && c->use_fd >= 0)
		close(c->use_fd);
	free(c->root);
	free(c->blobs);
	free(c->snapshot);
	free(c->locks);
	memset(c, 0, sizeof(*c));
	c->use_fd = -1;
}

static bool is_file_of(const char *dir, const char *name, uint64_t size_bytes)
{
	char *path = path_join(dir, name);
	struct stat st;
	bool there =
		stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size_bytes;

	free(path);
	return there;
}

bool fetch_cache_has(const struct fetch_cache *c, const struct fetch_file *f)
{
	return is_file_of(c->snapshot, f->name, f->size_bytes);
}

bool fetch_cache_has_blob(const struct fetch_cache *c, const struct fetch_file *f)
{
	return is_file_of(c->blobs, f->etag, f->size_bytes);
}

int fetch_cache_lock(const struct fetch_cache *c, const char *etag, bool wait, int *fd,
		     struct err *e)
{
	char *path = mem_printf("%s/%s.lock", c->locks, etag);
	int rc = 0;

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
	if (*fd < 0) {
		rc = err_errno(e, "%s", path);
		free(path);
		return rc;
	}
	while ((rc = flock(*fd, LOCK_EX | (wait ? 0 : LOCK_NB))) != 0 && errno == EINTR)
		;
	if (rc != 0 && errno == EWOULDBLOCK)
		rc = err_set(e, ERR_BUSY, "%s: another process fetches this file", path);
	else if (rc != 0 && errno != ENOSYS && errno != ENOLCK && errno != EOPNOTSUPP)
		rc = err_errno(e, "%s", path);
	else if (rc != 0)
		rc = 0; /* Lustre, NFS: no locks; the run's own lock keeps our processes apart */
	if (rc < 0) {
		close(*fd);
		*fd = -1;
	}
	free(path);
	return rc;
}

/* Where a file lies in a folder of the snapshot, that is made. */
static int make_folder(const char *path, struct err *e)
{
	char *dir = path_dirname(path);
	int rc = path_mkdirs(dir, 0777, e);

	free(dir);
	return rc < 0 ? rc : 0;
}

int fetch_cache_link(const struct fetch_cache *c, const struct fetch_file *f, struct err *e)
{
	const char *up = strchr(f->name, '/') ? "../" : ""; /* of names, one folder deep at most */
	char *target = mem_printf("%s../../blobs/%s", up, f->etag);
	char *path = path_join(c->snapshot, f->name);
	char *temp = mem_printf("%s/.quern-%ld-%s", c->snapshot, (long)getpid(), f->etag);
	struct stat st;
	int rc = 0;

	(void)unlink(temp);
	if (symlink(target, temp) == 0 && lstat(temp, &st) == 0)
		fetch_owned_add_link(c, f->name, &st);
	if (*up)
		rc = make_folder(path, e);
	if (rc == 0 && rename(temp, path) != 0)
		rc = err_errno(e, "%s", path);
	if (rc < 0)
		(void)unlink(temp);
	free(temp);
	free(path);
	free(target);
	return rc;
}

/* ---- refs */

static char *ref_path(const struct fetch_options *o)
{
	char *folder = fetch_cache_folder(o->repo);
	char *path = mem_printf("%s/%s/refs/%s", o->cache, folder, o->revision);

	free(folder);
	return path;
}

int fetch_cache_read_ref(const struct fetch_options *o, char out[41])
{
	struct err ignored = ERR_INIT;
	char *path;
	struct buf b;
	int found = 0;

	if (!path_relative_ok(o->revision))
		return 0;
	path = ref_path(o);
	buf_init(&b, 128);
	if (path_read(path, 128, &b, &ignored) >= 0) {
		while (b.len && strchr(" \n\r", b.data[b.len - 1]))
			b.data[--b.len] = '\0';
		found = fetch_is_commit(buf_str(&b));
		if (found)
			memcpy(out, b.data, 41);
	}
	buf_release(&b);
	free(path);
	return found;
}

int fetch_cache_ref(const struct fetch_options *o, const char *commit, struct err *e)
{
	char now[41], *path, *dir;
	int rc;

	if (fetch_is_commit(o->revision) || !path_relative_ok(o->revision))
		return 0;
	if (fetch_cache_read_ref(o, now) && strcmp(now, commit) == 0)
		return 0;
	path = ref_path(o);
	dir = path_dirname(path);
	rc = path_mkdirs(dir, 0777, e);
	if (rc >= 0)
		rc = path_write(path, commit, strlen(commit), 0666, e);
	free(dir);
	free(path);
	return rc;
}
