/* orchestrator/host/container_notes.c -- containers that may be left, by their notes; and one-off
 * containers, outside a run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/host/capture.h"
#include "orchestrator/host/container.h"
#include "orchestrator/host/launch.h"

#define NOTE_MAX (2 * PATH_MAX + 2)
#define WORDS_MAX 4096 /* of quern-contain's, which says nothing on standard output */

/* ---- ending */

static int end_one(struct arena *a, const char *note, struct err *e)
{
	const char *const *argv = container_end_argv(a, note);
	struct capture c = { .lock_fd = -1, .env = container_environment(a) };
	struct buf b;

	if (!argv)
		return err_set(e, ERR_ENV, "quern-contain is missing; install quern completely");
	buf_init(&b, WORDS_MAX);
	c.argv = argv;
	c.name = argv[0];
	c.out = &b;
	capture_run(&c, 1, 1);
	buf_release(&b);
	return c.rc == 0 ? 0 : err_set(e, ERR_IO, "%s", c.err.msg);
}

/* The second line of a note: whose lock it is. NULL: it is no note of ours. */
static const char *lock_of(struct arena *a, const char *note)
{
	struct err ignored = ERR_INIT;
	const char *lock = NULL, *nl;
	struct buf b;

	buf_init(&b, NOTE_MAX);
	if (path_read(note, NOTE_MAX, &b, &ignored) >= 0 &&
	    (nl = strchr(buf_str(&b), '\n')) != NULL && nl[1] == '/')
		lock = arena_strndup(a, nl + 1, strcspn(nl + 1, "\n"));
	buf_release(&b);
	return lock;
}

int containers_sweep(const char *work, bool dry_run, int *left, struct err *e)
{
	char *dir = path_join(work, "containers");
	DIR *d = opendir(dir);
	struct dirent *entry;
	int ended = 0;

	*left = 0;
	while (d && (entry = readdir(d))) {
		struct arena *a = arena_new();
		const char *note = arena_printf(a, "%s/%s", dir, entry->d_name);
		const char *lock = entry->d_name[0] == '.' ? NULL : lock_of(a, note);
		struct err ignored = ERR_INIT;

		if (lock && lock_held(lock, &ignored) != 1) {
			if (dry_run || end_one(a, note, e) == 0)
				ended++;
			else
				(*left)++;
		}
		arena_free(a);
	}
	if (d)
		closedir(d);
	free(dir);
	return ended;
}

/* ---- one container, to its end */

static int captured(const char *const *argv, int lock_fd, const struct launch_place *p,
		    struct arena *a, struct buf *out, struct err *e)
{
	struct capture c = { .argv = argv,
			     .name = argv[0],
			     .lock_fd = lock_fd,
			     .out = out,
			     .echo = p->echo,
			     .env = container_environment(a) };

	capture_run(&c, 1, 1);
	if (c.rc != 0)
		*e = c.err;
	return c.rc;
}

int container_run(const struct launch_place *p, const struct environment *env,
		  const char *const *args, size_t n_args, struct buf *out, struct err *e)
{
	struct arena *a = arena_new();
	/* Its name is that of a new folder; the note lies where the worker cannot write. */
	char *folder = launch_folder(e);
	const char *lock = arena_printf(a, "%s/lock", p->dir), *note, **argv, **reads, **words;
	struct container_place place = {
		.lock = lock, .dir = p->dir, .work = p->dir, .gpu = environment_gpu(env)
	};
	struct err ignored = ERR_INIT;
	int lock_fd, rc;

	if (!folder) {
		arena_free(a);
		return e->code;
	}
	note = arena_printf(a, "%s/%s", folder, path_basename(folder));
	reads = arena_array(a, p->n_read + 1, sizeof(*reads));
	memcpy(reads, p->read, p->n_read * sizeof(*reads));
	words = arena_array(a, n_args + 1, sizeof(*words));
	memcpy(words, args, n_args * sizeof(*words));
	place.note = note;
	place.read = reads;
	place.arguments = words;
	lock_fd = lock_take(lock, e);
	argv = lock_fd < 0 ? NULL : container_argv(a, env, &place, e);
	rc = argv ? captured(argv, lock_fd, p, a, out, e) : e->code;
	if (lock_fd >= 0)
		close(lock_fd);
	if (access(note, F_OK) == 0) /* it was killed: a signal came */
		(void)end_one(a, note, &ignored);
	if (access(note, F_OK) != 0)
		(void)path_remove_tree(folder, &ignored);
	free(folder);
	arena_free(a);
	return rc;
}
