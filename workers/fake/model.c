#include "workers/fake/model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "workers/fake/texts.h"
#include "workers/fake/tokenizer.h"
#include "workers/fake/weights.h"

#define CHUNK_BYTES (1u << 20)
#define HEADER_MAX ((size_t)16 << 20) /* 100,000 tensors at about 150 bytes */

struct writer {
	const struct fake_spec *spec;
	const char *dir;
	fake_progress *progress;
	uint64_t done, total; /* bytes of tensors */
	size_t n_shards;
	char *chunk;
	struct err *e;
};

/* ---- bytes */

static int put(struct writer *w, int fd, const void *p, size_t n, const char *name)
{
	const char *at = p;

	while (n) {
		ssize_t k = write(fd, at, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(w->e, "%s/%s", w->dir, name);
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

static int create(struct writer *w, const char *name)
{
	char *path = path_join(w->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		(void)err_errno(w->e, "%s", path);
	free(path);
	return fd;
}

/* Closing can be the first to say that a disk is full. */
static int finish(struct writer *w, int fd, const char *name, int rc)
{
	if (close(fd) != 0 && rc == 0)
		rc = err_errno(w->e, "%s/%s", w->dir, name);
	return rc;
}

static int told(struct writer *w, uint64_t bytes)
{
	w->done += bytes;
	if (w->progress && w->progress(w->done, w->total))
		return err_set(w->e, ERR_CANCELLED, "interrupted");
	return 0;
}

static int put_file(struct writer *w, const char *name, const struct buf *b)
{
	int fd, rc;

	if (b->overflow)
		return err_set(w->e, ERR_NOSPACE, "%s would have more than %zu bytes", name,
			       b->max);
	fd = create(w, name);
	if (fd < 0)
		return w->e->code;
	rc = put(w, fd, b->data, b->len, name);
	return finish(w, fd, name, rc);
}

/* ---- tensors */

static int skip(struct writer *w, int fd, uint64_t bytes, const char *name)
{
	off_t end = lseek(fd, (off_t)bytes, SEEK_CUR);

	if (end < 0 || ftruncate(fd, end) != 0)
		return err_errno(w->e, "%s/%s", w->dir, name);
	return told(w, bytes);
}

static int put_tensor(struct writer *w, int fd, const struct fake_tensor *t, const char *name)
{
	const struct fake_spec *s = w->spec;
	size_t width = fake_dtype_bytes(s->dtype), in_chunk = CHUNK_BYTES / width;
	uint64_t key = weights_key(s->seed, t->name);
	int rc = 0;

	if (s->fill == FAKE_ZERO)
		return skip(w, fd, t->size_bytes, name);
	for (uint64_t i = 0; rc == 0 && i < t->n_elements; i += in_chunk) {
		size_t n = t->n_elements - i < in_chunk ? (size_t)(t->n_elements - i) : in_chunk;

		if (t->is_norm && s->family->zero_norms)
			memset(w->chunk, 0, n * width);
		else if (t->is_norm)
			weights_ones(s->dtype, n, w->chunk);
		else
			weights_random(key, s->dtype, i, n, w->chunk);
		rc = put(w, fd, w->chunk, n * width, name);
		if (rc == 0)
			rc = told(w, n * width);
	}
	return rc;
}

/* ---- shards: tensors in order, a new file when the next one would not fit */

static size_t shard_end(const struct fake_spec *s, size_t from)
{
	struct fake_tensor t;
	uint64_t bytes = 0;
	size_t i = from;

	for (; i < fake_tensor_count(s); i++) {
		fake_tensor_get(s, i, &t);
		if (i > from && bytes + t.size_bytes > s->shard_bytes)
			break;
		bytes += t.size_bytes;
	}
	return i;
}

static size_t count_shards(const struct fake_spec *s)
{
	size_t n = 0;

	for (size_t at = 0; at < fake_tensor_count(s); at = shard_end(s, at))
		n++;
	return n;
}

static void shard_name(const struct writer *w, size_t number, char *out, size_t size)
{
	if (w->n_shards == 1)
		snprintf(out, size, "model.safetensors");
	else
		snprintf(out, size, "model-%05zu-of-%05zu.safetensors", number, w->n_shards);
}

/* u64 length, then JSON, padded with spaces so that the data begin at a multiple of 8: see
 * core/safetensors.h. The reference library wants "format". */
static void add_header(const struct fake_spec *s, size_t from, size_t end, struct buf *out)
{
	uint64_t offset = 0, length;
	struct fake_tensor t;

	buf_add(out, "\0\0\0\0\0\0\0", 8);
	buf_adds(out, "{\"__metadata__\":{\"format\":\"pt\"}");
	for (size_t i = from; i < end; i++) {
		fake_tensor_get(s, i, &t);
		buf_addf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%" PRIu64, t.name,
			 fake_dtype_name(s->dtype), t.shape[0]);
		if (t.n_dims == 2)
			buf_addf(out, ",%" PRIu64, t.shape[1]);
		buf_addf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset,
			 offset + t.size_bytes);
		offset += t.size_bytes;
	}
	buf_addc(out, '}');
	while (out->len % 8)
		buf_addc(out, ' ');
	length = out->len - 8;
	memcpy(out->data, &length, 8);
}

static int put_shard(struct writer *w, size_t number, size_t from, size_t end)
{
	struct fake_tensor t;
	struct buf header;
	char name[48];
	int fd, rc;

	shard_name(w, number, name, sizeof(name));
	fd = create(w, name);
	if (fd < 0)
		return w->e->code;
	buf_init(&header, HEADER_MAX);
	add_header(w->spec, from, end, &header);
	rc = put(w, fd, header.data, header.len, name);
	buf_release(&header);
	for (size_t i = from; rc == 0 && i < end; i++) {
		fake_tensor_get(w->spec, i, &t);
		rc = put_tensor(w, fd, &t, name);
	}
	return finish(w, fd, name, rc);
}

static void add_index(const struct writer *w, struct buf *out)
{
	const struct fake_spec *s = w->spec;
	size_t number = 1, end = shard_end(s, 0);
	struct fake_tensor t;
	struct json_out j;
	char name[48];

	jw_init(&j, out, 2);
	jw_object(&j);
	jw_kobject(&j, "metadata");
	jw_kint(&j, "total_size", (int64_t)w->total);
	jw_end_object(&j);
	jw_kobject(&j, "weight_map");
	for (size_t i = 0; i < fake_tensor_count(s); i++) {
		if (i == end) {
			number++;
			end = shard_end(s, i);
		}
		shard_name(w, number, name, sizeof(name));
		fake_tensor_get(s, i, &t);
		jw_kstr(&j, t.name, name);
	}
	jw_end_object(&j);
	jw_end_object(&j);
	buf_addc(out, '\n');
}

static int put_weights(struct writer *w)
{
	size_t number = 1, end;
	struct buf index;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < fake_tensor_count(w->spec); at = end) {
		end = shard_end(w->spec, at);
		rc = put_shard(w, number++, at, end);
	}
	if (rc < 0 || w->n_shards == 1)
		return rc;
	buf_init(&index, HEADER_MAX);
	add_index(w, &index);
	rc = put_file(w, "model.safetensors.index.json", &index);
	buf_release(&index);
	return rc;
}

static int put_texts(struct writer *w)
{
	int spm = fake_has_sentencepiece(w->spec);
	const struct {
		const char *name;
		void (*make)(const struct fake_spec *s, struct buf *out);
	} texts[] = { { "config.json", fake_config_json },
		      { "generation_config.json", fake_generation_config_json },
		      { spm ? "tokenizer.model" : "tokenizer.json",
			spm ? fake_tokenizer_model : fake_tokenizer_json },
		      { "tokenizer_config.json", fake_tokenizer_config_json },
		      { "README.md", fake_readme } };
	struct buf b;
	int rc = 0;

	buf_init(&b, FAKE_TOKENIZER_MAX);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(texts); i++) {
		buf_clear(&b);
		texts[i].make(w->spec, &b);
		rc = put_file(w, texts[i].name, &b);
	}
	buf_release(&b);
	return rc;
}

int fake_model_write(const struct fake_spec *s, const char *dir, fake_progress *progress,
		     struct err *e)
{
	struct writer w = { .spec = s,
			    .dir = dir,
			    .progress = progress,
			    .n_shards = count_shards(s),
			    .chunk = mem_alloc(CHUNK_BYTES),
			    .e = e };
	struct fake_totals t;
	int rc;

	fake_totals(s, &t);
	w.total = t.size_bytes;
	rc = put_texts(&w);
	if (rc == 0)
		rc = put_weights(&w);
	free(w.chunk);
	return rc;
}
