#include "core/gguf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/utf8.h"

#define KV_MAX 65536 /* entries; models have under a hundred */
#define TENSORS_MAX 1000000
#define ARRAY_MAX (1u << 30)  /* elements, as ggml */
#define STRING_MAX (1u << 30) /* bytes, as ggml */
#define KEPT_MAX (128u << 20) /* bytes of all names and texts in memory */
#define WINDOW 65536

struct cursor {
	const struct gguf_source *src;
	struct arena *a;
	uint64_t at;
	unsigned char window[WINDOW];
	uint64_t window_at;
	size_t window_n;
	uint64_t kept; /* bytes of names and texts */
	struct err *e;
};

/* ---- bytes */

static int refill(struct cursor *c)
{
	uint64_t left = c->src->size_bytes - c->at;

	c->window_at = c->at;
	c->window_n = left < WINDOW ? (size_t)left : WINDOW;
	return c->src->read(c->src->ctx, c->window, c->window_n, c->at, c->e);
}

static int need(struct cursor *c, uint64_t n, const char *what)
{
	if (n <= c->src->size_bytes - c->at)
		return 0;
	return err_set(c->e, ERR_INVALID, "%s goes beyond the end of the file (%llu bytes)", what,
		       (unsigned long long)c->src->size_bytes);
}

static int take(struct cursor *c, void *out, size_t n, const char *what)
{
	unsigned char *p = out;

	if (need(c, n, what) < 0)
		return c->e->code;
	while (n) {
		size_t in, part;

		if (c->at < c->window_at || c->at >= c->window_at + c->window_n) {
			if (refill(c) < 0)
				return c->e->code;
		}
		in = (size_t)(c->at - c->window_at);
		part = c->window_n - in < n ? c->window_n - in : n;
		memcpy(p, c->window + in, part);
		p += part;
		n -= part;
		c->at += part;
	}
	return 0;
}

static int take_u32(struct cursor *c, uint32_t *v, const char *what)
{
	return take(c, v, 4, what);
}

static int take_u64(struct cursor *c, uint64_t *v, const char *what)
{
	return take(c, v, 8, what);
}

static int take_length(struct cursor *c, uint64_t *n, const char *what)
{
	uint64_t v = 0;

	if (take_u64(c, &v, what) < 0 || need(c, v, what) < 0)
		return c->e->code;
	if (v > STRING_MAX)
		return err_set(c->e, ERR_INVALID, "%s: a text of %llu bytes", what,
			       (unsigned long long)v);
	*n = v;
	return 0;
}

/* At most keep bytes are kept, the rest is passed over. */
static int take_string(struct cursor *c, const char **s, uint64_t *len, size_t keep,
		       const char *what)
{
	uint64_t n = 0;
	size_t kept;
	char *text;

	if (take_length(c, &n, what) < 0)
		return c->e->code;
	kept = n < keep ? (size_t)n : keep;
	c->kept += kept;
	if (c->kept > KEPT_MAX)
		return err_set(c->e, ERR_INVALID, "%s: more than %u bytes of names and texts", what,
			       KEPT_MAX);
	text = arena_alloc(c->a, kept + 1);
	if (take(c, text, kept, what) < 0)
		return c->e->code;
	c->at += n - kept;
	*s = text;
	*len = n;
	return 0;
}

/* ---- metadata */

static size_t scalar_bytes(enum gguf_value t)
{
	static const unsigned char sizes[GGUF_VALUE_COUNT] = {
		[GGUF_U8] = 1,	[GGUF_I8] = 1,	[GGUF_BOOL] = 1, [GGUF_U16] = 2,
		[GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,	 [GGUF_F32] = 4,
		[GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
	};

	return t < GGUF_VALUE_COUNT ? sizes[t] : 0;
}

static int take_scalar(struct cursor *c, struct gguf_kv *kv)
{
	unsigned char raw[8] = { 0 };
	size_t n = scalar_bytes(kv->type);
	float f;

	if (take(c, raw, n, kv->key) < 0)
		return c->e->code;
	memcpy(&kv->u, raw, 8);
	switch (kv->type) {
	case GGUF_BOOL:
		if (kv->u > 1)
			return err_set(c->e, ERR_INVALID, "key %s: a bool that is neither 0 nor 1",
				       kv->key);
		break;
	case GGUF_I8:
		kv->i = raw[0] < 128 ? raw[0] : (int64_t)raw[0] - 256;
		break;
	case GGUF_I16:
		kv->i = (int16_t)(uint16_t)kv->u;
		break;
	case GGUF_I32:
		kv->i = (int32_t)(uint32_t)kv->u;
		break;
	case GGUF_F32:
		memcpy(&f, raw, 4);
		kv->f = f;
		break;
	case GGUF_F64:
		memcpy(&kv->f, raw, 8);
		break;
	default:
		break;
	}
	return 0;
}

static int pass_array(struct cursor *c, struct gguf_kv *kv)
{
	uint32_t of = 0;
	uint64_t count = 0, len = 0;

	if (take_u32(c, &of, kv->key) < 0 || take_u64(c, &count, kv->key) < 0)
		return c->e->code;
	if (of >= GGUF_VALUE_COUNT || of == GGUF_ARRAY)
		return err_set(c->e, ERR_INVALID, "key %s: an array of type %u is not allowed",
			       kv->key, of);
	if (count > ARRAY_MAX)
		return err_set(c->e, ERR_INVALID, "key %s: an array of %llu elements", kv->key,
			       (unsigned long long)count);
	kv->of = (enum gguf_value)of;
	kv->count = count;
	if (of != GGUF_STRING) {
		if (need(c, count * scalar_bytes(kv->of), kv->key) < 0)
			return c->e->code;
		c->at += count * scalar_bytes(kv->of);
		return 0;
	}
	for (uint64_t i = 0; i < count; i++) {
		if (take_length(c, &len, kv->key) < 0)
			return c->e->code;
		c->at += len;
	}
	return 0;
}

static int take_kv(struct cursor *c, struct gguf_kv *kv)
{
	uint64_t len = 0;
	uint32_t type = 0;
	int rc;

	if (take_string(c, &kv->key, &len, 65535, "a metadata key") < 0)
		return c->e->code;
	if (len == 0 || len > 65535 || strlen(kv->key) != len || !utf8_valid(kv->key, len))
		return err_set(c->e, ERR_INVALID, "a metadata key is empty, too long, or no text");
	if (take_u32(c, &type, kv->key) < 0)
		return c->e->code;
	if (type >= GGUF_VALUE_COUNT)
		return err_set(c->e, ERR_INVALID, "key %s has type %u, which does not exist",
			       kv->key, type);
	kv->type = (enum gguf_value)type;
	kv->at = c->at;
	if (type == GGUF_STRING)
		rc = take_string(c, &kv->str, &kv->len, GGUF_TEXT_KEPT, kv->key);
	else
		rc = type == GGUF_ARRAY ? pass_array(c, kv) : take_scalar(c, kv);
	kv->size_bytes = c->at - kv->at;
	return rc;
}

/* ---- tensors */

static int take_dims(struct cursor *c, struct gguf_tensor_info *t)
{
	uint32_t n_dims = 0;

	if (take_u32(c, &n_dims, t->name) < 0)
		return c->e->code;
	if (n_dims > GGUF_DIMS_MAX)
		return err_set(c->e, ERR_INVALID, "tensor %s has %u dimensions; 4 are the limit",
			       t->name, n_dims);
	t->n_dims = (int)n_dims;
	t->n = 1;
	for (int i = 0; i < GGUF_DIMS_MAX; i++) {
		t->ne[i] = 1;
		if (i < t->n_dims && take_u64(c, &t->ne[i], t->name) < 0)
			return c->e->code;
		if (t->ne[i] > INT64_MAX || (t->ne[i] && t->n > INT64_MAX / t->ne[i]))
			return err_set(c->e, ERR_INVALID, "tensor %s: its dimensions are too large",
				       t->name);
		t->n *= t->ne[i];
	}
	return 0;
}

static int take_tensor(struct cursor *c, struct gguf_tensor_info *t)
{
	uint64_t len = 0;
	uint32_t id = 0;

	if (take_string(c, &t->name, &len, GGUF_NAME_MAX + 1, "a tensor name") < 0)
		return c->e->code;
	if (len == 0 || len > GGUF_NAME_MAX || strlen(t->name) != len || !utf8_valid(t->name, len))
		return err_set(c->e, ERR_INVALID,
			       "a tensor name is empty, longer than %d bytes, or no text",
			       GGUF_NAME_MAX);
	if (take_dims(c, t) < 0 || take_u32(c, &id, t->name) < 0 ||
	    take_u64(c, &t->offset, t->name) < 0)
		return c->e->code;
	t->type = gguf_type_by_id(id);
	if (!t->type)
		return err_set(c->e, ERR_INVALID, "tensor %s has type %u, which is not known",
			       t->name, id);
	if (t->ne[0] % t->type->block != 0)
		return err_set(c->e, ERR_INVALID,
			       "tensor %s: rows of %llu do not fit blocks of %u (%s)", t->name,
			       (unsigned long long)t->ne[0], t->type->block, t->type->name);
	if (t->n / t->type->block > INT64_MAX / t->type->bytes)
		return err_set(c->e, ERR_INVALID, "tensor %s is too large", t->name);
	t->size_bytes = gguf_type_bytes(t->type, t->n);
	return 0;
}

static uint64_t align_up(uint64_t n, uint32_t alignment)
{
	return n > UINT64_MAX - alignment ? UINT64_MAX
					  : (n + alignment - 1) / alignment * alignment;
}

/* Each begins where the one before it ends, padded; the last one lies inside the file. */
static int place_tensors(struct cursor *c, struct gguf_file *f)
{
	uint64_t expect = 0, room;

	if (f->n_tensors && f->data_offset > f->file_bytes)
		return err_set(c->e, ERR_INVALID, "the file ends before its weights");
	room = f->data_offset < f->file_bytes ? f->file_bytes - f->data_offset : 0;
	for (size_t i = 0; i < f->n_tensors; i++) {
		struct gguf_tensor_info *t = &f->tensors[i];

		if (t->offset != expect)
			return err_set(c->e, ERR_INVALID,
				       "tensor %s begins at %llu, not at %llu: tensors have no "
				       "gaps and no overlaps",
				       t->name, (unsigned long long)t->offset,
				       (unsigned long long)expect);
		if (t->size_bytes > room || expect > room - t->size_bytes)
			return err_set(c->e, ERR_INVALID,
				       "tensor %s goes beyond the end of the file; it is truncated",
				       t->name);
		expect = align_up(expect + t->size_bytes, f->alignment);
		t->offset += f->data_offset;
	}
	return 0;
}

/* ---- no name twice */

static int by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static int distinct(struct cursor *c, const char **names, size_t n, const char *what)
{
	qsort(names, n, sizeof(*names), by_text);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(names[i - 1], names[i]) == 0)
			return err_set(c->e, ERR_INVALID, "%s %.200s is there twice", what,
				       names[i]);
	}
	return 0;
}

static int check_names(struct cursor *c, const struct gguf_file *f)
{
	const char **names = arena_array(c->a, f->n_kv + f->n_tensors + 1, sizeof(*names));

	for (size_t i = 0; i < f->n_kv; i++)
		names[i] = f->kv[i].key;
	if (distinct(c, names, f->n_kv, "key") < 0)
		return c->e->code;
	for (size_t i = 0; i < f->n_tensors; i++)
		names[i] = f->tensors[i].name;
	return distinct(c, names, f->n_tensors, "tensor");
}

/* ---- the file */

static int take_head(struct cursor *c, struct gguf_file *f)
{
	char magic[4] = { 0 };
	uint64_t tensors = 0, kvs = 0;

	if (take(c, magic, 4, "the magic number") < 0)
		return c->e->code;
	if (memcmp(magic, "GGUF", 4) != 0)
		return err_set(c->e, ERR_INVALID, "it does not begin with \"GGUF\"");
	if (take_u32(c, &f->version, "the version") < 0)
		return c->e->code;
	if ((f->version & 0xffff) == 0)
		return err_set(c->e, ERR_INVALID,
			       "it is a big-endian GGUF; only little-endian ones are read");
	if (f->version != 2 && f->version != 3)
		return err_set(c->e, ERR_INVALID, "GGUF version %u; 2 and 3 are read", f->version);
	if (take_u64(c, &tensors, "the head") < 0 || take_u64(c, &kvs, "the head") < 0)
		return c->e->code;
	if (tensors > TENSORS_MAX || kvs > KV_MAX)
		return err_set(c->e, ERR_INVALID,
			       "%llu tensors and %llu keys are more than any model has",
			       (unsigned long long)tensors, (unsigned long long)kvs);
	/* The shortest entries: a key of one byte with a byte of value; a tensor without
	 * dimensions. */
	if (need(c, kvs * 14 + tensors * 25, "the head") < 0)
		return c->e->code;
	f->n_tensors = (size_t)tensors;
	f->n_kv = (size_t)kvs;
	f->kv = arena_array(c->a, f->n_kv + 1, sizeof(*f->kv));
	f->tensors = arena_array(c->a, f->n_tensors + 1, sizeof(*f->tensors));
	return 0;
}

static int take_alignment(struct cursor *c, struct gguf_file *f)
{
	const struct gguf_kv *kv = gguf_find(f, "general.alignment");

	f->alignment = GGUF_ALIGNMENT;
	if (!kv)
		return 0;
	if (kv->type != GGUF_U32 || kv->u == 0 || kv->u > (1u << 20) || (kv->u & (kv->u - 1)) != 0)
		return err_set(c->e, ERR_INVALID,
			       "general.alignment is no u32 power of two up to 2^20");
	f->alignment = (uint32_t)kv->u;
	return 0;
}

static int read_head(struct cursor *c, struct arena *a, const struct gguf_source *src,
		     struct gguf_file *f, struct err *e)
{
	memset(f, 0, sizeof(*f));
	c->src = src;
	c->a = a;
	c->e = e;
	f->file_bytes = src->size_bytes;
	if (take_head(c, f) < 0)
		return e->code;
	for (size_t i = 0; i < f->n_kv; i++) {
		if (take_kv(c, &f->kv[i]) < 0)
			return e->code;
	}
	for (size_t i = 0; i < f->n_tensors; i++) {
		if (take_tensor(c, &f->tensors[i]) < 0)
			return e->code;
	}
	if (check_names(c, f) < 0 || take_alignment(c, f) < 0)
		return e->code;
	f->data_offset = align_up(c->at, f->alignment);
	return 0;
}

int gguf_read_head(struct arena *a, const struct gguf_source *src, struct gguf_file *f,
		   struct err *e)
{
	return read_head(arena_alloc(a, sizeof(struct cursor)), a, src, f, e);
}

int gguf_read(struct arena *a, const struct gguf_source *src, struct gguf_file *f, struct err *e)
{
	struct cursor *c = arena_alloc(a, sizeof(*c));

	return read_head(c, a, src, f, e) < 0 ? e->code : place_tensors(c, f);
}

static int read_fd(void *ctx, void *out, size_t n, uint64_t at, struct err *e)
{
	unsigned char *p = out;

	while (n) {
		ssize_t got = pread(*(int *)ctx, p, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(e, "the file");
		if (got == 0)
			return err_set(e, ERR_INVALID, "the file became shorter while it was read");
		p += got;
		n -= (size_t)got;
		at += (uint64_t)got;
	}
	return 0;
}

int gguf_read_fd(struct arena *a, int fd, struct gguf_file *f, struct err *e)
{
	struct gguf_source src = { .read = read_fd, .ctx = &fd };
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_errno(e, "the file");
	src.size_bytes = (uint64_t)st.st_size;
	return gguf_read(a, &src, f, e);
}

const struct gguf_kv *gguf_find(const struct gguf_file *f, const char *key)
{
	for (size_t i = 0; i < f->n_kv; i++) {
		if (strcmp(f->kv[i].key, key) == 0)
			return &f->kv[i];
	}
	return NULL;
}

const char *gguf_text(const struct gguf_file *f, const char *key)
{
	const struct gguf_kv *kv = gguf_find(f, key);

	return kv && kv->type == GGUF_STRING && kv->len < GGUF_TEXT_KEPT &&
			       strlen(kv->str) == kv->len
		       ? kv->str
		       : NULL;
}
