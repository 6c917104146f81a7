/* upload/fetch_drop.c -- a snapshot vanishes by one rename, out of the sight of every client; then
 * each blob of ours that no snapshot links to is removed under its lock. What a kill leaves behind
 * is a blob without a link or a folder that no client looks at: the next call takes both. */
#include "upload/fetch_drop.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/crash.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/source.h"
#include "upload/fetch_drop_private.h"

#define GONE_PREFIX ".quern-drop-" /* in a repository's folder, which no client lists */
#define PART_SUFFIX ".quern-part"

static bool starts_with(const char *s, const char *head)
{
	return strncmp(s, head, strlen(head)) == 0;
}

/* ---- removing */

/* The lock that every client takes for a file on its way; -1: somebody has it, or none here. */
static int lock_blob(const struct drop_repo *r, const char *etag)
{
	const char *dir = arena_printf(r->a, "%s/.locks/%s", r->o->cache, r->folder);
	const char *path = arena_printf(r->a, "%s/%s.lock", dir, etag);
	struct err ignored = ERR_INIT; /* open() will know */
	int fd;

	(void)path_mkdirs(dir, 0777, &ignored);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
	if (fd >= 0 && fetch_flock(fd, LOCK_EX | LOCK_NB) != 1) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Does somebody fetch a file into the repository just now? */
static bool is_fetched_into(const struct drop_repo *r)
{
	const char *dir = arena_printf(r->a, "%s/.locks/%s", r->o->cache, r->folder);
	const char **names = drop_names(r->a, dir);

	for (size_t i = 0; names[i]; i++) {
		const char *dot = strrchr(names[i], '.');
		int fd;

		if (!dot || strcmp(dot, ".lock") != 0)
			continue;
		fd = lock_blob(r, arena_strndup(r->a, names[i], (size_t)(dot - names[i])));
		if (fd < 0)
			return true;
		close(fd);
	}
	return false;
}

/* Under its lock, and looked at once more: somebody may have linked to it. */
static uint64_t remove_blob(const struct drop_repo *r, const char *etag)
{
	int fd = lock_blob(r, etag);
	uint64_t bytes = 0;
	struct drop_repo now;

	if (fd < 0)
		return 0;
	drop_repo_read(&now, r->o, r->folder, r->a);
	if (!drop_is_needed(&now, etag, NULL))
		bytes = drop_our_bytes(&now, etag);
	drop_repo_release(&now);
	if (bytes && unlink(arena_printf(r->a, "%s/blobs/%s", r->root, etag)) != 0)
		bytes = 0;
	CRASH_POINT("drop:blob");
	close(fd);
	return bytes;
}

/* A file that was on its way, and its journal. */
static uint64_t remove_part(const struct drop_repo *r, const char *name)
{
	const char *path = arena_printf(r->a, "%s/blobs/%s", r->root, name);
	const char *etag = arena_strndup(r->a, name, strlen(name) - strlen(PART_SUFFIX));
	int fd = fetch_is_etag(etag) ? lock_blob(r, etag) : -1;
	uint64_t bytes = 0;
	struct stat st;

	if (fd < 0)
		return 0;
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && unlink(path) == 0)
		bytes = (uint64_t)st.st_blocks * 512;
	(void)unlink(arena_printf(r->a, "%s.done", path));
	close(fd);
	return bytes;
}

static bool is_part(const char *name)
{
	size_t n = strlen(name), m = strlen(PART_SUFFIX);

	return n > m && strcmp(name + n - m, PART_SUFFIX) == 0;
}

/* Blobs of ours that nothing links to, folders out of sight, and files on their way to a snapshot
 * that nobody wants. */
static uint64_t sweep(const struct drop_repo *r)
{
	const char **names = drop_names(r->a, r->root);
	struct err ignored = ERR_INIT; /* the next call tries again */
	uint64_t freed = 0;

	for (size_t i = 0; names[i]; i++) {
		if (starts_with(names[i], GONE_PREFIX))
			(void)path_remove_tree(arena_printf(r->a, "%s/%s", r->root, names[i]),
					       &ignored);
	}
	names = drop_names(r->a, arena_printf(r->a, "%s/blobs", r->root));
	for (size_t i = 0; names[i]; i++) {
		if (fetch_is_etag(names[i]) && !drop_is_needed(r, names[i], NULL) &&
		    drop_our_bytes(r, names[i]))
			freed += remove_blob(r, names[i]);
		else if (is_part(names[i]) && !r->keep)
			freed += remove_part(r, names[i]);
	}
	return freed;
}

/* A branch or tag may not name what is not there: clients call that a damaged cache. */
static void remove_refs(const struct drop_repo *r, const char *dir, const char *commit, int depth)
{
	const char **names = drop_names(r->a, dir);

	for (size_t i = 0; names[i]; i++) {
		const char *path = arena_printf(r->a, "%s/%s", dir, names[i]);
		struct err ignored = ERR_INIT;
		struct stat st;
		struct buf b;

		if (lstat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DROP_DEPTH_MAX)
			remove_refs(r, path, commit, depth + 1);
		buf_init(&b, 128);
		if (S_ISREG(st.st_mode) && path_read(path, 128, &b, &ignored) >= 0 &&
		    starts_with(buf_str(&b), commit))
			(void)unlink(path);
		buf_release(&b);
	}
}

/* Nothing but ours is in it: all of it goes in one step. */
static bool hide_snapshot(const struct drop_repo *r, const struct drop_snapshot *s)
{
	const char *snapshots = arena_printf(r->a, "%s/snapshots", r->root);
	const char *from = arena_printf(r->a, "%s/%s", snapshots, s->commit);
	const char *to = arena_printf(r->a, "%s/" GONE_PREFIX "%s", r->root, s->commit);
	struct err ignored = ERR_INIT;

	remove_refs(r, arena_printf(r->a, "%s/refs", r->root), s->commit, 0);
	CRASH_POINT("drop:refs");
	if (rename(from, to) != 0)
		return false;
	(void)path_sync(snapshots, &ignored);
	CRASH_POINT("drop:hidden");
	return true;
}

/* Links of others stay, and so does the folder: as if only they had come. */
static bool remove_our_links(const struct drop_repo *r, const struct drop_snapshot *s)
{
	const char *dir = arena_printf(r->a, "%s/snapshots/%s", r->root, s->commit);

	for (size_t i = 0; i < r->n_entries; i++) {
		const struct drop_entry *en = &r->entries[i];

		if (en->ours && strcmp(en->commit, s->commit) == 0)
			(void)unlink(arena_printf(r->a, "%s/%s", dir, en->name));
		CRASH_POINT("drop:link");
	}
	(void)rmdir(arena_printf(r->a, "%s/" SOURCE_TEMPLATES, dir));
	return true;
}

/* "models--org--name": "org/name", in a. */
static const char *name_of(struct arena *a, const char *folder)
{
	char *name = arena_strdup(a, folder + strlen("models--")), *dashes = strstr(name, "--");

	if (dashes) {
		*dashes = '/';
		memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
	}
	return name;
}

static uint64_t drop(const struct drop_snapshot *s)
{
	const struct fetch_drop *o = s->repo->o;
	const char *folder = s->repo->folder;
	uint64_t freed = 0;
	struct arena *a;
	struct drop_repo r;
	int fd = fetch_use_alone(o->cache, folder, s->commit);

	if (fd < 0)
		return 0;
	a = arena_new();
	drop_repo_read(&r, o, folder, a); /* others may have come since the first look */
	for (size_t i = 0; i < r.n_snapshots; i++) {
		const struct drop_snapshot *now = &r.snapshots[i];

		if (strcmp(now->commit, s->commit) != 0 || now->keep || is_fetched_into(&r))
			continue;
		if (now->only_ours ? hide_snapshot(&r, now) : remove_our_links(&r, now)) {
			struct drop_repo after;

			drop_repo_read(&after, o, folder, a);
			freed = sweep(&after);
			drop_repo_release(&after);
		}
		if (freed && o->told)
			o->told(o->ctx, name_of(a, folder), s->commit, freed);
	}
	drop_repo_release(&r);
	arena_free(a);
	close(fd);
	return freed;
}

/* ---- all of the cache */

static uint64_t gain_of(const struct drop_repo *r, const struct drop_snapshot *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->n_entries; i++) {
		const struct drop_entry *en = &r->entries[i];

		if (en->etag && en->ours && strcmp(en->commit, s->commit) == 0 &&
		    !drop_is_needed(r, en->etag, s))
			sum += drop_our_bytes(r, en->etag);
	}
	return sum;
}

static int by_last_use(const void *x, const void *y)
{
	const struct drop_snapshot *const *a = x, *const *b = y;

	if ((*a)->used_ns != (*b)->used_ns)
		return (*a)->used_ns < (*b)->used_ns ? -1 : 1;
	if ((*a)->repo != (*b)->repo)
		return strcmp((*a)->repo->folder, (*b)->repo->folder);
	return strcmp((*a)->commit, (*b)->commit);
}

struct found {
	struct arena *a;
	struct drop_repo *repos; /* in a: those that we put something into */
	size_t n_repos;
	const struct drop_snapshot **v; /* heap: what can be dropped */
	size_t n, cap;
};

static void find_snapshots(struct found *f, struct drop_repo *r)
{
	for (size_t i = 0; i < r->n_snapshots; i++) {
		struct drop_snapshot *s = &r->snapshots[i];

		s->repo = r;
		s->gain_bytes = s->keep ? 0 : gain_of(r, s);
		if (!s->gain_bytes)
			continue;
		s->used_ns = fetch_use_last(r->o->cache, r->folder, s->commit);
		MEM_GROW(f->v, f->n, f->cap);
		f->v[f->n++] = s;
	}
}

static void find(struct found *f, const struct fetch_drop *o)
{
	const char **folders = drop_names(f->a, o->cache);
	size_t n = 0;

	while (folders[n])
		n++;
	f->repos = arena_array(f->a, n + 1, sizeof(*f->repos));
	for (size_t i = 0; i < n; i++) {
		const char *record =
			arena_printf(f->a, "%s/%s/%s", o->cache, folders[i], FETCH_OWNED_FILE);
		struct drop_repo *r = &f->repos[f->n_repos];

		if (!starts_with(folders[i], "models--") || access(record, F_OK) != 0)
			continue;
		drop_repo_read(r, o, folders[i], f->a);
		f->n_repos++;
	}
}

int fetch_drop(const struct fetch_drop *o, uint64_t *freed_bytes, struct err *e)
{
	struct found f = { .n = 0 };
	uint64_t freed = 0, bytes;

	if (access(o->cache, R_OK | W_OK | X_OK) != 0)
		return err_errno(e, "%s", o->cache);
	f.a = arena_new();
	find(&f, o);
	for (size_t i = 0; i < f.n_repos; i++) {
		bytes = sweep(&f.repos[i]);
		freed += bytes;
		if (bytes && o->told)
			o->told(o->ctx, name_of(f.a, f.repos[i].folder), NULL, bytes);
		find_snapshots(&f, &f.repos[i]);
	}
	if (f.n)
		qsort(f.v, f.n, sizeof(struct drop_snapshot *), by_last_use);
	for (size_t i = 0; i < f.n && freed < o->need_bytes; i++)
		freed += drop(f.v[i]);
	for (size_t i = 0; i < f.n_repos; i++)
		drop_repo_release(&f.repos[i]);
	free(f.v);
	arena_free(f.a);
	*freed_bytes = freed;
	return 0;
}
