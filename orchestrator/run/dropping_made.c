/* orchestrator/run/dropping_made.c -- generated models that nobody needs leave the disk: only
 * folders that quern made, which their names say. One that goes is renamed first, to the name of
 * one that is being made: killed at any time, it is there as a whole or is made again. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/crash.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/making_private.h"
#include "orchestrator/run/sweep.h"
#include "upload/fetch_drop.h"

#define WORTH_BYTES ((uint64_t)1 << 20) /* weights of zeros take nothing: they stay */
#define GOING ".making-"

struct made {
	char *path;
	uint64_t bytes;
	struct timespec used;
};

struct listing {
	const struct fetch_drop *o;
	struct made *v;
	size_t n, cap;
};

static bool is_wanted(const struct fetch_drop *o, const char *folder)
{
	for (size_t i = 0; i < o->n_keep; i++)
		if (strcmp(path_basename(o->keep[i]), folder) == 0)
			return true;
	return false;
}

/* Remains of a making or of a removal, and whole models. */
static int list_one(void *ctx, const char *path, const char *name, bool is_dir, struct err *e)
{
	struct listing *l = ctx;
	bool remains = strncmp(name, GOING, strlen(GOING)) == 0;
	const char *folder = remains ? name + strlen(GOING) : name;
	char *lock = remains ? path_join(path, "lock") : NULL;
	struct made one = { 0 };
	struct stat st;
	int held = lock ? lock_held(lock, e) : 0;

	free(lock);
	if (!is_dir || held != 0 || strncmp(folder, "fake-", 5) != 0 || is_wanted(l->o, folder) ||
	    stat(path, &st) != 0)
		return 0;
	one.bytes = sweep_measure(path);
	if (one.bytes < WORTH_BYTES)
		return 0;
	one.path = mem_strdup(path);
	if (!remains)
		one.used = st.st_mtim;
	MEM_GROW(l->v, l->n, l->cap);
	l->v[l->n++] = one;
	return 0;
}

static int by_last_use(const void *x, const void *y)
{
	const struct timespec *a = &((const struct made *)x)->used;
	const struct timespec *b = &((const struct made *)y)->used;

	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

static int remove_one(const struct made *v, struct err *e)
{
	const char *name = path_basename(v->path);
	char *parent, *aside_name, *aside;
	int rc;

	if (strncmp(name, GOING, strlen(GOING)) == 0)
		return path_remove_tree(v->path, e);
	parent = path_dirname(v->path);
	aside_name = mem_printf(GOING "%s", name);
	aside = path_join(parent, aside_name);
	rc = path_remove_tree(aside, e); /* nobody makes what is there as a whole */
	if (rc >= 0)
		rc = path_rename(v->path, aside, e);
	CRASH_POINT("drop:made_renamed");
	if (rc >= 0)
		rc = path_remove_tree(aside, e);
	free(aside);
	free(aside_name);
	free(parent);
	return rc;
}

int drop_made(const char *work, const struct fetch_drop *o,
	      void (*told)(void *ctx, const char *folder, uint64_t bytes), uint64_t *freed_bytes,
	      struct err *e)
{
	struct listing l = { .o = o };
	struct arena *a = arena_new();
	int rc = sweep_each(workdir_sources(a, work), list_one, &l, e);

	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_last_use);
	*freed_bytes = 0;
	for (size_t i = 0; rc >= 0 && i < l.n && *freed_bytes < o->need_bytes; i++) {
		rc = remove_one(&l.v[i], e);
		if (rc < 0)
			break;
		*freed_bytes += l.v[i].bytes;
		told(o->ctx, path_basename(l.v[i].path), l.v[i].bytes);
	}
	for (size_t i = 0; i < l.n; i++)
		free(l.v[i].path);
	free(l.v);
	arena_free(a);
	return rc;
}
