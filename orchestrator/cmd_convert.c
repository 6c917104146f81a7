/* orchestrator/cmd_convert.c -- quern convert: one model, one engine, one file,
 * no matrix and no store. The same worker, sandbox, validation and sealing as
 * in a run; the result is renamed to OUT when it is whole. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/job.h"
#include "orchestrator/cli.h"
#include "orchestrator/commands.h"
#include "orchestrator/convert.h"
#include "orchestrator/engine.h"

struct convert_options {
	const char *out, *engine, *quant, *platform, *hybrid, *name;
	struct option_list with;
	int64_t opt, threads;
	bool json;
};

/* A number, true, false or JSON stays what it is; anything else is a string. */
static void with_value(struct json_out *w, const char *text)
{
	struct err ignored = ERR_INIT;
	struct arena *a = arena_new();
	struct json *v;

	if (json_parse(a, text, strlen(text), &v, &ignored) == 0)
		jw_value(w, v);
	else
		jw_str(w, text);
	arena_free(a);
}

/* jobs.yaml fills in ${VAR}; a path on the command line means what it says. */
static void literal(struct json_out *w, const char *key, const char *text)
{
	struct buf b;

	buf_init(&b, 1u << 16);
	for (const char *p = text; *p; p++) {
		if (p[0] == '$' && p[1] == '{')
			buf_addc(&b, '$');
		buf_addc(&b, *p);
	}
	jw_kstr(w, key, buf_str(&b));
	buf_release(&b);
}

/* The command line as a matrix of one point: the same checks and the same words as jobs.yaml has.
 */
static void as_yaml(struct buf *b, const char *src, const char *work,
		    const struct convert_options *o)
{
	struct json_out w;

	jw_init(&w, b, 0);
	jw_object(&w);
	jw_kint(&w, "version", 1);
	literal(&w, "work", work);
	jw_key(&w, "models");
	jw_array(&w);
	jw_object(&w);
	literal(&w, "path", src);
	if (o->name)
		literal(&w, "name", o->name);
	jw_end_object(&w);
	jw_end_array(&w);
	jw_key(&w, "targets");
	jw_array(&w);
	jw_object(&w);
	jw_kstr(&w, "engine", o->engine);
	jw_kstr(&w, "quant", o->quant);
	if (o->platform)
		jw_kstr(&w, "platform", o->platform);
	jw_key(&w, "hybrid");
	jw_num(&w, strtod(o->hybrid, NULL));
	jw_kint(&w, "opt", o->opt);
	if (o->with.n) {
		jw_key(&w, "with");
		jw_object(&w);
		for (size_t i = 0; i < o->with.n; i++) {
			const char *eq = strchr(o->with.v[i], '=');
			char *key = mem_strndup(o->with.v[i], (size_t)(eq - o->with.v[i]));

			jw_key(&w, key);
			with_value(&w, eq + 1);
			free(key);
		}
		jw_end_object(&w);
	}
	jw_end_object(&w);
	jw_end_array(&w);
	jw_end_object(&w);
}

/* The engine and its quant in the words of a command line, before a matrix is made of them. */
static int check_engine(const struct convert_options *o, struct err *e)
{
	struct arena *a = arena_new();
	struct faults f = { .a = a, .file = "engines" };
	struct engines es = { 0 };
	const struct engine *en;
	struct job_spec spec = { .model = "",
				 .engine = o->engine,
				 .engine_version = "",
				 .source_kind = "path",
				 .source = "",
				 .source_version = "",
				 .quant = o->quant,
				 .with = "{}",
				 .platform = o->platform ? o->platform : "",
				 .hybrid = strtod(o->hybrid, NULL),
				 .opt = (int)o->opt };
	int rc = engines_load(a, &es, &f, e);

	en = rc >= 0 ? engine_find(&es, o->engine) : NULL;
	if (en && en->missing)
		rc = err_set(e, ERR_ENV, "engine %s: %s", o->engine, en->missing);
	else if (en)
		rc = engine_check(en, &spec, e);
	else if (rc >= 0)
		rc = err_set(e, ERR_INVALID,
			     "there is no engine \"%s\"; 'quern engines' lists them", o->engine);
	arena_free(a);
	return rc;
}

static int check(int argc, char **argv, int at, const struct convert_options *o, struct err *e)
{
	char *end;

	if (argc - at != 1)
		return err_set(e, ERR_INVALID,
			       "convert needs one source, a folder or a GGUF file: quern convert "
			       "SRC -o OUT "
			       "--engine E --quant Q");
	if (!o->out || !o->engine || !o->quant)
		return err_set(e, ERR_INVALID,
			       "convert needs -o OUT, --engine and --quant; 'quern engines' lists "
			       "what there is");
	errno = 0;
	(void)strtod(o->hybrid, &end);
	if (errno || end == o->hybrid || *end)
		return err_set(e, ERR_INVALID, "--hybrid: \"%s\" is not a number from 0 to 1",
			       o->hybrid);
	for (size_t i = 0; i < o->with.n; i++) {
		if (!strchr(o->with.v[i], '='))
			return err_set(e, ERR_INVALID, "--with: \"%s\" is not NAME=VALUE",
				       o->with.v[i]);
	}
	if (access(argv[at], F_OK) != 0)
		return err_errno(e, "%s", argv[at]);
	return check_engine(o, e);
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
		{ "hybrid", 0, OPT_STRING, "R", "share kept at higher precision (default 0)",
		  &o.hybrid },
		{ "opt", 0, OPT_INT, "N", "optimization level (default 0)", &o.opt },
		{ "with", 0, OPT_LIST, "NAME=VALUE", "engine parameter", &o.with },
		{ "name", 0, OPT_STRING, "NAME", "the model's name (default: the folder's)",
		  &o.name },
		{ "threads", 0, OPT_INT, "N", "threads (default: all processors)", &o.threads },
	};
	struct err e = ERR_INIT;
	char *real, *out, *dir, *work, threads[48];
	struct config_set set = { 0 };
	const char *sets[1];
	struct buf yaml;
	bool help;
	int at = cli_parse("convert", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at < 0 || check(argc, argv, at, &o, &e) < 0)
		return cli_fail(&e);
	real = path_real(argv[at], &e);
	dir = path_dirname(o.out);
	out = real ? path_real(dir, &e) : NULL;
	free(dir);
	if (!out) {
		free(real);
		return cli_fail(&e);
	}
	work = mem_printf("%s/.tmp-convert-%d", out, (int)getpid());
	dir = mem_printf("%s/%s", out, path_basename(o.out));
	snprintf(threads, sizeof(threads), "resources.threads=%lld",
		 (long long)(o.threads ? o.threads : sysconf(_SC_NPROCESSORS_ONLN)));
	sets[0] = threads;
	set.v = sets;
	set.n = 1;
	buf_init(&yaml, 1u << 20);
	as_yaml(&yaml, real, work, &o);
	rc = convert_one(buf_str(&yaml), yaml.len, &set, work, dir, &e);
	(void)path_remove_tree(work, &(struct err)ERR_INIT);
	buf_release(&yaml);
	free(real);
	free(out);
	free(dir);
	free(work);
	return rc < 0 ? cli_fail(&e) : rc;
}
