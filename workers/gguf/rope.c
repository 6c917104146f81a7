/* workers/gguf/rope.c -- how a model stretches its rotary positions: config.json's
 * rope_scaling, or rope_parameters of transformers 5. */
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "core/mem.h"
#include "workers/gguf/hparams.h"

/* "type" is the older name of "rope_type", "su" that of "longrope". Dynamic scaling begins beyond
 * the trained context only, and llama.cpp has no such thing. */
static int scaling_of(const char *name, enum rope_scaling *out, struct err *e)
{
	static const struct {
		const char *name;
		enum rope_scaling scaling;
	} known[] = { { "default", ROPE_PLAIN }, { "dynamic", ROPE_PLAIN },
		      { "linear", ROPE_LINEAR }, { "yarn", ROPE_YARN },
		      { "llama3", ROPE_LLAMA3 }, { "longrope", ROPE_LONG },
		      { "su", ROPE_LONG } };

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(known[i].name, name) == 0) {
			*out = known[i].scaling;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
		       "config.json: rope scaling \"%.60s\" is not supported; linear, yarn, llama3 "
		       "and longrope are",
		       name);
}

static int read_llama3(const struct json *s, struct hparams *h, struct err *e)
{
	h->llama3.factor = 8;
	h->llama3.low = 1;
	h->llama3.high = 4;
	h->llama3.original_context = 8192;
	if (config_real(s, "factor", &h->llama3.factor, e) < 0 ||
	    config_real(s, "low_freq_factor", &h->llama3.low, e) < 0 ||
	    config_real(s, "high_freq_factor", &h->llama3.high, e) < 0 ||
	    config_real(s, "original_max_position_embeddings", &h->llama3.original_context, e) < 0)
		return e->code;
	if (!(h->llama3.high > h->llama3.low))
		return err_set(e, ERR_INVALID,
			       "config.json: high_freq_factor is not above low_freq_factor");
	return 0;
}

static int read_factor(const struct json *s, struct hparams *h, struct err *e)
{
	if (config_real(s, "factor", &h->rope_factor, e) < 0)
		return e->code;
	if (h->rope_factor == 0)
		return err_set(e, ERR_INVALID, "config.json: rope scaling has no \"factor\"");
	return 0;
}

static int read_yarn(const struct json *s, struct hparams *h, struct err *e)
{
	double mscale_all = 0;

	h->rope_original_context = h->context;
	if (read_factor(s, h, e) < 0 ||
	    config_count(s, "original_max_position_embeddings", INT32_MAX,
			 &h->rope_original_context, e) < 0 ||
	    config_real(s, "extrapolation_factor", &h->yarn_ext, e) < 0 ||
	    config_real(s, "attention_factor", &h->yarn_attn, e) < 0 ||
	    config_real(s, "beta_fast", &h->yarn_fast, e) < 0 ||
	    config_real(s, "beta_slow", &h->yarn_slow, e) < 0 ||
	    config_real(s, "mscale_all_dim", &mscale_all, e) < 0)
		return e->code;
	/* llama.cpp wants the factor of the logarithm; 0.1 is that of the paper (arXiv 2309.00071,
	 * equation 22). */
	if (h->kv_rank)
		h->yarn_log = 0.1 * mscale_all;
	return 0;
}

static int read_factors(struct arena *a, const struct json *s, const char *name, const float **out,
			uint64_t *n, struct err *e)
{
	const struct json *list = json_get(s, name);
	float *v;

	if (!list || list->type != JSON_ARRAY || list->count == 0)
		return err_set(e, ERR_INVALID, "config.json: rope scaling has no list \"%s\"",
			       name);
	v = arena_array(a, list->count, sizeof(*v));
	for (size_t i = 0; i < list->count; i++) {
		const struct json *x = list->members[i].value;

		if (x->type != JSON_NUMBER || !(x->number > 0) || !(x->number < 1e12))
			return err_set(e, ERR_INVALID,
				       "config.json: rope scaling: \"%s\" holds what is no "
				       "positive number",
				       name);
		v[i] = (float)x->number;
	}
	*out = v;
	*n = list->count;
	return 0;
}

/* Two lists of factors, one for texts within the original context and one for longer ones, and a
 * gain of the attention. Source: transformers modeling_rope_utils.py,
 * _compute_longrope_parameters. */
static int read_long(struct arena *a, const struct json *config, const struct json *s,
		     struct hparams *h, struct err *e)
{
	uint64_t n_short = 0;
	double stretch;

	if (read_factors(a, s, "long_factor", &h->long_factors, &h->n_factors, e) < 0 ||
	    read_factors(a, s, "short_factor", &h->short_factors, &n_short, e) < 0)
		return e->code;
	if (n_short != h->n_factors)
		return err_set(e, ERR_INVALID,
			       "config.json: rope scaling: long_factor has %llu numbers, "
			       "short_factor %llu",
			       (unsigned long long)h->n_factors, (unsigned long long)n_short);
	if (config_count(config, "original_max_position_embeddings", INT32_MAX,
			 &h->rope_original_context, e) < 0 ||
	    config_count(s, "original_max_position_embeddings", INT32_MAX,
			 &h->rope_original_context, e) < 0)
		return e->code;
	if (h->rope_original_context < 2)
		h->rope_original_context = h->context;
	stretch = (double)h->context / (double)h->rope_original_context;
	h->rope_attn_factor =
		stretch > 1 ? sqrt(1 + log(stretch) / log((double)h->rope_original_context)) : 1;
	return 0;
}

static int read_scaling(struct arena *a, const struct json *config, const struct json *s,
			struct hparams *h, struct err *e)
{
	const char *type = json_str(s, "rope_type", json_str(s, "type", "default"));

	if (scaling_of(type, &h->scaling, e) < 0)
		return e->code;
	switch (h->scaling) {
	case ROPE_LINEAR:
		return read_factor(s, h, e);
	case ROPE_YARN:
		return read_yarn(s, h, e);
	case ROPE_LLAMA3:
		return read_llama3(s, h, e);
	case ROPE_LONG:
		return read_long(a, config, s, h, e);
	default:
		return 0;
	}
}

static int take_theta(const struct json *config, const char *name, double *out, struct err *e)
{
	const struct json *v = config_get(config, name);

	if (!v)
		return 0;
	if (v->type != JSON_NUMBER || !(v->number > 0) || !(v->number < 1e12))
		return err_set(e, ERR_INVALID, "config.json: \"%s\" is not a positive number",
			       name);
	*out = v->number;
	return 0;
}

int rope_read(struct arena *a, const struct json *config, struct hparams *h, struct err *e)
{
	const struct json *s = config_get(config, "rope_parameters"), *full;

	if (!s || s->type != JSON_OBJECT)
		s = config_get(config, "rope_scaling");
	if (!h->rope_theta) /* the class turns nothing */
		return 0;
	if (take_theta(config, "rope_theta", &h->rope_theta, e) < 0)
		return e->code;
	if (h->rope_theta_local &&
	    take_theta(config, "rope_local_base_freq", &h->rope_theta_local, e) < 0)
		return e->code;
	if (!s || s->type != JSON_OBJECT)
		return 0;
	/* By kind of layer where there are two. */
	if (h->rope_theta_local && config_real(json_get(s, "sliding_attention"), "rope_theta",
					       &h->rope_theta_local, e) < 0)
		return e->code;
	full = json_get(s, "full_attention");
	s = full && full->type == JSON_OBJECT ? full : s;
	if (config_real(s, "rope_theta", &h->rope_theta, e) < 0 ||
	    config_real(s, "partial_rotary_factor", &h->rope_partial, e) < 0)
		return e->code;
	return read_scaling(a, config, s, h, e);
}

void llama3_factors(const struct hparams *h, float *out)
{
	const double pi = 3.14159265358979323846;
	double low = h->llama3.original_context / h->llama3.low,
	       high = h->llama3.original_context / h->llama3.high;

	for (uint64_t i = 0; i < h->head_dim / 2; i++) {
		double wavelength =
			       2 * pi * pow(h->rope_theta, 2.0 * (double)i / (double)h->head_dim),
		       s;

		if (wavelength < high) {
			out[i] = 1;
		} else if (wavelength > low) {
			out[i] = (float)h->llama3.factor;
		} else {
			s = (h->llama3.original_context / wavelength - h->llama3.low) /
			    (h->llama3.high - h->llama3.low);
			out[i] = (float)(1 / ((1 - s) / h->llama3.factor + s));
		}
	}
}
