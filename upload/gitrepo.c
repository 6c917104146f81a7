#include "upload/gitrepo.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/crash.h"
#include "core/mem.h"
#include "core/path.h"
#include "upload/gitrepo_private.h"

/* A commit holds the branch's lock file for milliseconds. One that nobody has touched for so long
 * was left by a process that was killed, and would stop every later commit. */
#define STALE_LOCK_MS 3000
#define LOCK_POLL_MS 50

int gitrepo_fail(struct err *e, int code, const char *what)
{
	const git_error *last = git_error_last();

	return err_set(e, code, "%s: %s", what,
		       last && last->message ? last->message : "libgit2 gives no reason");
}

/* The library counts its users; its options are for the process and set again after the first. */
static int library_begin(struct err *e)
{
	if (git_libgit2_init() < 0)
		return gitrepo_fail(e, ERR_ENV, "libgit2");
	git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	return 0;
}

static void library_end(void)
{
	git_libgit2_shutdown();
}

static int init_bare(const char *path, struct err *e)
{
	git_repository_init_options opt;
	git_repository *repo = NULL;
	int rc = library_begin(e);

	if (rc < 0)
		return rc;
	git_repository_init_options_init(&opt, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
	opt.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_NO_REINIT |
		    GIT_REPOSITORY_INIT_MKDIR;
	opt.initial_head = "main";
	if (git_repository_init_ext(&repo, path, &opt) < 0)
		rc = gitrepo_fail(e, ERR_IO, path);
	git_repository_free(repo);
	library_end();
	return rc;
}

int gitrepo_create(const char *path, const char *scratch, struct err *e)
{
	int rc = path_remove_tree(scratch, e);

	if (rc >= 0)
		rc = init_bare(scratch, e);
	if (rc < 0)
		return rc;
	CRASH_POINT("upload:repo_made");
	rc = path_sync_tree(scratch, e);
	if (rc >= 0)
		rc = path_rename(scratch, path, e);
	if (rc >= 0)
		CRASH_POINT("upload:repo_created");
	return rc;
}

/* libgit2's name for an object that is being written (its odb_loose.c). */
#define TEMPORARY_OBJECT "tmp_object_git2_"

int gitrepo_clean(const char *path, struct err *e)
{
	char *objects = path_join(path, "objects");
	DIR *dir = opendir(objects);
	const struct dirent *entry;
	int rc = 0;

	if (!dir) {
		rc = err_errno(e, "%s", objects);
		free(objects);
		return rc;
	}
	while (rc >= 0 && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, TEMPORARY_OBJECT, strlen(TEMPORARY_OBJECT)) == 0 &&
		    unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			rc = err_errno(e, "%s/%s", objects, entry->d_name);
	}
	closedir(dir);
	free(objects);
	return rc;
}

int gitrepo_open(const char *path, struct gitrepo **out, struct err *e)
{
	struct gitrepo *g;
	int rc;

	if (access(path, F_OK) < 0)
		return err_errno(e, "%s", path);
	rc = library_begin(e);
	if (rc < 0)
		return rc;
	g = mem_zalloc(sizeof(*g));
	g->path = mem_strdup(path);
	if (git_repository_open_bare(&g->repo, path) < 0) {
		rc = gitrepo_fail(e, ERR_CORRUPT, path);
		gitrepo_close(g);
		return rc;
	}
	*out = g;
	return 0;
}

void gitrepo_close(struct gitrepo *g)
{
	if (!g)
		return;
	git_repository_free(g->repo);
	free(g->path);
	free(g);
	library_end();
}

int gitrepo_head(struct gitrepo *g, char commit[GITREPO_ID], struct err *e)
{
	git_oid id;
	int rc = git_reference_name_to_id(&id, g->repo, GITREPO_BRANCH);

	if (rc == GIT_ENOTFOUND) {
		commit[0] = '\0';
		return 0;
	}
	if (rc < 0)
		return gitrepo_fail(e, ERR_CORRUPT, g->path);
	git_oid_tostr(commit, GITREPO_ID, &id);
	return 0;
}

/* The tree of a commit given in hex; to be freed. */
static int open_tree(struct gitrepo *g, const char *commit, git_tree **out, struct err *e)
{
	git_commit *c = NULL;
	git_oid id;
	int rc = 0;

	if (git_oid_fromstr(&id, commit) < 0)
		return gitrepo_fail(e, ERR_INVALID, commit);
	if (git_commit_lookup(&c, g->repo, &id) < 0 || git_commit_tree(out, c) < 0)
		rc = gitrepo_fail(e, ERR_CORRUPT, g->path);
	git_commit_free(c);
	return rc;
}

struct listing {
	git_odb *odb;
	struct arena *a;
	struct gitrepo_file *v;
	size_t n, cap;
};

static int list_entry(const char *root, const git_tree_entry *entry, void *payload)
{
	const git_filemode_t mode = git_tree_entry_filemode(entry);
	struct listing *l = payload;
	struct gitrepo_file *f;
	git_object_t type;
	size_t size;

	if (mode != GIT_FILEMODE_BLOB && mode != GIT_FILEMODE_BLOB_EXECUTABLE)
		return 0;
	if (git_odb_read_header(&size, &type, l->odb, git_tree_entry_id(entry)) < 0)
		return -1;
	MEM_GROW(l->v, l->n, l->cap);
	f = &l->v[l->n++];
	f->path = arena_printf(l->a, "%s%s", root, git_tree_entry_name(entry));
	f->size_bytes = size;
	git_oid_tostr(f->blob, sizeof(f->blob), git_tree_entry_id(entry));
	return 0;
}

static int file_compare(const void *x, const void *y)
{
	const struct gitrepo_file *a = x, *b = y;

	return strcmp(a->path, b->path);
}

int gitrepo_files(struct gitrepo *g, const char *commit, struct arena *a,
		  struct gitrepo_file **files, size_t *n, struct err *e)
{
	struct listing l = { .a = a };
	git_tree *tree = NULL;
	int rc = open_tree(g, commit, &tree, e);

	if (rc < 0)
		return rc;
	if (git_repository_odb(&l.odb, g->repo) < 0 ||
	    git_tree_walk(tree, GIT_TREEWALK_PRE, list_entry, &l) < 0) {
		rc = gitrepo_fail(e, ERR_CORRUPT, g->path);
		goto out;
	}
	/* Trees sort a folder as if its name ended in '/'. */
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), file_compare);
	*files = arena_array(a, l.n, sizeof(**files));
	if (l.n)
		memcpy(*files, l.v, l.n * sizeof(*l.v));
	*n = l.n;
out:
	free(l.v);
	git_odb_free(l.odb);
	git_tree_free(tree);
	return rc;
}

int gitrepo_read(struct gitrepo *g, const char *blob, size_t max, struct arena *a,
		 const char **data, size_t *len, struct err *e)
{
	git_blob *b = NULL;
	git_oid id;
	size_t size;

	if (git_oid_fromstr(&id, blob) < 0)
		return gitrepo_fail(e, ERR_INVALID, blob);
	if (git_blob_lookup(&b, g->repo, &id) < 0)
		return gitrepo_fail(e, ERR_CORRUPT, g->path);
	size = (size_t)git_blob_rawsize(b);
	if (size > max) {
		git_blob_free(b);
		return err_set(e, ERR_NOSPACE, "a file of %zu bytes; at most %zu are read here",
			       size, max);
	}
	char *copy = arena_alloc(a, size + 1);

	memcpy(copy, git_blob_rawcontent(b), size);
	git_blob_free(b);
	*data = copy;
	*len = size;
	return 0;
}

static int file_by_path(const void *key, const void *element)
{
	return strcmp(key, ((const struct gitrepo_file *)element)->path);
}

int gitrepo_read_path(struct gitrepo *g, const char *commit, const char *path, size_t max,
		      struct arena *a, const char **data, size_t *len, struct err *e)
{
	const struct gitrepo_file *f = NULL;
	struct gitrepo_file *files = NULL;
	size_t n = 0;
	int rc = *commit ? gitrepo_files(g, commit, a, &files, &n, e) : 0;

	if (rc < 0)
		return rc;
	if (n)
		f = bsearch(path, files, n, sizeof(*files), file_by_path);
	if (!f)
		return err_set(e, ERR_NOTFOUND, "no %s there", path);
	return gitrepo_read(g, f->blob, max, a, data, len, e);
}

/* ---- commit */

static int apply_change(struct gitrepo *g, git_index *index, const struct gitrepo_change *c,
			struct err *e)
{
	git_index_entry entry = { .mode = GIT_FILEMODE_BLOB, .path = c->path };
	const git_index_entry *old;
	int rc;

	if (c->remove) {
		rc = git_index_remove(index, c->path, 0);
		return rc < 0 && rc != GIT_ENOTFOUND ? gitrepo_fail(e, ERR_IO, c->path) : 0;
	}
	old = git_index_get_bypath(index, c->path, 0);
	if (old)
		entry.mode = old->mode;
	if (c->len > UINT32_MAX)
		return err_set(e, ERR_NOSPACE, "%s: too large for git without LFS", c->path);
	entry.file_size = (uint32_t)c->len;
	if (git_blob_create_from_buffer(&entry.id, g->repo, c->data, c->len) < 0 ||
	    git_index_add(index, &entry) < 0)
		return gitrepo_fail(e, ERR_IO, c->path);
	return 0;
}

/* parent's tree with the changes, as an index in memory: it knows folders and what a file in the
 * place of one means. */
static int write_tree(struct gitrepo *g, git_tree *base, size_t n, gitrepo_change_fn change,
		      void *ctx, git_oid *tree, struct err *e)
{
	git_index *index = NULL;
	int rc = 0;

	if (git_index_new(&index) < 0 || (base && git_index_read_tree(index, base) < 0)) {
		rc = gitrepo_fail(e, ERR_IO, g->path);
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		struct gitrepo_change c = { 0 };

		rc = change(ctx, i, &c, e);
		if (rc >= 0)
			rc = apply_change(g, index, &c, e);
		if (rc < 0)
			goto out;
	}
	if (git_index_write_tree_to(tree, index, g->repo) < 0)
		rc = gitrepo_fail(e, ERR_IO, g->path);
out:
	git_index_free(index);
	return rc;
}

static const char *env_or(const char *name, const char *dflt)
{
	const char *v = getenv(name);

	return v && *v ? v : dflt;
}

/* who: "AUTHOR" or "COMMITTER". */
static int make_signature(struct gitrepo *g, const char *who, git_signature **out, struct err *e)
{
	const char *name = "quern", *email = "quern@localhost";
	git_signature *configured = NULL;
	char name_var[32], email_var[32];
	int rc = 0;

	(void)snprintf(name_var, sizeof(name_var), "GIT_%s_NAME", who);
	(void)snprintf(email_var, sizeof(email_var), "GIT_%s_EMAIL", who);
	/* Both or neither: half a configured identity is nobody's. */
	if (git_signature_default(&configured, g->repo) == 0) {
		name = configured->name;
		email = configured->email;
	}
	if (git_signature_new(out, env_or(name_var, name), env_or(email_var, email),
			      clock_wall_ms() / 1000, 0) < 0)
		rc = gitrepo_fail(e, ERR_INVALID, "author of the commit");
	git_signature_free(configured);
	return rc;
}

static int write_commit(struct gitrepo *g, const git_oid *parent, const git_oid *tree_id,
			const char *message, git_oid *id, struct err *e)
{
	git_signature *author = NULL, *committer = NULL;
	git_commit *parents[1] = { NULL };
	git_tree *tree = NULL;
	int rc = make_signature(g, "AUTHOR", &author, e);

	if (rc >= 0)
		rc = make_signature(g, "COMMITTER", &committer, e);
	if (rc < 0)
		goto out;
	if (git_tree_lookup(&tree, g->repo, tree_id) < 0 ||
	    (parent && git_commit_lookup(&parents[0], g->repo, parent) < 0) ||
	    git_commit_create(id, g->repo, NULL, author, committer, "UTF-8", message, tree,
			      parent ? 1 : 0, (const git_commit **)parents) < 0)
		rc = gitrepo_fail(e, ERR_IO, g->path);
out:
	git_commit_free(parents[0]);
	git_tree_free(tree);
	git_signature_free(committer);
	git_signature_free(author);
	return rc;
}

static int same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Wait for the branch's lock file to go. One that stays the same for STALE_LOCK_MS is removed. */
static void wait_for_branch_lock(struct gitrepo *g)
{
	const struct timespec pause = { 0, LOCK_POLL_MS * 1000000L };
	char *lock = mem_printf("%s/%s.lock", g->path, GITREPO_BRANCH);
	int64_t since_ms = clock_mono_ms();
	struct stat first, now;

	if (lstat(lock, &first) == 0) {
		for (;;) {
			(void)nanosleep(&pause, NULL);
			if (lstat(lock, &now) < 0 || !same_file(&first, &now))
				break;
			if (clock_mono_ms() - since_ms >= STALE_LOCK_MS) {
				(void)unlink(lock);
				break;
			}
		}
	}
	free(lock);
}

static int swap_once(struct gitrepo *g, const git_oid *parent, const git_oid *id)
{
	git_reference *ref = NULL;
	int rc = git_reference_create_matching(&ref, g->repo, GITREPO_BRANCH, id, parent != NULL,
					       parent, "quern: publish");

	git_reference_free(ref);
	return rc;
}

static int swap_branch(struct gitrepo *g, const git_oid *parent, const git_oid *id, struct err *e)
{
	int rc = swap_once(g, parent, id);

	if (rc == GIT_ELOCKED) {
		wait_for_branch_lock(g);
		rc = swap_once(g, parent, id);
	}
	switch (rc) {
	case 0:
		return 0;
	case GIT_EEXISTS:
	case GIT_EMODIFIED:
	case GIT_ENOTFOUND:
	case GIT_ELOCKED:
		return err_set(e, ERR_CONFLICT, "%s: another writer moved the branch", g->path);
	default:
		return gitrepo_fail(e, ERR_IO, g->path);
	}
}

/* libgit2 syncs each object and the folder it is in, but not the names of new folders. */
static int sync_object_folders(struct gitrepo *g, struct err *e)
{
	char *objects = path_join(g->path, "objects");
	int rc = path_sync(objects, e);

	free(objects);
	return rc;
}

static int check_parent(struct gitrepo *g, const char *parent, struct err *e)
{
	char head[GITREPO_ID] = "";
	int rc = gitrepo_head(g, head, e);

	if (rc < 0)
		return rc;
	if (strcmp(head, parent) != 0)
		return err_set(e, ERR_CONFLICT, "%s: the branch is at %s, not at %s", g->path,
			       *head ? head : "no commit", *parent ? parent : "no commit");
	return 0;
}

int gitrepo_commit(struct gitrepo *g, const char *parent, const char *message, size_t n,
		   gitrepo_change_fn change, void *ctx, char commit[GITREPO_ID], struct err *e)
{
	git_oid parent_id, tree_id, id;
	git_oid *over = NULL;
	git_tree *base = NULL;
	int rc = check_parent(g, parent, e);

	if (rc >= 0 && *parent) {
		over = &parent_id;
		rc = open_tree(g, parent, &base, e);
		if (rc >= 0 && git_oid_fromstr(&parent_id, parent) < 0)
			rc = gitrepo_fail(e, ERR_INVALID, parent);
	}
	if (rc >= 0)
		rc = write_tree(g, base, n, change, ctx, &tree_id, e);
	if (rc < 0)
		goto out;
	if (base ? git_oid_equal(git_tree_id(base), &tree_id) : n == 0) {
		(void)snprintf(commit, GITREPO_ID, "%s", parent);
		goto out;
	}
	rc = write_commit(g, over, &tree_id, message, &id, e);
	if (rc >= 0)
		rc = sync_object_folders(g, e);
	if (rc < 0)
		goto out;
	CRASH_POINT("upload:commit_written");
	rc = swap_branch(g, over, &id, e);
	if (rc >= 0) {
		CRASH_POINT("upload:branch_moved");
		git_oid_tostr(commit, GITREPO_ID, &id);
	}
out:
	git_tree_free(base);
	return rc;
}

void gitrepo_library_version(char out[32])
{
	int major, minor, patch;

	git_libgit2_version(&major, &minor, &patch);
	snprintf(out, 32, "%d.%d.%d", major, minor, patch);
}
