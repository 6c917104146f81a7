/* upload/commit_body.h -- a commit as the Hub's API takes it: NDJSON, a header
 * and a line for each file, plain contents inside in base64. Written to a file
 * as it is made, so that memory stays small and the body can be sent again.
 * Source: huggingface_hub _commit_api.py, _prepare_commit_payload(). */
#ifndef QUERN_UPLOAD_COMMIT_BODY_H
#define QUERN_UPLOAD_COMMIT_BODY_H

#include <stdint.h>

#include "core/err.h"
#include "upload/hub.h"

/* Write the body to fd from its start. ERR_CORRUPT: a plain file is not what its hash says;
 * ERR_INVALID: a name that no repository takes. */
int commit_body_write(int fd, const struct hub_commit *c, uint64_t *size_bytes, struct err *e);

#endif
