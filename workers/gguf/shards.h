/* workers/gguf/shards.h -- one model in several files, as llama.cpp's gguf-split cuts and names
 * them: NAME-00001-of-00005.gguf and so on. Each is a GGUF of its own with split.no (from 0) and
 * split.count, both u16, and split.tensors.count (i32, of all files); the other metadata is in the
 * first. llama.cpp is given that one and finds the others by their names. Source:
 * tools/gguf-split/gguf-split.cpp, src/llama-model-loader.cpp. */
#ifndef QUERN_WORKERS_GGUF_SHARDS_H
#define QUERN_WORKERS_GGUF_SHARDS_H

#include "core/gguf.h"
#include "core/json.h"
#include "workers/gguf/layout.h"

#define SHARDS_MAX 250 /* all are open at once; a process may have 1024 */

struct shard_options {
	uint64_t max_bytes; /* of tensors in a file; 0: no limit */
	int keep;	    /* a file for each file of the checkpoint */
};

/* split_max_size ("2G", "500M": units of 1000) and keep_split. ERR_INVALID. */
int shards_read(const struct json *with, struct shard_options *out, struct err *e);

/* Sets the shard of every tensor, whose types are known, and returns how many there are; 1: one
 * plain file. A tensor is never cut, so one of more than max_bytes has a file of its own.
 * ERR_INVALID above SHARDS_MAX. */
int shards_assign(const struct shard_options *o, struct layout *l, struct err *e);

/* i: from 0. */
const char *shard_name(struct arena *a, const char *file, int i, int count);
void shard_keys(struct gguf_writer *w, int i, int count, size_t n_tensors);

/* Is f file i of `count`, as its keys tell? A single file has no keys. ERR_INVALID. */
int shard_check(const struct gguf_file *f, size_t i, size_t count, struct err *e);
/* What split.tensors.count says, or -1. */
int64_t shard_tensors(const struct gguf_file *f);

#endif
