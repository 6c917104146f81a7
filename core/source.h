/* core/source.h -- a model's folder as the other parts see it: which files
 * count, what is in them, and one hash over it. Files that count: config.json,
 * generation_config.json, tokenizer and template files, safetensors and their
 * index, *.gguf, imatrix.dat, README.md. Pickles (*.bin *.pt *.pth *.ckpt *.pkl) never. */
#ifndef QUERN_CORE_SOURCE_H
#define QUERN_CORE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

struct source_file {
	const char *name; /* relative, path_relative_ok() */
	const char *path; /* absolute, links resolved */
	uint64_t size_bytes;
	int64_t mtime_ns, ctime_ns;
	uint64_t inode, device;
};

struct source_files {
	struct source_file *v; /* sorted by name */
	size_t n;
};

/* True when a file of this name is part of a model for us; also what a download takes. */
int source_wanted(const char *name);

/* List dir (one level). A symbolic link must end in a regular file inside dir or in the "blobs"
 * folder of the Hub cache that dir is a snapshot of (../../blobs); anything else is ERR_INVALID and
 * says so. */
int source_list(struct arena *a, const char *dir, struct source_files *out, struct err *e);

/* What plan and cards need to know of a model; from config.json and tensor headers alone. */
struct source_facts {
	const char *architecture; /* config.json architectures[0] */
	const char *model_type;
	const char *dtype;	/* of most weights: "BF16" */
	const char *format;	/* "safetensors" or "gguf" */
	const char *license;	/* README.md front matter; NULL if none */
	uint64_t params;	/* all elements */
	uint64_t matrix_params; /* elements of tensors with two or more dimensions */
	uint64_t vector_params; /* the rest */
	uint64_t size_bytes;	/* of tensor data */
	uint64_t largest_tensor_bytes;
	uint64_t n_tensors;
	uint64_t max_row;	  /* longest row (elements) of a matrix */
	uint64_t tokenizer_bytes; /* size of tokenizer.json, or of tokenizer.model */
};

int source_read_facts(struct arena *a, const char *dir, struct source_facts *out, struct err *e);

#endif
