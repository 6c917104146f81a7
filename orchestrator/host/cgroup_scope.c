/* orchestrator/host/cgroup_scope.c -- a scope of systemd's around this process. Its control group
 * is ours alone and may be divided, which no shell's or cron's is. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/host/cgroup.h"
#include "orchestrator/host/launch.h"

#define MARK "QUERN_SCOPE" /* set: we are in it already, or nobody wants it */
#define OPTIONS_MAX 8
#define SAID_MAX 4096

/* systemd-run and its options up to "--". */
static size_t options(const char *v[OPTIONS_MAX])
{
	size_t n = 0;

	if (geteuid() != 0)
		v[n++] = "--user";
	v[n++] = "--scope";
	v[n++] = "--quiet";
	v[n++] = "--collect";
	v[n++] = "--property=Delegate=yes";
	v[n++] = "--";
	return n;
}

/* cron gives no session's address; a user with lingering has a manager all the same. */
static void find_manager(void)
{
	char path[64];

	if (geteuid() == 0 || getenv("XDG_RUNTIME_DIR"))
		return;
	snprintf(path, sizeof(path), "/run/user/%ld/systemd", (long)geteuid());
	if (access(path, X_OK) != 0)
		return;
	*strrchr(path, '/') = '\0';
	setenv("XDG_RUNTIME_DIR", path, 1);
}

/* A scope around true(1) works exactly when one around us does: once we have become systemd-run
 * there is no way back. */
static bool scope_works(void)
{
	const char *v[OPTIONS_MAX];
	size_t n = options(v);
	struct err ignored = ERR_INIT;
	struct buf said;
	int rc;

	v[n++] = "true";
	buf_init(&said, SAID_MAX);
	rc = launch_output("systemd-run", v, n, &said, &ignored);
	buf_release(&said);
	return rc == 0;
}

void cgroup_open_scope(struct cgroup *g, char **args)
{
	const char *opts[OPTIONS_MAX], **v;
	struct err ignored = ERR_INIT;
	size_t n = 0, n_args = 0, n_opts;
	char *self;

	cgroup_open(g);
	if (g->usable || getenv(MARK) || access("/run/systemd/system", F_OK) != 0)
		return;
	find_manager();
	if (!scope_works())
		return;
	self = path_real("/proc/self/exe", &ignored);
	if (!self)
		return;
	while (args[n_args])
		n_args++;
	v = mem_array(n_args + OPTIONS_MAX + 2, sizeof(*v));
	n_opts = options(opts);
	v[n++] = "systemd-run";
	for (size_t i = 0; i < n_opts; i++)
		v[n++] = opts[i];
	v[n++] = self;
	for (size_t i = 0; i < n_args; i++)
		v[n++] = args[i];
	setenv(MARK, "1", 1);
	execvp("systemd-run", (char *const *)v);
	unsetenv(MARK);
	free(v);
	free(self);
}
