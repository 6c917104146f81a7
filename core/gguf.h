/* core/gguf.h -- the head of a GGUF file as foreign bytes: every rule of ggml's own
 * reader (ggml/src/gguf.cpp) is checked before a number is used. Values of
 * metadata are kept as they are; arrays only by type, count and place. And a
 * model in GGUF: one such file, or all parts of a split one (core/gguf_model.c). */
#ifndef QUERN_CORE_GGUF_H
#define QUERN_CORE_GGUF_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

#define GGUF_ALIGNMENT 32
#define GGUF_NAME_MAX 63 /* bytes of a tensor's name: ggml's GGML_MAX_NAME less its NUL */
#define GGUF_DIMS_MAX 4

enum gguf_value {
	GGUF_U8 = 0,
	GGUF_I8,
	GGUF_U16,
	GGUF_I16,
	GGUF_U32,
	GGUF_I32,
	GGUF_F32,
	GGUF_BOOL,
	GGUF_STRING,
	GGUF_ARRAY,
	GGUF_U64,
	GGUF_I64,
	GGUF_F64,
	GGUF_VALUE_COUNT
};

/* A type of tensor; source: ggml/include/ggml.h, enum ggml_type, and ggml/src/ggml-common.h. */
struct gguf_block_type {
	uint32_t id;
	const char *name;
	uint32_t block; /* elements */
	uint32_t bytes; /* of a block */
};

#define GGUF_TYPE_MAX 42 /* highest number in use */

/* NULL when unknown or retired. */
const struct gguf_block_type *gguf_type_by_id(uint32_t id);
/* Bytes of n elements, a multiple of the block. */
uint64_t gguf_type_bytes(const struct gguf_block_type *t, uint64_t n);

struct gguf_kv {
	const char *key;
	enum gguf_value type;
	uint64_t at, size_bytes; /* where the value is in the file; of arrays, their type and count
				  * too */
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
	const struct gguf_block_type *type;
	uint64_t offset; /* in the file */
	uint64_t size_bytes;
	uint32_t file; /* index into gguf_model.files */
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
/* All but the weights' places, of which nothing has to be there: a file that is still coming. */
int gguf_read_head(struct arena *a, const struct gguf_source *src, struct gguf_file *f,
		   struct err *e);
/* The same as gguf_read() from a descriptor. */
int gguf_read_fd(struct arena *a, int fd, struct gguf_file *f, struct err *e);
const struct gguf_kv *gguf_find(const struct gguf_file *f, const char *key);
/* A text without NUL that is kept whole, or NULL. */
const char *gguf_text(const struct gguf_file *f, const char *key);

struct gguf_part {
	const char *path;
	const char *name; /* in the model's folder */
	uint64_t size_bytes;
};

/* One file, or PREFIX-00001-of-00003.gguf and its brothers: metadata of the first, tensors of all.
 * Rules of splits: llama.cpp src/llama-model-loader.cpp. */
struct gguf_model {
	struct gguf_part *files;
	size_t n_files;
	struct gguf_file head; /* of the first part; its tensors are those of that part alone */
	struct gguf_tensor_info *tensors; /* part by part, in the file's order */
	size_t n_tensors;
	uint64_t total_bytes; /* of tensor data */
};

/* 1 when name is a part of a split file; its number, from 1, and how many there are. */
int gguf_part_numbers(const char *name, unsigned *part, unsigned *parts);

/* file: name of the file in dir, or of the first part. ERR_NOTFOUND, ERR_INVALID (what is wrong,
 * with the file's name), ERR_IO. */
int gguf_open_model(struct arena *a, const char *dir, const char *file, struct gguf_model *out,
		    struct err *e);

#endif
