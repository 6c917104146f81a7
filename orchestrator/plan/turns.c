#include "orchestrator/plan/turns.h"

#include <stdlib.h>

#include "core/units.h"

/* Twice PRIORITY_MAX to either side. */
#define WITHIN_MODEL (4 * PRIORITY_MAX + 1)

struct ranked {
	size_t model;
	int highest;
};

static int applies(const struct target *t, const struct model *m)
{
	for (size_t i = 0; i < t->models.n; i++) {
		if (glob_match(t->models.v[i], m->name))
			return 1;
	}
	return t->models.n == 0;
}

/* Of targets and include alike: what is excluded counts as well, which is easily seen and harms
 * nobody. */
static void look(const struct target *v, size_t n, const struct model *m, int *any, int *highest)
{
	for (size_t i = 0; i < n; i++) {
		if (!applies(&v[i], m))
			continue;
		if (!*any || v[i].priority > *highest)
			*highest = v[i].priority;
		*any = 1;
	}
}

static int by_rank(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	if (a->highest != b->highest)
		return a->highest > b->highest ? -1 : 1;
	return (a->model > b->model) - (a->model < b->model);
}

static int has_priorities(const struct config *c)
{
	for (size_t i = 0; i < c->n_models; i++) {
		if (c->models[i].priority)
			return 1;
	}
	for (size_t i = 0; i < c->n_targets; i++) {
		if (c->targets[i].priority)
			return 1;
	}
	for (size_t i = 0; i < c->n_include; i++) {
		if (c->include[i].priority)
			return 1;
	}
	return 0;
}

void turns_init(struct arena *a, const struct config *c, struct turns *out)
{
	struct ranked *v = arena_array(a, c->n_models + 1, sizeof(*v));

	out->by_priority = has_priorities(c);
	out->order = arena_array(a, c->n_models + 1, sizeof(*out->order));
	out->place = arena_array(a, c->n_models + 1, sizeof(*out->place));
	for (size_t i = 0; i < c->n_models; i++) {
		int any = 0, highest = 0;

		look(c->targets, c->n_targets, &c->models[i], &any, &highest);
		look(c->include, c->n_include, &c->models[i], &any, &highest);
		v[i] = (struct ranked){ i, c->models[i].priority + highest };
	}
	if (out->by_priority)
		qsort(v, c->n_models, sizeof(*v), by_rank);
	for (size_t i = 0; i < c->n_models; i++) {
		out->order[i] = v[i].model;
		out->place[v[i].model] = i;
	}
}

int64_t turns_of(const struct turns *t, const struct config *c, size_t model,
		 const struct target *target)
{
	int priority = c->models[model].priority + target->priority;

	if (!t->by_priority)
		return 0;
	return (int64_t)t->place[model] * WITHIN_MODEL + 2 * PRIORITY_MAX - priority;
}
