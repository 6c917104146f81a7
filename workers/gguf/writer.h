/* workers/gguf/writer.h -- the head of a GGUF v3 file: metadata and tensor
 * infos. All sizes follow from shapes and types, so the head is complete before
 * the first weight is read, and weights go to their final places in any order.
 * Layout: docs/gguf.md of the ggml project. */
#ifndef QUERN_WORKERS_GGUF_WRITER_H
#define QUERN_WORKERS_GGUF_WRITER_H

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/gguf.h"
#include "workers/gguf/type.h"

#define GGUF_HEAD_MAX (512u << 20)

struct gguf_writer {
	struct buf kv, infos;
	uint64_t n_kv, n_tensors, data_bytes;
};

void gguf_init(struct gguf_writer *w);
void gguf_release(struct gguf_writer *w);

/* llama.cpp wants exactly these types: counts and ids u32, reals f32, flags bool. */
void gguf_u16(struct gguf_writer *w, const char *name, uint16_t v);
void gguf_i32(struct gguf_writer *w, const char *name, int32_t v);
void gguf_u32(struct gguf_writer *w, const char *name, uint32_t v);
void gguf_f32(struct gguf_writer *w, const char *name, float v);
void gguf_bool(struct gguf_writer *w, const char *name, int v);
void gguf_str(struct gguf_writer *w, const char *name,
	      const char *v); /* NULL and "" are left out */
/* A value as it stands in another file. */
void gguf_raw(struct gguf_writer *w, const char *name, enum gguf_value type, const void *value,
	      size_t n);
/* An array: begin, then exactly n values. */
void gguf_array(struct gguf_writer *w, const char *name, enum gguf_value of, uint64_t n);
void gguf_put_str(struct gguf_writer *w, const char *s, size_t len);
void gguf_put_i32(struct gguf_writer *w, int32_t v);
void gguf_put_f32(struct gguf_writer *w, float v);

/* Up to the alignment. */
uint64_t gguf_padded(uint64_t bytes);

/* The next tensor: ne[] fastest first. Returns its offset in the data section; each is padded to
 * the alignment. */
uint64_t gguf_tensor(struct gguf_writer *w, const char *name, const uint64_t *ne, int n_dims,
		     const struct type *t);

/* The whole head into out, padded to where the data begins. ERR_NOSPACE above GGUF_HEAD_MAX. */
int gguf_head(const struct gguf_writer *w, struct buf *out, struct err *e);

#endif
