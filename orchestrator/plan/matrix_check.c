/* orchestrator/plan/matrix_check.c -- what can be known wrong of a matrix before any
 * model is looked at: names that nobody has, values no engine takes, patterns
 * that meet nothing. A point that only this combination makes illegal is no
 * fault of the file: the matrix flags it. */
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/config/rung_name.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/plan/matrix.h"

#define TEXT_MAX 800 /* bytes of a list of names in a message; what goes beyond is left out */

struct names {
	const char **v;
	size_t n;
};

static const char *listed(struct arena *a, const struct names *l)
{
	const char *text;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < l->n; i++)
		(void)buf_addf(&b, "%s%s", i ? ", " : "", l->v[i]);
	text = arena_strdup(a, l->n ? buf_str(&b) : "none");
	buf_release(&b);
	return text;
}

static int is_among(const struct names *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i], name) == 0)
			return 1;
	}
	return 0;
}

/* "WHAT "NAME"; did you mean ...?", or "; there is: ..." */
static void unknown_name(struct faults *f, struct mark at, const char *what, const char *name,
			 const struct names *known)
{
	const char *near = nearest_name(name, known->v, known->n);

	if (near)
		faults_add(f, at, "%s \"%.60s\"; did you mean \"%s\"?", what, name, near);
	else
		faults_add(f, at, "%s \"%.60s\"; there is: %s", what, name, listed(f->a, known));
}

static struct names new_names(struct faults *f, size_t n)
{
	return (struct names){ arena_array(f->a, n + 1, sizeof(const char *)), 0 };
}

/* ---- targets */

static const struct engine *check_engine(const struct target *t, const struct engines *es,
					 struct faults *f)
{
	const struct engine *en = engine_find(es, t->engine);
	struct names known = new_names(f, es->n);
	const char *near;

	if (en)
		return en;
	for (size_t i = 0; i < es->n; i++)
		known.v[known.n++] = es->v[i].name;
	near = nearest_name(t->engine, known.v, known.n);
	faults_add(f, t->engine_at, "engine %.60s is not installed; %s%s%s%s", t->engine,
		   near ? "did you mean \"" : "", near ? near : "",
		   near ? "\"? installed: " : "installed: ", listed(f->a, &known));
	return NULL;
}

/* A quant that no platform knows is a slip of the pen. */
static void check_quants(const struct target *t, const struct engine *en, struct faults *f)
{
	struct names known = new_names(f, en->n_quants + 1);

	for (size_t i = 0; i < en->n_quants; i++)
		known.v[known.n++] = en->quants[i].name;
	if (en->renew_quant)
		known.v[known.n++] = en->renew_quant;
	for (size_t k = 0; k < t->quant.n; k++) {
		if (!is_among(&known, t->quant.v[k]))
			unknown_name(f, t->quant.at[k],
				     arena_printf(f->a, "engine %s has no quant", en->name),
				     t->quant.v[k], &known);
	}
}

/* Finished files say themselves what they are for. */
static int only_renews(const struct target *t, const struct engine *en)
{
	for (size_t k = 0; k < t->quant.n; k++) {
		if (!en->renew_quant || strcmp(t->quant.v[k], en->renew_quant) != 0)
			return 0;
	}
	return t->quant.n > 0;
}

static void check_platforms(const struct target *t, const struct engine *en, struct faults *f)
{
	const struct names known = { en->platforms, en->n_platforms };

	if (!en->n_platforms && t->platform.n && !t->platform_is_default)
		faults_add(f, t->platform.at[0], "engine %s has no platforms; remove `platform`",
			   en->name);
	if (en->n_platforms && !t->platform.n && !only_renews(t, en))
		faults_add(f, t->at, "engine %s without `platform`; there is: %s", en->name,
			   listed(f->a, &known));
	for (size_t k = 0; en->n_platforms && k < t->platform.n; k++) {
		if (!is_among(&known, t->platform.v[k]))
			unknown_name(f, t->platform.at[k],
				     arena_printf(f->a, "engine %s has no platform", en->name),
				     t->platform.v[k], &known);
	}
}

static void check_with(const struct target *t, const struct engine *en, struct faults *f)
{
	struct names known = new_names(f, en->n_params);
	char note[RULE_NOTE_MAX];

	for (size_t i = 0; i < en->n_params; i++)
		known.v[known.n++] = en->params[i].name;
	for (size_t k = 0; k < t->n_with; k++) {
		const struct engine_param *p = engine_find_param(en, t->with[k].name);
		struct err why = ERR_INIT;

		if (!p)
			unknown_name(f, t->with[k].name_at,
				     arena_printf(f->a, "engine %s has no parameter", en->name),
				     t->with[k].name, &known);
		else if (engine_check_value(f->a, p, t->with[k].value, &why) < 0)
			faults_add(f, t->with[k].at, "%s%s", why.msg,
				   engine_rule_note(en, "range", p->name, note));
	}
}

/* ---- patterns that meet nothing */

static int meets(const struct string_list *globs, const char *name)
{
	for (size_t i = 0; i < globs->n; i++) {
		if (glob_match(globs->v[i], name))
			return 1;
	}
	return globs->n == 0;
}

static int meets_any(const struct string_list *globs, const struct string_list *names)
{
	if (globs->n == 0 || names->n == 0)
		return meets(globs, "");
	for (size_t i = 0; i < names->n; i++) {
		if (meets(globs, names->v[i]))
			return 1;
	}
	return 0;
}

static int share_number(const struct number_list *a, const struct number_list *b)
{
	for (size_t i = 0; i < a->n; i++) {
		for (size_t k = 0; k < b->n; k++) {
			if (a->v[i] == b->v[k])
				return 1;
		}
	}
	return a->n == 0;
}

static int share_int(const struct int_list *a, const struct int_list *b)
{
	for (size_t i = 0; i < a->n; i++) {
		for (size_t k = 0; k < b->n; k++) {
			if (a->v[i] == b->v[k])
				return 1;
		}
	}
	return a->n == 0;
}

static void check_models(const struct config *c, const struct string_list *globs, struct faults *f)
{
	struct names known = new_names(f, c->n_models);

	for (size_t i = 0; globs->n && i < c->n_models; i++)
		known.v[known.n++] = c->models[i].name;
	for (size_t k = 0; k < globs->n; k++) {
		int met = 0;

		for (size_t i = 0; i < known.n && !met; i++)
			met = glob_match(globs->v[k], known.v[i]);
		if (!met)
			unknown_name(f, globs->at[k], "no model is named", globs->v[k], &known);
	}
}

/* A target is a product: a pattern meets it when it meets each of its lists. */
static int meets_target(const struct pattern *p, const struct target *t)
{
	return meets(&p->engine, t->engine) && meets_any(&p->quant, &t->quant) &&
	       meets_any(&p->platform, &t->platform) && share_number(&p->hybrid, &t->hybrid) &&
	       share_int(&p->opt, &t->opt);
}

static void check_exclusion(const struct config *c, const struct pattern *p, struct faults *f)
{
	check_models(c, &p->model, f);
	for (size_t i = 0; i < c->n_targets; i++) {
		if (meets_target(p, &c->targets[i]))
			return;
	}
	faults_add(f, p->at, "an exclusion that meets no target; correct its values, or remove it");
}

/* ---- measurements that are for nothing */

static const struct target *entry(const struct config *c, size_t i)
{
	return i < c->n_targets ? &c->targets[i] : &c->include[i - c->n_targets];
}

static size_t n_entries(const struct config *c)
{
	return c->n_targets + c->n_include;
}

enum listed_as { AS_ENGINE, AS_QUANT, AS_PLATFORM };

/* All that stand in targets and include. */
static struct names names_of(const struct config *c, enum listed_as what, struct faults *f)
{
	size_t most = 0;
	struct names out;

	for (size_t i = 0; i < n_entries(c); i++)
		most += 1 + entry(c, i)->quant.n + entry(c, i)->platform.n;
	out = new_names(f, most);
	for (size_t i = 0; i < n_entries(c); i++) {
		const struct target *t = entry(c, i);
		const struct string_list *l = what == AS_QUANT ? &t->quant : &t->platform;

		if (what == AS_ENGINE && t->engine && !is_among(&out, t->engine))
			out.v[out.n++] = t->engine;
		for (size_t k = 0; what != AS_ENGINE && k < l->n; k++) {
			if (!is_among(&out, l->v[k]))
				out.v[out.n++] = l->v[k];
		}
	}
	return out;
}

/* Of one list of `when`: 1 when each of its values meets something. */
static int check_values(const struct config *c, enum listed_as what,
			const struct string_list *globs, struct faults *f)
{
	static const char *const says[] = { "no target has the engine", "no target has the quant",
					    "no target has the platform" };
	struct names known = names_of(c, what, f);
	int good = 1;

	for (size_t k = 0; k < globs->n; k++) {
		int met = strcmp(globs->v[k], "*") == 0;

		for (size_t i = 0; i < known.n && !met; i++)
			met = glob_match(globs->v[k], known.v[i]);
		if (!met)
			unknown_name(f, globs->at[k], says[what], globs->v[k], &known);
		good &= met;
	}
	return good;
}

static int is_for_target(const struct measure_stage *st, const struct target *t)
{
	const char *board = st->where.kind == MEASURE_BOARD ? st->where.board.platform : NULL;
	const struct names platforms = { t->platform.v, t->platform.n };

	return t->engine && meets_target(&st->when, t) && (!board || is_among(&platforms, board));
}

/* It would measure nothing, every night, and say nothing. */
static void check_measurement(const struct config *c, const struct measure_stage *st,
			      struct faults *f)
{
	const struct pattern *p = &st->when;
	const int restricted = p->at.line > 0,
		  board = st->where.kind == MEASURE_BOARD && st->where.board.platform != NULL;
	int good;

	check_models(c, &p->model, f);
	good = check_values(c, AS_ENGINE, &p->engine, f);
	good &= check_values(c, AS_QUANT, &p->quant, f);
	good &= check_values(c, AS_PLATFORM, &p->platform, f);
	for (size_t i = 0; i < n_entries(c); i++) {
		if (is_for_target(st, entry(c, i)))
			return;
	}
	if (good && board && !restricted)
		faults_add(f, st->at,
			   "a board of platform \"%.60s\", and no target is for that; correct "
			   "`platform`, or remove the measurement",
			   st->where.board.platform);
	else if (good)
		faults_add(f, restricted ? p->at : st->at,
			   "a measurement that meets no target; correct its `when`%s, or remove it",
			   board ? " or the board's `platform`" : "");
}

/* ---- the whole */

static void check_entry(const struct config *c, const struct engines *es, const struct target *t,
			int whole, struct faults *f)
{
	const struct engine *en = t->engine ? check_engine(t, es, f) : NULL;

	if (whole)
		check_models(c, &t->models, f);
	if (!en)
		return;
	check_quants(t, en, f);
	check_platforms(t, en, f);
	check_with(t, en, f);
}

/* Rungs of retry.causes are those of every engine, or of one that the matrix uses. */
static void check_rungs(const struct config *c, const struct engines *es, struct faults *f)
{
	struct names known = new_names(f, 8 + 32 * es->n);

	known.v[known.n++] = "alone";
	known.v[known.n++] = "environment";
	known.v[known.n++] = "memory x2";
	known.v[known.n++] = "time x2";
	for (size_t i = 0; i < n_entries(c); i++) {
		const struct target *t = entry(c, i);
		const struct engine *en = t->engine ? engine_find(es, t->engine) : NULL;

		for (size_t k = 0; en && k < en->n_rungs; k++) {
			if (!is_among(&known, en->rungs[k].name))
				known.v[known.n++] = en->rungs[k].name;
		}
	}
	for (size_t i = 0; i < c->retry.n_rules; i++) {
		const struct string_list *l = &c->retry.rules[i].ladder;

		for (size_t k = 0; k < l->n; k++) {
			if (rung_kind(l->v[k], NULL) == RUNG_NONE && !is_among(&known, l->v[k]))
				unknown_name(f, l->at[k], "there is no rung", l->v[k], &known);
		}
	}
}

void matrix_check(const struct config *c, const struct engines *es, struct faults *f)
{
	/* Of a faulty file, names and exclusions may miss what could not be read: say only what is
	 * wrong by itself. */
	const int whole = f->n == 0;

	for (size_t i = 0; i < c->n_targets; i++)
		check_entry(c, es, &c->targets[i], whole, f);
	for (size_t i = 0; i < c->n_include; i++)
		check_entry(c, es, &c->include[i], whole, f);
	for (size_t i = 0; whole && i < c->n_exclude; i++)
		check_exclusion(c, &c->exclude[i], f);
	for (size_t i = 0; whole && i < c->n_measure; i++)
		check_measurement(c, &c->measure[i], f);
	check_rungs(c, es, f);
}
