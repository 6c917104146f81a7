/* orchestrator/command/cmd_convert.c -- quern convert: one model, one engine, one file,
 * no matrix and no store. The same worker, sandbox, validation and sealing as
 * in a run; the result is renamed to OUT when it is whole. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/job.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/convert.h"
#include "orchestrator/start/jobs_write.h"
#include "orchestrator/start/model_word.h"

#define YAML_MAX (1u << 20)
#define WORK_PREFIX ".tmp-convert-"
#define LEFT_S 60 /* a folder that nobody holds is younger while another one begins */

struct convert_options {
	const char *out, *engine, *quant, *platform, *hybrid, *name, *lora, *revision, *environment;
	struct option_list with;
	int64_t opt, threads;
	bool json;
};

static int is_text(void *ctx, const char *name)
{
	const struct engine_param *p = engine_find_param(ctx, name);

	return p && (strcmp(p->type, "string") == 0 || strcmp(p->type, "file") == 0);
}

/* A parameter that the engine does not have is a fault of the matrix later on. */
static int take_with(struct arena *a, const struct engine *en, const char *word, struct param *p,
		     struct err *e)
{
	int rc = with_word(a, word, is_text, (void *)en, p, e);
	const struct engine_param *known = rc < 0 ? NULL : engine_find_param(en, p->name);

	return known ? with_file(a, known, "", p, e) : rc;
}

/* The command line as a matrix of one point: the same checks and the same words as jobs.yaml has.
 */
static int as_yaml(struct arena *a, const struct engine *en, const char *src, const char *work,
		   const struct convert_options *o, struct buf *b, struct err *e)
{
	struct model m = { .name = o->name };
	double hybrid = strtod(o->hybrid, NULL);
	int opt = (int)o->opt;
	struct target t = { .engine = o->engine,
			    .quant = { .v = (const char **)&o->quant, .n = 1 },
			    .platform = { .v = (const char **)&o->platform,
					  .n = o->platform != NULL },
			    .hybrid = { .v = &hybrid, .n = 1 },
			    .opt = { .v = &opt, .n = 1 },
			    .with = arena_array(a, o->with.n + 1, sizeof(*t.with)),
			    .n_with = o->with.n };
	struct jobs_sketch s = {
		.models = &m, .n_models = 1, .targets = &t, .n_targets = 1, .work = work
	};
	int rc = model_word(a, src, "", &m, e);
	char *env;

	if (rc >= 0 && o->lora)
		rc = lora_word(a, o->lora, "", &m, e);
	env = rc >= 0 && o->environment ? path_real(o->environment, e) : NULL;

	if (rc >= 0 && o->revision && !m.id)
		rc = err_set(e, ERR_INVALID, "--revision: %s is no repository of the Hub", src);
	if (rc >= 0 && o->environment && !env)
		rc = err_wrap(e, "--environment");
	s.environment = arena_strdup(a, env);
	s.environment_of = o->engine;
	free(env);
	m.revision = o->revision;
	for (size_t i = 0; rc >= 0 && i < o->with.n; i++)
		rc = take_with(a, en, o->with.v[i], &t.with[i], e);
	if (rc >= 0)
		jobs_write(b, &s);
	return rc < 0 ? rc : 0;
}

/* A finished file needs no quant: it is renewed, or refused by another. */
static void default_quant(const struct engine *en, const char *src, struct convert_options *o)
{
	if (!o->quant && en->renew_quant && source_is_finished(src))
		o->quant = en->renew_quant;
}

/* The engine and its quant in the words of a command line, before a matrix is made of them. */
static int find_engine(struct arena *a, const char *src, struct convert_options *o,
		       const struct engine **out, struct err *e)
{
	struct faults f = { .a = a, .file = "engines" };
	struct engines es = { 0 };
	struct job_spec spec = { .model = "",
				 .engine = o->engine,
				 .engine_version = "",
				 .source_kind = "path",
				 .source = "",
				 .source_version = "",
				 .quant = "",
				 .with = "{}",
				 .platform = o->platform ? o->platform : "",
				 .hybrid = strtod(o->hybrid, NULL),
				 .opt = (int)o->opt };
	int rc = engines_load(a, &es, &f, e);

	if (rc < 0)
		return rc;
	*out = engine_find(&es, o->engine);
	if (!*out)
		return err_set(e, ERR_INVALID,
			       "there is no engine \"%s\"; 'quern engines' lists them", o->engine);
	if ((*out)->missing)
		return err_set(e, ERR_ENV, "engine %s: %s", o->engine, (*out)->missing);
	if ((*out)->package && !o->environment)
		return err_set(e, ERR_ENV,
			       "engine %s drives a toolkit; name the Python environment that holds "
			       "%s: --environment DIR",
			       o->engine, (*out)->package);
	if (!(*out)->package && o->environment)
		return err_set(e, ERR_INVALID, "--environment: engine %s needs none", o->engine);
	default_quant(*out, src, o);
	if (!o->quant)
		return err_set(e, ERR_INVALID,
			       "convert needs --quant; 'quern engines' lists what there is");
	spec.quant = o->quant;
	return engine_check(*out, &spec, e);
}

static int check(int argc, char **argv, int at, const struct convert_options *o, struct err *e)
{
	char *end;

	if (argc - at != 1)
		return err_set(e, ERR_INVALID,
			       "convert needs one source: quern convert SRC -o OUT "
			       "--engine E --quant Q");
	if (!o->out || !o->engine || (!o->quant && !source_is_finished(argv[at])))
		return err_set(e, ERR_INVALID,
			       "convert needs -o OUT, --engine and --quant; 'quern engines' lists "
			       "what there is");
	errno = 0;
	(void)strtod(o->hybrid, &end);
	if (errno || end == o->hybrid || *end)
		return err_set(e, ERR_INVALID, "--hybrid: \"%s\" is not a number from 0 to 1",
			       o->hybrid);
	return 0;
}

static bool is_left(const char *work)
{
	int64_t pid;
	struct stat st;

	return lstat(work, &st) == 0 && S_ISDIR(st.st_mode) &&
	       clock_wall_ms() / 1000 - st.st_mtime > LEFT_S &&
	       workdir_holder(work, &pid, &(struct err)ERR_INIT) == 0;
}

/* Of conversions that were killed. */
static void remove_left(struct arena *a, const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;

	while (d && (entry = readdir(d))) {
		const char *work = arena_printf(a, "%s/%s", dir, entry->d_name);

		if (strncmp(entry->d_name, WORK_PREFIX, strlen(WORK_PREFIX)) == 0 && is_left(work))
			(void)path_remove_tree(work, &(struct err)ERR_INIT);
	}
	if (d)
		closedir(d);
}

/* In a folder beside OUT: on its disk, so that the result can be renamed. */
static int convert_in(struct arena *a, const char *dir, const struct engine *en, const char *src,
		      const struct convert_options *o, struct err *e)
{
	const char *work = arena_printf(a, "%s/" WORK_PREFIX "%d", dir, (int)getpid());
	int64_t n = o->threads ? o->threads : sysconf(_SC_NPROCESSORS_ONLN);
	const char *threads = arena_printf(a, "resources.threads=%lld", (long long)n);
	struct config_set set = { .v = &threads, .n = 1 };
	struct buf yaml;
	int rc;

	remove_left(a, dir);
	buf_init(&yaml, YAML_MAX);
	rc = as_yaml(a, en, src, work, o, &yaml, e);
	if (rc >= 0)
		rc = convert_one(buf_str(&yaml), yaml.len, &set, work,
				 arena_printf(a, "%s/%s", dir, path_basename(o->out)), e);
	(void)path_remove_tree(work, &(struct err)ERR_INIT);
	buf_release(&yaml);
	return rc;
}

/* What is made gets its name by a rename, which takes no folder's place: said before the work. */
static int check_out(const char *out, const struct engine *en, struct err *e)
{
	size_t len = strlen(out);
	struct stat st;

	while (len > 1 && out[len - 1] == '/')
		len--;
	if (stat(out, &st) != 0 || !S_ISDIR(st.st_mode))
		return 0;
	return err_set(e, ERR_INVALID,
		       "-o %s: that folder is there already; name the file that is to be made in "
		       "it, as -o %.*s/model%s, or a folder that is not there yet",
		       out, (int)len, out, en->extension);
}

static int convert(const char *src, struct convert_options *o, struct err *e)
{
	struct arena *a = arena_new();
	const struct engine *en;
	char *dir = path_dirname(o->out), *real;
	int rc = find_engine(a, src, o, &en, e);

	if (rc >= 0)
		rc = check_out(o->out, en, e);
	real = rc < 0 ? NULL : path_real(dir, e);
	if (real)
		rc = convert_in(a, real, en, src, o, e);
	else if (rc >= 0)
		rc = err_set(e, e->code,
			     "-o %s: its folder %s cannot be used: %s; it has to be there", o->out,
			     dir, arena_strdup(a, e->msg));
	free(dir);
	free(real);
	arena_free(a);
	return rc;
}

int cmd_convert(int argc, char **argv)
{
	struct convert_options o = { .hybrid = "0" };
	const struct option_def opts[] = {
		{ "out", 'o', OPT_STRING, "OUT",
		  "the file to write (a folder for engines that make several)", &o.out },
		{ "engine", 'e', OPT_STRING, "ENGINE", "see quern engines", &o.engine },
		{ "quant", 'q', OPT_STRING, "QUANT", "quantization", &o.quant },
		{ "platform", 0, OPT_STRING, "NAME", "for engines that have platforms",
		  &o.platform },
		{ "environment", 0, OPT_STRING, "DIR",
		  "Python environment with the engine's toolkit", &o.environment },
		{ "hybrid", 0, OPT_STRING, "R", "share kept at higher precision (default 0)",
		  &o.hybrid },
		{ "opt", 0, OPT_INT, "N", "optimization level (default 0)", &o.opt },
		{ "with", 0, OPT_LIST, "NAME=VALUE", "engine parameter", &o.with },
		{ "lora", 0, OPT_STRING, "LORA", "an adapter to merge: org/name, or a folder",
		  &o.lora },
		{ "revision", 0, OPT_STRING, "REV", "branch, tag or commit of SRC on the Hub",
		  &o.revision },
		{ "name", 0, OPT_STRING, "NAME", "the model's name (default: from SRC)", &o.name },
		{ "threads", 0, OPT_INT, "N", "threads (default: all processors)", &o.threads },
	};
	struct err e = ERR_INIT;
	bool help;
	int at = cli_parse("convert", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at < 0 || check(argc, argv, at, &o, &e) < 0)
		return cli_fail(&e);
	rc = convert(argv[at], &o, &e);
	return rc < 0 ? cli_fail(&e) : rc;
}
