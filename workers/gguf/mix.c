#include "workers/gguf/mix.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"

/* ---- the file types */

/* When a rule holds. i: the number of the tensor among its kind (its layer, with experts); n: how
 * many. */
enum when {
	NEVER,
	ALWAYS,
	GROUPED,     /* four query heads or more share a key */
	FIRST_2,     /* i < 2 */
	FIRST_4,     /* i < 4 */
	FIRST_16TH,  /* i < n/16 */
	FIRST_8TH,   /* i < n/8 */
	MORE,	     /* the first and the last eighth, and every third between */
	IMATRIX_8TH, /* FIRST_8TH, with importances */
	PLAIN_8TH,   /* FIRST_8TH, without */
};

struct rule {
	enum when when;
	enum gguf_type type;
};

#define RULES 2 /* the first that holds; none: the base type */

struct file_type {
	const char *name;
	uint32_t number;
	enum gguf_type base;
	struct rule value[RULES]; /* attn_v, attn_qkv, attn_kv_b */
	struct rule attn_output[RULES];
	struct rule down[RULES]; /* ffn_down and its likes */
	int eight_experts;	 /* attn_output is Q5_K in a model with exactly eight */
	int needs_imatrix;
};

/* clang-format off */
#define F(type) TYPE_##type
static const struct file_type file_types[] = {
	/* name     number base       attn_v                                        attn_output             ffn_down                                            eight */
	{ "F32",     0, F(F32),    { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "F16",     1, F(F16),    { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "BF16",   32, F(BF16),   { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "Q8_0",    7, F(Q8_0),   { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "Q4_0",    2, F(Q4_0),   { { NEVER } },                                { { NEVER } },          { { IMATRIX_8TH, F(Q4_1) } },                          0, 0 },
	{ "Q4_1",    3, F(Q4_1),   { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "Q5_0",    8, F(Q5_0),   { { NEVER } },                                { { NEVER } },          { { IMATRIX_8TH, F(Q5_1) } },                          0, 0 },
	{ "Q5_1",    9, F(Q5_1),   { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "Q2_K",   10, F(Q2_K),   { { GROUPED, F(Q4_K) }, { ALWAYS, F(Q3_K) } }, { { ALWAYS, F(Q3_K) } }, { { ALWAYS, F(Q3_K) } },                               1, 0 },
	{ "Q2_K_S", 21, F(Q2_K),   { { GROUPED, F(Q4_K) } },                     { { NEVER } },          { { FIRST_8TH, F(Q4_K) } },                            0, 1 },
	{ "Q3_K_S", 11, F(Q3_K),   { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         1, 0 },
	{ "Q3_K_M", 12, F(Q3_K),   { { FIRST_2, F(Q5_K) }, { ALWAYS, F(Q4_K) } }, { { ALWAYS, F(Q4_K) } }, { { FIRST_16TH, F(Q5_K) }, { ALWAYS, F(Q4_K) } },      1, 0 },
	{ "Q3_K_L", 13, F(Q3_K),   { { ALWAYS, F(Q5_K) } },                      { { ALWAYS, F(Q5_K) } }, { { ALWAYS, F(Q5_K) } },                              0, 0 },
	{ "Q4_K_S", 14, F(Q4_K),   { { FIRST_4, F(Q5_K) } },                     { { NEVER } },          { { FIRST_8TH, F(Q5_K) } },                            1, 0 },
	{ "Q4_K_M", 15, F(Q4_K),   { { MORE, F(Q6_K) } },                        { { NEVER } },          { { MORE, F(Q6_K) } },                                 1, 0 },
	{ "Q5_K_S", 16, F(Q5_K),   { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "Q5_K_M", 17, F(Q5_K),   { { MORE, F(Q6_K) } },                        { { NEVER } },          { { MORE, F(Q6_K) } },                                 0, 0 },
	{ "Q6_K",   18, F(Q6_K),   { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "IQ4_NL", 25, F(IQ4_NL), { { GROUPED, F(Q5_K) } },                     { { NEVER } },          { { PLAIN_8TH, F(Q5_K) } },                            1, 0 },
	{ "IQ4_XS", 30, F(IQ4_XS), { { GROUPED, F(Q5_K) } },                     { { NEVER } },          { { PLAIN_8TH, F(Q5_K) } },                            1, 0 },
	{ "TQ1_0",  36, F(TQ1_0),  { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "TQ2_0",  37, F(TQ2_0),  { { NEVER } },                                { { NEVER } },          { { NEVER } },                                         0, 0 },
	{ "MXFP4_MOE", 38, F(MXFP4), { { NEVER } },                              { { NEVER } },          { { NEVER } },                                         0, 0 },
};
#undef F
/* clang-format on */

const struct file_type *file_type_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(file_types); i++) {
		if (strcmp(file_types[i].name, name) == 0)
			return &file_types[i];
	}
	return NULL;
}

const struct file_type *file_type_by_number(uint64_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(file_types); i++) {
		if (file_types[i].number == number)
			return &file_types[i];
	}
	return NULL;
}

const char *file_type_name(const struct file_type *f)
{
	return f->name;
}

uint32_t file_type_number(const struct file_type *f)
{
	return f->number;
}

const struct type *file_type_base(const struct file_type *f)
{
	return type_by_id(f->base);
}

int file_type_needs_imatrix(const struct file_type *f)
{
	return f->needs_imatrix;
}

static int is_float(enum gguf_type t)
{
	return t == TYPE_F32 || t == TYPE_F16 || t == TYPE_BF16;
}

/* ---- what the user wants */

static int read_type(const struct json *with, const char *name, const struct type **out,
		     struct err *e)
{
	const char *text = json_str(with, name, NULL);
	const struct type *t = text ? type_by_name(text) : NULL;

	if (text && (!t || !t->encode[ISA_PORTABLE]))
		return err_set(e, ERR_INVALID, "%s: %.60s is no type that is written; try Q6_K",
			       name, text);
	*out = t;
	return 0;
}

int mix_read(const struct json *with, struct mix *m, struct err *e)
{
	const struct json *types = json_get(with, "tensor_type");

	if (read_type(with, "output_type", &m->output, e) < 0 ||
	    read_type(with, "token_embedding_type", &m->token_embedding, e) < 0)
		return e->code;
	m->pure = json_bool(with, "pure", 0);
	m->leave_output = json_bool(with, "leave_output", 0);
	for (size_t i = 0; types && i < types->count; i++) {
		const struct type *t;

		if (types->type != JSON_OBJECT || types->members[i].value->type != JSON_STRING)
			return err_set(e, ERR_INVALID,
				       "tensor_type is a map from patterns to types, like "
				       "{ffn_down: Q6_K}");
		if (read_type(types, types->members[i].key, &t, e) < 0)
			return err_wrap(e, "tensor_type");
	}
	m->tensor_type = types;
	return 0;
}

struct pattern {
	const char *text;
	regex_t re;
	const struct type *type;
	int used;
};

struct patterns {
	struct pattern *v;
	size_t n;
};

static int compile(const struct json *types, struct patterns *p, struct err *e)
{
	p->v = mem_array((types ? types->count : 0) + 1, sizeof(*p->v));
	for (size_t i = 0; types && i < types->count; i++) {
		struct pattern *one = &p->v[p->n];

		one->text = types->members[i].key;
		if (regcomp(&one->re, one->text, REG_EXTENDED | REG_NOSUB) != 0)
			return err_set(e, ERR_INVALID,
				       "tensor_type: \"%.100s\" is no extended regular expression",
				       one->text);
		one->type = type_by_name(json_str(types, one->text, ""));
		one->used = 0;
		p->n++;
	}
	return 0;
}

static void release(struct patterns *p)
{
	for (size_t i = 0; i < p->n; i++)
		regfree(&p->v[i].re);
	free(p->v);
}

/* NULL in *out: none matches. */
static int pattern_type(struct patterns *p, const char *name, const struct type **out,
			struct err *e)
{
	const struct pattern *first = NULL;

	*out = NULL;
	for (size_t i = 0; i < p->n; i++) {
		if (regexec(&p->v[i].re, name, 0, NULL, 0) != 0)
			continue;
		p->v[i].used = 1;
		if (first && first->type != p->v[i].type)
			return err_set(
				e, ERR_INVALID,
				"tensor_type: %s matches \"%.60s\" and \"%.60s\", which want "
				"different types; make one of them narrower",
				name, first->text, p->v[i].text);
		first = &p->v[i];
		*out = first->type;
	}
	return 0;
}

/* ---- the rules */

struct state {
	const struct mix *m;
	int has_output, n_values;
	int i_value, i_down;
};

static int contains(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}

static int is_value(const char *name)
{
	return contains(name, "attn_v.weight") || contains(name, "attn_qkv.weight") ||
	       contains(name, "attn_kv_b.weight");
}

static int holds(const struct mix *m, enum when when, int i, int n)
{
	switch (when) {
	case ALWAYS:
		return 1;
	case GROUPED:
		return m->kv_heads && m->heads / m->kv_heads >= 4;
	case FIRST_2:
		return i < 2;
	case FIRST_4:
		return i < 4;
	case FIRST_16TH:
		return i < n / 16;
	case FIRST_8TH:
		return i < n / 8;
	case MORE:
		return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
	case IMATRIX_8TH:
		return m->has_imatrix && i < n / 8;
	case PLAIN_8TH:
		return !m->has_imatrix && i < n / 8;
	default:
		return 0;
	}
}

static enum gguf_type choose(const struct state *s, const struct rule *rules, int i, int n)
{
	for (int k = 0; k < RULES; k++) {
		if (holds(s->m, rules[k].when, i, n))
			return rules[k].type;
	}
	return s->m->quant->base;
}

static enum gguf_type output_type(const struct mix *m, const struct out_tensor *t)
{
	enum gguf_type base = m->quant->base;

	if (m->output)
		return (enum gguf_type)m->output->id;
	if (t->ne[0] % type_by_id(base)->block != 0 || base == TYPE_Q8_0 || base == TYPE_MXFP4 ||
	    strcmp(m->arch, "falcon") == 0)
		return TYPE_Q8_0;
	return TYPE_Q6_K;
}

/* 80 layers: Llama 70B with its grouped keys, Qwen 72B. */
static int is_70b(const struct mix *m)
{
	return m->layers == 80 && ((strcmp(m->arch, "llama") == 0 && m->heads != m->kv_heads) ||
				   strcmp(m->arch, "qwen2") == 0);
}

static enum gguf_type value_type(struct state *s)
{
	const struct mix *m = s->m;
	enum gguf_type t = choose(s, m->quant->value, s->i_value++, s->n_values);

	if (is_70b(m) && (t == TYPE_Q3_K || t == TYPE_Q4_K))
		t = TYPE_Q5_K;
	return m->experts == 8 ? TYPE_Q8_0 : t;
}

static enum gguf_type attn_output_type(const struct state *s)
{
	if (s->m->experts == 8)
		return s->m->quant->eight_experts ? TYPE_Q5_K : s->m->quant->base;
	return choose(s, s->m->quant->attn_output, 0, 1);
}

static enum gguf_type down_type(struct state *s, const struct out_tensor *t)
{
	int i = s->m->experts > 1 ? t->layer : s->i_down;

	s->i_down++;
	return choose(s, s->m->quant->down, i, (int)s->m->layers);
}

static enum gguf_type rule_type(struct state *s, const struct out_tensor *t)
{
	const struct mix *m = s->m;
	const char *name = t->name;
	int embedding = strcmp(name, "token_embd.weight") == 0;

	if (is_float(m->quant->base))
		return m->quant->base;
	if (strcmp(name, "output.weight") == 0 || (embedding && !s->has_output))
		return output_type(m, t);
	if (m->quant->base == TYPE_MXFP4)
		return t->n_dims > 2 ? TYPE_MXFP4 : TYPE_Q8_0;
	if (embedding)
		return m->quant->base == TYPE_TQ1_0 || m->quant->base == TYPE_TQ2_0
			       ? TYPE_Q4_K
			       : m->quant->base;
	if (is_value(name))
		return value_type(s);
	if (m->experts == 8 && contains(name, "attn_k.weight"))
		return TYPE_Q8_0;
	if (contains(name, "attn_output.weight"))
		return attn_output_type(s);
	if (contains(name, "ffn_down"))
		return down_type(s, t);
	return m->quant->base;
}

/* A type with smaller blocks and no less precision, for rows that are no multiple of 256. */
static enum gguf_type smaller_blocks(enum gguf_type t)
{
	switch (t) {
	case TYPE_IQ4_XS:
		return TYPE_IQ4_NL;
	case TYPE_Q2_K:
	case TYPE_Q3_K:
	case TYPE_TQ1_0:
	case TYPE_TQ2_0:
		return TYPE_Q4_0;
	case TYPE_Q4_K:
		return TYPE_Q5_0;
	case TYPE_Q5_K:
		return TYPE_Q5_1;
	case TYPE_Q6_K:
		return TYPE_Q8_0;
	default:
		return TYPE_F16;
	}
}

static void set_type(struct out_tensor *t, enum gguf_type id)
{
	t->type = type_by_id(id);
	if (t->ne[0] % t->type->block == 0)
		return;
	t->fallback = 1;
	t->type = type_by_id(smaller_blocks(id));
	if (t->ne[0] % t->type->block != 0)
		t->type = type_by_id(TYPE_F16);
}

static enum gguf_type source_type(const struct out_tensor *t)
{
	return t->source->dtype == ST_F32    ? TYPE_F32
	       : t->source->dtype == ST_BF16 ? TYPE_BF16
					     : TYPE_F16;
}

static int one_tensor(struct state *s, struct patterns *p, struct out_tensor *t, struct err *e)
{
	const struct mix *m = s->m;
	const struct type *wanted;
	enum gguf_type id;

	if (m->leave_output && strcmp(t->name, "output.weight") == 0) {
		if (t->stored)
			t->type = t->stored;
		else
			set_type(t, source_type(t));
		return 0;
	}
	/* Counters go on whatever the user wants. */
	id = rule_type(s, t);
	if (m->pure)
		id = m->quant->base;
	if (pattern_type(p, t->name, &wanted, e) < 0)
		return e->code;
	if (wanted)
		id = (enum gguf_type)wanted->id;
	if (m->token_embedding && strcmp(t->name, "token_embd.weight") == 0)
		id = (enum gguf_type)m->token_embedding->id;
	if (m->output && strcmp(t->name, "output.weight") == 0)
		id = (enum gguf_type)m->output->id;
	set_type(t, id);
	return 0;
}

int mix_apply(const struct mix *m, struct layout *l, struct err *e)
{
	struct state s = { .m = m };
	struct patterns p = { 0 };
	int rc;

	for (size_t i = 0; i < l->n; i++) {
		s.has_output |= strcmp(l->v[i].name, "output.weight") == 0;
		s.n_values += is_value(l->v[i].name);
	}
	rc = compile(m->tensor_type, &p, e);
	for (size_t i = 0; rc == 0 && i < l->n; i++) {
		if (!l->v[i].type)
			rc = one_tensor(&s, &p, &l->v[i], e);
	}
	for (size_t i = 0; rc == 0 && i < p.n; i++) {
		if (!p.v[i].used)
			rc = err_set(e, ERR_INVALID,
				     "tensor_type: no matrix has a name like \"%.100s\"; `quern "
				     "inspect` of a converted file lists them",
				     p.v[i].text);
	}
	release(&p);
	return rc;
}

/* ---- hybrid */

const struct type *mix_promoted(const struct type *t, uint64_t row)
{
	static const enum gguf_type next[][2] = {
		{ TYPE_TQ1_0, TYPE_TQ2_0 }, { TYPE_TQ2_0, TYPE_Q3_K }, { TYPE_Q2_K, TYPE_Q3_K },
		{ TYPE_Q3_K, TYPE_Q4_K },   { TYPE_MXFP4, TYPE_Q5_0 }, { TYPE_IQ4_XS, TYPE_Q5_K },
		{ TYPE_IQ4_NL, TYPE_Q5_0 }, { TYPE_Q4_0, TYPE_Q5_0 },  { TYPE_Q4_K, TYPE_Q5_K },
		{ TYPE_Q4_1, TYPE_Q5_1 },   { TYPE_Q5_0, TYPE_Q8_0 },  { TYPE_Q5_K, TYPE_Q6_K },
		{ TYPE_Q5_1, TYPE_Q8_0 },   { TYPE_Q6_K, TYPE_Q8_0 },  { TYPE_Q8_0, TYPE_F16 },
		{ TYPE_F16, TYPE_F32 },	    { TYPE_BF16, TYPE_F32 },
	};

	for (size_t i = 0; i < ARRAY_LEN(next); i++) {
		const struct type *better = type_by_id(next[i][1]);

		if (next[i][0] == (enum gguf_type)t->id)
			return row % better->block == 0 ? better : NULL;
	}
	return NULL;
}
