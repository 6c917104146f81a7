/* orchestrator/command/cmd_cancel.c -- quern cancel: jobs out of the queue. A going run sees within
 * a second that a job of its own was cancelled, and ends the worker. */
#include "core/mem.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/plan/job_change.h"

int cmd_cancel(int argc, char **argv)
{
	/* Those that wait first: they must not start while the others end. */
	static const enum job_state open_states[] = { JOB_PENDING, JOB_RUNNING, JOB_VALIDATING,
						      JOB_READY };
	struct job_change c = { .ev = EV_CANCEL,
				.done = "cancelled; quern retry puts it back",
				.cannot = "cancelled any more",
				.cause = "cancelled",
				.message = "asked for by quern cancel",
				.states = open_states,
				.nothing = "no job is waiting or in work" };
	struct store_command sc = { 0 };
	bool all = false, help;
	const struct option_def opts[] = {
		STORE_COMMAND_OPTIONS(&sc),
		{ "all", 0, OPT_FLAG, NULL, "every job that is not finished", &all },
	};
	struct err e = ERR_INIT;
	int at = cli_parse("cancel", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && (at == argc) == !all)
		at = err_set(&e, ERR_INVALID,
			     "cancel: name jobs, or give --all for every one that is not finished");
	if (at < 0)
		return cli_fail(&e);
	c.n_states = all ? ARRAY_LEN(open_states) : 0;
	rc = store_command_open(&sc, 0);
	if (rc == 0)
		rc = job_change(sc.store, &c, argv + at, argc - at);
	store_command_close(&sc);
	return rc;
}
