/* upload/hub_local.c -- a hub that is a folder: NS/NAME.git are bare
 * repositories with their LFS objects inside, where git-lfs looks for them
 * when the remote is a file:// URL. Writers of one repository take
 * NS/.NAME.lock in turn; readers need nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/crash.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "upload/git_changes.h"
#include "upload/gitrepo.h"
#include "upload/hub.h"
#include "upload/lfs.h"
#include "upload/lfs_store.h"

#define LOCK_WAIT_MS 5000
#define LOCK_POLL_MS 20

struct hub_local {
	struct hub base;
	char *folder;
};

static struct hub_local *local_of(struct hub *h)
{
	return (struct hub_local *)h; /* base is its first member */
}

static char *repo_path(struct hub *h, const char *repo)
{
	return mem_printf("%s/%s.git", local_of(h)->folder, repo);
}

static char *lfs_folder(struct hub *h, const char *repo)
{
	char *path = repo_path(h, repo);
	char *lfs = path_join(path, "lfs");

	free(path);
	return lfs;
}

/* "FOLDER/NS/.NAME<suffix>": beside the repository, never the name of one. */
static char *beside(struct hub *h, const char *repo, const char *suffix)
{
	const char *slash = strchr(repo, '/');

	return mem_printf("%s/%.*s/.%s%s", local_of(h)->folder, (int)(slash - repo), repo,
			  slash + 1, suffix);
}

/* Descriptor that holds the lock, or ERR_BUSY after LOCK_WAIT_MS. */
static int lock_repo(struct hub *h, const char *repo, struct err *e)
{
	const struct timespec pause = { 0, LOCK_POLL_MS * 1000000L };
	int64_t until_ms = clock_mono_ms() + LOCK_WAIT_MS;
	char *path = beside(h, repo, ".lock");
	char *dir = path_dirname(path);
	int fd = path_mkdirs(dir, 0777, e);

	if (fd >= 0) {
		while ((fd = lock_take(path, e)) == ERR_BUSY && clock_mono_ms() < until_ms)
			(void)nanosleep(&pause, NULL);
	}
	if (fd == ERR_BUSY)
		err_set(e, ERR_BUSY, "%s: another process is writing to this repository", repo);
	free(dir);
	free(path);
	return fd;
}

/* Open a repository; with head (may be NULL) as it is now. ERR_NOTFOUND: not there. */
static int open_repo(struct hub *h, const char *repo, struct gitrepo **g, char head[GITREPO_ID],
		     struct err *e)
{
	char *path;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	path = repo_path(h, repo);
	rc = gitrepo_open(path, g, e);
	free(path);
	if (rc >= 0 && head) {
		rc = gitrepo_head(*g, head, e);
		if (rc < 0)
			gitrepo_close(*g);
	}
	return rc;
}

static int local_create(struct hub *h, const char *repo, int is_private, struct err *e)
{
	char *path, *scratch, *lfs;
	int fd, rc = hub_repo_check(repo, e);

	(void)is_private; /* the folder's permissions decide who reads it */
	if (rc < 0)
		return rc;
	fd = lock_repo(h, repo, e);
	if (fd < 0)
		return fd;
	path = repo_path(h, repo);
	scratch = beside(h, repo, ".git.new");
	lfs = path_join(path, "lfs");
	if (access(path, F_OK) < 0) {
		rc = gitrepo_create(path, scratch, e);
	} else {
		rc = lfs_store_clean(lfs, e);
		if (rc >= 0)
			rc = gitrepo_clean(path, e);
	}
	free(lfs);
	free(scratch);
	free(path);
	close(fd);
	return rc;
}

/* What a blob stands for: itself, or the object behind a pointer. A pointer to an object that is
 * not there is listed as what a clone would get: the pointer's own text. */
static int describe(struct gitrepo *g, const struct gitrepo_file *in, const char *lfs,
		    struct arena *scratch, struct hub_file *out, struct err *e)
{
	const char *data;
	size_t len;
	int rc;

	out->path = in->path;
	out->size_bytes = in->size_bytes;
	rc = gitrepo_read(g, in->blob, SIZE_MAX - 1, scratch, &data, &len, e);
	if (rc < 0)
		return err_wrap(e, "%s", in->path);
	if (lfs_pointer_parse(data, len, out->sha256, &out->size_bytes)) {
		rc = lfs_store_have(lfs, out->sha256, out->size_bytes, e);
		out->lfs = rc > 0;
	}
	if (!out->lfs) {
		out->size_bytes = len;
		sha256_bytes(data, len, out->sha256);
	}
	return rc < 0 ? rc : 0;
}

static int list_commit(struct gitrepo *g, const char *commit, const char *lfs, struct arena *a,
		       struct hub_file **files, size_t *n, struct err *e)
{
	struct arena *scratch = arena_new();
	struct gitrepo_file *blobs = NULL;
	struct hub_file *v;
	size_t count = 0;
	int rc = gitrepo_files(g, commit, a, &blobs, &count, e);

	v = arena_array(a, count, sizeof(*v));
	for (size_t i = 0; rc >= 0 && i < count; i++) {
		rc = describe(g, &blobs[i], lfs, scratch, &v[i], e);
		arena_reset(scratch);
	}
	arena_free(scratch);
	if (rc < 0)
		return rc;
	*files = v;
	*n = count;
	return 0;
}

static int local_list(struct hub *h, const char *repo, struct arena *a, struct hub_file **files,
		      size_t *n, const char **head, struct err *e)
{
	struct gitrepo *g = NULL;
	char commit[GITREPO_ID];
	int rc = open_repo(h, repo, &g, commit, e);

	if (rc == ERR_NOTFOUND || (rc >= 0 && !*commit)) {
		*files = NULL;
		*n = 0;
		*head = "";
		rc = 0;
	} else if (rc >= 0) {
		char *lfs = lfs_folder(h, repo);

		rc = list_commit(g, commit, lfs, a, files, n, e);
		free(lfs);
		if (rc >= 0)
			*head = arena_strdup(a, commit);
	} else {
		return rc;
	}
	gitrepo_close(g);
	return rc;
}

static int local_have(struct hub *h, const char *repo, const struct hub_file *files, size_t n,
		      bool *have, struct err *e)
{
	char *lfs;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	lfs = lfs_folder(h, repo);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		rc = lfs_store_have(lfs, files[i].sha256, files[i].size_bytes, e);
		have[i] = rc > 0;
	}
	free(lfs);
	return rc < 0 ? rc : 0;
}

/* 1 the content is what f says, 0 not. A link to it would be believed unread. */
static int content_ok(const struct hub_file *f, struct err *e)
{
	uint8_t sha256[SHA256_LEN];
	uint64_t size;
	int rc;

	if (f->local) {
		rc = sha256_file(f->local, sha256, &size, e);
		if (rc < 0)
			return rc;
	} else {
		size = f->size_bytes;
		sha256_bytes(f->data, (size_t)size, sha256);
	}
	return size == f->size_bytes && memcmp(sha256, f->sha256, SHA256_LEN) == 0;
}

static int store_one(struct hub *h, const char *repo, const char *lfs, const struct hub_file *f,
		     struct err *e)
{
	int rc, fd = lock_repo(h, repo, e);

	if (fd < 0)
		return fd;
	rc = lfs_store_put(lfs, f, e);
	close(fd);
	return rc;
}

static int put_one(struct hub *h, const char *repo, const char *lfs, const struct hub_file *f,
		   size_t i, const struct hub_put *report, struct err *e)
{
	int rc = lfs_store_have(lfs, f->sha256, f->size_bytes, e);

	if (rc > 0)
		return report->stored(report->ctx, i, false, e);
	if (rc == 0)
		rc = content_ok(f, e);
	if (rc == 0)
		return report->changed(report->ctx, i, "does not have the hash it was sealed with",
				       e);
	if (rc > 0)
		rc = store_one(h, repo, lfs, f, e);
	if (rc < 0)
		return err_wrap(e, "%s", f->path);
	return report->stored(report->ctx, i, true, e);
}

static int local_put(struct hub *h, const char *repo, const struct hub_file *files, size_t n,
		     const struct hub_put *report, struct err *e)
{
	struct gitrepo *g = NULL;
	int rc = open_repo(h, repo, &g, NULL, e);
	char *lfs;

	if (rc < 0)
		return rc;
	gitrepo_close(g);
	lfs = lfs_folder(h, repo);
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = put_one(h, repo, lfs, &files[i], i, report, e);
	free(lfs);
	return rc < 0 ? rc : 0;
}

static int local_read(struct hub *h, const char *repo, const char *path, size_t max,
		      struct arena *a, const char **data, size_t *len, struct err *e)
{
	struct gitrepo *g = NULL;
	char commit[GITREPO_ID];
	int rc = open_repo(h, repo, &g, commit, e);

	if (rc < 0)
		return rc;
	rc = gitrepo_read_path(g, commit, path, max, a, data, len, e);
	if (rc == ERR_NOTFOUND)
		err_set(e, ERR_NOTFOUND, "%s: no %s there", repo, path);
	gitrepo_close(g);
	return rc;
}

static int plain_read_at(struct hub *h, const char *repo, const struct hub_file *f, uint64_t offset,
			 void *data, size_t len, size_t *got, struct err *e)
{
	struct arena *a = arena_new();
	const char *content;
	size_t size = 0;
	int rc = local_read(h, repo, f->path, SIZE_MAX - 1, a, &content, &size, e);

	if (rc >= 0) {
		*got = offset < size ? size - (size_t)offset : 0;
		if (*got > len)
			*got = len;
		if (*got)
			memcpy(data, content + offset, *got);
	}
	arena_free(a);
	return rc;
}

static int local_read_at(struct hub *h, const char *repo, const struct hub_file *f, uint64_t offset,
			 void *data, size_t len, size_t *got, struct err *e)
{
	char *lfs;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	if (!f->lfs)
		return plain_read_at(h, repo, f, offset, data, len, got, e);
	lfs = lfs_folder(h, repo);
	rc = lfs_store_read_at(lfs, f->sha256, offset, data, len, got, e);
	free(lfs);
	return rc;
}

/* ---- commit */

static int check_object(void *ctx, const struct hub_file *f, struct err *e)
{
	int rc = lfs_store_have(ctx, f->sha256, f->size_bytes, e);

	return rc ? rc : err_set(e, ERR_INVALID, "%s: its LFS object was not put", f->path);
}

static int local_commit(struct hub *h, const char *repo, const struct hub_commit *c,
			struct arena *a, const char **commit, struct err *e)
{
	struct git_changes changes;
	struct gitrepo *g = NULL;
	char id[GITREPO_ID];
	int fd, rc = open_repo(h, repo, &g, NULL, e);
	char *lfs;

	if (rc < 0)
		return rc;
	fd = lock_repo(h, repo, e);
	if (fd < 0) {
		gitrepo_close(g);
		return fd;
	}
	lfs = lfs_folder(h, repo);
	git_changes_init(&changes, c);
	changes.check_object = check_object;
	changes.ctx = lfs;
	rc = gitrepo_commit(g, c->parent, c->message, git_changes_count(&changes), git_changes_next,
			    &changes, id, e);
	if (rc >= 0)
		*commit = arena_strdup(a, id);
	git_changes_release(&changes);
	free(lfs);
	close(fd);
	gitrepo_close(g);
	return rc;
}

/* Everything but RFC 3986's unreserved characters and '/' is escaped. */
static const char *local_url(struct hub *h, const char *repo, struct arena *a)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "-._~/";
	char *path = repo_path(h, repo);
	char *out = arena_alloc(a, sizeof("file://") + 3 * strlen(path)), *w = out;

	w = stpcpy(w, "file://");
	for (const char *p = path; *p; p++) {
		if (strchr(plain, *p))
			*w++ = *p;
		else
			w += sprintf(w, "%%%02X", (unsigned char)*p);
	}
	*w = '\0';
	free(path);
	return out;
}

static void local_close(struct hub *h)
{
	free(local_of(h)->folder);
	free(h);
}

static const struct hub_ops local_ops = {
	.kind = "local",
	.create = local_create,
	.list = local_list,
	.have = local_have,
	.put = local_put,
	.read = local_read,
	.read_at = local_read_at,
	.commit = local_commit,
	.url = local_url,
	.close = local_close,
};

int hub_local_open(const char *folder, struct hub **out, struct err *e)
{
	struct hub_local *l;

	if (folder[0] != '/')
		return err_set(e, ERR_INVALID, "%s: the hub's folder must be given from the root",
			       folder);
	l = mem_zalloc(sizeof(*l));
	l->base.ops = &local_ops;
	l->folder = mem_strdup(folder);
	*out = &l->base;
	return 0;
}
