/* orchestrator/engine/engine_manifest_causes.c -- `causes` and `ladder` of a manifest: what
 * lines of a log tell, and what is tried after which cause. */
#include <string.h>

#include "core/mem.h"
#include "orchestrator/config/rung_name.h"
#include "orchestrator/engine/engine_private.h"

/* What matching may cost: each byte of a log meets each byte of a pattern. */
#define PATTERNS_MAX 64
#define PATTERN_BYTES_MAX 4096 /* altogether */
#define RUNGS_MAX 32	       /* of one manifest */

const struct engine_rung *engine_find_rung(const struct engine *en, const char *name)
{
	for (size_t i = 0; i < en->n_rungs; i++) {
		if (strcmp(en->rungs[i].name, name) == 0)
			return &en->rungs[i];
	}
	return NULL;
}

const struct engine_ladder *engine_ladder_of(const struct engine *en, const struct cause *cause)
{
	for (size_t i = 0; i < en->n_ladders; i++) {
		if (en->ladders[i].cause == cause)
			return &en->ladders[i];
	}
	return NULL;
}

/* ---- causes */

static void say_unknown(struct reader *r, struct mark at, const char *word)
{
	const char *near = cause_nearest(word);

	if (near)
		faults_add(r->f, at, "there is no cause \"%.60s\"; did you mean \"%s\"?", word,
			   near);
	else
		faults_add(r->f, at, "there is no cause \"%.60s\"; docs/causes.md lists them",
			   word);
}

static void read_cause(struct reader *r, const struct ynode *v, void *target)
{
	const struct cause *c = v->type == YNODE_SCALAR ? cause_find(v->text) : NULL;

	if (v->type != YNODE_SCALAR)
		read_wrong(r, v, "a cause like \"out of memory\"");
	else if (!c)
		say_unknown(r, v->at, v->text);
	else if (!c->told)
		faults_add(r->f, v->at,
			   "the cause \"%s\" is quern's own to find; name one that a worker may "
			   "tell (docs/causes.md)",
			   c->name);
	else
		*(const struct cause **)target = c;
}

static void check_size(struct reader *r, const struct ynode *v, const struct engine *en)
{
	size_t n = 0, bytes = 0;

	for (size_t i = 0; i < en->n_causes; i++) {
		for (size_t k = 0; k < en->causes[i].match.n; k++, n++)
			bytes += strlen(en->causes[i].match.v[k]);
	}
	if (n > PATTERNS_MAX || bytes > PATTERN_BYTES_MAX)
		faults_add(r->f, v->at,
			   "causes with %zu patterns of %zu bytes; at most %d of %d bytes "
			   "altogether are looked for",
			   n, bytes, PATTERNS_MAX, PATTERN_BYTES_MAX);
}

void manifest_read_causes(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, "a list like [{match: \"*CUDA out of memory*\", cause: oom}]");
		return;
	}
	en->causes = arena_array(r->a, v->n + 1, sizeof(*en->causes));
	for (size_t i = 0; i < v->n; i++) {
		struct engine_cause *c = &en->causes[en->n_causes];
		const struct key keys[] = {
			{ "match", read_strings, &c->match },
			{ "cause", read_cause, (void *)&c->cause },
		};

		read_map(r, v->items[i], "a cause", keys, ARRAY_LEN(keys));
		if (v->items[i]->type == YNODE_MAP &&
		    !(read_has(v->items[i], "match") && read_has(v->items[i], "cause")))
			faults_add(r->f, v->items[i]->at,
				   "a cause without `match` or `cause`; write both");
		en->n_causes += c->cause && c->match.n; /* else a fault was said */
	}
	check_size(r, v, en);
}

/* ---- ladder */

static void read_set(struct reader *r, const struct ynode *v, void *target)
{
	struct engine_rung *rung = target;

	if (v->type != YNODE_MAP || v->n == 0) {
		read_wrong(r, v, "a map of parameters to values");
		return;
	}
	rung->with = arena_array(r->a, v->n, sizeof(*rung->with));
	for (size_t i = 0; i < v->n; i++) {
		const char *value = ynode_canonical(r->a, v->entries[i].value);

		rung->with[rung->n_with++] = (struct param){ .name = v->entries[i].key,
							     .value = value ? value : "null",
							     .at = v->entries[i].value->at,
							     .name_at = v->entries[i].at };
	}
}

/* A rung of the engine's own; its name, or NULL after a fault. */
static const char *read_own_rung(struct reader *r, const struct ynode *v, struct engine *en)
{
	struct engine_rung rung = { .at = v->at };
	const struct key keys[] = {
		{ "name", manifest_read_word, &rung.name },
		{ "with", read_set, &rung },
	};

	read_map(r, v, "a rung", keys, ARRAY_LEN(keys));
	if (!rung.name || !rung.n_with) {
		if (!read_has(v, "name") || !read_has(v, "with"))
			faults_add(r->f, v->at, "a rung without `name` or `with`; write both");
		return NULL;
	}
	if (rung_kind(rung.name, NULL) != RUNG_NONE || engine_find_rung(en, rung.name)) {
		faults_add(r->f, v->at,
			   "there is a rung \"%s\" already; give this one another name, or write "
			   "the name alone where the same is meant",
			   rung.name);
		return NULL;
	}
	if (en->n_rungs == RUNGS_MAX) {
		faults_add(r->f, v->at, "more than %d rungs; write fewer", RUNGS_MAX);
		return NULL;
	}
	en->rungs[en->n_rungs++] = rung;
	return rung.name;
}

static void read_one_ladder(struct reader *r, const struct yentry *entry, struct engine *en)
{
	struct engine_ladder *l = &en->ladders[en->n_ladders];
	const struct ynode *v = entry->value;
	struct ynode *const *items;
	size_t n;

	l->cause = cause_find(entry->key);
	if (!l->cause) {
		say_unknown(r, entry->at, entry->key);
		return;
	}
	if (v->type != YNODE_LIST || v->n == 0) {
		read_wrong(r, v, "a list of rungs like [alone, memory x2]");
		return;
	}
	n = read_items(r, &v, &items);
	l->rungs = (struct string_list){ arena_array(r->a, n, sizeof(*l->rungs.v)), 0,
					 arena_array(r->a, n, sizeof(*l->rungs.at)) };
	for (size_t i = 0; i < n; i++) {
		const char *name = items[i]->type == YNODE_MAP ? read_own_rung(r, items[i], en)
							       : items[i]->text;

		if (items[i]->type == YNODE_LIST)
			read_wrong(r, items[i], "a rung");
		else if (name) {
			l->rungs.at[l->rungs.n] = items[i]->at;
			l->rungs.v[l->rungs.n++] = name;
		}
	}
	en->n_ladders++;
}

void manifest_read_ladder(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (v->type != YNODE_MAP) {
		read_wrong(r, v, "a map of causes to rungs, like {out of memory: [alone]},");
		return;
	}
	en->ladders = arena_array(r->a, v->n + 1, sizeof(*en->ladders));
	en->rungs = arena_array(r->a, RUNGS_MAX, sizeof(*en->rungs));
	for (size_t i = 0; i < v->n; i++)
		read_one_ladder(r, &v->entries[i], en);
}

static void check_rung(struct reader *r, const struct engine *en, const struct engine_rung *rung)
{
	for (size_t i = 0; i < rung->n_with; i++) {
		const struct engine_param *p = engine_find_param(en, rung->with[i].name);
		struct err e = ERR_INIT;

		if (!p)
			faults_add(r->f, rung->with[i].name_at,
				   "the parameter \"%.60s\" is not in `parameters`; add it there, "
				   "or correct the name",
				   rung->with[i].name);
		else if (strcmp(p->type, "file") == 0)
			faults_add(r->f, rung->with[i].name_at, "a rung sets no files; %s is one",
				   p->name);
		else if (engine_check_value(r->a, p, rung->with[i].value, &e) < 0)
			faults_add(r->f, rung->with[i].at, "%s", e.msg);
	}
}

void manifest_check_ladder(struct reader *r, const struct ynode *root, const struct engine *en)
{
	(void)root;
	for (size_t i = 0; i < en->n_rungs; i++)
		check_rung(r, en, &en->rungs[i]);
	for (size_t i = 0; i < en->n_ladders; i++) {
		const struct string_list *l = &en->ladders[i].rungs;

		for (size_t k = 0; k < l->n; k++) {
			enum rung_kind kind = rung_kind(l->v[k], NULL);

			if (kind == RUNG_ENVIRONMENT && !en->package)
				faults_add(r->f, l->at[k],
					   "the rung environment of an engine without "
					   "`environments`; remove it");
			else if (kind == RUNG_NONE && !engine_find_rung(en, l->v[k]))
				faults_add(r->f, l->at[k],
					   "there is no rung \"%.60s\"; it is alone, environment, "
					   "memory xN, time xN, or one written {name, with}",
					   l->v[k]);
		}
	}
}
