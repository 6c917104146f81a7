/* workers/gguf/conversion.h -- one conversion, from its job to its result; shared by the
 * files that are its steps, in this order:
 *
 *   convert.c           what was asked for, the model that it is asked of, metadata
 *   general.c           of that: what is said of the model as a whole
 *   convert_weights.c   what needs more than headers: importances, hybrid, the pass, the files
 *   convert_result.c    what is said of it */
#ifndef QUERN_WORKERS_GGUF_CONVERSION_H
#define QUERN_WORKERS_GGUF_CONVERSION_H

#include "core/source.h"
#include "workers/common/protocol.h"
#include "workers/gguf/gguf_input.h"
#include "workers/gguf/imatrix.h"
#include "workers/gguf/layout.h"
#include "workers/gguf/mix.h"
#include "workers/gguf/pass.h"
#include "workers/gguf/shards.h"
#include "workers/gguf/tokenizer.h"
#include "workers/gguf/writer.h"

struct conversion {
	struct arena *a;
	struct worker_job job;
	const struct arch *arch;
	struct json *config;
	struct hparams h;
	struct st_model model;
	struct source_quant quant;
	struct packed_set packed;
	struct lora lora; /* v NULL: none */
	struct mix mix;
	struct quality *quality; /* of each tensor */
	struct imatrix imatrix;
	const char *imatrix_path; /* or NULL */
	const char *imatrix_name; /* in the output; the key has no name of a file elsewhere */
	struct layout layout;
	struct tokenizer tokenizer;
	struct source_facts facts;
	const char *architecture; /* as the file names it */
	struct gguf_input *input; /* NULL: from a checkpoint */
	struct gguf_writer w;	  /* of the first file */
	struct gguf_writer *rest; /* of the others */
	struct shard_options split;
	int n_files;
	struct worker_output *outs; /* of each file */
	int zero_nonfinite;
	const char *pre; /* the user's choice, or NULL */
	uint64_t n_zeroed;
};

/* The writer of one of the output's files. */
struct gguf_writer *conversion_writer(struct conversion *c, int file);

/* convert_weights.c. Read the importances, if there are some, and give each tensor its own:
 * ERR_INVALID when they are another model's. */
int conversion_read_imatrix(struct conversion *c, struct err *e);
/* The share `hybrid` of the matrices that could be better gets the next better type: those first
 * that add most to the error of the whole model. Makes c->quality. */
int conversion_promote(struct conversion *c, struct err *e);
/* c->outs, c->quality and c->n_zeroed; of a failure nothing is left. */
int conversion_write_files(struct conversion *c, struct err *e);

/* convert_result.c: the "facts" of result.json. */
const char *conversion_facts(struct conversion *c);

#endif
