/* upload/fetch_drop_look.c -- what is there of a repository in the cache: snapshots, what they link
 * to, and whose it is. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/source.h"
#include "upload/fetch_drop_private.h"

#define TEMP_PREFIX ".quern-" /* of a link that has no name yet */

static int by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

const char **drop_names(struct arena *a, const char *dir)
{
	const char **v = NULL, **out;
	size_t n = 0, cap = 0;
	struct dirent *d;
	DIR *at = opendir(dir);

	while (at && (d = readdir(at)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		MEM_GROW(v, n, cap);
		v[n++] = arena_strdup(a, d->d_name);
	}
	if (at)
		closedir(at);
	if (n)
		qsort(v, n, sizeof(*v), by_text);
	out = arena_array(a, n + 1, sizeof(*out));
	if (n)
		memcpy(out, v, n * sizeof(*v));
	free(v);
	return out;
}

/* "../../blobs/ETAG", with more "../" in folders: ETAG, in a. */
static const char *etag_of_link(struct arena *a, const char *path)
{
	char target[256];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *etag;

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	etag = path_basename(target);
	return fetch_is_etag(etag) ? arena_strdup(a, etag) : NULL;
}

/* folder: where dir is in the snapshot, "" or "NAME/". */
static void read_entries(struct drop_repo *r, struct drop_snapshot *s, const char *dir,
			 const char *folder, int depth)
{
	const char **names = drop_names(r->a, dir);

	for (size_t i = 0; names[i]; i++) {
		const char *path = arena_printf(r->a, "%s/%s", dir, names[i]);
		const char *name = arena_printf(r->a, "%s%s", folder, names[i]);
		struct drop_entry en = { .commit = s->commit, .name = name };
		struct stat st;

		if (lstat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode)) { /* we make but one */
			s->only_ours &= strcmp(name, SOURCE_TEMPLATES) == 0;
			if (depth < DROP_DEPTH_MAX)
				read_entries(r, s, path, arena_printf(r->a, "%s/", name),
					     depth + 1);
			continue;
		}
		if (S_ISLNK(st.st_mode))
			en.etag = etag_of_link(r->a, path);
		en.ours =
			en.etag &&
			((depth == 0 && strncmp(names[i], TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0) ||
			 fetch_owned_link(&r->owned, s->commit, name, &st));
		s->only_ours &= en.ours;
		MEM_GROW(r->entries, r->n_entries, r->cap);
		r->entries[r->n_entries++] = en;
	}
}

static bool is_kept(const struct fetch_drop *o, const char *dir)
{
	for (size_t i = 0; i < o->n_keep; i++) {
		if (strcmp(o->keep[i], dir) == 0)
			return true;
	}
	return false;
}

void drop_repo_read(struct drop_repo *r, const struct fetch_drop *o, const char *folder,
		    struct arena *a)
{
	const char **commits;
	const char *dir;

	*r = (struct drop_repo){ .a = a, .o = o, .folder = folder };
	r->root = arena_printf(a, "%s/%s", o->cache, folder);
	fetch_owned_read(a, r->root, &r->owned);
	dir = arena_printf(a, "%s/snapshots", r->root);
	commits = drop_names(a, dir);
	while (commits[r->n_snapshots])
		r->n_snapshots++;
	r->snapshots = arena_array(a, r->n_snapshots + 1, sizeof(*r->snapshots));
	for (size_t i = 0; i < r->n_snapshots; i++) {
		struct drop_snapshot *s = &r->snapshots[i];

		s->commit = commits[i];
		s->only_ours = true;
		dir = arena_printf(a, "%s/snapshots/%s", r->root, s->commit);
		s->keep = is_kept(o, dir);
		r->keep |= s->keep;
		read_entries(r, s, dir, "", 0);
	}
}

void drop_repo_release(struct drop_repo *r)
{
	free(r->entries);
	r->entries = NULL;
}

bool drop_is_needed(const struct drop_repo *r, const char *etag,
		    const struct drop_snapshot *without)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct drop_entry *en = &r->entries[i];
		bool goes = without && en->ours && strcmp(en->commit, without->commit) == 0;

		if (!goes && en->etag && strcmp(en->etag, etag) == 0)
			return true;
	}
	return false;
}

uint64_t drop_our_bytes(const struct drop_repo *r, const char *etag)
{
	const char *path = arena_printf(r->a, "%s/blobs/%s", r->root, etag);
	struct stat st;

	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
	    !fetch_owned_blob(&r->owned, etag, &st))
		return 0;
	return (uint64_t)st.st_blocks * 512;
}
