/* orchestrator/command/cmd_retry.c -- quern retry: failed and cancelled jobs back into the queue.
 */
#include "core/mem.h"
#include "db/cause.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/plan/job_change.h"

/* A name of the table, or one of its other names; what is in the store from elsewhere stays legal.
 */
static int read_cause(const char **word, int at, struct err *e)
{
	const struct cause *c = cause_find(*word);
	const char *near = c ? NULL : cause_nearest(*word);

	if (near)
		return err_set(e, ERR_INVALID,
			       "--cause: there is no cause \"%s\"; did you mean \"%s\"?", *word,
			       near);
	if (c)
		*word = c->name;
	return at;
}

int cmd_retry(int argc, char **argv)
{
	static const enum job_state failed_states[] = { JOB_FAILED };
	struct job_change c = { .ev = EV_RETRY,
				.done = "back in the queue; quern run does it",
				.cannot = "tried again, only failed and cancelled jobs can",
				.cause = "",
				.message = "asked for by quern retry",
				.states = failed_states,
				.nothing = "no job has failed" };
	struct store_command sc = { 0 };
	bool failed = false, help;
	const char *only = NULL;
	const struct option_def opts[] = {
		STORE_COMMAND_OPTIONS(&sc),
		{ "failed", 0, OPT_FLAG, NULL, "every job that has failed", &failed },
		{ "cause", 0, OPT_STRING, "CAUSE", "every job that has failed for this cause",
		  &only },
	};
	struct err e = ERR_INIT;
	int at = cli_parse("retry", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	failed |= only != NULL;
	if (at >= 0 && only)
		at = read_cause(&only, at, &e);
	if (at >= 0 && (at == argc) == !failed)
		at = err_set(&e, ERR_INVALID,
			     "retry: name jobs, or give --failed for every one that has failed, or "
			     "--cause for some of them");
	if (at < 0)
		return cli_fail(&e);
	c.only_cause = only;
	if (only)
		c.nothing =
			"no job has failed for this cause; quern status --state failed lists them";
	c.n_states = failed ? ARRAY_LEN(failed_states) : 0;
	rc = store_command_open(&sc, 0);
	if (rc == 0)
		rc = job_change(sc.store, &c, argv + at, argc - at);
	store_command_close(&sc);
	return rc;
}
