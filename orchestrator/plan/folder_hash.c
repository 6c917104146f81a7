#include "orchestrator/plan/folder_hash.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/threads.h"

#define READERS_MAX 4 /* a disk with heads is not made slower by a few */
#define LIST_MAX (16u << 20)

struct item {
	const struct source_file *f;
	uint8_t sha256[SHA256_LEN];
	bool known;
	int rc; /* of reading it */
	struct err err;
};

struct items {
	struct item *v;
	size_t n, unknown;
	atomic_size_t next;
};

static void by_look(struct item *it)
{
	const struct source_file *f = it->f;
	const int64_t look[] = { (int64_t)f->size_bytes, f->mtime_ns, f->ctime_ns,
				 (int64_t)f->inode, (int64_t)f->device };

	sha256_bytes(look, sizeof(look), it->sha256);
	it->known = true;
}

/* From the store, when nothing about the file has changed since. */
static void remember(struct store *store, struct item *it)
{
	const struct source_file *f = it->f;
	struct err ignored = ERR_INIT;

	it->known = store && store_hash_get(store, f->path, (int64_t)f->size_bytes, f->mtime_ns,
					    f->ctime_ns, f->inode, it->sha256, &ignored) == 1;
}

static void read_some(void *ctx, int i)
{
	struct items *all = ctx;
	size_t k;

	(void)i;
	while ((k = atomic_fetch_add(&all->next, 1)) < all->n) {
		struct item *it = &all->v[k];

		if (!it->known)
			it->rc = sha256_file(it->f->path, it->sha256, NULL, &it->err);
	}
}

static int readers(size_t files)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	n = n > READERS_MAX ? READERS_MAX : n;
	n = n > (long)files ? (long)files : n;
	return n < 1 ? 1 : (int)n;
}

static int read_unknown(struct items *all, struct store *store, struct err *e)
{
	struct err ignored = ERR_INIT;

	if (all->unknown)
		threads_run(readers(all->unknown), read_some, all);
	for (size_t i = 0; i < all->n; i++) {
		const struct item *it = &all->v[i];
		const struct source_file *f = it->f;

		if (it->rc < 0) {
			*e = it->err;
			return it->rc;
		}
		if (store && !it->known) /* a cache only: a read-only store is no reason to stop */
			(void)store_hash_put(store, f->path, (int64_t)f->size_bytes, f->mtime_ns,
					     f->ctime_ns, f->inode, it->sha256, &ignored);
	}
	return 0;
}

static int join(struct arena *a, const struct items *all, const char **version, struct err *e)
{
	char hex[SHA256_HEX], size[24];
	uint8_t sha[SHA256_LEN];
	struct buf list;
	int rc = 0;

	buf_init(&list, LIST_MAX);
	for (size_t i = 0; i < all->n; i++) {
		const struct source_file *f = all->v[i].f;

		hex_encode(all->v[i].sha256, SHA256_LEN, hex);
		snprintf(size, sizeof(size), "%llu", (unsigned long long)f->size_bytes);
		buf_add(&list, f->name, strlen(f->name) + 1);
		buf_add(&list, size, strlen(size) + 1);
		buf_addf(&list, "%s\n", hex);
	}
	if (list.overflow)
		rc = err_set(e, ERR_INVALID, "too many files");
	if (rc == 0) {
		sha256_bytes(list.data, list.len, sha);
		hex_encode(sha, SHA256_LEN, hex);
		*version = arena_strdup(a, hex);
	}
	buf_release(&list);
	return rc;
}

int folder_hash(struct arena *a, enum folder_hash how, struct store *store,
		const struct source_files *files, const char *file, const char **version,
		struct err *e)
{
	struct items all = { .v = mem_array(files->n + 1, sizeof(*all.v)) };
	int rc;

	for (size_t i = 0; i < files->n; i++) {
		struct item *it = &all.v[all.n];

		if (!source_belongs(files->v[i].name, file))
			continue;
		*it = (struct item){ .f = &files->v[i], .err = ERR_INIT };
		if (how == FOLDER_BY_LOOK)
			by_look(it);
		else
			remember(store, it);
		all.unknown += !it->known;
		all.n++;
	}
	rc = how == FOLDER_BY_LOOK ? 0 : read_unknown(&all, store, e);
	if (rc == 0)
		rc = join(a, &all, version, e);
	free(all.v);
	return rc;
}
