#include "workers/gguf/mix.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "workers/gguf/file_type.h"

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
	m->without_imatrix = json_bool(with, "without_imatrix", 0);
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
	case PLAIN:
		return !m->has_imatrix;
	case GROUPED_OR_EXPERTS:
		return m->experts >= 4 || holds(m, GROUPED, i, n);
	case EIGHT_MORE:
		return m->experts == 8 && holds(m, MORE, i, n);
	case MIDDLE:
		return i >= n / 8 && i < 7 * n / 8;
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
	return m->quant->output ? m->quant->output : TYPE_Q6_K;
}

static int is_falcon(const struct mix *m)
{
	return strcmp(m->arch, "falcon") == 0 && !m->quant->lowest;
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

	if (m->quant->lowest)
		return t;
	if (is_70b(m) && (t == TYPE_Q3_K || t == TYPE_Q4_K))
		t = TYPE_Q5_K;
	return m->experts == 8 ? TYPE_Q8_0 : t;
}

static enum gguf_type attn_output_type(const struct state *s)
{
	const struct file_type *q = s->m->quant;

	if (is_falcon(s->m))
		return q->falcon_output ? q->falcon_output : q->base;
	if (s->m->experts == 8)
		return q->eight_experts ? TYPE_Q5_K : q->base;
	return choose(s, q->attn_output, 0, 1);
}

static enum gguf_type down_type(struct state *s, const struct out_tensor *t)
{
	const struct file_type *q = s->m->quant;
	/* The lowest types count matrices where others take the layer: a shared expert is the
	 * second matrix of its layer. */
	int i = s->m->experts > 1 && !q->lowest ? t->layer : s->i_down;
	int falcon = is_falcon(s->m) && q->falcon_down[0].when != NEVER;

	s->i_down++;
	return choose(s, falcon ? q->falcon_down : q->down, i, (int)s->m->layers);
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
		return m->quant->embedding ? m->quant->embedding : m->quant->base;
	if (is_value(name))
		return value_type(s);
	if (m->experts == 8 && contains(name, "attn_k.weight"))
		return m->quant->lowest ? TYPE_Q4_K : TYPE_Q8_0;
	if (m->quant->query_key &&
	    (contains(name, "attn_k.weight") || contains(name, "attn_q.weight")))
		return m->quant->query_key;
	if (contains(name, "attn_output.weight"))
		return attn_output_type(s);
	if (contains(name, "ffn_down"))
		return down_type(s, t);
	if ((contains(name, "ffn_gate") || contains(name, "ffn_up")) &&
	    holds(m, m->quant->gate_up.when, t->layer, (int)m->layers))
		return m->quant->gate_up.type;
	return m->quant->base;
}

/* A type with smaller blocks and no less precision, for rows that are no multiple of 256. */
static enum gguf_type smaller_blocks(enum gguf_type t)
{
	switch (t) {
	case TYPE_IQ1_S:
	case TYPE_IQ1_M:
	case TYPE_IQ2_XXS:
	case TYPE_IQ2_XS:
	case TYPE_IQ2_S:
	case TYPE_IQ3_XXS:
	case TYPE_IQ3_S:
	case TYPE_IQ4_XS:
		return TYPE_IQ4_NL;
	case TYPE_Q2_K:
	case TYPE_Q3_K:
	case TYPE_Q1_0:
	case TYPE_Q2_0:
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

/* Of so few bits that llama-quantize refuses them without importances, but for the output and the
 * embedding (tensor_requires_imatrix()). */
static int needs_importances(const struct mix *m, const struct out_tensor *t)
{
	switch (t->type->id) {
	case TYPE_IQ1_S:
	case TYPE_IQ1_M:
	case TYPE_IQ2_XXS:
	case TYPE_IQ2_XS:
	case TYPE_IQ2_S:
	case TYPE_IQ3_XXS:
		break;
	case TYPE_Q2_K:
		if (!m->quant->needs_imatrix || m->quant->base != TYPE_Q2_K)
			return 0;
		break;
	default:
		return 0;
	}
	return strcmp(t->name, "output.weight") != 0 && strcmp(t->name, "token_embd.weight") != 0;
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
	if (!t->importance && !m->without_imatrix && needs_importances(m, t))
		return err_set(
			e, ERR_INVALID,
			"%s becomes %s, which needs importances, and %s; choose a larger type for "
			"it "
			"by tensor_type, or `with: {without_imatrix: true}` for what it is worth",
			t->name, t->type->name,
			m->has_imatrix ? "the imatrix has none of it" : "there is no imatrix");
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
		{ TYPE_IQ1_S, TYPE_IQ1_M },    { TYPE_IQ1_M, TYPE_IQ2_XXS },
		{ TYPE_IQ2_XXS, TYPE_IQ2_XS }, { TYPE_IQ2_XS, TYPE_IQ2_S },
		{ TYPE_IQ2_S, TYPE_IQ3_XXS },  { TYPE_IQ3_XXS, TYPE_IQ3_S },
		{ TYPE_IQ3_S, TYPE_IQ4_XS },   { TYPE_Q1_0, TYPE_Q2_0 },
		{ TYPE_Q2_0, TYPE_Q4_0 },      { TYPE_NVFP4, TYPE_Q5_0 },
		{ TYPE_TQ1_0, TYPE_TQ2_0 },    { TYPE_TQ2_0, TYPE_Q3_K },
		{ TYPE_Q2_K, TYPE_Q3_K },      { TYPE_Q3_K, TYPE_Q4_K },
		{ TYPE_MXFP4, TYPE_Q5_0 },     { TYPE_IQ4_XS, TYPE_Q5_K },
		{ TYPE_IQ4_NL, TYPE_Q5_0 },    { TYPE_Q4_0, TYPE_Q5_0 },
		{ TYPE_Q4_K, TYPE_Q5_K },      { TYPE_Q4_1, TYPE_Q5_1 },
		{ TYPE_Q5_0, TYPE_Q8_0 },      { TYPE_Q5_K, TYPE_Q6_K },
		{ TYPE_Q5_1, TYPE_Q8_0 },      { TYPE_Q6_K, TYPE_Q8_0 },
		{ TYPE_Q8_0, TYPE_F16 },       { TYPE_F16, TYPE_F32 },
		{ TYPE_BF16, TYPE_F32 },
	};

	for (size_t i = 0; i < ARRAY_LEN(next); i++) {
		const struct type *better = type_by_id(next[i][1]);

		if (next[i][0] == (enum gguf_type)t->id)
			return row % better->block == 0 ? better : NULL;
	}
	return NULL;
}
