#include "orchestrator/run/early.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"

#define FILES_MAX 32	    /* descriptors that are held; a model of 1 TB in shards has more */
#define BYTES_MIN (1 << 20) /* of a file: smaller ones are hashed in no time */

struct early_file {
	char *name;
	int fd; /* with the lease; -1: it was lost */
	uint8_t sha256[SHA256_LEN];
};

struct early {
	uv_work_t work;
	char *dir;
	int *running;
	struct early_file files[FILES_MAX]; /* by name */
	size_t n;
	atomic_bool stop;
	bool ended, dropped; /* of the pool thread; by the owner */
	void (*done)(void *data);
	void *data;
};

/* ---- one file */

static bool leased(int fd)
{
	return fcntl(fd, F_GETLEASE) == F_RDLCK;
}

/* The signal for a lease that is lost would end us; SIGURG is ignored by default. */
static bool lease(int fd)
{
	return fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
}

static void let_go(struct early_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

struct reading {
	const struct early *x;
	int fd;
};

static int goes_on(void *ctx)
{
	const struct reading *r = ctx;

	return !atomic_load(&r->x->stop) && leased(r->fd);
}

static void hash_file(struct early *x, struct early_file *f)
{
	struct reading r = { x, f->fd };
	struct err ignored = ERR_INIT; /* sealing will meet it again, and say it */

	if (sha256_fd_while(f->fd, f->name, goes_on, &r, f->sha256, NULL, &ignored) < 0)
		let_go(f);
}

/* ---- the folder, in a pool thread */

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct early_file *)x)->name, ((const struct early_file *)y)->name);
}

static void take_file(struct early *x, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= BYTES_MIN && lease(fd))
		x->files[x->n++] = (struct early_file){ .name = mem_strdup(name), .fd = fd };
	else
		close(fd);
}

static void take_files(struct early *x)
{
	DIR *d = opendir(x->dir);
	struct dirent *de;

	while (d && x->n < FILES_MAX && (de = readdir(d)) != NULL)
		take_file(x, dirfd(d), de->d_name);
	if (d)
		closedir(d);
	qsort(x->files, x->n, sizeof(*x->files), by_name);
}

static void work(uv_work_t *w)
{
	struct early *x = w->data;

	take_files(x);
	for (size_t i = 0; i < x->n; i++)
		hash_file(x, &x->files[i]);
}

/* ---- from the loop */

static void release(struct early *x)
{
	for (size_t i = 0; i < x->n; i++) {
		let_go(&x->files[i]);
		free(x->files[i].name);
	}
	free(x->dir);
	free(x);
}

static void after_work(uv_work_t *w, int status)
{
	struct early *x = w->data;

	(void)status;
	--*x->running;
	x->ended = true;
	if (x->dropped)
		release(x);
	else if (x->done)
		x->done(x->data);
}

struct early *early_start(uv_loop_t *loop, const char *dir, int *running)
{
	struct early *x = mem_zalloc(sizeof(*x));

	x->work.data = x;
	x->dir = mem_strdup(dir);
	x->running = running;
	++*running;
	uv_queue_work(loop, &x->work, work, after_work);
	return x;
}

int early_wait(struct early *x, void (*done)(void *data), void *data)
{
	if (!x || x->ended)
		return 0;
	x->done = done;
	x->data = data;
	return 1;
}

void early_tick(struct early *x)
{
	for (size_t i = 0; x && x->ended && i < x->n; i++) {
		if (x->files[i].fd >= 0 && !leased(x->files[i].fd))
			let_go(&x->files[i]);
	}
}

void early_drop(struct early *x)
{
	if (!x)
		return;
	atomic_store(&x->stop, true);
	x->dropped = true;
	if (x->ended)
		release(x);
}

int early_hash(const struct early *x, const char *name, int fd, uint8_t sha256[SHA256_LEN])
{
	struct early_file key = { .name = (char *)name };
	const struct early_file *f =
		x ? bsearch(&key, x->files, x->n, sizeof(*x->files), by_name) : NULL;
	struct stat ours, theirs;

	if (!f || f->fd < 0 || fstat(f->fd, &ours) != 0 || fstat(fd, &theirs) != 0 ||
	    ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino || !leased(f->fd))
		return 0;
	memcpy(sha256, f->sha256, SHA256_LEN);
	return 1;
}
