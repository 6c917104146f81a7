#include "orchestrator/plan/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/engine/engine_private.h"

/* A list of strings in two orders: the file's, which is walked, and sorted, which is looked up. */
struct strings {
	const char **v, **sorted;
	uint8_t *again; /* v[i] stands earlier in v */
	size_t n;
};

struct numbers {
	double *v, *sorted;
	uint8_t *again;
	size_t n;
};

/* One entry of targets or include, with what is worked out once. */
struct entry {
	const struct target *t;
	const struct engine *engine;
	const char *with;   /* canonical, for the key */
	const char *passed; /* the same with what is outside the key, for the worker */
	struct strings platform, quant;
	struct numbers hybrid;
	uint8_t *opt_again;
	uint32_t opts;	 /* bit N: opt N is in it */
	uint64_t quants; /* Bloom filter of quant */
	size_t rival;	 /* the entry before it with the same engine and parameters, or NONE */
	int included;	 /* from include: exclusions do not touch it */
};

#define NONE SIZE_MAX
#define WITH_MAX (4u << 20) /* bytes; config lets 1 MiB through */

struct matrix {
	const struct config *c;
	const struct engines *es;
	struct arena *a;
	struct arena *text; /* of the current point */
	const char *only;
	struct entry *entries;
	size_t n;
	size_t model, entry, platform, quant, hybrid, opt;
	size_t given; /* model of the last point */
	uint64_t excluded;
};

/* ---- parameters of the key */

static int param_by_name(const void *x, const void *y)
{
	const struct param *const *a = x, *const *b = y;

	return strcmp((*a)->name, (*b)->name);
}

/* Sorted, without what only repeats the default: writing a default out does not make a new key. And
 * for the key without what cannot change the output. */
static const char *with_of(struct arena *a, const struct engine *en, const struct target *t,
			   int for_key)
{
	const struct param **v = arena_array(a, t->n_with + 1, sizeof(*v));
	struct json_out w;
	const char *text;
	struct buf b;
	size_t n = 0;

	for (size_t i = 0; i < t->n_with; i++) {
		const struct engine_param *p = en ? engine_find_param(en, t->with[i].name) : NULL;
		int is_default = p && p->dflt && strcmp(p->dflt, t->with[i].value) == 0;

		if (!is_default && (!p || p->affects_output || !for_key))
			v[n++] = &t->with[i];
	}
	if (n)
		qsort(v, n, sizeof(*v), param_by_name);
	buf_init(&b, WITH_MAX);
	jw_init(&w, &b, 0);
	jw_object(&w);
	for (size_t i = 0; i < n; i++) {
		struct err ignored = ERR_INIT;
		struct json *value;

		jw_key(&w, v[i]->name);
		if (v[i]->path)
			jw_str(&w, for_key ? v[i]->hash : v[i]->path);
		else if (json_parse(a, v[i]->value, strlen(v[i]->value), &value, &ignored) == 0)
			jw_value(&w, value);
		else
			jw_null(&w);
	}
	jw_end_object(&w);
	text = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return text;
}

/* ---- lists */

static int string_order(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static int number_order(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

static int has_string(const struct strings *s, const char *text)
{
	return bsearch(&text, s->sorted, s->n, sizeof(*s->sorted), string_order) != NULL;
}

static int has_number(const struct numbers *s, double d)
{
	return bsearch(&d, s->sorted, s->n, sizeof(*s->sorted), number_order) != NULL;
}

/* Mark each element that stands earlier in the list: seen[k] goes with sorted[k]. */
static void index_strings(struct arena *a, const struct string_list *l, struct strings *out)
{
	uint8_t *seen = arena_alloc(a, l->n + 1);

	*out = (struct strings){ l->v, arena_array(a, l->n + 1, sizeof(*l->v)),
				 arena_alloc(a, l->n + 1), l->n };
	memcpy(out->sorted, l->v, l->n * sizeof(*l->v));
	qsort(out->sorted, l->n, sizeof(*l->v), string_order);
	for (size_t i = 0; i < l->n; i++) {
		const char **at = bsearch(&l->v[i], out->sorted, l->n, sizeof(*l->v), string_order);

		/* Equal elements are found at one and the same place. */
		out->again[i] = seen[at - out->sorted];
		seen[at - out->sorted] = 1;
	}
}

static void index_numbers(struct arena *a, const struct number_list *l, struct numbers *out)
{
	uint8_t *seen = arena_alloc(a, l->n + 1);

	*out = (struct numbers){ l->v, arena_array(a, l->n + 1, sizeof(*l->v)),
				 arena_alloc(a, l->n + 1), l->n };
	memcpy(out->sorted, l->v, l->n * sizeof(*l->v));
	qsort(out->sorted, l->n, sizeof(*l->v), number_order);
	for (size_t i = 0; i < l->n; i++) {
		double *at = bsearch(&l->v[i], out->sorted, l->n, sizeof(*l->v), number_order);

		out->again[i] = seen[at - out->sorted];
		seen[at - out->sorted] = 1;
	}
}

/* A bit for a name: two names may share one, a name never changes its bit. */
static uint64_t name_bit(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return 1ull << ((h ^ h >> 16) & 63);
}

/* ---- set-up */

static void add_entry(struct matrix *m, const struct target *t, int included)
{
	static const char *none[] = { "" };
	const struct string_list no_platform = { none, 1, NULL };
	struct entry *en = &m->entries[m->n++];
	int unwanted;

	en->t = t;
	en->included = included;
	en->engine = engine_find(m->es, t->engine);
	en->with = with_of(m->a, en->engine, t, 1);
	en->passed = with_of(m->a, en->engine, t, 0);
	/* A platform from `defaults` is for the engines that have one. */
	unwanted = t->platform_is_default && en->engine && !en->engine->n_platforms;
	index_strings(m->a, t->platform.n && !unwanted ? &t->platform : &no_platform,
		      &en->platform);
	index_strings(m->a, &t->quant, &en->quant);
	index_numbers(m->a, &t->hybrid, &en->hybrid);
	en->opt_again = arena_alloc(m->a, t->opt.n + 1);
	for (size_t i = 0; i < t->opt.n; i++) {
		en->opt_again[i] = en->opts >> t->opt.v[i] & 1;
		en->opts |= 1u << t->opt.v[i];
	}
	for (size_t i = 0; i < t->quant.n; i++)
		en->quants |= name_bit(t->quant.v[i]);
}

/* By engine, then by parameters, then by place. */
static int entry_order(const void *x, const void *y)
{
	const struct entry *a = *(const struct entry *const *)x,
			   *b = *(const struct entry *const *)y;
	int order = strcmp(a->t->engine, b->t->engine);

	order = order ? order : strcmp(a->with, b->with);
	return order ? order : (a > b) - (a < b);
}

static void link_rivals(struct matrix *m)
{
	struct entry **sorted = arena_array(m->a, m->n + 1, sizeof(*sorted));

	for (size_t i = 0; i < m->n; i++)
		sorted[i] = &m->entries[i];
	qsort(sorted, m->n, sizeof(*sorted), entry_order);
	for (size_t i = 0; i < m->n; i++) {
		int same = i > 0 && strcmp(sorted[i]->t->engine, sorted[i - 1]->t->engine) == 0 &&
			   strcmp(sorted[i]->with, sorted[i - 1]->with) == 0;

		sorted[i]->rival = same ? (size_t)(sorted[i - 1] - m->entries) : NONE;
	}
}

struct matrix *matrix_new(const struct config *c, const struct engines *es, const char *only)
{
	struct matrix *m = mem_zalloc(sizeof(*m));

	m->c = c;
	m->es = es;
	m->only = only;
	m->a = arena_new();
	m->text = arena_new();
	m->entries = arena_array(m->a, c->n_targets + c->n_include + 1, sizeof(*m->entries));
	for (size_t i = 0; i < c->n_targets; i++)
		add_entry(m, &c->targets[i], 0);
	for (size_t i = 0; i < c->n_include; i++)
		add_entry(m, &c->include[i], 1);
	link_rivals(m);
	return m;
}

void matrix_free(struct matrix *m)
{
	if (!m)
		return;
	arena_free(m->a);
	arena_free(m->text);
	free(m);
}

uint64_t matrix_excluded(const struct matrix *m)
{
	return m->excluded;
}

/* ---- membership */

static int any_glob(const struct string_list *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++) {
		if (glob_match(l->v[i], s))
			return 1;
	}
	return l->n == 0;
}

static int any_number(const struct number_list *l, double v)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i] == v)
			return 1;
	}
	return l->n == 0;
}

static int any_int(const struct int_list *l, int v)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i] == v)
			return 1;
	}
	return l->n == 0;
}

static int excluded(const struct config *c, const char *model, const struct job_spec *s)
{
	for (size_t i = 0; i < c->n_exclude; i++) {
		const struct pattern *p = &c->exclude[i];

		if (any_glob(&p->engine, s->engine) && any_glob(&p->quant, s->quant) &&
		    any_int(&p->opt, s->opt) && any_number(&p->hybrid, s->hybrid) &&
		    any_glob(&p->platform, s->platform) && any_glob(&p->model, model))
			return 1;
	}
	return 0;
}

static int applies(const struct entry *en, const struct model *model)
{
	return any_glob(&en->t->models, model->name);
}

/* Does the entry make this point of the model? Engine and parameters are known to be equal. The
 * cheap questions first: this runs for each pair of a point and an entry. */
static int makes(const struct matrix *m, const struct entry *en, const struct model *model,
		 const struct job_spec *s, uint64_t quant_bit)
{
	return en->opts >> s->opt & 1 && en->quants & quant_bit &&
	       has_string(&en->quant, s->quant) && has_number(&en->hybrid, s->hybrid) &&
	       has_string(&en->platform, s->platform) && applies(en, model) &&
	       (en->included || !excluded(m->c, model->name, s));
}

/* Is the point made by the entry or by one before it, in the order of rivals? */
static int made_from(const struct matrix *m, size_t entry, const struct model *model,
		     const struct job_spec *s, uint64_t quant_bit)
{
	for (; entry != NONE; entry = m->entries[entry].rival) {
		if (makes(m, &m->entries[entry], model, s, quant_bit))
			return 1;
	}
	return 0;
}

/* Does something before the current position make the same point? */
static int made_before(const struct matrix *m, const struct entry *en, const struct job_spec *s)
{
	if (en->platform.again[m->platform] || en->quant.again[m->quant] ||
	    en->hybrid.again[m->hybrid] || en->opt_again[m->opt])
		return 1; /* the value stands twice in its own list */
	return en->rival != NONE &&
	       made_from(m, en->rival, &m->c->models[m->model], s, name_bit(s->quant));
}

static const struct model *model_by_name(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_models; i++) {
		if (strcmp(c->models[i].name, name) == 0)
			return &c->models[i];
	}
	return NULL;
}

const char *matrix_with(const struct matrix *m, const struct job_spec *s)
{
	const struct model *model = model_by_name(m->c, s->model);
	uint64_t bit = name_bit(s->quant);

	for (size_t i = 0; model && i < m->n; i++) {
		const struct entry *en = &m->entries[i];

		if (strcmp(en->t->engine, s->engine) == 0 && strcmp(en->with, s->with) == 0 &&
		    makes(m, en, model, s, bit))
			return en->passed;
	}
	return s->with;
}

/* ---- iterating */

/* Move to the next position; the innermost list turns fastest. */
static void advance(struct matrix *m)
{
	const struct entry *en = &m->entries[m->entry];

	if (++m->opt < en->t->opt.n)
		return;
	m->opt = 0;
	if (++m->hybrid < en->hybrid.n)
		return;
	m->hybrid = 0;
	if (++m->quant < en->quant.n)
		return;
	m->quant = 0;
	if (++m->platform < en->platform.n)
		return;
	m->platform = 0;
	if (++m->entry < m->n)
		return;
	m->entry = 0;
	m->model++;
}

static void skip_entry(struct matrix *m)
{
	const struct entry *en = &m->entries[m->entry];

	m->opt = en->t->opt.n - 1;
	m->hybrid = en->hybrid.n - 1;
	m->quant = en->quant.n - 1;
	m->platform = en->platform.n - 1;
	advance(m);
}

static void fill(const struct matrix *m, const struct entry *en, struct matrix_point *p)
{
	const struct model *model = &m->c->models[m->model];

	*p = (struct matrix_point){
		.spec = {
			.model = model->name,
			.engine = en->t->engine,
			.engine_version = en->engine ? en->engine->version : "",
			.source_kind = "",
			.source = "",
			.source_version = "",
			.lora = model->lora ? model->lora : model->lora_path,
			.lora_version = model->lora_revision,
			.platform = en->platform.v[m->platform],
			.quant = en->quant.v[m->quant],
			.hybrid = en->hybrid.v[m->hybrid],
			.opt = en->t->opt.v[m->opt],
			.with = en->with,
		},
		.model = model,
		.engine = en->engine,
		.target = en->t,
		.model_index = m->model,
	};
}

static void judge(struct matrix *m, const struct entry *en, struct matrix_point *p)
{
	struct err why = { .code = 0 };

	p->duplicate = made_before(m, en, &p->spec);
	arena_reset(m->text);
	if (!en->engine)
		p->illegal = arena_printf(m->text, "engine %s is not installed", en->t->engine);
	else if (engine_check(en->engine, &p->spec, &why) < 0)
		p->illegal = arena_strdup(m->text, why.msg);
}

static int wanted(struct matrix *m, const struct entry *en, const struct job_spec *s)
{
	char label[256];

	if (!en->included && excluded(m->c, s->model, s)) {
		m->excluded++;
		return 0;
	}
	if (!m->only)
		return 1;
	job_label(s, label, sizeof(label));
	return glob_match(m->only, label);
}

int matrix_next(struct matrix *m, struct matrix_point *p)
{
	while (m->n && m->model < m->c->n_models) {
		const struct entry *en = &m->entries[m->entry];
		int out;

		if (!applies(en, &m->c->models[m->model])) {
			skip_entry(m);
			continue;
		}
		fill(m, en, p);
		out = wanted(m, en, &p->spec);
		m->given = m->model;
		if (out)
			judge(m, en, p);
		advance(m);
		if (out)
			return 1;
	}
	return 0;
}

void matrix_next_model(struct matrix *m)
{
	if (m->model != m->given)
		return; /* it was its last point */
	m->model++;
	m->entry = m->platform = m->quant = m->hybrid = m->opt = 0;
}
