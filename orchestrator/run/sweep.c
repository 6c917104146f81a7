#include "orchestrator/run/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/cli.h"

#define MEASURE_DESCRIPTORS 16
#define BLOCK_BYTES 512 /* unit of st_blocks: stat(2) */

bool sweep_is_temporary(const char *name)
{
	if (name[0] != '.')
		return false;
	return strncmp(name, ".tmp", 4) == 0 || strncmp(name, ".making-", 8) == 0 ||
	       strstr(name, ".tmp-") != NULL;
}

static uint64_t measured; /* nftw() has no argument for its callback; commands have one thread */

static int add_size(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)path;
	(void)type;
	(void)where;
	if (S_ISDIR(st->st_mode) || st->st_nlink == 1)
		measured += (uint64_t)st->st_blocks * BLOCK_BYTES;
	return 0;
}

uint64_t sweep_measure(const char *path)
{
	measured = 0;
	(void)nftw(path, add_size, MEASURE_DESCRIPTORS, FTW_PHYS);
	return measured;
}

/* Under its final name a folder is complete, for a run that looks: it is renamed before it is
 * emptied, so that a removal cut short leaves no half of one. */
static int remove_folder(const char *path, struct err *e)
{
	char *dir, *aside;
	int rc;

	if (sweep_is_temporary(path_basename(path)))
		return path_remove_tree(path, e);
	dir = path_dirname(path);
	aside = mem_printf("%s/.tmp-gc-%s", dir, path_basename(path));
	rc = path_remove_tree(aside, e); /* of a removal that was cut short */
	if (rc >= 0)
		rc = path_rename(path, aside, e);
	if (rc >= 0)
		rc = path_remove_tree(aside, e);
	free(aside);
	free(dir);
	return rc;
}

static int remove_any(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : err_errno(e, "%s", path);
	if (S_ISDIR(st.st_mode))
		return remove_folder(path, e);
	return unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(e, "%s", path);
}

int sweep_remove(struct sweep *s, const char *path, const char *why, struct err *e)
{
	uint64_t bytes = sweep_measure(path);
	size_t n = strlen(s->work);
	char size[24];
	int rc = s->dry_run ? 0 : remove_any(path, e);

	if (rc < 0)
		return rc;
	s->freed_bytes += bytes;
	s->removed++;
	units_format_size(bytes, size, sizeof(size));
	cli_print_text(stdout,
		       strncmp(path, s->work, n) == 0 && path[n] == '/' ? path + n + 1 : path);
	printf(": %s, %s\n", why, size);
	return 0;
}

/* ---- folders */

struct names {
	char **v;
	size_t n, cap;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(const char *dir, struct names *out, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		if (fd >= 0)
			close(fd);
		/* Not there, or not what we made: nothing of ours is in it. */
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? 0
			       : err_errno(e, "%s", dir);
	}
	while ((entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		MEM_GROW(out->v, out->n, out->cap);
		out->v[out->n++] = mem_strdup(entry->d_name);
	}
	closedir(d);
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return 0;
}

int sweep_each(const char *dir, sweep_fn fn, void *ctx, struct err *e)
{
	struct names names = { 0 };
	int rc = read_names(dir, &names, e);

	for (size_t i = 0; i < names.n; i++) {
		char *path = path_join(dir, names.v[i]);
		struct stat st;

		if (rc >= 0 && lstat(path, &st) == 0)
			rc = fn(ctx, path, names.v[i], S_ISDIR(st.st_mode), e);
		free(path);
		free(names.v[i]);
	}
	free(names.v);
	return rc < 0 ? rc : 0;
}
