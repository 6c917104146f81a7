/* orchestrator/run/exec_local.c -- a worker as a child process. It is alive while
 * the flock on its job folder's `lock` is held, whatever its pid says. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/host/spawn.h"
#include "orchestrator/run/child.h"
#include "orchestrator/run/executor.h"

#define ADOPTED_POLL_MS 200 /* flock has no event; five looks a second cost nothing */

#define UNSIGNED_LOOKS 10 /* a worker signs in its first millisecond */

struct local {
	struct execution *x;
	struct child child, ender;
	struct children *kids;
	uv_timer_t poll; /* of a reattached worker */
	char *lock_path;
	int adopted, unsigned_looks;
};

static int open_log(const struct execution *x)
{
	char *log = path_join(x->dir, "log");
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0644);

	free(log);
	return fd;
}

static void finish(struct local *l)
{
	struct execution *x = l->x;

	x->pid = 0;
	x->impl = NULL;
	free(l->lock_path);
	free(l);
	x->on_done(x);
}

static void ender_done(struct child *c)
{
	finish(c->data);
}

/* Its container may have outlived it: then that is ended first. */
static void settle(struct local *l)
{
	struct execution *x = l->x;

	if (!x->note || !x->ender || access(x->note, F_OK) != 0) {
		finish(l);
		return;
	}
	l->ender = (struct child){ .argv = x->ender,
				   .env = x->ender_env,
				   .log_fd = open_log(x),
				   .lock_fd = -1,
				   .on_done = ender_done,
				   .data = l };
	child_start(&l->ender, l->kids);
	if (l->ender.log_fd >= 0)
		close(l->ender.log_fd);
}

static void child_line(struct child *c, const char *line, size_t len)
{
	struct local *l = c->data;

	l->x->on_line(l->x, line, len);
}

static void child_done(struct child *c)
{
	struct local *l = c->data;

	l->x->start_error = c->spawn_err;
	l->x->exit_code = c->exit_code;
	l->x->signal = c->signal;
	/* Of quern-contain and the runtime's program: nothing that says what the worker used. */
	if (!l->x->note)
		l->x->used = c->used;
	settle(l);
}

static void start(const struct executor *ex, struct children *kids, struct execution *x,
		  const struct place *place)
{
	struct local *l = mem_zalloc(sizeof(*l));
	struct place inside = *place;

	(void)ex;
	inside.lock_fd = SPAWN_LOCK_FD;
	l->x = x;
	l->kids = kids;
	x->impl = l;
	x->exit_unknown = 0;
	l->child.place = &inside;
	l->child.log_fd = open_log(x);
	l->child.lock_fd = x->lock_fd;
	l->child.on_line = child_line;
	l->child.on_done = child_done;
	l->child.data = l;
	child_start(&l->child, kids);
	if (l->child.log_fd >= 0)
		close(l->child.log_fd);
	if (x->lock_fd >= 0)
		close(x->lock_fd); /* the worker has it now, and with it the lock */
	x->lock_fd = -1;
	x->pid = l->child.pid;
}

static void poll_closed(uv_handle_t *h)
{
	settle(h->data);
}

static void poll_lock(uv_timer_t *t)
{
	struct local *l = t->data;
	struct err e = ERR_INIT;

	if (lock_held(l->lock_path, &e) == 1) {
		/* Its signer may be gone and a process that it started hold the lock for ever. */
		l->unsigned_looks =
			lock_signer(l->lock_path, SPAWN_LOCK_FD) ? 0 : l->unsigned_looks + 1;
		if (l->unsigned_looks == UNSIGNED_LOOKS)
			(void)lock_end_holders(l->lock_path);
		return;
	}
	uv_close((uv_handle_t *)t, poll_closed);
}

static void reattach(const struct executor *ex, struct children *kids, struct execution *x)
{
	struct local *l = mem_zalloc(sizeof(*l));

	(void)ex;
	l->x = x;
	l->kids = kids;
	l->adopted = 1;
	l->lock_path = path_join(x->dir, "lock");
	x->impl = l;
	x->start_error = 0;
	x->exit_code = -1;
	x->signal = 0;
	x->exit_unknown = 1;
	x->pid = lock_signer(l->lock_path, SPAWN_LOCK_FD);
	uv_timer_init(kids->loop, &l->poll);
	l->poll.data = l;
	uv_timer_start(&l->poll, poll_lock, 0, ADOPTED_POLL_MS);
}

static void send_signal(const struct executor *ex, struct execution *x, int sig)
{
	struct local *l = x->impl;
	pid_t pid;

	(void)ex;
	if (!l)
		return;
	if (!l->adopted) {
		child_signal(&l->child, sig);
		return;
	}
	pid = lock_signer(
		l->lock_path,
		SPAWN_LOCK_FD); /* asked again: the number may be somebody else's by now */
	if (pid)
		(void)kill(-pid, sig);
}

const struct executor exec_local = {
	.name = "local", .start = start, .reattach = reattach, .signal = send_signal
};
