/* orchestrator/view/doctor_environments.c -- the environments of engines: do they run,
 * does their toolkit load, and with --deep, does it convert a tiny model? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/path.h"
#include "orchestrator/command/verb.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/engine/version.h"
#include "orchestrator/host/container.h"
#include "orchestrator/host/launch.h"
#include "orchestrator/view/doctor.h"

#define OUTPUT_MAX (4u << 20)
#define DEEP_MODEL "llama-tiny:fill=random" /* some megabytes */

/* What only its own Python can tell, in one line of JSON: it runs in the sandbox of a worker. */
static const char probe[] =
	"import json, platform, sys\n"
	"said = {'python': platform.python_version(), 'libc': ' '.join(platform.libc_ver())}\n"
	"try:\n"
	"    if len(sys.argv) > 1:\n"
	"        __import__(sys.argv[1])\n"
	"except BaseException as why:\n"
	"    said['fault'] = '%s: %s' % (type(why).__name__, why)\n"
	"said['has'] = {}\n"
	"for name in sys.argv[2:]:\n"
	"    try:\n"
	"        from importlib import metadata\n"
	"        said['has'][name] = metadata.version(name)\n"
	"    except Exception:\n"
	"        pass\n"
	"print('\\n' + json.dumps(said))\n";

/* "what is wrong; the fix" */
static void add_fault(struct checks *c, const char *fault)
{
	const char *cut = strstr(fault, "; ");

	if (cut)
		check_add(c, "environment", CHECK_BAD, cut + 2, "%.*s", (int)(cut - fault), fault);
	else
		check_add(c, "environment", CHECK_BAD, "correct `engines` in jobs.yaml", "%s",
			  fault);
}

/* ---- one environment */

/* The last line that is an object: a toolkit may print before it. */
static const struct json *last_object(struct arena *a, struct buf *b)
{
	struct json *v = NULL, *found = NULL;
	struct err ignored = ERR_INIT;
	char *line, *rest = b->len ? b->data : NULL;

	while (rest && (line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '{' && json_parse(a, line, strlen(line), &v, &ignored) == 0)
			found = v;
	}
	return found;
}

static const char *how_to_install(struct checks *c, const struct environment *env, const char *what)
{
	return env->container
		       ? arena_printf(c->a, "make the image again with pip install '%s'", what)
		       : arena_printf(c->a, "%s/bin/pip install '%s'", env->path, what);
}

static void look_at_need(struct checks *c, const struct engine *en, const struct environment *env,
			 size_t i, const char *have)
{
	const char *package = en->needs[i].package, *version = en->needs[i].version;
	const char *fix = how_to_install(c, env, arena_printf(c->a, "%s%s", package, version));

	if (!have)
		check_add(c, "environment", CHECK_WARN, fix, "%s: %s is not installed", env->path,
			  package);
	else if (!version_ok(have) || comparison_holds(version, have, 1) != 1)
		check_add(c, "environment", CHECK_BAD, fix, "%s: %s %s; %s is needed", env->path,
			  package, have, version);
}

/* What a label or jobs.yaml said of an image, and what is in it. */
static bool has_version(struct checks *c, const struct engine *en, const struct environment *env,
			const struct json *has)
{
	const char *have = json_str(has, en->package, NULL);

	if (have && version_ok(have) && version_compare(have, env->version) == 0)
		return true;
	check_add(c, "environment", CHECK_BAD, "correct `version` or the label of the image",
		  "%s: it holds %s%s%s, and %s was announced", env->path,
		  have ? en->package : "no ", have ? " " : en->package, have ? have : "",
		  env->version);
	return false;
}

static void run_probe(struct checks *c, const struct engine *en, const struct environment *env)
{
	const char *read[ENVIRONMENT_READS];
	const char **argv = arena_array(c->a, ENVIRONMENT_ARGS + 5 + en->n_needs, sizeof(*argv));
	size_t n = environment_argv(env, argv);
	char *dir;
	struct launch_place place = { .read = read };
	const struct json *said = NULL;
	struct err e = ERR_INIT;
	struct buf b;
	int rc;

	argv[n++] = "-c";
	argv[n++] = probe;
	argv[n++] = en->module ? en->module : "sys";
	/* Of an image nothing is known until it runs. */
	if (env->container)
		argv[n++] = en->package;
	for (size_t i = 0; env->container && i < en->n_needs; i++)
		argv[n++] = en->needs[i].package;
	dir = launch_folder(&e);
	if (!dir) {
		check_add(c, "environment", CHECK_BAD, "set TMPDIR to a folder you may write to",
			  "%s", e.msg);
		return;
	}
	place.dir = dir;
	place.n_read = environment_reads(c->a, env, en->program, read);
	buf_init(&b, OUTPUT_MAX);
	rc = env->container ? container_run(&place, env, argv + 1, n - 1, &b, &e)
			    : launch_worker(&place, argv[0], argv + 1, n - 1, &b, &e);
	if (rc == 0)
		said = last_object(c->a, &b);
	if (!said)
		check_add(c, "environment", CHECK_BAD,
			  env->container
				  ? "name the image's own with `python`"
				  : arena_printf(c->a, "make it again: python3 -m venv --clear %s",
						 env->path),
			  "%s: its Python does not run: %s", env->path, e.msg);
	else if (json_str(said, "fault", NULL))
		check_add(c, "environment", CHECK_BAD, how_to_install(c, env, "what is missing"),
			  "%s: %s does not load: %s", env->path, en->module,
			  json_str(said, "fault", ""));
	else if (env->container && !has_version(c, en, env, json_get(said, "has")))
		; /* said */
	else if (strncmp(json_str(said, "libc", ""), "glibc", 5) != 0)
		check_add(c, "environment", CHECK_BAD, "use a system with glibc, like Debian",
			  "%s: Python %s without glibc, for which toolkits are built", env->path,
			  json_str(said, "python", ""));
	else
		check_add(c, "environment", CHECK_OK, NULL, "%s: %s %s, Python %s, %s%s", env->path,
			  en->package, environment_id(c->a, env), json_str(said, "python", ""),
			  json_str(said, "libc", ""),
			  environment_gpu(env) ? ", with a GPU" : ", no GPU");
	for (size_t i = 0; said && env->container && i < en->n_needs; i++)
		look_at_need(c, en, env, i,
			     json_str(json_get(said, "has"), en->needs[i].package, NULL));
	buf_release(&b);
	(void)path_remove_tree(dir, &(struct err)ERR_INIT);
	free(dir);
}

static void look_for_needs(struct checks *c, const struct engine *en, const struct environment *env)
{
	for (size_t i = 0; !env->container && i < en->n_needs; i++)
		look_at_need(c, en, env, i,
			     environment_package_version(c->a, env->path, en->needs[i].package));
}

static void check_machine(struct checks *c, const struct engine *en)
{
	struct utsname u;

	if (en->machine && uname(&u) == 0 && strcmp(u.machine, en->machine) != 0)
		check_add(c, "engine", CHECK_BAD,
			  arena_printf(c->a, "run quern on a machine of %s", en->machine),
			  "%s: its toolkit is made for %s, this is %s", en->name, en->machine,
			  u.machine);
}

void doctor_environments(struct checks *c, const struct config *cfg, const struct engines *es)
{
	for (size_t i = 0; cfg && i < cfg->n_engines; i++) {
		const struct engine_settings *s = &cfg->engines[i];
		const struct engine *en = engine_find(es, s->engine);

		if (!en || !en->package || !en->program)
			continue; /* said with the engines, or by a fault of the file */
		check_machine(c, en);
		for (size_t k = 0; k < s->n_environments; k++) {
			if (s->environments[k].fault) {
				add_fault(c, s->environments[k].fault);
				continue;
			}
			look_for_needs(c, en, &s->environments[k]);
			run_probe(c, en, &s->environments[k]);
		}
	}
}

/* ---- deep: a tiny model through the toolkit */

/* A line {"event":"check","name":...,"state":"good|info|warn|bad","text":...}; info answers a
 * question that no document does. */
static void take_line(struct checks *c, const struct environment *env, const char *line)
{
	struct err ignored = ERR_INIT;
	enum check_level level = CHECK_BAD;
	struct json *v = NULL;
	const char *state;

	if (line[0] != '{' || json_parse(c->a, line, strlen(line), &v, &ignored) < 0 ||
	    strcmp(json_str(v, "event", ""), "check") != 0)
		return;
	state = json_str(v, "state", "bad");
	if (strcmp(state, "good") == 0 || strcmp(state, "info") == 0)
		level = CHECK_OK;
	else if (strcmp(state, "warn") == 0)
		level = CHECK_WARN;
	check_add(c, "selftest", level, level == CHECK_OK ? NULL : "see docs/rkllm.md",
		  "%s: %s: %s", environment_id(c->a, env), json_str(v, "name", "?"),
		  json_str(v, "text", ""));
}

static int make_model(struct checks *c, const char *dir, struct err *e)
{
	const char *program = launch_program(c->a, "quern-fake");
	const char *args[] = { "make", DEEP_MODEL, arena_printf(c->a, "%s/model", dir) };
	const struct launch_place place = { .dir = dir };
	struct buf b;
	int rc;

	if (!program)
		return err_set(e, ERR_ENV, "quern-fake is missing; install quern completely");
	buf_init(&b, OUTPUT_MAX);
	rc = launch_worker(&place, program, args, 3, &b, e);
	buf_release(&b);
	return rc > 0 ? err_set(e, ERR_IO, "%s", e->msg) : rc;
}

static void try_one(struct checks *c, const struct engine *en, const struct environment *env)
{
	struct verb v = { .engine = en,
			  .environment = env,
			  .name = "selftest",
			  .source_format = "safetensors",
			  .with = "{}",
			  .threads = (int)sysconf(_SC_NPROCESSORS_ONLN) };
	struct err e = ERR_INIT;
	char *folder = launch_folder(&e), *job = folder ? path_join(folder, "job") : NULL;
	char *line, *rest;
	struct buf lines;
	int rc = folder ? make_model(c, folder, &e) : e.code;

	buf_init(&lines, OUTPUT_MAX);
	if (rc >= 0)
		rc = path_mkdirs(job, 0755, &e);
	if (rc >= 0) {
		v.dir = job;
		v.source_dir = arena_printf(c->a, "%s/model", folder);
		rc = verb_run(&v, &lines, &e);
	}
	rest = lines.len ? lines.data : NULL;
	while (rest && (line = strsep(&rest, "\n")) != NULL)
		take_line(c, env, line);
	if (rc < 0)
		check_add(c, "selftest", CHECK_BAD, "see docs/rkllm.md", "%s: %s", env->path,
			  e.msg);
	else
		check_add(c, "selftest", CHECK_OK, NULL, "%s: a tiny model went through",
			  env->path);
	buf_release(&lines);
	if (folder)
		(void)path_remove_tree(folder, &(struct err)ERR_INIT);
	free(job);
	free(folder);
}

void doctor_deep(struct checks *c, const struct config *cfg, const struct engines *es,
		 const char *engine)
{
	const struct engine_settings *s = cfg ? environments_of(cfg, engine) : NULL;
	const struct engine *en = engine_find(es, engine);

	if (!en || !en->package || !engine_has_verb(en, "selftest")) {
		check_add(c, "selftest", CHECK_BAD, "'quern engines' lists them",
			  "engine %s has no self-test", engine);
		return;
	}
	if (!en->program || !s || !s->n_environments) {
		check_add(
			c, "selftest", CHECK_BAD,
			"write `engines: {NAME: {environments: [{path: FOLDER}]}}` into jobs.yaml",
			"engine %s has no environment to test", engine);
		return;
	}
	for (size_t i = 0; i < s->n_environments; i++) {
		if (!s->environments[i].fault)
			try_one(c, en, &s->environments[i]);
	}
}
