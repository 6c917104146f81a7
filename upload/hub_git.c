/* upload/hub_git.c -- any git server with LFS over smart HTTP. WORK/cache/git
 * keeps a bare copy of each repository's branch, so that only what is new in
 * its history is fetched and a commit is made here; objects go by the LFS API,
 * and the push moves the branch. The copy may be deleted at any time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "upload/git_changes.h"
#include "upload/gitrepo_remote.h"
#include "upload/hub_git.h"
#include "upload/hub_http.h"
#include "upload/lfs.h"
#include "upload/lfs_read.h"
#include "upload/lfs_send.h"

#define PUSH_TRIES 5

struct hub_git {
	struct hub base;
	struct http *http;
	struct http_budget *budget;
	char *cache; /* WORK/cache/git/HASH-OF-URL */
	char *work;
	int jobs;
	/* of the repository that was listed last */
	char *repo;
	char branch[GITREPO_BRANCH_MAX];
	struct lfs_reader reader;
};

static struct hub_git *git_of(struct hub *h)
{
	return (struct hub_git *)h; /* base is its first member */
}

static struct http_subject about(const char *repo)
{
	return (struct http_subject){ .repo = repo };
}

/* ---- the copy here */

static int make_copy(struct hub_git *h, const char *path, struct err *e)
{
	char *dir = path_dirname(path);
	char *scratch = mem_printf("%s.new", path);
	int rc = path_mkdirs(dir, 0777, e);

	(void)h;
	if (rc >= 0)
		rc = gitrepo_create(path, scratch, e);
	free(scratch);
	free(dir);
	return rc;
}

/* Open the copy; one that a crash or a disk has damaged is made anew. */
static int open_copy(struct hub_git *h, const char *repo, struct gitrepo **g, struct err *e)
{
	char *path = mem_printf("%s/%s.git", h->cache, repo);
	int rc = hub_repo_check(repo, e);

	if (rc >= 0)
		rc = gitrepo_open(path, g, e);
	if (rc == ERR_CORRUPT)
		rc = path_remove_tree(path, e) < 0 ? e->code : ERR_NOTFOUND;
	if (rc == ERR_NOTFOUND) {
		rc = make_copy(h, path, e);
		if (rc >= 0)
			rc = gitrepo_open(path, g, e);
	}
	free(path);
	return rc;
}

struct git_target {
	struct gitrepo_remote remote;
	char *path;
};

static void target_init(struct git_target *t, struct hub_git *h, const char *repo)
{
	t->path = mem_printf("/%s.git", repo);
	t->remote = (struct gitrepo_remote){
		.http = h->http, .path = t->path, .about = about(repo), .scratch = h->work
	};
}

/* Bring the copy up to date. Remembers the branch. */
static int fetch(struct hub_git *h, struct gitrepo *g, const char *repo, char head[GITREPO_ID],
		 struct err *e)
{
	struct git_target t;
	int rc;

	target_init(&t, h, repo);
	rc = gitrepo_fetch(g, &t.remote, h->branch, head, e);
	free(t.path);
	if (rc < 0)
		return rc;
	free(h->repo);
	h->repo = mem_strdup(repo);
	return 0;
}

/* ---- objects */

static struct lfs_remote lfs_of(struct hub_git *h, const char *repo)
{
	h->base.slow_down = false;
	return (struct lfs_remote){ .http = h->http,
				    .path = mem_printf("/%s.git/info/lfs", repo),
				    .about = about(repo),
				    .jobs = h->jobs,
				    .slow_down = &h->base.slow_down };
}

static int ask(struct hub_git *h, const char *repo, enum lfs_operation op,
	       const struct hub_file *files, size_t n, bool *have, struct err *e)
{
	struct lfs_remote r = lfs_of(h, repo);
	int rc = lfs_ask(&r, op, files, n, have, e);

	free((char *)r.path);
	return rc;
}

static int git_have(struct hub *base, const char *repo, const struct hub_file *files, size_t n,
		    bool *have, struct err *e)
{
	int rc = hub_repo_check(repo, e);

	if (rc >= 0)
		rc = ask(git_of(base), repo, LFS_UPLOAD, files, n, have, e);
	if (rc != ERR_NOTFOUND)
		return rc;
	memset(have, 0, n * sizeof(*have)); /* no repository, so nothing */
	return 0;
}

static int git_put(struct hub *base, const char *repo, const struct hub_file *files, size_t n,
		   const struct hub_put *report, struct err *e)
{
	struct lfs_remote r;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	r = lfs_of(git_of(base), repo);
	rc = lfs_send(&r, files, n, report, e);
	free((char *)r.path);
	return rc;
}

/* ---- listing */

/* A blob as a file: itself, or what it points to. */
static int describe(struct gitrepo *g, const struct gitrepo_file *in, struct arena *scratch,
		    struct hub_file *out, struct err *e)
{
	const char *data;
	size_t len;
	int rc = gitrepo_read(g, in->blob, SIZE_MAX - 1, scratch, &data, &len, e);

	if (rc < 0)
		return err_wrap(e, "%s", in->path);
	out->path = in->path;
	out->lfs = lfs_pointer_parse(data, len, out->sha256, &out->size_bytes);
	if (!out->lfs) {
		out->size_bytes = len;
		sha256_bytes(data, len, out->sha256);
	}
	return 0;
}

/* What a clone would get of a pointer without its object: the pointer's own text. */
static void unpoint(struct hub_file *f)
{
	struct buf b;

	buf_init(&b, LFS_POINTER_MAX);
	lfs_pointer_write(&b, f->sha256, f->size_bytes);
	f->lfs = 0;
	f->size_bytes = b.len;
	sha256_bytes(buf_str(&b), b.len, f->sha256);
	buf_release(&b);
}

static int check_objects(struct hub_git *h, const char *repo, struct hub_file *files, size_t n,
			 struct err *e)
{
	struct hub_file *objects = mem_array(n, sizeof(*objects));
	bool *have = mem_array(n, sizeof(*have));
	size_t count = 0;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		if (files[i].lfs)
			objects[count++] = files[i];
	if (count)
		rc = ask(h, repo, LFS_DOWNLOAD, objects, count, have, e);
	for (size_t i = 0, k = 0; rc >= 0 && i < n; i++)
		if (files[i].lfs && !have[k++])
			unpoint(&files[i]);
	free(have);
	free(objects);
	return rc;
}

static int list_head(struct hub_git *h, struct gitrepo *g, const char *repo, const char *head,
		     struct arena *a, struct hub_file **files, size_t *n, struct err *e)
{
	struct arena *scratch = arena_new();
	struct gitrepo_file *blobs = NULL;
	struct hub_file *v = NULL;
	size_t count = 0;
	int rc = gitrepo_files(g, head, a, &blobs, &count, e);

	if (rc >= 0)
		v = arena_array(a, count, sizeof(*v));
	for (size_t i = 0; rc >= 0 && i < count; i++) {
		rc = describe(g, &blobs[i], scratch, &v[i], e);
		arena_reset(scratch);
	}
	arena_free(scratch);
	if (rc >= 0)
		rc = check_objects(h, repo, v, count, e);
	if (rc < 0)
		return rc;
	*files = v;
	*n = count;
	return 0;
}

static int git_list(struct hub *base, const char *repo, struct arena *a, struct hub_file **files,
		    size_t *n, const char **head, struct err *e)
{
	struct hub_git *h = git_of(base);
	char id[GITREPO_ID] = "";
	struct gitrepo *g = NULL;
	int rc = open_copy(h, repo, &g, e);

	if (rc < 0)
		return rc;
	rc = fetch(h, g, repo, id, e);
	if (rc == ERR_NOTFOUND)
		rc = 0;
	*files = NULL;
	*n = 0;
	if (rc >= 0 && *id)
		rc = list_head(h, g, repo, id, a, files, n, e);
	if (rc >= 0)
		*head = arena_strdup(a, id);
	gitrepo_close(g);
	return rc;
}

static int git_read(struct hub *base, const char *repo, const char *path, size_t max,
		    struct arena *a, const char **data, size_t *len, struct err *e)
{
	struct gitrepo *g = NULL;
	char head[GITREPO_ID];
	int rc = open_copy(git_of(base), repo, &g, e);

	if (rc < 0)
		return rc;
	rc = gitrepo_head(g, head, e);
	if (rc >= 0)
		rc = gitrepo_read_path(g, head, path, max, a, data, len, e);
	if (rc == ERR_NOTFOUND)
		err_set(e, ERR_NOTFOUND, "%s: no %s there", repo, path);
	gitrepo_close(g);
	return rc;
}

/* A blob is read from the copy, in which the listing has found it. */
static int blob_read_at(struct hub_git *h, const char *repo, const struct hub_file *f,
			uint64_t offset, void *data, size_t len, size_t *got, struct err *e)
{
	struct arena *a = arena_new();
	const char *blob = NULL;
	size_t size = 0;
	int rc = git_read(&h->base, repo, f->path, (size_t)f->size_bytes, a, &blob, &size, e);

	if (rc >= 0) {
		*got = offset >= size		     ? 0
		       : len < size - (size_t)offset ? len
						     : size - (size_t)offset;
		if (*got)
			memcpy(data, blob + offset, *got);
	}
	arena_free(a);
	return rc;
}

static int git_read_at(struct hub *base, const char *repo, const struct hub_file *f,
		       uint64_t offset, void *data, size_t len, size_t *got, struct err *e)
{
	struct hub_git *h = git_of(base);
	struct lfs_remote r;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	if (!f->lfs)
		return blob_read_at(h, repo, f, offset, data, len, got, e);
	r = lfs_of(h, repo);
	rc = lfs_read_at(&h->reader, &r, f, offset, data, len, got, e);
	free((char *)r.path);
	return rc;
}

/* git itself cannot make a repository on a server. Some make one at the first push, but not before
 * the first LFS object. */
static int git_create(struct hub *base, const char *repo, int is_private, struct err *e)
{
	struct hub_git *h = git_of(base);
	char head[GITREPO_ID];
	struct gitrepo *g = NULL;
	int rc;

	(void)is_private; /* whoever makes it there says so there */
	if (h->repo && strcmp(h->repo, repo) == 0)
		return 0;
	rc = open_copy(h, repo, &g, e);
	if (rc < 0)
		return rc;
	rc = fetch(h, g, repo, head, e);
	gitrepo_close(g);
	if (rc == ERR_NOTFOUND)
		return err_set(e, ERR_NOTFOUND,
			       "%s/%s does not exist, or the token may not see it; make it on the "
			       "server first, git itself cannot",
			       http_endpoint(h->http), repo);
	return rc;
}

/* ---- commit */

static int check_put(struct hub_git *h, const char *repo, const struct hub_commit *c, struct err *e)
{
	struct hub_file *objects = mem_array(c->n, sizeof(*objects));
	bool *have = mem_array(c->n, sizeof(*have));
	size_t count = 0;
	int rc = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->files[i].lfs)
			objects[count++] = c->files[i];
	if (count)
		rc = ask(h, repo, LFS_UPLOAD, objects, count, have, e);
	for (size_t i = 0; rc >= 0 && i < count; i++)
		if (!have[i])
			rc = err_set(e, ERR_INVALID, "%s: its LFS object was not put",
				     objects[i].path);
	free(have);
	free(objects);
	return rc;
}

static void pause_ms(int64_t ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	(void)nanosleep(&t, NULL);
}

/* Nobody knows whether a push arrived: 1 it did, 0 it did not, ERR_CONFLICT something else did. */
static int look_again(struct hub_git *h, struct gitrepo *g, const char *repo, const char *parent,
		      const char *id, struct err *e)
{
	char head[GITREPO_ID];
	int rc = fetch(h, g, repo, head, e);

	if (rc < 0)
		return rc;
	if (strcmp(head, id) == 0)
		return 1;
	if (strcmp(head, parent) == 0)
		return 0;
	return err_set(e, ERR_CONFLICT, "%s: another writer moved the branch", repo);
}

static int push(struct hub_git *h, struct gitrepo *g, const char *repo, const char *parent,
		const char *id, struct err *e)
{
	struct git_target t;
	struct err why;
	int rc = ERR_CONFLICT;

	target_init(&t, h, repo);
	for (int i = 0; rc == ERR_CONFLICT && i < PUSH_TRIES; i++) {
		if (i > 1)
			pause_ms((int64_t)500 << i);
		rc = gitrepo_push(g, &t.remote, id, h->branch, e);
		if (rc != ERR_CONFLICT)
			break;
		why = *e;
		rc = look_again(h, g, repo, parent, id, e);
		if (rc != 0)
			break;
		*e = why;
		rc = ERR_CONFLICT;
	}
	free(t.path);
	return rc < 0 ? rc : 0;
}

static int git_commit(struct hub *base, const char *repo, const struct hub_commit *c,
		      struct arena *a, const char **commit, struct err *e)
{
	struct hub_git *h = git_of(base);
	struct git_changes changes;
	struct gitrepo *g = NULL;
	char id[GITREPO_ID], head[GITREPO_ID];
	int rc = open_copy(h, repo, &g, e);

	if (rc < 0)
		return rc;
	git_changes_init(&changes, c);
	rc = check_put(h, repo, c, e);
	if (rc >= 0 && (!h->repo || strcmp(h->repo, repo) != 0))
		rc = fetch(h, g, repo, head, e);
	if (rc >= 0)
		rc = gitrepo_commit(g, c->parent, c->message, git_changes_count(&changes),
				    git_changes_next, &changes, id, e);
	if (rc >= 0 && strcmp(id, c->parent) != 0)
		rc = push(h, g, repo, c->parent, id, e);
	if (rc >= 0)
		*commit = arena_strdup(a, id);
	git_changes_release(&changes);
	gitrepo_close(g);
	return rc;
}

/* ---- the hub */

static const char *git_url(struct hub *base, const char *repo, struct arena *a)
{
	return arena_printf(a, "%s/%s.git", http_endpoint(git_of(base)->http), repo);
}

static void git_close(struct hub *base)
{
	struct hub_git *h = git_of(base);

	http_close(h->http);
	http_budget_free(h->budget);
	lfs_reader_release(&h->reader);
	free(h->cache);
	free(h->work);
	free(h->repo);
	free(h);
}

static const struct hub_ops git_ops = {
	.kind = "git",
	.create = git_create,
	.list = git_list,
	.have = git_have,
	.put = git_put,
	.read = git_read,
	.read_at = git_read_at,
	.commit = git_commit,
	.url = git_url,
	.close = git_close,
};

static char *cache_folder(const char *work, const char *url)
{
	uint8_t sha256[SHA256_LEN];
	char hex[SHA256_HEX];

	sha256_bytes(url, strlen(url), sha256);
	hex_encode(sha256, SHA256_LEN, hex);
	return mem_printf("%s/cache/git/%.16s", work, hex);
}

int hub_git_open(const char *url, const char *user, const char *token, const struct hub_options *o,
		 struct hub **out, struct err *e)
{
	struct hub_git *h = mem_zalloc(sizeof(*h));
	char *wait_file = mem_printf("%s/cache/git/.slow-down", o->work);
	struct http_options ho = { .endpoint = url, .user = user, .token = token };
	int rc;

	h->base.ops = &git_ops;
	h->work = mem_strdup(o->work);
	lfs_reader_init(&h->reader, h->work);
	h->cache = cache_folder(o->work, url);
	h->jobs = o->jobs > 0 ? o->jobs : HUB_JOBS_DEFAULT;
	h->budget = http_budget_new(wait_file);
	ho.budget = h->budget;
	free(wait_file);
	rc = http_open(&ho, &h->http, e);
	if (rc < 0)
		git_close(&h->base);
	else
		*out = &h->base;
	return rc;
}
