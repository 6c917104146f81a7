/* workers/gguf/reader.h -- a GGUF file as foreign bytes: every rule of ggml's own
 * reader (ggml/src/gguf.cpp) is checked before a number is used. Values of
 * metadata are kept as they are; arrays only by type, count and place. */
#ifndef QUERN_WORKERS_GGUF_READER_H
#define QUERN_WORKERS_GGUF_READER_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "workers/gguf/type.h"
#include "workers/gguf/writer.h"

struct gguf_kv {
	const char *key;
	enum gguf_value type;
	union {
		uint64_t u; /* unsigned and BOOL */
		int64_t i;
		double f;
		struct {
			const char *str; /* at most GGUF_TEXT_KEPT bytes of it */
			uint64_t len;	 /* all */
		};
		struct {
			enum gguf_value of;
			uint64_t count;
		};
	};
};

#define GGUF_TEXT_KEPT (1u << 20)

struct gguf_tensor_info {
	const char *name;
	int n_dims;
	uint64_t ne[GGUF_DIMS_MAX]; /* 1 beyond n_dims */
	uint64_t n;		    /* elements */
	const struct type *type;
	uint64_t offset; /* in the file */
	uint64_t size_bytes;
};

struct gguf_file {
	uint32_t version, alignment;
	uint64_t data_offset, file_bytes;
	struct gguf_kv *kv;
	size_t n_kv;
	struct gguf_tensor_info *tensors;
	size_t n_tensors;
};

/* Where bytes come from: a file, or memory in tests. Returns 0 or a negative error. */
struct gguf_source {
	int (*read)(void *ctx, void *out, size_t n, uint64_t at, struct err *e);
	void *ctx;
	uint64_t size_bytes;
};

/* ERR_INVALID with the key or tensor and the rule. Memory in a. */
int gguf_read(struct arena *a, const struct gguf_source *src, struct gguf_file *f, struct err *e);
/* The same from a descriptor. */
int gguf_read_fd(struct arena *a, int fd, struct gguf_file *f, struct err *e);
const struct gguf_kv *gguf_find(const struct gguf_file *f, const char *key);

#endif
