/* workers/gguf/facts.h -- what a GGUF file says of itself, under the names that
 * convert uses in result.json, so that the two can be compared. Read from the
 * file alone: nothing here knows what was asked for. */
#ifndef QUERN_WORKERS_GGUF_FACTS_H
#define QUERN_WORKERS_GGUF_FACTS_H

#include "core/gguf.h"
#include "core/json.h"

/* One JSON object: architecture, context_length, parameters, pre_tokenizer, quant, tensor_types,
 * tensors, vocabulary; without those that the file does not say. */
void gguf_facts_write(struct json_out *w, const struct gguf_file *f);

#endif
