/* orchestrator/run/task_container.c -- tasks whose worker runs in a container: the place that
 * quern-contain makes, and a container that lost its quern-contain. */
#include <fcntl.h>
#include <unistd.h>

#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/host/container.h"
#include "orchestrator/host/spawn.h"
#include "orchestrator/run/task_private.h"

static const char *note_of(const struct task *t, bool validate)
{
	return container_note(t->a, t->sched->cfg->work, t->key_hex, t->number, validate);
}

/* What ends the container if its quern-contain does not. */
static void answer_for(struct task *t, const char *note)
{
	t->x.note = note;
	t->x.ender = container_end_argv(t->a, note);
	t->x.ender_env = container_environment(t->a);
}

int task_contain(struct task *t, bool validate, const char *const *read, struct place *place,
		 struct err *e)
{
	const char *note = note_of(t, validate);
	struct container_place inside = {
		.note = note,
		.lock = arena_printf(t->a, "%s/%s", t->dir, validate ? "lock.validate" : "lock"),
		.dir = t->dir,
		.work = t->sched->cfg->work,
		.read = read,
		.arguments = place->program + 1, /* the image has its own way to Python */
		.memory_bytes = place->memory_bytes,
		.file_bytes = place->file_bytes,
		.files = place->files,
		.network = place->network,
		.gpu = place->gpu
	};
	const char **argv = container_argv(t->a, t->environment, &inside, e);

	if (!argv)
		return e->code;
	*place = (struct place){ .job = t->dir,
				 .program = argv,
				 .setenv = container_environment(t->a),
				 .contained = 1 };
	answer_for(t, note);
	return 0;
}

void task_find_container(struct task *t)
{
	const char *note = note_of(t, false);

	if (access(note, F_OK) == 0)
		answer_for(t, note);
}

bool container_revive(struct arena *a, const char *note, const char *dir)
{
	const char *log = arena_printf(a, "%s/log", dir);
	const struct place place = { .job = dir,
				     .program = container_attach_argv(a, note),
				     .setenv = container_environment(a),
				     .lock_fd = SPAWN_LOCK_FD,
				     .contained = 1 };
	struct err ignored = ERR_INIT;
	struct spawn s = { .place = &place };
	pid_t pid = -1;

	if (!place.program || access(note, F_OK) != 0)
		return false;
	s.lock_fd = lock_take(arena_printf(a, "%s/lock", dir), &ignored);
	s.err_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			0644);
	s.out_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	/* Its end is seen by its lock, as that of any worker of a dead run. */
	if (s.lock_fd >= 0 && s.err_fd >= 0 && s.out_fd >= 0)
		pid = spawn_start(&s);
	if (s.lock_fd >= 0)
		close(s.lock_fd);
	if (s.err_fd >= 0)
		close(s.err_fd);
	if (s.out_fd >= 0)
		close(s.out_fd);
	return pid > 0;
}
