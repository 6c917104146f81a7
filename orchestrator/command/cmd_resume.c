/* orchestrator/command/cmd_resume.c -- quern resume: the end of a pause. Workers that were
 * stopped by a run that is dead by now are woken here; nobody else would. */
#include <signal.h>
#include <stdio.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/proc.h"
#include "db/control.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/spawn.h"
#include "orchestrator/host/workdir.h"

struct waking {
	const struct store_command *sc;
	struct arena *a;
};

static int wake(void *ctx, const struct job_row *job, struct err *e)
{
	static const char *const locks[] = { "lock", "lock.validate" };
	const struct waking *w = ctx;
	const char *dir = workdir_job(w->a, w->sc->work, job->key, job->tries);

	(void)e;
	for (size_t i = 0; i < ARRAY_LEN(locks); i++) {
		const char *lock = arena_printf(w->a, "%s/%s", dir, locks[i]);
		struct err ignored = ERR_INIT;
		pid_t pid = lock_held(lock, &ignored) == 1 ? lock_signer(lock, SPAWN_LOCK_FD) : 0;

		if (pid)
			(void)kill(-pid, SIGCONT);
	}
	return 0;
}

/* While the run lives it does this itself; twice does no harm. */
static int wake_all(const struct store_command *sc, struct err *e)
{
	static const enum job_state active[] = { JOB_RUNNING, JOB_VALIDATING };
	struct waking w = { .sc = sc, .a = arena_new() };
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(active); i++) {
		struct job_filter f = { .state = (int)active[i] };

		rc = store_job_each(sc->store, &f, wake, &w, e);
	}
	arena_free(w.a);
	return rc;
}

static int resume(const struct store_command *sc, struct err *e)
{
	struct control_word w;
	int64_t pid = 0;
	int rc = control_read(sc->store, &w, e), held;

	if (rc < 0)
		return rc;
	if (w.pause == PAUSE_NOT) {
		puts("not paused");
		return 0;
	}
	rc = control_write_pause(sc->store, PAUSE_NOT, 0, e);
	if (rc >= 0 && w.pause == PAUSE_NOW)
		rc = wake_all(sc, e);
	held = rc < 0 ? rc : workdir_holder(sc->work, &pid, e);
	if (held >= 0)
		puts(held ? "resumed: the run goes on" : "resumed; quern run goes on");
	return held < 0 ? held : 0;
}

int cmd_resume(int argc, char **argv)
{
	struct store_command sc = { 0 };
	const struct option_def opts[] = { STORE_COMMAND_OPTIONS(&sc) };
	struct err e = ERR_INIT;
	bool help;
	int at = cli_parse("resume", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at < argc)
		at = err_set(&e, ERR_INVALID,
			     "resume takes no operand; it is for the whole folder");
	if (at < 0)
		return cli_fail(&e);
	rc = store_command_open(&sc, 0);
	if (rc == 0 && resume(&sc, &e) < 0)
		rc = cli_fail(&e);
	store_command_close(&sc);
	return rc;
}
