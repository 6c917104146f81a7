#include "workers/gguf/examine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/gguf.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/safetensors.h"
#include "workers/common/fileio.h"
#include "workers/common/protocol.h"
#include "workers/gguf/check_file.h"
#include "workers/gguf/facts.h"
#include "workers/gguf/shards.h"
#include "workers/gguf/type.h"

#define PIECE (256u * 1024) /* elements printed together; a multiple of every block */
#define VERIFY_THREADS_MAX 8
#define JSON_OUT_MAX (256u << 20)

static int open_gguf(struct arena *a, const char *path, struct gguf_file *f, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, "%s", path);
	if (gguf_read_fd(a, fd, f, e) < 0) {
		close(fd);
		return err_wrap(e, "%s", path);
	}
	return fd;
}

static int say(const struct err *e)
{
	fprintf(stderr, "quern-gguf: %s\n", e->msg);
	return worker_exit_of(e);
}

/* ---- verify */

static int check_blocks(struct arena *a, const char *path, int threads, const char *stage,
			struct gguf_file *f, struct err *e)
{
	int fd = open_gguf(a, path, f, e), rc;

	if (fd < 0)
		return fd;
	rc = check_file(fd, f, threads, stage, e);
	close(fd);
	return rc;
}

static int by_name(const void *x, const void *y)
{
	const struct gguf_tensor_info *a = x, *b = y;

	return strcmp(a->name, b->name);
}

/* One model of all files: the metadata of the first, and every tensor. */
static int join(struct arena *a, const struct gguf_file *files, size_t n, struct gguf_file *all,
		struct err *e)
{
	size_t at = 0;

	*all = files[0];
	all->n_tensors = 0;
	for (size_t i = 0; i < n; i++)
		all->n_tensors += files[i].n_tensors;
	all->tensors = arena_array(a, all->n_tensors + 1, sizeof(*all->tensors));
	for (size_t i = 0; i < n; i++) {
		if (files[i].n_tensors)
			memcpy(all->tensors + at, files[i].tensors,
			       files[i].n_tensors * sizeof(*all->tensors));
		at += files[i].n_tensors;
	}
	qsort(all->tensors, at, sizeof(*all->tensors), by_name);
	for (size_t i = 1; i < at; i++) {
		if (strcmp(all->tensors[i - 1].name, all->tensors[i].name) == 0)
			return err_set(e, ERR_INVALID, "tensor %s is in two files",
				       all->tensors[i].name);
	}
	if (n > 1 && shard_tensors(&files[0]) != (int64_t)at)
		return err_set(e, ERR_INVALID, "%zu tensors; split.tensors.count says %lld", at,
			       (long long)shard_tensors(&files[0]));
	return 0;
}

int examine_gguf(const char *const *paths, size_t n, int threads, struct buf *facts, struct err *e)
{
	struct arena *a = arena_new();
	struct gguf_file *files = arena_array(a, n, sizeof(*files)), all;
	struct json_out w;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const char *stage =
			n == 1 ? "validate" : arena_printf(a, "validate %zu of %zu", i + 1, n);

		rc = check_blocks(a, paths[i], threads, stage, &files[i], e);
		if (rc == 0 && shard_check(&files[i], i, n, e) < 0)
			rc = err_wrap(e, "%s", paths[i]);
	}
	if (rc == 0 && !gguf_find(&files[0], "general.architecture"))
		rc = err_set(e, ERR_INVALID, "%s: general.architecture is missing", paths[0]);
	if (rc == 0)
		rc = join(a, files, n, &all, e);
	if (rc == 0 && facts) {
		jw_init(&w, facts, 0);
		gguf_facts_write(&w, &all);
	}
	arena_free(a);
	return rc;
}

/* A person waits: nobody has said how many threads there may be. */
static int processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > VERIFY_THREADS_MAX ? VERIFY_THREADS_MAX : (int)n;
}

/* One file of several is good by itself; only the first has the metadata. */
static int verify_one(const char *path, struct err *e)
{
	struct arena *a = arena_new();
	struct gguf_file f = { 0 };
	int rc = check_blocks(a, path, processors(), NULL, &f, e);

	if (rc == 0 && !gguf_find(&f, "general.architecture") && shard_tensors(&f) < 0)
		rc = err_set(e, ERR_INVALID, "%s: general.architecture is missing", path);
	arena_free(a);
	return rc;
}

int verify_main(const char *path)
{
	struct err e = ERR_INIT;

	if (verify_one(path, &e) < 0)
		return say(&e);
	printf("{\"ok\": true}\n");
	return WORKER_OK;
}

/* ---- dequantize */

static int print_tensor(int fd, const struct gguf_tensor_info *t, struct err *e)
{
	void *data = mem_alloc((size_t)gguf_type_bytes(t->type, PIECE));
	float *x = mem_array(PIECE, sizeof(*x));
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < t->n; at += PIECE) {
		size_t n = t->n - at < PIECE ? (size_t)(t->n - at) : PIECE;

		rc = file_read_at(fd, data, (size_t)gguf_type_bytes(t->type, n),
				  t->offset + gguf_type_bytes(t->type, at), t->name, e);
		if (rc < 0)
			break;
		type_by_id(t->type->id)->decode(data, x, n);
		if (fwrite(x, sizeof(*x), n, stdout) != n)
			rc = err_errno(e, "standard output");
	}
	free(x);
	free(data);
	return rc;
}

int dequantize_main(const char *path, const char *tensor)
{
	struct arena *a = arena_new();
	const struct gguf_tensor_info *t = NULL;
	struct err e = ERR_INIT;
	struct gguf_file f = { 0 };
	int fd = open_gguf(a, path, &f, &e), rc = fd < 0 ? fd : 0;

	for (size_t i = 0; rc == 0 && i < f.n_tensors; i++) {
		if (strcmp(f.tensors[i].name, tensor) == 0)
			t = &f.tensors[i];
	}
	if (rc == 0 && !t)
		rc = err_set(&e, ERR_INVALID, "%s: there is no tensor %s", path, tensor);
	else if (rc == 0 && !type_by_id(t->type->id)->decode)
		rc = err_set(&e, ERR_INVALID, "%s: type %s is not decoded by this version", path,
			     t->type->name);
	else if (rc == 0)
		rc = print_tensor(fd, t, &e);
	if (fd >= 0)
		close(fd);
	arena_free(a);
	return rc < 0 ? say(&e) : WORKER_OK;
}

/* ---- inspect */

static const char *const value_names[GGUF_VALUE_COUNT] = {
	[GGUF_U8] = "u8",	[GGUF_I8] = "i8",   [GGUF_U16] = "u16", [GGUF_I16] = "i16",
	[GGUF_U32] = "u32",	[GGUF_I32] = "i32", [GGUF_F32] = "f32", [GGUF_BOOL] = "bool",
	[GGUF_U64] = "u64",	[GGUF_I64] = "i64", [GGUF_F64] = "f64", [GGUF_STRING] = "string",
	[GGUF_ARRAY] = "array",
};

static void write_value(struct json_out *w, const struct gguf_kv *kv)
{
	switch (kv->type) {
	case GGUF_STRING:
		jw_strn(w, kv->str, kv->len < GGUF_TEXT_KEPT ? (size_t)kv->len : GGUF_TEXT_KEPT);
		break;
	case GGUF_ARRAY:
		jw_object(w);
		jw_kstr(w, "array_of", value_names[kv->of]);
		jw_kint(w, "count", (int64_t)kv->count);
		jw_end_object(w);
		break;
	case GGUF_BOOL:
		jw_bool(w, kv->u != 0);
		break;
	case GGUF_F32:
	case GGUF_F64:
		jw_num(w, kv->f);
		break;
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		jw_int(w, kv->i);
		break;
	default:
		jw_uint(w, kv->u);
	}
}

static void write_tensor(struct json_out *w, const char *name, const char *type,
			 const uint64_t *shape, int n_dims, uint64_t offset, uint64_t size)
{
	jw_object(w);
	jw_kstr(w, "name", name);
	jw_kstr(w, "type", type);
	jw_karray(w, "shape");
	for (int i = 0; i < n_dims; i++)
		jw_uint(w, shape[i]);
	jw_end_array(w);
	jw_kint(w, "offset", (int64_t)offset);
	jw_kint(w, "size_bytes", (int64_t)size);
	jw_end_object(w);
}

static void write_gguf(struct json_out *w, const struct gguf_file *f)
{
	uint64_t params = 0;

	jw_kstr(w, "format", "gguf");
	jw_kint(w, "version", f->version);
	jw_kint(w, "size_bytes", (int64_t)f->file_bytes);
	jw_kint(w, "alignment", f->alignment);
	jw_key(w, "facts");
	gguf_facts_write(w, f);
	jw_kobject(w, "metadata");
	for (size_t i = 0; i < f->n_kv; i++) {
		jw_key(w, f->kv[i].key);
		write_value(w, &f->kv[i]);
	}
	jw_end_object(w);
	jw_kobject(w, "types");
	for (uint32_t id = 0; id <= TYPE_ID_MAX; id++) {
		int64_t n = 0;

		for (size_t i = 0; i < f->n_tensors; i++)
			n += f->tensors[i].type->id == id;
		if (n)
			jw_kint(w, type_by_id(id)->name, n);
	}
	jw_end_object(w);
	for (size_t i = 0; i < f->n_tensors; i++)
		params += f->tensors[i].n;
	jw_kint(w, "parameters", (int64_t)params);
	jw_karray(w, "tensors");
	for (size_t i = 0; i < f->n_tensors; i++)
		write_tensor(w, f->tensors[i].name, f->tensors[i].type->name, f->tensors[i].ne,
			     f->tensors[i].n_dims, f->tensors[i].offset, f->tensors[i].size_bytes);
	jw_end_array(w);
}

static void write_safetensors(struct json_out *w, const struct st_header *h)
{
	uint64_t params = 0;

	for (size_t i = 0; i < h->count; i++)
		params += h->tensors[i].n_elements;
	jw_kstr(w, "format", "safetensors");
	jw_kint(w, "parameters", (int64_t)params);
	jw_karray(w, "tensors");
	for (size_t i = 0; i < h->count; i++)
		write_tensor(w, h->tensors[i].name, h->tensors[i].dtype_name, h->tensors[i].shape,
			     h->tensors[i].n_dims, h->tensors[i].offset, h->tensors[i].size_bytes);
	jw_end_array(w);
}

static int describe(struct arena *a, const char *path, struct json_out *w, struct err *e)
{
	size_t n = strlen(path);
	struct st_header h = { 0 };
	struct gguf_file f = { 0 };
	int fd;

	if (n > 12 && strcmp(path + n - 12, ".safetensors") == 0) {
		if (st_read_header(a, path, &h, e) < 0)
			return e->code;
		write_safetensors(w, &h);
		return 0;
	}
	fd = open_gguf(a, path, &f, e);
	if (fd < 0)
		return fd;
	close(fd);
	write_gguf(w, &f);
	return 0;
}

int inspect_main(const char *path)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct json_out w;
	struct buf b;
	int rc;

	buf_init(&b, JSON_OUT_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	rc = describe(a, path, &w, &e);
	jw_end_object(&w);
	if (rc == 0)
		puts(buf_str(&b));
	buf_release(&b);
	arena_free(a);
	return rc < 0 ? say(&e) : WORKER_OK;
}
