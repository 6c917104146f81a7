/* orchestrator/start/init_hub.c -- quern init: where the result goes. */
#include <string.h>

#include "orchestrator/start/init.h"

#define NO_HUB "none"

/* The section through the same checks as jobs.yaml. */
static int check_upload(struct init *x, const char *hub, const char *name, struct err *e)
{
	struct model any = { .fake = "llama-tiny", .name = "any" };
	const struct jobs_sketch s = {
		.models = &any, .n_models = 1, .hub = hub, .namespace_ = name
	};
	struct config *cfg;

	return init_parse(x, &s, &cfg, e);
}

static int take_hub(void *ctx, const char *answer, struct err *e)
{
	struct init *x = ctx;

	x->sketch.hub = strcmp(answer, NO_HUB) == 0 ? NULL : arena_strdup(x->a, answer);
	return x->sketch.hub ? check_upload(x, answer, "any", e) : 0;
}

static int take_namespace(void *ctx, const char *answer, struct err *e)
{
	struct init *x = ctx;
	int rc = check_upload(x, x->sketch.hub, answer, e);

	if (rc < 0)
		return rc;
	x->sketch.namespace_ = arena_strdup(x->a, answer);
	return 0;
}

static const char *usual_repo(const struct init *x)
{
	if (x->engine->repo_template)
		return NULL; /* the engine's own */
	if (x->engine->n_platforms)
		return "{model}-{platform}";
	return strcmp(x->engine->output, "gguf") == 0 ? "{model}-GGUF" : "{model}-{engine}";
}

int init_hub(struct init *x, struct err *e)
{
	const struct question h = { .flag = "--hub HUB",
				    .text = "Publish to (local, an address, or none)?",
				    .given = x->flags->hub,
				    .dflt = "local",
				    .take = take_hub,
				    .ctx = x };
	struct question n = { .flag = "--namespace NAME",
			      .text = "Account or organisation there?",
			      .given = x->flags->namespace_,
			      .take = take_namespace,
			      .ctx = x };
	int rc = ask(&x->ask, &h, e);

	if (rc < 0)
		return rc;
	if (!x->sketch.hub) {
		x->sketch.hub_note =
			"Nothing is published: results stay in the work folder. With an `upload` "
			"section they go to a hub.";
		return 0;
	}
	if (strcmp(x->sketch.hub, "local") == 0) {
		n.dflt = "local";
		x->sketch.hub_note = "Git repositories in the work folder. To publish on the "
				     "Hugging Face Hub, write\n"
				     "hub: https://huggingface.co, your namespace there, and set "
				     "HF_TOKEN.";
	}
	x->sketch.repo = x->flags->repo ? x->flags->repo : usual_repo(x);
	x->sketch.is_private = x->flags->is_private;
	return ask(&x->ask, &n, e);
}
