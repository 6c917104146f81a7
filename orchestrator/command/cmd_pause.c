/* orchestrator/command/cmd_pause.c -- quern pause: nothing new begins in this work folder until
 * quern resume, in the run that goes on and in those to come. */
#include <stdio.h>

#include "core/clock.h"
#include "core/mem.h"
#include "db/control.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/workdir.h"

static int pause_folder(const struct store_command *sc, bool now, struct err *e)
{
	int64_t pid = 0, counts[JOB_STATE_COUNT] = { 0 };
	int rc = control_write_pause(sc->store, now ? PAUSE_NOW : PAUSE_STARTS, clock_wall_ms(), e);
	int held = rc < 0 ? rc : workdir_holder(sc->work, &pid, e);

	if (held >= 0)
		rc = store_job_counts(sc->store, 0, counts, e);
	if (held < 0 || rc < 0)
		return held < 0 ? held : rc;
	if (held == 0)
		puts("paused: no run starts anything until quern resume");
	else if (now)
		printf("paused: nothing new begins, %lld running stopped; quern resume goes on\n",
		       (long long)(counts[JOB_RUNNING] + counts[JOB_VALIDATING]));
	else
		printf("paused: nothing new begins, %lld running may finish; quern resume goes "
		       "on\n",
		       (long long)(counts[JOB_RUNNING] + counts[JOB_VALIDATING]));
	return 0;
}

int cmd_pause(int argc, char **argv)
{
	struct store_command sc = { 0 };
	bool now = false, help;
	const struct option_def opts[] = {
		STORE_COMMAND_OPTIONS(&sc),
		{ "now", 0, OPT_FLAG, NULL, "stop running workers too (SIGSTOP)", &now },
	};
	struct err e = ERR_INIT;
	int at = cli_parse("pause", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at < argc)
		at = err_set(&e, ERR_INVALID, "pause takes no operand; it is for the whole folder");
	if (at < 0)
		return cli_fail(&e);
	rc = store_command_open(&sc, 0);
	if (rc == 0 && pause_folder(&sc, now, &e) < 0)
		rc = cli_fail(&e);
	store_command_close(&sc);
	return rc;
}
