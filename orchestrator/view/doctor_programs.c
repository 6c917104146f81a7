/* orchestrator/view/doctor_programs.c -- the sandbox, engines, helper programs and libraries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/store.h"
#include "orchestrator/host/launch.h"
#include "orchestrator/view/doctor.h"
#include "upload/gitrepo.h"

#define OUTPUT_MAX 65536

static const char install_fix[] = "install quern completely (cmake --install)";

/* ---- sandbox */

/* One line: NAME yes|no WHAT IT MEANS WHEN ABSENT */
static void feature(struct checks *c, char *line)
{
	char *rest, *name = strtok_r(line, " \t", &rest), *answer = strtok_r(NULL, " \t", &rest);

	if (!name || !answer)
		return;
	while (*rest == ' ' || *rest == '\t')
		rest++;
	if (strcmp(answer, "yes") == 0)
		check_add(c, "kernel", CHECK_OK, NULL, "%s%s%s", name, *rest ? ", " : "", rest);
	else
		check_add(c, "kernel", CHECK_WARN,
			  "a newer kernel, or one built with it; in a container: a less strict "
			  "profile",
			  "no %s: %s", name, rest);
}

static void features(struct checks *c, const char *launch)
{
	const char *args[] = { "--features" };
	struct err e = ERR_INIT;
	char *line, *rest;
	struct buf b;

	buf_init(&b, OUTPUT_MAX);
	if (launch_output(launch, args, 1, &b, &e) != 0) {
		check_add(c, "kernel", CHECK_BAD, install_fix, "quern-launch --features: %s",
			  e.msg);
	} else {
		for (line = strtok_r(b.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			feature(c, line);
	}
	buf_release(&b);
}

/* What a worker must not be able to do, tried by one: write and read outside its folder, make a
 * socket, see our environment. It prints a word for each that works. */
static const char probe_script[] = "if (: >\"$1/written\") 2>/dev/null; then echo write; fi\n"
				   "if (read -r x <\"$1/secret\") 2>/dev/null; then echo read; fi\n"
				   "if \"$2\" --probe-socket; then echo network; fi\n"
				   "if [ -n \"$QUERN_DOCTOR_SECRET\" ]; then echo environment; fi\n"
				   "echo end\n";

static int run_probe(struct checks *c, struct buf *out, struct err *e)
{
	/* Not where temporary files lie: the sandbox may allow a worker's own folder there. */
	char *dir = arena_strdup(c->a, "/var/tmp/quern-doctor-XXXXXX");
	const char *launch = launch_program(c->a, "quern-launch");
	const char *args[] = { "-c", probe_script, "sh", dir, launch };
	struct err ignored = ERR_INIT;
	int rc;

	if (!mkdtemp(dir))
		return err_errno(e, "%s", dir);
	rc = path_write(arena_printf(c->a, "%s/secret", dir), "secret\n", 7, 0644, e);
	setenv("QUERN_DOCTOR_SECRET", "1", 1);
	if (rc == 0)
		rc = launch_capture("/bin/sh", args, ARRAY_LEN(args), launch, out, e);
	unsetenv("QUERN_DOCTOR_SECRET");
	(void)path_remove_tree(dir, &ignored);
	return rc;
}

void doctor_sandbox(struct checks *c)
{
	const char *launch = launch_program(c->a, "quern-launch");
	struct err e = ERR_INIT;
	struct buf out;
	int rc;

	if (!launch) {
		check_add(c, "sandbox", CHECK_BAD, install_fix,
			  "quern-launch is missing: no worker can start");
		return;
	}
	features(c, launch);
	buf_init(&out, OUTPUT_MAX);
	rc = run_probe(c, &out, &e);
	if (rc != 0 || !strstr(buf_str(&out), "end\n")) {
		check_add(c, "sandbox", CHECK_BAD, install_fix, "a worker cannot be started: %s",
			  e.msg);
	} else if (strcmp(buf_str(&out), "end\n") == 0) {
		check_add(c, "sandbox", CHECK_OK, NULL,
			  "a worker writes and reads only its own folder, has no network and a "
			  "clean environment");
	} else {
		/* The words before "end" are what works and should not. */
		out.data[out.len - strlen("end\n")] = '\0';
		for (char *p = strchr(out.data, '\n'); p; p = strchr(p, '\n'))
			*p = ' ';
		check_add(c, "sandbox", CHECK_WARN,
			  "a kernel with Landlock and namespaces; until then run quern as a user "
			  "of its own",
			  "a worker can still use what it should not: %s", out.data);
	}
	buf_release(&out);
}

/* ---- engines */

static int is_used(const struct config *cfg, const char *engine)
{
	for (size_t i = 0; cfg && i < cfg->n_targets; i++) {
		if (strcmp(cfg->targets[i].engine, engine) == 0)
			return 1;
	}
	for (size_t i = 0; cfg && i < cfg->n_include; i++) {
		if (strcmp(cfg->include[i].engine, engine) == 0)
			return 1;
	}
	return 0;
}

void doctor_engines(struct checks *c, const struct config *cfg, struct engines *es)
{
	struct faults f = { .a = c->a, .file = "engines" };
	struct err e = ERR_INIT;

	if (engines_load(c->a, es, &f, &e) < 0) {
		check_add(c, "engines", CHECK_BAD, install_fix, "%s", e.msg);
		return;
	}
	for (size_t i = 0; i < f.n; i++)
		check_add(c, "engines", CHECK_WARN, "correct the manifest, or remove it", "%s",
			  f.v[i].text);
	for (size_t i = 0; i < es->n; i++) {
		const struct engine *en = &es->v[i];

		if (en->program)
			check_add(c, "engine", CHECK_OK, NULL, "%s %s", en->name, en->version);
		else
			check_add(c, "engine", is_used(cfg, en->name) ? CHECK_BAD : CHECK_WARN,
				  en->missing, "%s is not complete%s", en->name,
				  is_used(cfg, en->name) ? ", and jobs.yaml uses it" : "");
	}
	if (!es->n)
		check_add(c, "engines", CHECK_BAD, install_fix, "there is none");
}

/* ---- programs and libraries */

static void program(struct checks *c, const char *name, const char *const *args, size_t n,
		    const char *fix)
{
	struct err e = ERR_INIT;
	struct buf b;
	int rc;

	buf_init(&b, OUTPUT_MAX);
	rc = launch_output("git", args, n, &b, &e);
	if (rc == 0 && b.len) {
		b.data[strcspn(b.data, "\n")] = '\0';
		check_add(c, name, CHECK_OK, NULL, "%s", b.data);
	} else {
		check_add(c, name, CHECK_WARN, fix,
			  "not here; quern does not need it, cloning what it publishes does");
	}
	buf_release(&b);
}

void doctor_programs(struct checks *c)
{
	static const char *const git[] = { "--version" }, *const lfs[] = { "lfs", "version" };

	if (!launch_program(c->a, "quern-fake"))
		check_add(c, "quern-fake", CHECK_WARN, install_fix,
			  "missing: `fake:` models cannot be made");
	program(c, "git", git, ARRAY_LEN(git), "apt install git");
	program(c, "git-lfs", lfs, ARRAY_LEN(lfs), "apt install git-lfs; git lfs install");
}

void doctor_libraries(struct checks *c)
{
	char git[32];

	gitrepo_library_version(git);
	check_add(c, "libraries", CHECK_OK, NULL, "SQLite %s, libgit2 %s", store_library_version(),
		  git);
}
