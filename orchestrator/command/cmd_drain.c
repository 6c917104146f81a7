/* orchestrator/command/cmd_drain.c -- quern drain: the run that goes on finishes what it has
 * begun, publishes, and ends. */
#include <stdio.h>

#include "core/mem.h"
#include "db/control.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/workdir.h"

/* The number of the run that goes on; 0: none does. */
static int64_t going_run(const struct store_command *sc, struct err *e)
{
	struct run_row run;
	int64_t pid = 0;
	int held = workdir_holder(sc->work, &pid, e), rc;

	if (held <= 0)
		return held;
	rc = store_run_get(sc->store, 0, sc->a, &run, e);
	if (rc == ERR_NOTFOUND)
		return 0;
	return rc < 0 ? rc : run.ended_ms || run.pid != pid ? 0 : run.id;
}

static int drain(const struct store_command *sc, struct err *e)
{
	int64_t run = going_run(sc, e);

	if (run < 0)
		return (int)run;
	if (run == 0) {
		puts("no run goes on");
		return 0;
	}
	if (control_write_drain(sc->store, run, e) < 0)
		return e->code;
	printf("run %lld finishes what it has begun, then ends\n", (long long)run);
	return 0;
}

int cmd_drain(int argc, char **argv)
{
	struct store_command sc = { 0 };
	const struct option_def opts[] = { STORE_COMMAND_OPTIONS(&sc) };
	struct err e = ERR_INIT;
	bool help;
	int at = cli_parse("drain", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at < argc)
		at = err_set(&e, ERR_INVALID, "drain takes no operand; it is for the whole run");
	if (at < 0)
		return cli_fail(&e);
	rc = store_command_open(&sc, 0);
	if (rc == 0 && drain(&sc, &e) < 0)
		rc = cli_fail(&e);
	store_command_close(&sc);
	return rc;
}
