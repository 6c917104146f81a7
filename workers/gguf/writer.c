#include "workers/gguf/writer.h"

#include <string.h>

/* All integers are little-endian; so are the machines quern supports. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF is written in memory order");

void gguf_init(struct gguf_writer *w)
{
	memset(w, 0, sizeof(*w));
	buf_init(&w->kv, GGUF_HEAD_MAX);
	buf_init(&w->infos, GGUF_HEAD_MAX);
}

void gguf_release(struct gguf_writer *w)
{
	buf_release(&w->kv);
	buf_release(&w->infos);
}

static void put(struct buf *b, const void *v, size_t n)
{
	(void)buf_add(b, v, n); /* overflow is sticky and seen by gguf_head() */
}

static void put_string(struct buf *b, const char *s, size_t len)
{
	uint64_t n = len;

	put(b, &n, 8);
	put(b, s, len);
}

static void key(struct gguf_writer *w, const char *name, uint32_t type)
{
	put_string(&w->kv, name, strlen(name));
	put(&w->kv, &type, 4);
	w->n_kv++;
}

void gguf_u16(struct gguf_writer *w, const char *name, uint16_t v)
{
	key(w, name, GGUF_U16);
	put(&w->kv, &v, 2);
}

void gguf_i32(struct gguf_writer *w, const char *name, int32_t v)
{
	key(w, name, GGUF_I32);
	put(&w->kv, &v, 4);
}

void gguf_u32(struct gguf_writer *w, const char *name, uint32_t v)
{
	key(w, name, GGUF_U32);
	put(&w->kv, &v, 4);
}

void gguf_f32(struct gguf_writer *w, const char *name, float v)
{
	key(w, name, GGUF_F32);
	put(&w->kv, &v, 4);
}

void gguf_bool(struct gguf_writer *w, const char *name, int v)
{
	uint8_t byte = v != 0;

	key(w, name, GGUF_BOOL);
	put(&w->kv, &byte, 1);
}

void gguf_str(struct gguf_writer *w, const char *name, const char *v)
{
	if (!v || !*v)
		return;
	key(w, name, GGUF_STRING);
	put_string(&w->kv, v, strlen(v));
}

void gguf_raw(struct gguf_writer *w, const char *name, enum gguf_value type, const void *value,
	      size_t n)
{
	key(w, name, type);
	put(&w->kv, value, n);
}

void gguf_array(struct gguf_writer *w, const char *name, enum gguf_value of, uint64_t n)
{
	uint32_t type = of;

	key(w, name, GGUF_ARRAY);
	put(&w->kv, &type, 4);
	put(&w->kv, &n, 8);
}

void gguf_put_str(struct gguf_writer *w, const char *s, size_t len)
{
	put_string(&w->kv, s, len);
}

void gguf_put_i32(struct gguf_writer *w, int32_t v)
{
	put(&w->kv, &v, 4);
}

void gguf_put_f32(struct gguf_writer *w, float v)
{
	put(&w->kv, &v, 4);
}

uint64_t gguf_padded(uint64_t bytes)
{
	return (bytes + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT;
}

uint64_t gguf_tensor(struct gguf_writer *w, const char *name, const uint64_t *ne, int n_dims,
		     const struct type *t)
{
	uint64_t offset = w->data_bytes, n = 1;
	uint32_t dims = (uint32_t)n_dims, id = (uint32_t)t->id;

	put_string(&w->infos, name, strlen(name));
	put(&w->infos, &dims, 4);
	for (int i = 0; i < n_dims; i++) {
		put(&w->infos, &ne[i], 8);
		n *= ne[i];
	}
	put(&w->infos, &id, 4);
	put(&w->infos, &offset, 8);
	w->n_tensors++;
	w->data_bytes += gguf_padded(type_bytes(t, n));
	return offset;
}

int gguf_head(const struct gguf_writer *w, struct buf *out, struct err *e)
{
	static const char zeros[GGUF_ALIGNMENT];
	const uint32_t version = 3;

	put(out, "GGUF", 4);
	put(out, &version, 4);
	put(out, &w->n_tensors, 8);
	put(out, &w->n_kv, 8);
	put(out, buf_str(&w->kv), w->kv.len);
	put(out, buf_str(&w->infos), w->infos.len);
	put(out, zeros, gguf_padded(out->len) - out->len);
	if (w->kv.overflow || w->infos.overflow || out->overflow)
		return err_set(e, ERR_NOSPACE, "metadata of more than %u bytes", GGUF_HEAD_MAX);
	return 0;
}
