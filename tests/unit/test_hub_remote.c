/* The suite of all hubs over one that is reached by the network: the Hub's API or a git server with
 * LFS. Run by tests/hub: QUERN_TEST_HUB is the name as in jobs.yaml; the token comes from the
 * environment as always. The repositories of the suite may be made beforehand, empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/path.h"
#include "hub_suite.h"

static char root[] = "/tmp/quern-hub-XXXXXX";

static int open_remote(void *ctx, struct hub **out, struct err *e)
{
	const struct hub_options o = { .work = root };

	return hub_open(ctx, &o, out, e);
}

int main(void)
{
	char *name = getenv("QUERN_TEST_HUB");
	struct hub_suite_target target = {
		.name = name, .open = open_remote, .scratch = root, .ctx = name
	};
	struct err e = ERR_INIT;
	int failed;

	if (!name || !mkdtemp(root)) {
		(void)fputs("test_hub_remote: set QUERN_TEST_HUB\n", stderr);
		return 2;
	}
	target.may_commit_nothing = strncmp(name, "git+", 4) != 0;
	failed = hub_suite_run(&target);
	if (path_remove_tree(root, &e) < 0)
		failed++;
	return failed;
}
