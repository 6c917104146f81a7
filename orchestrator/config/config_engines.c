/* orchestrator/config/config_engines.c -- the engines section of jobs.yaml: where the
 * toolkits are that engines drive. */
#include <string.h>

#include "core/mem.h"
#include "orchestrator/config/config_private.h"
#include "orchestrator/engine/version.h"

#define ENVIRONMENTS_MAX 32 /* of one engine; each is looked at before a run */

static void read_version(struct reader *r, const struct ynode *v, void *target)
{
	struct environment *env = target;

	env->version_at = v->at;
	if (v->type == YNODE_SCALAR && version_ok(v->text))
		env->version = arena_strndup(r->a, v->text, version_public_len(v->text));
	else
		read_wrong(r, v, "a version like 1.2.3");
}

/* A folder, or an image with what belongs to images. */
static void check_kind(struct reader *r, const struct ynode *v, const struct environment *env)
{
	int path = read_has(v, "path"), container = read_has(v, "container");

	if (v->type != YNODE_MAP)
		return;
	if (path && container)
		faults_add(r->f, v->at,
			   "an environment with `path` and `container`; it is one of them");
	if (!path && !container)
		faults_add(r->f, v->at,
			   "an environment without `path` or `container`; name its folder, or the "
			   "image of its containers");
	if (!container && (read_has(v, "runtime") || read_has(v, "python")))
		faults_add(r->f, v->at,
			   "`runtime` and `python` belong to an environment with `container`; "
			   "remove them");
	/* An option of the runtime's, where a name belongs. */
	if (env->container && (env->container[0] == '-' || !env->container[0]))
		faults_add(r->f, v->at,
			   "`container` is the name of an image, like quern-rkllm:1.2.3");
}

static void read_name(struct reader *r, const struct ynode *v, void *target)
{
	struct environment *env = target;

	if (v->type == YNODE_SCALAR && read_word_ok(v->text) && !strchr(v->text, '+'))
		env->name = v->text;
	else
		read_wrong(r, v, "a name of letters, digits, '.', '_' and '-'");
}

static void read_environment(struct reader *r, const struct ynode *v, struct environment *env)
{
	const struct key keys[] = {
		{ "path", read_text, &env->path },
		{ "container", read_text, &env->container },
		{ "runtime", read_text, &env->runtime },
		{ "python", read_text, &env->python },
		{ "version", read_version, env },
		{ "name", read_name, env },
		{ "architectures", read_strings, &env->architectures },
		{ "gpu", read_flag, &env->gpu },
	};

	env->at = env->version_at = v->at;
	env->gpu = -1;
	read_map(r, v, "an environment", keys, ARRAY_LEN(keys));
	check_kind(r, v, env);
	if (env->container)
		env->path = env->container;
	if (!env->path)
		env->path = ""; /* a fault was said */
}

static void read_environments(struct reader *r, const struct ynode *v, void *target)
{
	struct engine_settings *to = target;

	if (v->type != YNODE_LIST || v->n == 0 || v->n > ENVIRONMENTS_MAX) {
		read_wrong(r, v,
			   "a list like \"- {path: FOLDER}\" or \"- {container: IMAGE}\", of 32 at "
			   "most");
		return;
	}
	to->environments = arena_array(r->a, v->n, sizeof(*to->environments));
	to->n_environments = v->n;
	for (size_t i = 0; i < v->n; i++)
		read_environment(r, v->items[i], &to->environments[i]);
}

void config_read_engines(struct reader *r, const struct ynode *v, void *target)
{
	struct config *c = ((struct draft *)target)->c;

	if (v->type != YNODE_MAP) {
		read_wrong(r, v, "a map like {rkllm: {environments: [{path: FOLDER}]}}");
		return;
	}
	c->engines = arena_array(r->a, v->n + 1, sizeof(*c->engines));
	c->n_engines = v->n;
	for (size_t i = 0; i < v->n; i++) {
		struct engine_settings *to = &c->engines[i];
		const struct key keys[] = { { "environments", read_environments, to } };

		to->engine = v->entries[i].key;
		to->at = v->entries[i].at;
		read_map(r, v->entries[i].value, "the settings of an engine", keys,
			 ARRAY_LEN(keys));
	}
}
