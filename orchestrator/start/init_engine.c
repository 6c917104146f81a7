/* orchestrator/start/init_engine.c -- quern init: the engine, and the environment that it may need.
 */
#include <stdlib.h>
#include <string.h>

#include "core/path.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/host/container.h"
#include "orchestrator/start/init.h"

/* ---- engine */

static int take_engine(void *ctx, const char *answer, struct err *e)
{
	struct init *x = ctx;
	const struct engine *en;
	struct choice *c = arena_array(x->a, x->engines.n, sizeof(*c));
	size_t *at = arena_array(x->a, x->engines.n, sizeof(*at)), n = x->engines.n;
	int rc;

	for (size_t i = 0; i < n; i++)
		c[i].name = x->engines.v[i].name;
	rc = ask_choices(c, n, answer, at, e);
	if (rc > 1)
		return err_set(e, ERR_INVALID, "one engine at a time; add others to the file");
	if (rc < 0)
		return rc;
	en = &x->engines.v[at[0]];
	if (en->missing)
		return err_set(e, x->flags->engine ? ERR_ENV : ERR_INVALID, "%s: %s", en->name,
			       en->missing);
	if (x->known && engine_check_model(en, x->facts, e) < 0)
		return e->code;
	x->engine = en;
	return 0;
}

static const char *engine_help(struct init *x, const struct engine *en)
{
	struct err why = ERR_INIT;

	if (en->missing)
		return arena_printf(x->a, "not here: %s", en->missing);
	if (x->known && engine_check_model(en, x->facts, &why) < 0)
		return arena_printf(x->a, "not for this model: %s", why.msg);
	return en->summary ? en->summary : "";
}

/* One that names the architectures it knows before one that takes whatever comes. */
static bool better(const struct engine *en, const struct engine *than)
{
	return !than || (en->n_architectures && !than->n_architectures);
}

int init_engine(struct init *x, struct err *e)
{
	const struct engine *best = NULL;
	struct choice *c = arena_array(x->a, x->engines.n + 1, sizeof(*c));
	struct err why = ERR_INIT;
	struct question q = { .flag = "--engine ENGINE",
			      .text = "Engine?",
			      .given = x->flags->engine,
			      .take = take_engine,
			      .ctx = x };

	for (size_t i = 0; i < x->engines.n; i++) {
		const struct engine *en = &x->engines.v[i];

		c[i] = (struct choice){ en->name, engine_help(x, en) };
		if (!en->missing && (!x->known || engine_check_model(en, x->facts, &why) >= 0) &&
		    better(en, best))
			best = en;
	}
	q.dflt = best ? best->name : NULL;
	if (!q.given && !q.dflt)
		return err_set(e, ERR_ENV,
			       "no engine here can convert this model%s%s; see quern engines",
			       why.msg[0] ? ": " : "", why.msg);
	if (!q.given)
		ask_show(&x->ask, c, x->engines.n);
	return ask(&x->ask, &q, e);
}

/* ---- environment */

static int take_environment(void *ctx, const char *answer, struct err *e)
{
	struct init *x = ctx;
	char *real = path_real(answer, e);
	struct environment env = { .gpu = -1 };

	if (!real)
		return e->code;
	env.path = arena_strdup(x->a, real);
	free(real);
	environment_look(x->a, x->engine->package, &env);
	if (env.fault)
		return err_set(e, ERR_INVALID, "%s", env.fault);
	x->sketch.environment_of = x->engine->name;
	x->sketch.environment = env.path;
	return 0;
}

/* The environment that the shell is in, when it has the toolkit. */
static const char *own_environment(struct init *x)
{
	const char *path = getenv("VIRTUAL_ENV");

	return path && *path == '/' && environment_package_version(x->a, path, x->engine->package)
		       ? path
		       : NULL;
}

/* What config_load() would make of it, as far as an image is looked at. */
static int take_container(struct init *x, const char *image, struct err *e)
{
	struct environment env = { .gpu = -1,
				   .path = image,
				   .container = arena_strdup(x->a, image) };
	struct engine_settings settings = { .engine = x->engine->name,
					    .environments = &env,
					    .n_environments = 1 };
	struct config c = { .engines = &settings, .n_engines = 1 };

	if (image[0] == '-' || !image[0])
		return err_set(e, ERR_INVALID,
			       "--container: \"%s\" is no name of an image, like "
			       "quern-rkllm:1.2.3",
			       image);
	containers_look(x->a, &c, &x->engines);
	if (env.fault)
		return err_set(e, ERR_INVALID, "--container: %s", env.fault);
	x->sketch.environment_of = x->engine->name;
	x->sketch.container = env.container;
	return 0;
}

int init_environment(struct init *x, struct err *e)
{
	struct question q = { .flag = "--environment DIR",
			      .given = x->flags->environment,
			      .take = take_environment,
			      .ctx = x };

	if (!x->engine->package)
		return q.given || x->flags->container
			       ? err_set(e, ERR_INVALID, "--%s: engine %s needs none",
					 q.given ? "environment" : "container", x->engine->name)
			       : 0;
	if (q.given && x->flags->container)
		return err_set(e, ERR_INVALID,
			       "--environment and --container: the toolkit is in one of them");
	if (x->flags->container)
		return take_container(x, x->flags->container, e);
	q.text = arena_printf(x->a, "Python environment with %s (a folder)?", x->engine->package);
	q.dflt = own_environment(x);
	return ask(&x->ask, &q, e);
}
