/* orchestrator/measure/counting.h -- tokens of an answer that nobody counted, counted with the
 * model's own tokenizer: that of the artifact, else that of the model it was made from. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_COUNTING_H
#define QUERN_ORCHESTRATOR_MEASURE_COUNTING_H

#include "orchestrator/measure/measure.h"

struct token_counter;

struct counting { /* zeroed at first */
	struct token_counter *counter;
	bool looked;
};

/* When x was not counted, or by pieces of its stream only: COUNTED_TOKENIZER, where a tokenizer is
 * there that can. The prompt counts without its template, which is the server's. Why one that is
 * there cannot is a warning in r, once. */
void counting_fill(struct counting *c, const struct measure_options *o,
		   const struct measure_prompt *p, struct measure_answer *x,
		   struct measure_result *r);
void counting_release(struct counting *c);

#endif
