#include "workers/gguf/gguf_input.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "workers/common/fileio.h"

#define LAYERS_MAX 100000 /* a tensor's "blk.N." above that is a name like any other */

/* ---- numbers of the model */

/* A count, or the first of one for each layer. 0: not there, or no count. */
static uint64_t model_count(struct arena *a, const struct gguf_input *in, int fd, const char *name)
{
	const struct gguf_kv *kv =
		gguf_find(&in->model.head, arena_printf(a, "%s.%s", in->architecture, name));
	struct err ignored = ERR_INIT;
	uint32_t first = 0;

	if (!kv)
		return 0;
	if (kv->type == GGUF_U32)
		return kv->u;
	/* Behind the array's type and count. */
	if (kv->type != GGUF_ARRAY || (kv->of != GGUF_U32 && kv->of != GGUF_I32) || !kv->count ||
	    file_read_at(fd, &first, 4, kv->at + 12, "metadata", &ignored) < 0)
		return 0;
	return first <= INT32_MAX ? first : 0;
}

static void read_counts(struct arena *a, struct gguf_input *in, int fd)
{
	const struct gguf_kv *tokens = gguf_find(&in->model.head, "tokenizer.ggml.tokens");

	in->layers = model_count(a, in, fd, "block_count");
	in->heads = model_count(a, in, fd, "attention.head_count");
	in->kv_heads = model_count(a, in, fd, "attention.head_count_kv");
	if (!in->kv_heads)
		in->kv_heads = in->heads;
	in->experts = model_count(a, in, fd, "expert_count");
	in->context = model_count(a, in, fd, "context_length");
	in->vocabulary = tokens && tokens->type == GGUF_ARRAY ? tokens->count : 0;
	in->pre = gguf_text(&in->model.head, "tokenizer.ggml.pre");
}

/* ---- tensors */

static enum st_dtype plain_dtype(const struct gguf_block_type *t)
{
	return t->id == TYPE_F16 ? ST_F16 : t->id == TYPE_BF16 ? ST_BF16 : ST_F32;
}

static int is_plain(const struct gguf_block_type *t)
{
	return t->id == TYPE_F32 || t->id == TYPE_F16 || t->id == TYPE_BF16;
}

/* As floats they would be, for those who read them. */
static struct st_tensor as_tensor(const struct gguf_tensor_info *t)
{
	struct st_tensor s = { .name = t->name,
			       .dtype = plain_dtype(t->type),
			       .dtype_name = t->type->name,
			       .n_dims = t->n_dims,
			       .n_elements = t->n,
			       .offset = t->offset,
			       .size_bytes = t->size_bytes,
			       .file = t->file };

	for (int i = 0; i < t->n_dims; i++)
		s.shape[i] = t->ne[t->n_dims - 1 - i];
	return s;
}

static int check_tensors(const struct gguf_input *in, int quantized_too, struct err *e)
{
	for (size_t i = 0; i < in->model.n_tensors; i++) {
		const struct gguf_tensor_info *t = &in->model.tensors[i];

		if (t->n == 0)
			return err_set(e, ERR_INVALID, "tensor %s has no weights", t->name);
		if (!quantized_too && t->type->block > 1)
			return err_set(
				e, ERR_INVALID,
				"tensor %s is %s: the file is quantized already, and rounding "
				"again adds to its error; convert from the original, or choose "
				"`with: {allow_requantize: true}`",
				t->name, t->type->name);
	}
	return 0;
}

int gguf_input_open(struct arena *a, const char *dir, const char *file, int quantized_too,
		    struct gguf_input *in, struct err *e)
{
	struct st_model *s = &in->files;
	int fd;

	memset(in, 0, sizeof(*in));
	if (gguf_open_model(a, dir, file, &in->model, e) < 0)
		return e->code;
	in->architecture = gguf_text(&in->model.head, "general.architecture");
	if (!in->architecture)
		return err_set(e, ERR_INVALID, "%s: general.architecture is missing",
			       in->model.files[0].path);
	if (check_tensors(in, quantized_too, e) < 0)
		return e->code;
	fd = open(in->model.files[0].path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, "%s", in->model.files[0].path);
	read_counts(a, in, fd);
	close(fd);
	s->n_files = in->model.n_files;
	s->files = arena_array(a, s->n_files, sizeof(*s->files));
	for (size_t i = 0; i < s->n_files; i++)
		s->files[i] = (struct st_file){ in->model.files[i].path, in->model.files[i].name,
						in->model.files[i].size_bytes };
	s->n_tensors = in->model.n_tensors;
	s->tensors = arena_array(a, s->n_tensors + 1, sizeof(*s->tensors));
	for (size_t i = 0; i < s->n_tensors; i++)
		s->tensors[i] = as_tensor(&in->model.tensors[i]);
	s->total_bytes = in->model.total_bytes;
	return 0;
}

/* ---- the layout */

/* N of "blk.N."; -1: none. */
static int layer_of(const char *name)
{
	char *end;
	long n;

	if (strncmp(name, "blk.", 4) != 0 || name[4] < '0' || name[4] > '9')
		return -1;
	n = strtol(name + 4, &end, 10);
	return *end == '.' && n < LAYERS_MAX ? (int)n : -1;
}

/* What is not quantized stays as it is, and so does what nobody here can read. */
static int place(struct arena *a, const struct gguf_input *in, size_t i, struct out_tensor *t,
		 struct err *e)
{
	const struct gguf_tensor_info *from = &in->model.tensors[i];
	const struct type *type = type_by_id(from->type->id);
	uint64_t rows = from->n / from->ne[0];
	struct slice *s = arena_alloc(a, sizeof(*s));

	*s = (struct slice){ .source = &in->files.tensors[i],
			     .rows = rows,
			     .take = rows,
			     .stride = rows,
			     .blocks = is_plain(from->type) ? NULL : type };
	*t = (struct out_tensor){ .name = from->name,
				  .n_dims = from->n_dims ? from->n_dims : 1,
				  .n = from->n,
				  .source = s->source,
				  .stored = type,
				  .layer = layer_of(from->name) };
	memcpy(t->ne, from->ne, sizeof(t->ne));
	t->origin = (struct origin){ .slices = s, .n_slices = 1, .row = from->ne[0] };
	if (layout_keeps(t))
		t->type = type;
	else if (!type->decode)
		return err_set(e, ERR_INVALID,
			       "tensor %s is %s, which this version cannot read; convert from the "
			       "original",
			       from->name, type->name);
	return 0;
}

int gguf_input_layout(struct arena *a, const struct gguf_input *in, struct layout *out,
		      struct err *e)
{
	out->n = in->model.n_tensors;
	out->params = 0;
	out->v = arena_array(a, out->n + 1, sizeof(*out->v));
	for (size_t i = 0; i < out->n; i++) {
		if (place(a, in, i, &out->v[i], e) < 0)
			return e->code;
		out->params += out->v[i].n;
	}
	layout_sort(out);
	return 0;
}

void gguf_input_mix(const struct gguf_input *in, struct mix *m)
{
	m->arch = in->architecture;
	m->layers = in->layers;
	m->heads = in->heads;
	m->kv_heads = in->kv_heads;
	m->experts = in->experts;
}

/* ---- metadata */

static int begins_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int is_about_the_file(const char *key, int with_imatrix)
{
	return strcmp(key, "general.alignment") == 0 || begins_with(key, "split.") ||
	       (with_imatrix && begins_with(key, "quantize.imatrix."));
}

static int copy_value(const struct gguf_part *part, int fd, const struct gguf_kv *kv,
		      struct gguf_writer *w, struct err *e)
{
	void *value;
	int rc;

	if (kv->size_bytes > GGUF_HEAD_MAX)
		return err_set(e, ERR_INVALID, "%s: %s has %llu bytes", part->path, kv->key,
			       (unsigned long long)kv->size_bytes);
	value = mem_alloc((size_t)kv->size_bytes + 1);
	rc = file_read_at(fd, value, (size_t)kv->size_bytes, kv->at, part->name, e);
	if (rc == 0)
		gguf_raw(w, kv->key, kv->type, value, (size_t)kv->size_bytes);
	free(value);
	return rc;
}

int gguf_input_metadata(const struct gguf_input *in, int with_imatrix, uint32_t file_type,
			uint32_t quantization_version, struct gguf_writer *w, struct err *e)
{
	struct {
		const char *key;
		uint32_t value;
		int said;
	} own[] = { { "general.file_type", file_type, 0 },
		    { "general.quantization_version", quantization_version, 0 } };
	const struct gguf_part *part = &in->model.files[0];
	int fd = open(part->path, O_RDONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return err_errno(e, "%s", part->path);
	for (size_t i = 0; rc == 0 && i < in->model.head.n_kv; i++) {
		const struct gguf_kv *kv = &in->model.head.kv[i];
		size_t k = 0;

		while (k < ARRAY_LEN(own) && strcmp(own[k].key, kv->key) != 0)
			k++;
		if (k < ARRAY_LEN(own)) {
			gguf_u32(w, kv->key, own[k].value);
			own[k].said = 1;
		} else if (!is_about_the_file(kv->key, with_imatrix)) {
			rc = copy_value(part, fd, kv, w, e);
		}
	}
	for (size_t k = 0; k < ARRAY_LEN(own); k++) {
		if (!own[k].said)
			gguf_u32(w, own[k].key, own[k].value);
	}
	close(fd);
	return rc;
}
