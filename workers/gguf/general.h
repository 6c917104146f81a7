/* workers/gguf/general.h -- what a file says of the model as a whole: the keys general.*, from the
 * job, the shapes of the tensors, README.md's front matter and generation_config.json. Names and
 * types: docs/gguf.md of the ggml project; what each is made of: gguf-py's metadata.py. */
#ifndef QUERN_WORKERS_GGUF_GENERAL_H
#define QUERN_WORKERS_GGUF_GENERAL_H

#include "workers/gguf/conversion.h"

#define GENERAL_QUANTIZATION 2 /* general.quantization_version: GGML_QNT_VERSION */

/* Of a model from a checkpoint. ERR_IO: README.md cannot be read. */
int general_write(struct conversion *c, struct err *e);

#endif
