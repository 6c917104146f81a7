/* orchestrator/command/cmd_import.c -- quern import: a batch script becomes a jobs.yaml, and
 * converted files become artifacts of the jobs in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/run/session.h"
#include "orchestrator/start/import.h"
#include "orchestrator/start/import_files.h"
#include "orchestrator/view/engines_view.h"

#define TEXT_MAX (4u << 20)

struct import_options {
	const char *file, *engine, *hub, *namespace_, *only, *environment;
	bool force, move;
};

static void say_notes(const struct buf *notes)
{
	const char *p = buf_str(notes);

	while (*p) {
		size_t n = strcspn(p, "\n");
		char *line = mem_strndup(p, n);

		fputs("quern: ", stderr);
		cli_print_text(stderr, line);
		fputc('\n', stderr);
		free(line);
		p += n + (p[n] == '\n');
	}
}

/* The same checks that a run makes. Without the engine, every target would be a fault. */
static int check_text(const struct engines *es, const struct import_options *o,
		      const struct buf *text, struct err *e)
{
	char *dir = path_dirname(o->file), *real = path_real(dir, e);
	int rc = real ? 0 : e->code;
	struct session s;

	if (rc >= 0 && engine_find(es, o->engine)) {
		rc = session_open_text(&s, o->file, real, buf_str(text), text->len, e);
		if (rc >= 0)
			session_close(&s);
	}
	free(real);
	free(dir);
	return rc;
}

static int write_text(const struct import_options *o, const struct buf *text, struct err *e)
{
	if (text->overflow)
		return err_set(e, ERR_INVALID, "the matrix is larger than a jobs file may be");
	if (access(o->file, F_OK) == 0 && !o->force)
		return err_set(e, ERR_INVALID,
			       "%s is there already; --force writes over it, -f names another file",
			       o->file);
	return path_write(o->file, buf_str(text), text->len, 0644, e);
}

static int import_lists(struct arena *a, const struct engines *es, const char *script,
			const struct import_options *o, struct err *e)
{
	struct jobs_sketch s = { .hub = o->hub,
				 .namespace_ = o->namespace_,
				 .environment_of = o->engine };
	char *env = o->environment ? path_real(o->environment, e) : NULL;
	struct buf notes, text;
	int rc;

	if (o->environment && !env)
		return err_wrap(e, "--environment");
	s.environment = arena_strdup(a, env);
	free(env);
	buf_init(&notes, TEXT_MAX);
	buf_init(&text, TEXT_MAX);
	rc = import_script(a, es, o->engine, script, &s, &notes, e);
	if (rc >= 0) {
		s.note = arena_printf(a,
				      "Written by quern import from %s. `quern plan` shows what it "
				      "means.\n%s",
				      path_basename(script), buf_str(&notes));
		if (!s.hub)
			s.hub_note = "Nothing is published: write an `upload` section, or import "
				     "again with --hub.";
		jobs_write(&text, &s);
		say_notes(&notes);
		rc = check_text(es, o, &text, e);
	}
	if (rc >= 0)
		rc = write_text(o, &text, e);
	if (rc >= 0)
		printf("%s: %zu model%s, %zu target%s\n", o->file, s.n_models,
		       s.n_models == 1 ? "" : "s", s.n_targets, s.n_targets == 1 ? "" : "s");
	buf_release(&notes);
	buf_release(&text);
	return rc < 0 ? rc : 0;
}

static int import_script_file(const char *script, const struct import_options *o, struct err *e)
{
	struct arena *a = arena_new();
	struct engines es;
	int rc = engines_or_say(a, &es);

	if (rc == 0)
		rc = import_lists(a, &es, script, o, e);
	arena_free(a);
	return rc;
}

static int import_converted(char **names, int n, const struct import_options *o, struct err *e)
{
	struct import_result r;
	struct session s;
	int rc = session_open(&s, SESSION_RUN, o->file, NULL, "import", e);

	if (rc < 0)
		return rc;
	rc = import_files(&s, names, (size_t)n, o->only, o->move, &r, e);
	session_close(&s);
	if (rc < 0)
		return rc;
	printf("%zu imported, %zu there already, %zu not imported\n", r.imported, r.there,
	       r.refused);
	return r.refused ? EXIT_JOBS_FAILED : EXIT_GOOD;
}

static bool is_script(const char *name)
{
	size_t n = strlen(name);

	return n > 3 && strcmp(name + n - 3, ".py") == 0;
}

static int import(char **names, int n, const struct import_options *o, struct err *e)
{
	for (int i = 0; i < n; i++) {
		if (is_script(names[i]) && n > 1)
			return err_set(e, ERR_INVALID,
				       "%s: one script at a time, and files in a call of their own",
				       names[i]);
	}
	return is_script(names[0]) ? import_script_file(names[0], o, e)
				   : import_converted(names, n, o, e);
}

int cmd_import(int argc, char **argv)
{
	struct import_options o = { .file = "jobs.yaml", .engine = "rkllm" };
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE",
		  "the jobs file (default jobs.yaml): written from a script, read for files",
		  &o.file },
		{ "engine", 'e', OPT_STRING, "ENGINE", "script: what it drives (default rkllm)",
		  &o.engine },
		{ "environment", 0, OPT_STRING, "DIR",
		  "script: Python environment with the engine's toolkit", &o.environment },
		{ "hub", 0, OPT_STRING, "HUB", "script: publish to local or an address", &o.hub },
		{ "namespace", 0, OPT_STRING, "NAME", "account or organisation there",
		  &o.namespace_ },
		{ "only", 0, OPT_STRING, "GLOB", "files: points whose label matches", &o.only },
		{ "move", 0, OPT_FLAG, NULL, "files: remove the originals when all is recorded",
		  &o.move },
		{ "force", 0, OPT_FLAG, NULL, "write over a file that is there", &o.force },
	};
	struct err e = ERR_INIT;
	bool help;
	int at = cli_parse("import", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at == argc)
		at = err_set(&e, ERR_INVALID,
			     "import needs a script, converted files, or folders of them");
	if (at < 0)
		return cli_fail(&e);
	rc = import(argv + at, argc - at, &o, &e);
	return rc < 0 ? cli_fail(&e) : rc;
}
