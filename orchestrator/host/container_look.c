/* orchestrator/host/container_look.c -- what docker or podman says of an image, before anything
 * starts. Nothing in it is run here. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/engine/version.h"
#include "orchestrator/host/capture.h"
#include "orchestrator/host/container.h"

#define ANSWER_MAX (4u << 20)		 /* an image's description has its whole history */
#define RUNTIMES_MAX 8			 /* different ones in one file */
#define VERSION_LABEL "io.quern.toolkit" /* of an image: the version it holds */

struct looking {
	struct arena *a;
	struct container_runtime v[RUNTIMES_MAX];
	size_t n;
};

/* ---- asking */

/* Its exit code, or a negative error; e has the last line of what it complained. */
static int ask(struct arena *a, const char *const *argv, struct buf *out, struct err *e)
{
	struct capture c = { .argv = argv,
			     .name = argv[0],
			     .lock_fd = -1,
			     .out = out,
			     .env = container_environment(a) };

	capture_run(&c, 1, 1);
	*e = c.err;
	return c.rc;
}

static const char *in_path(struct arena *a, const char *name)
{
	const char *path = getenv("PATH");

	for (const char *p = path ? path : "/usr/bin:/bin"; *p; p += strspn(p, ":")) {
		size_t n = strcspn(p, ":");
		const char *file = arena_printf(a, "%.*s/%s", (int)n, p, name);

		if (p[0] == '/' && access(file, X_OK) == 0)
			return file;
		p += n;
	}
	return NULL;
}

/* ---- the runtime */

/* A docker may be podman in disguise, so its own word counts. */
static void look_at_runtime(struct arena *a, struct container_runtime *rt)
{
	const char *const version[] = { rt->program, "--version", NULL };
	const char *const info[] = { rt->program, "info", "--format", "{{json .SecurityOptions}}",
				     NULL };
	struct err e = ERR_INIT;
	struct buf b;
	int rc;

	buf_init(&b, ANSWER_MAX);
	rc = ask(a, version, &b, &e);
	rt->podman = strstr(buf_str(&b), "podman") != NULL;
	rt->rootless = rt->podman && geteuid() != 0;
	if (rc == 0 && !rt->podman) {
		buf_clear(&b);
		rc = ask(a, info, &b, &e);
		rt->rootless = strstr(buf_str(&b), "name=rootless") != NULL;
		rt->remapped = strstr(buf_str(&b), "name=userns") != NULL;
	}
	if (rc != 0)
		rt->fault = arena_printf(
			a, "%s cannot be used: %s; start it, or name another one with `runtime`",
			rt->program, e.msg);
	buf_release(&b);
}

static const struct container_runtime *find_runtime(struct looking *l,
						    const struct environment *env)
{
	const char *program = env->runtime && env->runtime[0] == '/' ? env->runtime : NULL;
	struct container_runtime *rt;

	if (!program && env->runtime)
		program = in_path(l->a, env->runtime);
	if (!env->runtime)
		program = in_path(l->a, "docker");
	if (!env->runtime && !program)
		program = in_path(l->a, "podman");
	if (!program)
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].program, program) == 0)
			return &l->v[i];
	}
	if (l->n == RUNTIMES_MAX)
		return NULL;
	rt = &l->v[l->n++];
	rt->program = program;
	look_at_runtime(l->a, rt);
	return rt;
}

/* ---- the image */

static const char *id_of(const struct json *image)
{
	const char *id = json_str(image, "Id", "");
	const char *hex = strncmp(id, "sha256:", 7) == 0 ? id + 7 : id;

	return strlen(hex) == 64 && hex[strspn(hex, "0123456789abcdef")] == '\0' ? id : NULL;
}

/* NULL, or why not. */
static const char *take_image(struct arena *a, const struct engine *en, const struct json *image,
			      struct environment *env)
{
	const struct json *config = json_get(image, "Config");
	const struct json *volumes = json_get(config, "Volumes");
	struct container_image *found = arena_alloc(a, sizeof(*found));
	const char *version = json_str(json_get(config, "Labels"), VERSION_LABEL, NULL);

	*found = *env->image;
	found->id = id_of(image);
	if (!found->id)
		return arena_printf(a, "container %s: %s describes it without an Id",
				    env->container, found->runtime->program);
	if (!found->runtime->podman && volumes && volumes->type == JSON_OBJECT && volumes->count)
		return arena_printf(a,
				    "container %s: its VOLUME would be a second place to write; "
				    "make the image without one",
				    env->container);
	if (version && !version_ok(version))
		version = NULL;
	if (!env->version && !version)
		return arena_printf(a,
				    "container %s: nothing says which version of %s it holds; "
				    "write `version`, or give the image the label " VERSION_LABEL,
				    env->container, en->package);
	if (env->version && version && version_compare(env->version, version) != 0)
		return arena_printf(a,
				    "container %s holds %s %s by its label, and `version` says %s; "
				    "correct one of them",
				    env->container, en->package, version, env->version);
	if (!env->version)
		env->version = arena_strndup(a, version, version_public_len(version));
	env->image = found;
	return NULL;
}

static void look_at_image(struct arena *a, const struct engine *en, struct environment *env)
{
	const struct container_runtime *rt = env->image->runtime;
	const char *const argv[] = { rt->program,  "image",	   "inspect", "--format",
				     "{{json .}}", env->container, NULL };
	struct err e = ERR_INIT, bad = ERR_INIT;
	struct json *v = NULL;
	const struct json *image;
	struct buf b;
	int rc;

	buf_init(&b, ANSWER_MAX);
	rc = ask(a, argv, &b, &e);
	if (rc != 0) {
		env->fault = arena_printf(
			a,
			"container %s: %s has no such image (%s); build it or pull it first: quern "
			"never does",
			env->container, rt->program, e.msg);
	} else if (json_parse(a, buf_str(&b), b.len, &v, &bad) < 0) {
		env->fault = arena_printf(a, "container %s: what %s says of it is no JSON: %s",
					  env->container, rt->program, bad.msg);
	} else {
		/* podman 4 gives a list of one. */
		image = v->type == JSON_ARRAY && v->count ? v->members[0].value : v;
		env->fault = take_image(a, en, image, env);
	}
	buf_release(&b);
}

static void look(struct looking *l, const struct engine *en, struct environment *env)
{
	struct container_image *image = arena_alloc(l->a, sizeof(*image));

	image->runtime = find_runtime(l, env);
	env->image = image;
	if (!image->runtime) {
		env->fault = arena_printf(
			l->a, "container %s: no %s in PATH; install docker or podman%s",
			env->container, env->runtime ? env->runtime : "docker or podman",
			env->runtime ? ", or correct `runtime`" : "");
		return;
	}
	env->fault = image->runtime->fault;
	if (!env->fault)
		look_at_image(l->a, en, env);
	if (!env->fault && !env->python)
		env->python = "python3";
}

void containers_look(struct arena *a, struct config *c, const struct engines *es)
{
	struct looking *l = arena_alloc(a, sizeof(*l)); /* images point into it */

	l->a = a;
	for (size_t i = 0; i < c->n_engines; i++) {
		struct engine_settings *s = &c->engines[i];
		const struct engine *en = engine_find(es, s->engine);

		for (size_t k = 0; en && en->package && k < s->n_environments; k++) {
			if (s->environments[k].container)
				look(l, en, &s->environments[k]);
		}
	}
}
