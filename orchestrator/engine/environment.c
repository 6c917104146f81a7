#include "orchestrator/engine/environment.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/engine/version.h"

#define METADATA_MAX (4u << 20) /* bytes; a package's description is in it */

/* ---- one folder */

/* The header "Version: X" of a package's metadata. Source: PyPA, core metadata. */
static const char *metadata_version(struct arena *a, const char *file)
{
	static const char key[] = "Version:";
	const char *line, *found = NULL;
	struct err ignored = ERR_INIT;
	struct buf b;

	buf_init(&b, METADATA_MAX);
	if (path_read(file, METADATA_MAX, &b, &ignored) == 0) {
		/* Headers end at the first empty line. */
		for (line = buf_str(&b); *line && *line != '\n' && *line != '\r' && !found;) {
			size_t n = strcspn(line, "\n");

			if (strncmp(line, key, sizeof(key) - 1) == 0) {
				const char *v = line + sizeof(key) - 1;

				v += strspn(v, " \t");
				found = arena_strndup(a, v, strcspn(v, " \t\r\n"));
			}
			line += n + (line[n] == '\n');
		}
	}
	buf_release(&b);
	return found && version_ok(found) ? found : NULL;
}

/* A glob's own characters in a folder's name stand for themselves. */
static const char *literal(struct arena *a, const char *path)
{
	char *out = arena_alloc(a, 2 * strlen(path) + 1), *to = out;

	for (; *path; path++) {
		if (strchr("*?[]\\", *path))
			*to++ = '\\';
		*to++ = *path;
	}
	return out;
}

const char *environment_package_version(struct arena *a, const char *path, const char *package)
{
	const char *pattern =
		arena_printf(a, "%s/lib*/python3*/site-packages/%s-*.dist-info/METADATA",
			     literal(a, path), package);
	const char *version = NULL;
	glob_t found;

	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc && !version; i++)
			version = metadata_version(a, found.gl_pathv[i]);
		globfree(&found);
	}
	return version;
}

/* The folder above the bin that the interpreter really lies in, unless a worker may read it anyway.
 */
static const char *python_prefix(struct arena *a, const char *python)
{
	struct err ignored = ERR_INIT;
	char *real = path_real(python, &ignored), *bin, *prefix;
	const char *out = NULL;

	if (!real)
		return NULL;
	bin = path_dirname(real);
	prefix = path_dirname(bin);
	if (strcmp(prefix, "/usr") != 0 && strcmp(prefix, "/") != 0)
		out = arena_strdup(a, prefix);
	free(prefix);
	free(bin);
	free(real);
	return out;
}

void environment_look(struct arena *a, const char *package, struct environment *env)
{
	const char *python = arena_printf(a, "%s/bin/python", env->path);
	const char *found;

	if (access(env->path, R_OK | X_OK) != 0) {
		env->fault = arena_printf(
			a,
			"environment %s: there is no such folder, or it may not be read; correct "
			"`path`, or make it: python3 -m venv %s",
			env->path, env->path);
		return;
	}
	if (access(python, X_OK) != 0) {
		env->fault = arena_printf(a,
					  "environment %s: it has no bin/python; make it a virtual "
					  "environment: python3 -m venv %s",
					  env->path, env->path);
		return;
	}
	found = environment_package_version(a, env->path, package);
	if (!found) {
		env->fault = arena_printf(a,
					  "environment %s: %s is not installed in it; install its "
					  "wheel with %s/bin/pip",
					  env->path, package, env->path);
		return;
	}
	env->python = python;
	env->prefix = python_prefix(a, python);
	if (!env->version || version_compare(env->version, found) == 0)
		env->version = arena_strndup(a, found, version_public_len(found));
	else
		env->fault = arena_printf(a,
					  "environment %s holds %s %s, and `version` says %s; "
					  "correct one of them",
					  env->path, package, found, env->version);
}

/* ---- all of a file */

static void check_versions(const struct engine_settings *s, struct faults *f)
{
	for (size_t i = 0; i < s->n_environments; i++) {
		const struct environment *env = &s->environments[i];

		for (size_t k = 0; env->version && k < i; k++) {
			const struct environment *before = &s->environments[k];

			if (!before->version || version_compare(env->version, before->version) != 0)
				continue;
			if (!env->name && !before->name)
				faults_add(f, env->at,
					   "a second environment of version %s (the first is on "
					   "line %d); keep one of them, or tell them apart by "
					   "`name`",
					   env->version, before->at.line);
			else if (env->name && before->name && strcmp(env->name, before->name) == 0)
				faults_add(
					f, env->at,
					"a second environment \"%s\" of version %s (the first is "
					"on line %d); give it another `name`",
					env->name, env->version, before->at.line);
		}
	}
}

/* A name that the engine does not know would never be met. */
static void check_architectures(const struct engine *en, const struct environment *env,
				struct faults *f)
{
	const struct string_list *l = &env->architectures;

	for (size_t k = 0; en->n_architectures && k < l->n; k++) {
		const char *near = nearest_name(l->v[k], en->architectures, en->n_architectures);
		int met = 0;

		for (size_t i = 0; i < en->n_architectures && !met; i++)
			met = glob_match(l->v[k], en->architectures[i]);
		if (!met)
			faults_add(f, l->at[k], "engine %s knows no architecture \"%.60s\"; %s%s%s",
				   en->name, l->v[k], near ? "did you mean \"" : "correct it",
				   near ? near : "", near ? "\"?" : "");
	}
}

static const struct engine *find_engine(const struct engine_settings *s, const struct engines *es,
					struct faults *f)
{
	const struct engine *en = engine_find(es, s->engine);
	const char **names, *near;
	size_t n = 0;

	if (en && !en->package && s->n_environments)
		faults_add(f, s->at, "engine %s needs no environment; remove this", s->engine);
	if (en)
		return en->package ? en : NULL;
	names = arena_array(f->a, es->n + 1, sizeof(*names));
	for (size_t i = 0; i < es->n; i++)
		names[n++] = es->v[i].name;
	near = nearest_name(s->engine, names, n);
	faults_add(f, s->at, "engine %.60s is not installed; %s%s%s", s->engine,
		   near ? "did you mean \"" : "remove its settings", near ? near : "",
		   near ? "\"?" : "");
	return NULL;
}

void environments_look(struct arena *a, struct config *c, const struct engines *es,
		       struct faults *f)
{
	for (size_t i = 0; i < c->n_engines; i++) {
		struct engine_settings *s = &c->engines[i];
		const struct engine *en = find_engine(s, es, f);

		for (size_t k = 0; en && k < s->n_environments; k++) {
			struct environment *env = &s->environments[k];

			if (!env->container)
				environment_look(a, en->package, env);
			check_architectures(en, env, f);
			/* Both are there and disagree: the file is wrong, not the machine. */
			if (env->fault && env->python && !env->container)
				faults_add(f, env->version_at, "%s", env->fault);
		}
		check_versions(s, f);
	}
}

/* ---- look-ups */

const struct engine_settings *environments_of(const struct config *c, const char *engine)
{
	for (size_t i = 0; i < c->n_engines; i++) {
		if (strcmp(c->engines[i].engine, engine) == 0)
			return &c->engines[i];
	}
	return NULL;
}

const struct environment *environment_of_version(const struct config *c, const char *engine,
						 const char *engine_version)
{
	const struct engine_settings *s = environments_of(c, engine);
	const char *plus = strrchr(engine_version, '+');

	for (size_t i = 0; s && plus && i < s->n_environments; i++) {
		const struct environment *env = &s->environments[i];
		size_t n = env->version ? strlen(env->version) : 0;
		const char *rest = plus + 1 + n;

		if (!n || strncmp(env->version, plus + 1, n) != 0)
			continue;
		if (env->name ? *rest == '-' && strcmp(rest + 1, env->name) == 0 : !*rest)
			return env;
	}
	return NULL;
}

const char *environment_id(struct arena *a, const struct environment *env)
{
	return env->name ? arena_printf(a, "%s-%s", env->version, env->name) : env->version;
}

int environment_is_for(const struct environment *env, const char *architecture)
{
	const struct string_list *l = &env->architectures;

	for (size_t i = 0; i < l->n; i++) {
		if (architecture && glob_match(l->v[i], architecture))
			return 2;
	}
	return l->n == 0;
}

int environment_machine_gpu(void)
{
	static int known = -1; /* a plan asks for each point */

	if (known < 0)
		known = access("/dev/nvidiactl", F_OK) == 0 || access("/dev/nvidia0", F_OK) == 0;
	return known;
}

int environment_gpu(const struct environment *env)
{
	/* That the machine has one does not say that its containers may have it. */
	if (env && env->container)
		return env->gpu > 0;
	return env && env->gpu >= 0 ? env->gpu : environment_machine_gpu();
}

/* ---- starting a program in one */

size_t environment_argv(const struct environment *env, const char *v[ENVIRONMENT_ARGS])
{
	v[0] = env->python;
	v[1] = "-E";
	v[2] = "-s";
	v[3] = "-B";
	return ENVIRONMENT_ARGS;
}

static const char *folder_of(struct arena *a, const char *path)
{
	char *dir = path_dirname(path);
	const char *out = arena_strdup(a, dir);

	free(dir);
	return out;
}

size_t environment_reads(struct arena *a, const struct environment *env, const char *program,
			 const char *read[ENVIRONMENT_READS])
{
	struct err ignored = ERR_INIT;
	char *real = path_real(program, &ignored);
	size_t n = 0;

	if (!env->container)
		read[n++] = env->path;
	if (env->prefix)
		read[n++] = env->prefix;
	read[n++] = folder_of(a, program);
	if (real)
		read[n++] = folder_of(a, real);
	free(real);
	return n;
}
