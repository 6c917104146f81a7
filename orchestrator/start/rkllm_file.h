/* orchestrator/start/rkllm_file.h -- what can be known of a .rkllm file without the vendor's
 * runtime. The format is not published: its size, its hash, and the printable words in its first
 * MiB that name a toolkit, a chip or a data type, as they stand there, without any meaning given to
 * them. */
#ifndef QUERN_ORCHESTRATOR_RKLLM_FILE_H
#define QUERN_ORCHESTRATOR_RKLLM_FILE_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "orchestrator/cli.h"

#define RKLLM_EXTENSION ".rkllm"

/* Describe the file to stdout, as text or JSON, each statement with where it comes from: read from
 * the file, claimed by its name, said by a quern.json beside it (which is believed as far as its
 * hash is this file's). ERR_NOTFOUND, ERR_IO, ERR_INVALID (not a plain file). */
int rkllm_file_inspect(struct arena *a, const char *path, bool json, struct err *e);

#endif
