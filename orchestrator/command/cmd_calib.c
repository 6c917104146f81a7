/* orchestrator/command/cmd_calib.c -- quern calib: a calibration set for a toolkit, made by the
 * model itself in the toolkit's environment. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/source.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/verb.h"
#include "orchestrator/host/container.h"
#include "orchestrator/host/launch.h"
#include "orchestrator/view/engines_view.h"

#define SET_MAX (256u << 20) /* bytes of a calibration set; a job takes no larger one */
#define LINES_MAX (16u << 20)

static const char made[] = "data_quant.json"; /* what the verb leaves in out/ */

struct calib {
	const char *out, *engine, *environment, *file;
	bool trust;
	int64_t threads;
	const char *model, *prompts; /* absolute */
};

/* jobs.yaml is needed only for its environments, and only when none is named. */
static int read_environments(struct arena *a, const struct calib *o, struct engines *es,
			     struct config **out, struct err *e)
{
	const char *file = o->file ? o->file : "jobs.yaml";
	struct faults f = { .a = a, .file = file };

	*out = NULL;
	if (o->environment || (!o->file && access(file, F_OK) != 0 && errno == ENOENT))
		return 0;
	if (config_load(a, file, NULL, &f, out, e) < 0)
		return f.n ? err_set(e, ERR_INVALID, "%s:%d:%d: %s", file, f.v[0].at.line,
				     f.v[0].at.column, f.v[0].text)
			   : e->code;
	containers_look(a, *out, es);
	environments_look(a, *out, es, &f);
	return f.n ? err_set(e, ERR_INVALID, "%s: %s", file, f.v[0].text) : 0;
}

static const char *absolute(struct arena *a, const char *path, struct err *e)
{
	char *real = path_real(path, e);
	const char *out = real ? arena_strdup(a, real) : NULL;

	free(real);
	return out;
}

/* OUT appears whole or not at all. */
static int hand_over(struct arena *a, const char *dir, const char *out, struct err *e)
{
	const char *from = arena_printf(a, "%s/out/%s", dir, made);
	struct json *v = NULL;
	char size[24];
	struct buf b;
	int rc;

	buf_init(&b, SET_MAX);
	rc = path_read(from, SET_MAX, &b, e);
	if (rc >= 0 && (json_parse(a, buf_str(&b), b.len, &v, e) < 0 || v->type != JSON_ARRAY))
		rc = err_set(e, ERR_CORRUPT, "the worker made no calibration set");
	if (rc >= 0)
		rc = path_write(out, buf_str(&b), b.len, 0644, e);
	if (rc >= 0) {
		units_format_size(b.len, size, sizeof(size));
		printf("%s: %zu samples, %s\n", out, v->count, size);
	}
	buf_release(&b);
	return rc;
}

static int make(struct arena *a, const struct calib *o, const struct engine *en,
		const struct environment *env, struct err *e)
{
	struct source_facts facts;
	struct verb v = { .engine = en,
			  .environment = env,
			  .name = "calib",
			  .source_dir = o->model,
			  .prompts = o->prompts,
			  .with = "{}",
			  .trust_remote_code = o->trust,
			  .echo = true };
	char *dir = NULL;
	struct buf lines;
	int rc = source_read_facts(a, o->model, &facts, e);

	if (rc < 0)
		return rc;
	v.source_format = facts.format;
	v.source_file = facts.file;
	v.threads = (int)(o->threads ? o->threads : sysconf(_SC_NPROCESSORS_ONLN));
	dir = launch_folder(e);
	if (!dir)
		return e->code;
	v.dir = dir;
	buf_init(&lines, LINES_MAX);
	rc = verb_run(&v, &lines, e);
	if (rc >= 0)
		rc = hand_over(a, dir, o->out, e);
	buf_release(&lines);
	(void)path_remove_tree(dir, &(struct err)ERR_INIT);
	free(dir);
	return rc;
}

static int calib(struct arena *a, struct calib *o, const char *model, const char *prompts,
		 struct err *e)
{
	const struct environment *env = NULL;
	const struct engine *en;
	struct config *cfg;
	struct engines es;

	if (engines_or_say(a, &es) != 0)
		return err_set(e, ERR_ENV, "no engines");
	en = engine_find(&es, o->engine);
	if (!en || !en->package || !engine_has_verb(en, "calib"))
		return err_set(e, ERR_INVALID, "engine %s makes no calibration sets", o->engine);
	if (en->missing)
		return err_set(e, ERR_ENV, "%s", en->missing);
	o->model = absolute(a, model, e);
	o->prompts = prompts ? absolute(a, prompts, e) : NULL;
	if (!o->model || (prompts && !o->prompts))
		return e->code;
	if (read_environments(a, o, &es, &cfg, e) < 0 ||
	    verb_environment(a, en, cfg, o->environment, &env, e) < 0)
		return e->code;
	return make(a, o, en, env, e);
}

int cmd_calib(int argc, char **argv)
{
	struct calib o = { .engine = "rkllm" };
	const struct option_def opts[] = {
		{ "out", 'o', OPT_STRING, "FILE", "the calibration set to write", &o.out },
		{ "environment", 0, OPT_STRING, "DIR",
		  "the toolkit's environment (default: the first of jobs.yaml)", &o.environment },
		{ "engine", 'e', OPT_STRING, "ENGINE", "whose toolkit (default rkllm)", &o.engine },
		{ "file", 'f', OPT_STRING, "FILE",
		  "the matrix with environments (default jobs.yaml)", &o.file },
		{ "trust-remote-code", 0, OPT_FLAG, NULL,
		  "let Python code that the model brings run", &o.trust },
		{ "threads", 0, OPT_INT, "N", "threads (default: all processors)", &o.threads },
	};
	struct err e = ERR_INIT;
	struct arena *a;
	bool help;
	int at = cli_parse("calib", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && (argc - at < 1 || argc - at > 2 || !o.out))
		at = err_set(&e, ERR_INVALID,
			     "calib needs a model's folder and -o FILE: quern calib MODEL "
			     "[PROMPTS] -o data_quant.json");
	if (at < 0)
		return cli_fail(&e);
	a = arena_new();
	rc = calib(a, &o, argv[at], argc - at == 2 ? argv[at + 1] : NULL, &e);
	arena_free(a);
	return rc < 0 ? cli_fail(&e) : EXIT_GOOD;
}
