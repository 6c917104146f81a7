#include "workers/board/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/board/clocks.h"
#include "workers/common/protocol.h"

#define LOOK_AGAIN_MS 500

struct hold {
	const struct hold_options *o;
	struct wire *wire;
	char *lock_path, *saved;
	int lock_fd;
	pid_t guard;
	int guard_fd; /* it reads the other end: a byte is good news, an end is not */
	struct clocks clocks;
};

/* ---- one at a time */

static int take_board(struct hold *h, struct err *e)
{
	int64_t until = clock_mono_ms() + h->o->wait_ms;
	bool told = false;

	/* For reading: it may be root's from the last time. */
	h->lock_fd = open(h->lock_path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (h->lock_fd < 0)
		return err_errno(e, "%s", h->lock_path);
	while (flock(h->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		struct pollfd p[1];
		int64_t now = clock_mono_ms();

		if (errno != EWOULDBLOCK)
			return err_errno(e, "%s", h->lock_path);
		if (now >= until)
			return err_set(e, ERR_BUSY,
				       "another measurement has held this board for %lld s",
				       (long long)h->o->wait_ms / 1000);
		if (!told) {
			wire_event(h->wire, "waiting");
			wire_send(h->wire);
			told = true;
		}
		(void)wire_wait(h->wire, p, 1, now + LOOK_AGAIN_MS);
		if (h->wire->ended)
			return err_set(e, ERR_CANCELLED, "%s", h->wire->why);
	}
	return 0;
}

/* ---- the guard */

/* Holds the lock as long as it has work, so that nobody measures in between. */
static _Noreturn void guard(struct hold *h, int fd)
{
	struct err e = ERR_INIT;
	int null = open("/dev/null", O_RDWR);
	char byte;

	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	for (int i = 0; i < 3 && null >= 0; i++)
		dup2(null, i); /* or the connection would not end before we do */
	for (;;) {
		ssize_t n = read(fd, &byte, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			(void)clocks_restore(h->o->sysfs, h->saved, &e);
		_exit(0);
	}
}

static int start_guard(struct hold *h, struct err *e)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) != 0)
		return err_errno(e, "pipe");
	h->guard = fork();
	if (h->guard < 0) {
		close(p[0]);
		close(p[1]);
		h->guard = 0;
		return err_errno(e, "fork");
	}
	if (h->guard == 0) {
		close(p[1]);
		guard(h, p[0]);
	}
	close(p[0]);
	h->guard_fd = p[1];
	return 0;
}

static void dismiss_guard(struct hold *h)
{
	if (!h->guard)
		return;
	if (write(h->guard_fd, "k", 1) < 0)
		errno = 0; /* it is gone: so is the need for it */
	close(h->guard_fd);
	while (waitpid(h->guard, NULL, 0) < 0 && errno == EINTR)
		;
	h->guard = 0;
}

/* ---- clocks */

static int fix(struct hold *h, struct err *e)
{
	int rc;

	clocks_find(&h->clocks, h->o->sysfs);
	if (!h->clocks.n)
		return 0;
	rc = clocks_save(&h->clocks, h->saved, e);
	if (rc == 0)
		rc = start_guard(h, e);
	if (rc == 0)
		(void)clocks_set(&h->clocks);
	return rc;
}

static void say_held(struct hold *h, int cleaned)
{
	struct json_out *o = wire_event(h->wire, "held");
	size_t fixed = 0;

	jw_kint(o, "restored_first", cleaned);
	jw_karray(o, "clocks");
	for (size_t i = 0; i < h->clocks.n; i++) {
		const struct clock *k = &h->clocks.v[i];

		fixed += !k->problem[0];
		jw_object(o);
		jw_kstr(o, "name", k->name);
		jw_kstr(o, "governor", k->governor[0] ? k->was_governor : NULL);
		jw_kstr(o, "set", k->problem[0] ? NULL : k->wanted);
		jw_kstr(o, "now", k->got[0] ? k->got : NULL);
		jw_kstr(o, "problem", k->problem[0] ? k->problem : NULL);
		jw_end_object(o);
	}
	jw_end_array(o);
	jw_kbool(o, "fixed", h->o->clocks && h->clocks.n && fixed == h->clocks.n);
	wire_send(h->wire);
}

static void wait_for_the_end(struct hold *h)
{
	while (!h->wire->ended) {
		struct pollfd p[1];
		size_t len;

		(void)wire_wait(h->wire, p, 1, -1);
		while (wire_line(h->wire, &len))
			;
		buf_clear(&h->wire->in); /* an empty line is a sign of life and nothing else */
	}
}

static int work(struct hold *h, struct err *e)
{
	int rc = take_board(h, e), cleaned;

	if (rc < 0)
		return rc;
	cleaned = clocks_restore(h->o->sysfs, h->saved, e);
	if (cleaned < 0)
		wire_warn(h->wire, "clocks of an earlier measurement: %s", e->msg);
	if (h->o->clocks && cleaned >= 0)
		rc = fix(h, e);
	if (rc < 0)
		return rc;
	say_held(h, cleaned > 0 ? cleaned : 0);
	wait_for_the_end(h);
	return 0;
}

static void say_end(struct hold *h, int rc, int restored, const struct err *e)
{
	struct json_out *o = wire_event(h->wire, "result");

	jw_kstr(o, "status", rc < 0 ? "error" : "ok");
	if (rc < 0) {
		jw_kstr(o, "code", err_name(rc));
		jw_kstr(o, "message", e->msg);
	}
	jw_kint(o, "restored", restored < 0 ? 0 : restored);
	wire_send(h->wire);
}

int hold_run(const struct hold_options *o, struct wire *w)
{
	struct hold h = { .o = o, .wire = w, .lock_fd = -1, .guard_fd = -1 };
	struct err e = ERR_INIT;
	int rc, restored = 0;

	h.lock_path = mem_printf("%s/hold.lock", o->dir);
	h.saved = mem_printf("%s/clocks.saved", o->dir);
	rc = work(&h, &e);
	if (h.clocks.n) {
		restored = clocks_restore(o->sysfs, h.saved, &e);
		if (restored < 0)
			rc = restored;
	}
	dismiss_guard(&h);
	say_end(&h, rc, restored, &e);
	if (h.lock_fd >= 0)
		close(h.lock_fd);
	free(h.lock_path);
	free(h.saved);
	if (rc == ERR_ENV)
		return WORKER_ENV;
	return rc < 0 ? WORKER_FAILED : WORKER_OK;
}
