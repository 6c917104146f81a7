#include "orchestrator/command/verb.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/path.h"
#include "orchestrator/host/container.h"
#include "orchestrator/host/launch.h"
#include "orchestrator/run/jobdir.h"

#define JOB_MAX (1u << 20)

static int write_job(struct arena *a, const struct verb *v, struct err *e)
{
	struct json *with = NULL;
	struct json_out w;
	struct buf b;
	int rc = json_parse(a, v->with, strlen(v->with), &with, e);

	if (rc < 0)
		return rc;
	buf_init(&b, JOB_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kint(&w, "protocol", 1);
	jw_kstr(&w, "verb", v->name);
	jw_kobject(&w, "engine");
	jw_kstr(&w, "name", v->engine->name);
	jw_kstr(&w, "version", v->engine->version);
	jw_end_object(&w);
	jw_kobject(&w, "environment");
	jw_kstr(&w, "path", v->environment->container ? NULL : v->environment->path);
	if (v->environment->container)
		jw_kstr(&w, "container", v->environment->container);
	jw_kstr(&w, "version", v->environment->version);
	jw_end_object(&w);
	jw_kobject(&w, "source");
	jw_kstr(&w, "dir", v->source_dir);
	jw_kstr(&w, "format", v->source_format);
	if (v->source_file)
		jw_kstr(&w, "file", v->source_file);
	jw_end_object(&w);
	if (v->prompts)
		jw_kstr(&w, "prompts", v->prompts);
	jw_key(&w, "with");
	jw_value(&w, with);
	jw_kbool(&w, "trust_remote_code", v->trust_remote_code);
	jw_kstr(&w, "out", "out");
	jw_kint(&w, "threads", v->threads);
	jw_end_object(&w);
	rc = path_write(arena_printf(a, "%s/job.json", v->dir), buf_str(&b), b.len, 0644, e);
	buf_release(&b);
	return rc < 0 ? rc : path_mkdirs(arena_printf(a, "%s/out", v->dir), 0755, e);
}

static int start(struct arena *a, const struct verb *v, struct buf *lines, struct err *e)
{
	const char *read[ENVIRONMENT_READS + 3], *argv[ENVIRONMENT_ARGS + 1];
	const char **args = arena_array(a, ENVIRONMENT_ARGS + v->engine->n_args + 3, sizeof(*args));
	const struct launch_place p = { .dir = v->dir, .read = read, .echo = v->echo };
	struct launch_place place = p;
	size_t n = 0, n_args = 0;

	n = environment_reads(a, v->environment, v->engine->program, read);
	read[n++] = v->source_dir;
	/* A snapshot of a hub's cache is links to its blobs. */
	if (strstr(v->source_dir, "/snapshots/"))
		read[n++] = arena_printf(a, "%s/../../blobs", v->source_dir);
	if (v->prompts)
		read[n++] = v->prompts;
	place.n_read = n;
	n = environment_argv(v->environment, argv);
	for (size_t i = 1; i < n; i++)
		args[n_args++] = argv[i];
	args[n_args++] = v->engine->program;
	for (size_t i = 0; i < v->engine->n_args; i++)
		args[n_args++] = v->engine->args[i];
	args[n_args++] = v->name;
	args[n_args++] = "job.json";
	if (v->environment->container)
		return container_run(&place, v->environment, args, n_args, lines, e);
	return launch_worker(&place, argv[0], args, n_args, lines, e);
}

int verb_run(const struct verb *v, struct buf *lines, struct err *e)
{
	struct arena *a = arena_new();
	char said[ERR_MSG_MAX];
	struct err how = ERR_INIT;
	int rc = write_job(a, v, e), code;

	if (rc >= 0) {
		code = start(a, v, lines, &how);
		/* What it wrote down is better than the last line of its log. */
		if (code != 0 && jobdir_result(v->dir, said, sizeof(said), NULL) == JOBDIR_ERROR)
			rc = err_set(e, how.code ? how.code : ERR_IO, "%s", said);
		else if (code != 0)
			rc = err_set(e, code < 0 || how.code ? how.code : ERR_IO, "%s", how.msg);
	}
	arena_free(a);
	return rc < 0 ? rc : 0;
}

int verb_environment(struct arena *a, const struct engine *en, const struct config *cfg,
		     const char *folder, const struct environment **out, struct err *e)
{
	const struct engine_settings *s = cfg ? environments_of(cfg, en->name) : NULL;
	struct environment *env;
	char *real;

	if (folder) {
		real = path_real(folder, e);
		if (!real)
			return e->code;
		env = arena_alloc(a, sizeof(*env));
		*env = (struct environment){ .path = arena_strdup(a, real), .gpu = -1 };
		free(real);
		environment_look(a, en->package, env);
		if (env->fault)
			return err_set(e, ERR_ENV, "%s", env->fault);
		*out = env;
		return 0;
	}
	for (size_t i = 0; s && i < s->n_environments; i++) {
		if (!s->environments[i].fault) {
			*out = &s->environments[i];
			return 0;
		}
	}
	return err_set(e, ERR_ENV,
		       "engine %s needs an environment that holds %s; name it with --environment "
		       "DIR, or under `engines` in jobs.yaml",
		       en->name, en->package);
}
