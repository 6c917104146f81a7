/* core/safetensors.h -- the header of a safetensors file: names, dtypes, shapes
 * and places, checked in full before anybody uses a number from it. Format:
 * u64 little-endian N (at most 100,000,000), N bytes of JSON object, then data;
 * "name": {"dtype","shape","data_offsets":[begin,end]} relative to the data.
 * Source: safetensors/src/tensor.rs of the reference implementation. */
#ifndef QUERN_CORE_SAFETENSORS_H
#define QUERN_CORE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

enum st_dtype {
	ST_F64,
	ST_F32,
	ST_F16,
	ST_BF16,
	ST_F8_E4M3,
	ST_F8_E5M2,
	ST_I64,
	ST_I32,
	ST_I16,
	ST_I8,
	ST_U64,
	ST_U32,
	ST_U16,
	ST_U8,
	ST_BOOL,
	ST_OTHER /* known width, no arithmetic here */
};

#define ST_MAX_DIMS 8

struct st_tensor {
	const char *name; /* UTF-8, no control characters */
	enum st_dtype dtype;
	const char *dtype_name;	     /* as in the file, "BF16" */
	int n_dims;		     /* 0 is a scalar */
	uint64_t shape[ST_MAX_DIMS]; /* row-major, slowest first */
	uint64_t n_elements;	     /* product of shape, no overflow */
	uint64_t offset;	     /* absolute, from the start of the file */
	uint64_t size_bytes;
	uint32_t file; /* index into st_model.files */
};

struct st_header {
	struct st_tensor *tensors; /* sorted by offset */
	size_t count;
	uint64_t data_offset; /* 8 + N */
};

/* Parse the N header bytes of a file of file_size bytes (both bounds are checked against each
 * other). Every rule of the reference: no holes, no overlaps, sizes exact, nothing trailing, no
 * duplicates. ERR_INVALID with the tensor's name and the rule. All memory in a. */
int st_parse_header(struct arena *a, const char *json, size_t json_len, uint64_t file_size,
		    struct st_header *out, struct err *e);

/* Open, read and check the header of one file. */
int st_read_header(struct arena *a, const char *path, struct st_header *out, struct err *e);

struct st_file {
	const char *path;
	const char *name; /* file name inside the model's folder */
	uint64_t size_bytes;
};

/* A model's folder: model.safetensors.index.json with its shards, or model.safetensors, or
 * model*.safetensors (consolidated* left out when model* exist). Names in index and shards must be
 * the same set. */
struct st_model {
	struct st_file *files;
	size_t n_files;
	struct st_tensor *tensors; /* sorted by name */
	size_t n_tensors;
	uint64_t total_bytes; /* of tensor data */
};

/* ERR_NOTFOUND (no safetensors here), ERR_INVALID (what is wrong, with the file's name), ERR_IO. */
int st_open_model(struct arena *a, const char *dir, struct st_model *out, struct err *e);
const struct st_tensor *st_find(const struct st_model *m, const char *name); /* binary search */

#endif
