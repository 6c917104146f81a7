/* orchestrator/engine/engine_manifest_rules.c -- the rules of a manifest: conditions over
 * points, and the numbers of the checks that quern has. */
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/engine/version.h"

const char *const engine_checks[] = { "quant",	      "since",
				      "value_since",  "platform_values",
				      "hybrid",	      "same",
				      "opt",	      "range",
				      "group",	      "source_quantization",
				      "auto_map",     "architecture",
				      "calibration",  "room",
				      "gguf_tensors", "path" };
const size_t n_engine_checks = ARRAY_LEN(engine_checks);

/* ---- conditions */

static void read_comparisons(struct reader *r, const struct ynode *v, struct string_list *l,
			     int is_version)
{
	size_t kept = 0;

	read_strings(r, v, l);
	for (size_t i = 0; i < l->n; i++) {
		if (comparison_holds(l->v[i], "0", is_version) >= 0) {
			l->v[kept++] = l->v[i];
			continue;
		}
		faults_add(r->f, l->at[i], "%s is \"%.60s\"; a comparison like \"%s\" is wanted",
			   r->key, l->v[i], is_version ? ">=1.2.0 <1.3.0" : ">0");
	}
	l->n = kept;
}

static void read_numbers(struct reader *r, const struct ynode *v, void *target)
{
	read_comparisons(r, v, target, 0);
}

static void read_versions(struct reader *r, const struct ynode *v, void *target)
{
	read_comparisons(r, v, target, 1);
}

static void read_source(struct reader *r, const struct ynode *v, void *target)
{
	struct engine_when *w = target;
	const struct key keys[] = {
		{ "format", read_strings, &w->source_format },
		{ "quantization", read_strings, &w->source_quantization },
		{ "architecture", read_strings, &w->source_architecture },
	};

	read_map(r, v, "source", keys, ARRAY_LEN(keys));
}

static void read_with(struct reader *r, const struct ynode *v, void *target)
{
	struct engine_when *w = target;

	if (v->type != YNODE_MAP) {
		read_wrong(r, v, "a map of parameters to values");
		return;
	}
	w->with = arena_array(r->a, v->n + 1, sizeof(*w->with));
	for (size_t i = 0; i < v->n; i++) {
		struct engine_when_with *to = &w->with[w->n_with++];

		to->name = v->entries[i].key;
		read_strings(r, v->entries[i].value, &to->value);
	}
}

static void read_when(struct reader *r, const struct ynode *v, void *target)
{
	struct engine_when *w = target;
	const struct key keys[] = {
		{ "platform", read_strings, &w->platform },
		{ "quant", read_strings, &w->quant },
		{ "hybrid", read_numbers, &w->hybrid },
		{ "opt", read_numbers, &w->opt },
		{ "environment", read_versions, &w->environment },
		{ "source", read_source, w },
		{ "with", read_with, w },
		{ "without", read_strings, &w->without },
		{ "lora", read_flag, &w->lora },
		{ "gpu", read_flag, &w->gpu },
	};

	w->lora = w->gpu = -1;
	read_map(r, v, "a condition", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP && v->n == 0)
		faults_add(r->f, v->at, "a condition of nothing; say when the rule holds");
}

/* ---- rules */

static void read_number_of(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 9999, target);
}

static void read_check(struct reader *r, const struct ynode *v, void *target)
{
	const char *want = engine_checks[0];

	for (size_t i = 0; v->type == YNODE_SCALAR && i < n_engine_checks; i++) {
		if (strcmp(v->text, engine_checks[i]) == 0) {
			*(const char **)target = engine_checks[i];
			return;
		}
	}
	for (size_t i = 1; i < n_engine_checks; i++)
		want = arena_printf(r->a, "%s, %s", want, engine_checks[i]);
	read_wrong(r, v, arena_printf(r->a, "one of %s", want));
}

static void read_group(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 1 << 20, target);
}

static void read_accepts(struct reader *r, const struct ynode *v, void *target)
{
	struct engine_rule *rule = target;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, "a list like [{form: gptq-4bit, group: 128, quant: w4a16_g128}]");
		return;
	}
	rule->accepts = arena_array(r->a, v->n + 1, sizeof(*rule->accepts));
	rule->n_accepts = v->n;
	for (size_t i = 0; i < v->n; i++) {
		struct engine_accept *to = &rule->accepts[i];
		const struct key keys[] = {
			{ "form", manifest_read_word, &to->form },
			{ "group", read_group, &to->group },
			{ "quant", manifest_read_word, &to->quant },
			{ "since", manifest_read_since, &to->since },
			{ "symmetric", read_flag, &to->symmetric },
			{ "desc_act", read_flag, &to->desc_act },
		};

		*to = (struct engine_accept){ .form = "", .symmetric = -1, .desc_act = -1 };
		read_map(r, v->items[i], "an accepted source", keys, ARRAY_LEN(keys));
		if (!to->form[0] || !to->group || !to->quant)
			faults_add(r->f, v->items[i]->at,
				   "an accepted source has `form`, `group` and `quant`; write all");
	}
}

/* A line is either a check with its number or a condition with one consequence. */
static void check_form(struct reader *r, const struct ynode *v)
{
	int conditional = read_has(v, "when") + read_has(v, "refuse") + read_has(v, "warn") +
			  read_has(v, "instead") + read_has(v, "can_allow");

	if (read_has(v, "check")) {
		if (conditional)
			faults_add(r->f, v->at,
				   "a rule with `check` has no condition; make two rules of it");
	} else if (!read_has(v, "when")) {
		faults_add(r->f, v->at, "a rule without `when` and without `check`; write one");
	} else if (read_has(v, "refuse") + read_has(v, "warn") != 1) {
		faults_add(r->f, v->at, "a rule has `refuse` or `warn`; write one of them");
	}
	if (read_has(v, "parameter") && !read_has(v, "check"))
		faults_add(r->f, v->at, "`parameter` belongs to a `check`; a condition has `with`");
}

static void read_rule(struct reader *r, const struct ynode *v, struct engine_rule *rule)
{
	const struct key keys[] = {
		{ "rule", read_number_of, &rule->number },
		{ "check", read_check, &rule->check },
		{ "parameter", manifest_read_word, &rule->parameter },
		{ "when", read_when, &rule->when },
		{ "refuse", read_text, &rule->refuse },
		{ "warn", read_text, &rule->warn },
		{ "instead", read_text, &rule->instead },
		{ "can_allow", read_flag, &rule->can_allow },
		{ "types", read_strings, &rule->types },
		{ "accepts", read_accepts, rule },
	};

	read_map(r, v, "a rule", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP)
		check_form(r, v);
}

void manifest_read_rules(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, "a list of rules");
		return;
	}
	en->rules = arena_array(r->a, v->n + 1, sizeof(*en->rules));
	en->n_rules = v->n;
	for (size_t i = 0; i < v->n; i++)
		read_rule(r, v->items[i], &en->rules[i]);
}

static void read_by(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_number(r, v, 0, 100, target);
}

void manifest_read_factors(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, "a list like [{when: {lora: true}, by: 1.25}]");
		return;
	}
	en->mem_factors = arena_array(r->a, v->n + 1, sizeof(*en->mem_factors));
	en->n_mem_factors = v->n;
	for (size_t i = 0; i < v->n; i++) {
		struct engine_factor *f = &en->mem_factors[i];
		const struct key keys[] = {
			{ "when", read_when, &f->when },
			{ "by", read_by, &f->by },
		};

		f->by = 1;
		f->when.lora = f->when.gpu = -1;
		read_map(r, v->items[i], "a factor", keys, ARRAY_LEN(keys));
	}
}

/* ---- names */

static int meets_one(const char *glob, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (glob_match(glob, v[i]))
			return 1;
	}
	return 0;
}

static void check_globs(struct reader *r, const struct string_list *globs, const char *what,
			const char *const *v, size_t n)
{
	for (size_t i = 0; i < globs->n; i++) {
		if (!meets_one(globs->v[i], v, n))
			faults_add(r->f, globs->at[i],
				   "a condition on the %s \"%.60s\", which this manifest does not "
				   "have; correct it",
				   what, globs->v[i]);
	}
}

static void check_param(struct reader *r, struct mark at, const struct engine *en, const char *name)
{
	if (!engine_find_param(en, name))
		faults_add(r->f, at,
			   "the parameter \"%.60s\" is not in `parameters`; add it there, or "
			   "correct the name",
			   name);
}

static void check_when(struct reader *r, struct mark at, const struct engine *en,
		       const struct engine_when *w, const char *const *quants)
{
	check_globs(r, &w->platform, "platform", en->platforms, en->n_platforms);
	check_globs(r, &w->quant, "quant", quants, en->n_quants);
	for (size_t i = 0; i < w->n_with; i++)
		check_param(r, at, en, w->with[i].name);
	for (size_t i = 0; i < w->without.n; i++)
		check_param(r, w->without.at[i], en, w->without.v[i]);
	if (w->environment.n && !en->package)
		faults_add(r->f, at,
			   "a condition on the environment of an engine without `environments`; "
			   "remove it");
}

void manifest_check_rules(struct reader *r, const struct ynode *root, const struct engine *en)
{
	const char **quants = arena_array(r->a, en->n_quants + 1, sizeof(*quants));
	const struct ynode *rules = ynode_get(root, "rules"), *memory = ynode_get(root, "memory");

	for (size_t i = 0; i < en->n_quants; i++)
		quants[i] = en->quants[i].name;
	for (size_t i = 0; i < en->n_rules; i++) {
		check_when(r, rules->items[i]->at, en, &en->rules[i].when, quants);
		if (en->rules[i].parameter)
			check_param(r, rules->items[i]->at, en, en->rules[i].parameter);
	}
	for (size_t i = 0; i < en->n_mem_factors; i++)
		check_when(r, memory->at, en, &en->mem_factors[i].when, quants);
	if (en->per_weight.by)
		check_param(r, memory->at, en, en->per_weight.by);
	if (en->out_bits.by)
		check_param(r, ynode_get(root, "output")->at, en, en->out_bits.by);
	for (size_t i = 0; en->platform_facts && i < en->n_platforms; i++) {
		for (size_t k = 0; k < en->platform_facts[i].n_values; k++)
			check_param(r,
				    ynode_entry(ynode_get(root, "platforms"), en->platforms[i])->at,
				    en, en->platform_facts[i].values[k].param);
	}
}
