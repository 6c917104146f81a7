#include "workers/gguf/shards.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* ---- what is wanted */

/* Digits and M or G, as llama-gguf-split's --split-max-size; 0: it is none. */
static uint64_t parse_size(const char *text)
{
	uint64_t v = 0;
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 9 || (text[n] != 'M' && text[n] != 'G') || text[n + 1])
		return 0;
	for (size_t i = 0; i < n; i++)
		v = 10 * v + (uint64_t)(text[i] - '0');
	return v * (text[n] == 'M' ? 1000000u : 1000000000u);
}

int shards_read(const struct json *with, struct shard_options *out, struct err *e)
{
	const char *size = json_str(with, "split_max_size", NULL);

	out->keep = json_bool(with, "keep_split", 0);
	out->max_bytes = size ? parse_size(size) : 0;
	if (size && !out->max_bytes)
		return err_set(e, ERR_INVALID,
			       "split_max_size is \"%.60s\"; it is a number with M or G, like 2G",
			       size);
	if (size && out->keep)
		return err_set(e, ERR_INVALID,
			       "split_max_size and keep_split contradict each other; choose one");
	return 0;
}

/* ---- which tensor goes where */

static int by_size(uint64_t max_bytes, struct layout *l)
{
	uint64_t sum = 0;
	int shard = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct out_tensor *t = &l->v[i];
		uint64_t bytes = gguf_padded(type_bytes(t->type, t->n));

		if (sum && sum + bytes > max_bytes) {
			shard++;
			sum = 0;
		}
		sum += bytes;
		t->shard = shard;
	}
	return shard + 1;
}

/* What is made here goes with the first. Files that nothing comes from get no number. */
static int by_source(struct layout *l)
{
	uint32_t most = 0;
	int *number, n = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].source && l->v[i].source->file > most)
			most = l->v[i].source->file;
	}
	number = mem_zalloc(((size_t)most + 1) * sizeof(*number));
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].source)
			number[l->v[i].source->file] = 1;
	}
	for (uint32_t file = 0; file <= most; file++) {
		if (number[file])
			number[file] = n++;
	}
	for (size_t i = 0; i < l->n; i++)
		l->v[i].shard = l->v[i].source ? number[l->v[i].source->file] : 0;
	free(number);
	return n ? n : 1;
}

int shards_assign(const struct shard_options *o, struct layout *l, struct err *e)
{
	int n = 1;

	if (o->max_bytes)
		n = by_size(o->max_bytes, l);
	else if (o->keep)
		n = by_source(l);
	if (n > SHARDS_MAX)
		return err_set(e, ERR_INVALID, "%d files; %d are the limit: %s", n, SHARDS_MAX,
			       o->keep ? "choose split_max_size"
				       : "choose a larger split_max_size");
	return n;
}

/* ---- names and keys */

const char *shard_name(struct arena *a, const char *file, int i, int count)
{
	if (count == 1)
		return arena_printf(a, "%s.gguf", file);
	return arena_printf(a, "%s-%05d-of-%05d.gguf", file, i + 1, count);
}

void shard_keys(struct gguf_writer *w, int i, int count, size_t n_tensors)
{
	if (count == 1)
		return;
	gguf_u16(w, "split.no", (uint16_t)i);
	gguf_u16(w, "split.count", (uint16_t)count);
	gguf_i32(w, "split.tensors.count", (int32_t)n_tensors);
}

/* ---- what a file says */

static int64_t number_of(const struct gguf_file *f, const char *key, enum gguf_value type)
{
	const struct gguf_kv *kv = gguf_find(f, key);

	if (!kv || kv->type != type)
		return -1;
	return type == GGUF_I32 ? kv->i : (int64_t)kv->u;
}

int shard_check(const struct gguf_file *f, size_t i, size_t count, struct err *e)
{
	int64_t no = number_of(f, "split.no", GGUF_U16);
	int64_t of = number_of(f, "split.count", GGUF_U16);

	if (count == 1 && no < 0)
		return 0;
	if (no == (int64_t)i && of == (int64_t)count)
		return 0;
	return err_set(e, ERR_INVALID, "split.no is %lld and split.count %lld, not %zu and %zu",
		       (long long)no, (long long)of, i, count);
}

int64_t shard_tensors(const struct gguf_file *f)
{
	return number_of(f, "split.tensors.count", GGUF_I32);
}
