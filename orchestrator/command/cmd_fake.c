/* orchestrator/command/cmd_fake.c -- quern fake: a thin front of the quern-fake program, which
 * makes the model. */
#include <stdio.h>

#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/host/launch.h"

static int run_fake(const char *const *args, size_t n)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	const char *program = launch_program(a, "quern-fake");
	int rc;

	if (program)
		rc = launch_plain(program, args, n, &e);
	else
		rc = err_set(&e, ERR_ENV,
			     "quern-fake is missing beside quern and in libexec/quern; install "
			     "quern completely");
	arena_free(a);
	if (rc < 0)
		return cli_fail(&e);
	if (rc == 128 + 2) /* SIGINT */
		return EXIT_INTERRUPTED;
	/* 2 and 3 of the worker protocol are the caller's to fix; what is wrong has been said. */
	return rc == 0 ? EXIT_GOOD : rc == 2 || rc == 3 ? EXIT_USAGE : EXIT_ENVIRONMENT;
}

int cmd_fake(int argc, char **argv)
{
	bool force = false, list = false, help;
	const struct option_def opts[] = {
		{ "force", 0, OPT_FLAG, NULL, "replace what is in DIR", &force },
		{ "list", 0, OPT_FLAG, NULL, "print the shapes that SPEC may name", &list },
	};
	const char *args[4];
	struct err e = ERR_INIT;
	size_t n = 0;
	int at = cli_parse("fake", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && argc - at != (list ? 0 : 2))
		at = err_set(
			&e, ERR_INVALID,
			list ? "fake --list takes no operand"
			     : "fake: name a spec and a folder; quern fake --list has the specs");
	if (at < 0)
		return cli_fail(&e);
	if (list) {
		args[n++] = "list";
	} else {
		args[n++] = "make";
		if (force)
			args[n++] = "--force";
		args[n++] = argv[at];
		args[n++] = argv[at + 1];
	}
	return run_fake(args, n);
}
