/* orchestrator/engine/engine_manifest_values.c -- what a manifest says of platforms,
 * architectures and parameters: names, their legal values, and since which
 * version of the engine's toolkit each is there. */
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "orchestrator/engine/engine_private.h"

/* ---- names with a first version */

void manifest_read_dated(struct reader *r, const struct ynode *v, const char ***names, size_t *n,
			 const char ***since)
{
	struct string_list list = { 0 };

	if (v->type != YNODE_MAP) {
		read_strings(r, v, &list);
		*names = list.v;
		*n = list.n;
		return;
	}
	*names = arena_array(r->a, v->n + 1, sizeof(**names));
	*since = arena_array(r->a, v->n + 1, sizeof(**since));
	*n = v->n;
	for (size_t i = 0; i < v->n; i++) {
		(*names)[i] = v->entries[i].key;
		if (v->entries[i].value->type != YNODE_SCALAR || v->entries[i].value->text[0])
			manifest_read_since(r, v->entries[i].value, &(*since)[i]);
	}
}

/* ---- architectures, platforms */

void manifest_read_architectures(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	const struct manifest_words words = { &en->architectures, &en->n_architectures, NULL, 0 };

	if (v->type == YNODE_MAP)
		manifest_read_dated(r, v, &en->architectures, &en->n_architectures,
				    &en->architectures_since);
	else
		manifest_read_words(r, v, (void *)&words);
}

static void read_platform_values(struct reader *r, const struct ynode *v, void *target)
{
	struct engine_platform *p = target;

	if (v->type != YNODE_MAP) {
		read_wrong(r, v, "a map of parameters to their legal values");
		return;
	}
	p->values = arena_array(r->a, v->n + 1, sizeof(*p->values));
	for (size_t i = 0; i < v->n; i++) {
		struct string_list list = { 0 };

		read_strings(r, v->entries[i].value, &list);
		p->values[p->n_values++] =
			(struct engine_platform_values){ v->entries[i].key, list.v, list.n };
	}
}

void manifest_read_platforms(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	const struct manifest_words words = { &en->platforms, &en->n_platforms, NULL, 0 };

	if (v->type != YNODE_MAP) {
		manifest_read_words(r, v, (void *)&words);
		return;
	}
	en->platforms = arena_array(r->a, v->n + 1, sizeof(*en->platforms));
	en->platform_facts = arena_array(r->a, v->n + 1, sizeof(*en->platform_facts));
	en->n_platforms = v->n;
	for (size_t i = 0; i < v->n; i++) {
		struct engine_platform *p = &en->platform_facts[i];
		const struct key keys[] = {
			{ "since", manifest_read_since, &p->since },
			{ "values", read_platform_values, p },
		};

		en->platforms[i] = v->entries[i].key;
		if (!read_word_ok(v->entries[i].key))
			faults_add(r->f, v->entries[i].at, "the platform \"%.60s\"; %s is wanted",
				   v->entries[i].key, manifest_a_word);
		read_map(r, v->entries[i].value, "a platform", keys, ARRAY_LEN(keys));
	}
}

/* ---- parameters */

static const char *const types[] = { "integer", "number", "string", "boolean", "object", "file" };

static int is_type(const char *s)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(types[i], s) == 0)
			return 1;
	}
	return 0;
}

static void read_type(struct reader *r, const struct ynode *v, void *target)
{
	if (v->type == YNODE_SCALAR && is_type(v->text))
		*(const char **)target = v->text;
	else
		read_wrong(r, v, "integer, number, string, boolean, object or file");
}

static void read_any_number(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_number(r, v, -1e300, 1e300, target);
}

static void read_default(struct reader *r, const struct ynode *v, void *target)
{
	const char *value = ynode_canonical(r->a, v);

	if (value)
		*(const char **)target = value;
	else
		read_wrong(r, v, "less than 1 MiB");
}

static void read_multiple(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 1 << 30, target);
}

static void read_values_from(struct reader *r, const struct ynode *v, void *target)
{
	if (v->type == YNODE_SCALAR && strcmp(v->text, "platform") == 0)
		*(int *)target = 1;
	else
		read_wrong(r, v, "platform");
}

static void read_values(struct reader *r, const struct ynode *v, void *target)
{
	struct engine_param *p = target;

	manifest_read_dated(r, v, &p->values, &p->n_values, &p->values_since);
}

static void read_param(struct reader *r, const struct yentry *entry, struct engine_param *p)
{
	const struct key keys[] = {
		{ "type", read_type, &p->type },
		{ "help", manifest_read_prose, &p->help },
		{ "default", read_default, &p->dflt },
		{ "min", read_any_number, &p->min },
		{ "max", read_any_number, &p->max },
		{ "values", read_values, p },
		{ "since", manifest_read_since, &p->since },
		{ "multiple_of", read_multiple, &p->multiple_of },
		{ "values_from", read_values_from, &p->by_platform },
		{ "in_model", read_flag, &p->in_model },
		{ "affects_output", read_flag, &p->affects_output },
	};
	const struct ynode *v = entry->value;
	struct err why = ERR_INIT;

	p->name = entry->key;
	p->help = "";
	p->min = -INFINITY;
	p->max = INFINITY;
	p->affects_output = 1;
	read_map(r, v, "a parameter", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP && !read_has(v, "type"))
		faults_add(r->f, v->at,
			   "the parameter \"%.60s\" without `type`; it is integer, number, "
			   "string, boolean, object or file",
			   p->name);
	if (p->type && p->multiple_of && strcmp(p->type, "integer") != 0)
		faults_add(r->f, v->at, "multiple_of of \"%.60s\"; only an integer has one",
			   p->name);
	if (p->type && p->in_model && strcmp(p->type, "file") != 0)
		faults_add(r->f, v->at, "in_model of \"%.60s\"; only a file can be in the model",
			   p->name);
	if (p->type && p->dflt && engine_check_value(r->a, p, p->dflt, &why) < 0)
		faults_add(r->f, ynode_get(v, "default")->at, "the default of %s", why.msg);
	if (!p->type)
		p->type = types[0]; /* a fault was said */
}

void manifest_read_params(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	size_t n_files = 0;

	if (v->type != YNODE_MAP) {
		read_wrong(r, v, "a map of parameters");
		return;
	}
	en->params = arena_array(r->a, v->n + 1, sizeof(*en->params));
	en->n_params = v->n;
	for (size_t i = 0; i < v->n; i++) {
		read_param(r, &v->entries[i], &en->params[i]);
		n_files += strcmp(en->params[i].type, "file") == 0;
	}
	if (n_files > ENGINE_FILES_MAX)
		faults_add(r->f, v->at, "%zu parameters of the type file; %d are possible", n_files,
			   ENGINE_FILES_MAX);
}
