#include "orchestrator/plan/learn.h"

/* Margins over the largest that was measured. A look comes once a second, so that a peak between
 * two looks is missed; three samples miss it together more seldom. */
#define MARGIN_FEW 1.25
#define MARGIN_MANY 1.10
#define MANY 3
#define MARGIN_RAN_OUT 1.5 /* over what an attempt had when it ended for want of more */
#define OUTPUT_MARGIN 1.02 /* metadata, names */
#define BEYOND 1.5 /* models so much larger than any measured one get no less than the formula */

static uint64_t times(double v, double by)
{
	v *= by;
	return v <= 0 ? 0 : v >= 9e18 ? (uint64_t)9e18 : (uint64_t)v;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

const char *learn_basis_name(enum learn_basis b)
{
	static const char *const names[] = {
		[LEARN_FORMULA] = "formula", [LEARN_SIZES] = "sizes", [LEARN_SAME] = "same"
	};

	return names[b];
}

static void from_same(const struct measured_row *m, struct learned *out)
{
	double margin = m->samples >= MANY ? MARGIN_MANY : MARGIN_FEW;

	out->basis = LEARN_SAME;
	out->samples = m->samples;
	out->memory_min_bytes = (uint64_t)m->memory_min_bytes;
	out->memory_max_bytes = (uint64_t)m->memory_max_bytes;
	out->need.memory_bytes = times((double)m->memory_max_bytes, margin);
	out->need.scratch_bytes = times((double)m->scratch_max_bytes, margin);
	if (m->output_max_bytes)
		out->need.output_bytes = times((double)m->output_max_bytes, OUTPUT_MARGIN);
	out->ms = m->ms_sum / m->samples;
	out->ms_min = m->ms_min;
	out->ms_max = m->ms_max;
}

static void from_sizes(const struct measured_row *m, const struct estimate *formula,
		       int64_t weights, struct learned *out)
{
	double margin = m->all_samples >= MANY ? MARGIN_MANY : MARGIN_FEW;
	uint64_t scaled = times((double)formula->memory_bytes, m->ratio_max * margin);
	bool beyond = (double)weights > BEYOND * (double)m->largest_weights;

	out->basis = LEARN_SIZES;
	out->samples = m->all_samples;
	out->memory_min_bytes = times((double)formula->memory_bytes, m->ratio_min);
	out->memory_max_bytes = times((double)formula->memory_bytes, m->ratio_max);
	/* The part of the formula that does not grow with the model hides in a small model's ratio
	 * how fast the rest grows. */
	out->need.memory_bytes = beyond ? most(scaled, formula->memory_bytes) : scaled;
	out->ms = (int64_t)times((double)weights, m->ms_per_weight);
	out->ms_min = (int64_t)times((double)weights, m->ms_per_weight_min);
	out->ms_max = (int64_t)times((double)weights, m->ms_per_weight_max);
}

void learn(const struct measured_row *m, const struct estimate *formula, int64_t weights,
	   struct learned *out)
{
	uint64_t ran_out = times((double)m->more_than_bytes, MARGIN_RAN_OUT);

	*out = (struct learned){ .need = *formula, .basis = LEARN_FORMULA };
	if (m->samples > 0)
		from_same(m, out);
	else if (m->all_samples > 0 && m->ratio_max > 0)
		from_sizes(m, formula, weights, out);
	if (m->all_samples > 0)
		out->need.memory_bytes =
			most(out->need.memory_bytes, (uint64_t)m->smaller_max_bytes);
	if (out->need.memory_bytes < ran_out) {
		out->need.memory_bytes = ran_out;
		out->ran_out = true;
	}
}

void learn_class(const struct job_spec *spec, const struct source_facts *facts, int threads,
		 struct measured_class *out)
{
	*out = (struct measured_class){
		.engine = spec->engine,
		.engine_version = spec->engine_version,
		.platform = spec->platform,
		.quant = spec->quant,
		.hybrid = spec->hybrid,
		.opt = spec->opt,
		.params = spec->with,
		.threads = threads,
		.lora = spec->lora != NULL,
		.architecture = facts->architecture ? facts->architecture : "",
		.weights = (int64_t)facts->params,
	};
}

int learn_ask(struct store *s, const struct engine *en, const struct job_spec *spec,
	      const struct json *with, const struct source_facts *facts, int threads,
	      struct learned *out, struct err *e)
{
	struct measured_row m = { 0 };
	struct measured_class c;
	struct estimate formula;
	int rc = 0;

	engine_estimate(en, spec, with, facts, threads, &formula);
	if (s) {
		learn_class(spec, facts, threads, &c);
		rc = store_measured(s, &c, &m, e);
	}
	if (rc < 0)
		return rc;
	learn(&m, &formula, (int64_t)facts->params, out);
	return 0;
}
