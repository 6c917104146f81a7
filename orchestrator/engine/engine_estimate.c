/* orchestrator/engine/engine_estimate.c -- what a job will need, by its manifest. Pure. */
#include <string.h>

#include "core/json.h"
#include "db/job.h"
#include "orchestrator/engine/engine_private.h"

static uint64_t bytes(double v)
{
	return v <= 0 ? 0 : v >= 9e18 ? (uint64_t)9e18 : (uint64_t)v;
}

/* The number of the parameter's value; of a value that is not listed, or without a parameter,
 * `other`. */
static double share(const struct engine_case *c, const struct engine_shares *list, double other)
{
	char text[32];
	const char *value = list->by ? engine_case_value(c, list->by, text) : NULL;

	for (size_t i = 0; value && i < list->n; i++) {
		if (strcmp(list->v[i].value, value) == 0)
			return list->v[i].number;
	}
	return other;
}

/* Bytes of memory for a weight: of a value that the manifest does not list, the most that it has.
 */
static double per_weight(const struct engine_case *c)
{
	const struct engine_shares *list = &c->engine->per_weight;
	double most = 0;

	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i].number > most)
			most = list->v[i].number;
	}
	return share(c, list, most);
}

void engine_estimate(const struct engine *en, const struct job_spec *spec, const struct json *with,
		     const struct source_facts *facts, int threads, struct estimate *out)
{
	const struct engine_case c = { .engine = en, .spec = spec, .with = with, .facts = facts };
	double params = (double)facts->params, bits = 0, output, memory;

	for (size_t i = 0; i < en->n_quants; i++) {
		if (strcmp(en->quants[i].name, spec->quant) == 0)
			bits = en->quants[i].bits;
	}
	bits = share(&c, &en->out_bits, bits);
	output = (double)facts->matrix_params * bits / 8 +
		 (double)facts->vector_params * en->vector_bits / 8 +
		 (double)facts->tokenizer_bytes + en->out_base;
	if (engine_renews(en, spec)) /* its output is a copy, and so is what is worked on */
		output = (double)facts->size_bytes;
	out->output_bytes = bytes(output);
	out->scratch_bytes =
		bytes(output * (engine_renews(en, spec) ? 1 : en->scratch_output_share) +
		      params * en->scratch_per_weight);
	memory = en->mem_base + en->mem_per_thread * threads +
		 en->mem_per_row * (double)facts->max_row +
		 en->mem_source_share * (double)facts->size_bytes + params * per_weight(&c) +
		 (engine_renews(en, spec) ? output : 0);
	for (size_t i = 0; i < en->n_mem_factors; i++) {
		if (engine_when_holds(&en->mem_factors[i].when, &c))
			memory *= en->mem_factors[i].by;
	}
	out->memory_bytes = bytes(memory);
}
