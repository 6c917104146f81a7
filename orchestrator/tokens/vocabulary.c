#include "orchestrator/tokens/vocabulary.h"

#include <string.h>

/* FNV-1a, 64 bits. Collisions that were sought cost time only, and that is bounded by the file. */
#define HASH_BEGIN 0xcbf29ce484222325u

static uint64_t hash_byte(uint64_t h, char c)
{
	return (h ^ (unsigned char)c) * 0x100000001b3u;
}

static size_t table_size(size_t n)
{
	size_t size = 16;

	while (size < n * 2)
		size *= 2;
	return size;
}

void text_map_init(struct arena *a, struct text_map *m, size_t n)
{
	size_t size = table_size(n);

	m->slots = arena_array(a, size, sizeof(*m->slots));
	m->mask = size - 1;
}

static struct text_slot *slot_at(const struct text_map *m, uint64_t hash, const char *text,
				 size_t len)
{
	size_t i = (size_t)(hash ^ hash >> 32) & m->mask;

	while (m->slots[i].text &&
	       (m->slots[i].len != len || memcmp(m->slots[i].text, text, len) != 0))
		i = (i + 1) & m->mask;
	return &m->slots[i];
}

static struct text_slot *slot_of(const struct text_map *m, const char *text, size_t len)
{
	uint64_t h = HASH_BEGIN;

	for (size_t i = 0; i < len; i++)
		h = hash_byte(h, text[i]);
	return slot_at(m, h, text, len);
}

void text_map_put(struct text_map *m, const char *text, size_t len, uint32_t value)
{
	struct text_slot *s = slot_of(m, text, len);

	if (!s->text)
		*s = (struct text_slot){ text, (uint32_t)len, value };
}

int64_t text_map_get(const struct text_map *m, const char *text, size_t len)
{
	const struct text_slot *s = slot_of(m, text, len);

	return s->text ? (int64_t)s->value : -1;
}

size_t text_map_longest(const struct text_map *m, const char *text, size_t n, size_t most)
{
	uint64_t h = HASH_BEGIN;
	size_t found = 0;

	for (size_t len = 1; len <= n && len <= most; len++) {
		h = hash_byte(h, text[len - 1]);
		if (slot_at(m, h, text, len)->text)
			found = len;
	}
	return found;
}

/* ---- merges */

static struct merge *merge_of(const struct vocabulary *v, uint32_t left, uint32_t right)
{
	uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 20) & v->merge_mask;

	while (v->merges[i].rank && (v->merges[i].left != left || v->merges[i].right != right))
		i = (i + 1) & v->merge_mask;
	return &v->merges[i];
}

int64_t vocabulary_merge_rank(const struct vocabulary *v, uint32_t left, uint32_t right)
{
	return (int64_t)merge_of(v, left, right)->rank - 1;
}

void vocabulary_add_merge(struct vocabulary *v, const char *left, size_t left_len,
			  const char *right, size_t right_len, uint32_t rank)
{
	int64_t l = text_map_get(&v->tokens, left, left_len);
	int64_t r = text_map_get(&v->tokens, right, right_len);
	struct merge *m;

	if (l < 0 || r < 0)
		return;
	m = merge_of(v, (uint32_t)l, (uint32_t)r);
	if (!m->rank)
		*m = (struct merge){ (uint32_t)l, (uint32_t)r, rank + 1 };
}

/* The left half is no empty text, so a token that is a space is found as one. */
void vocabulary_add_merge_text(struct vocabulary *v, const char *text, size_t len, uint32_t rank)
{
	const char *blank = len > 1 ? memchr(text + 1, ' ', len - 1) : NULL;

	if (blank)
		vocabulary_add_merge(v, text, (size_t)(blank - text), blank + 1,
				     len - (size_t)(blank + 1 - text), rank);
}

/* ---- the whole */

void vocabulary_begin(struct vocabulary *v, size_t n_tokens, size_t n_whole, size_t n_merges)
{
	text_map_init(v->a, &v->tokens, n_tokens);
	text_map_init(v->a, &v->whole, n_whole);
	v->merge_mask = table_size(n_merges) - 1;
	v->merges = arena_array(v->a, v->merge_mask + 1, sizeof(*v->merges));
}

void vocabulary_add_whole(struct vocabulary *v, const char *text, size_t len)
{
	if (len == 0 || len > VOCABULARY_WHOLE_MAX)
		return;
	text_map_put(&v->whole, text, len, 0);
	v->whole_first[(unsigned char)text[0]] = true;
	if (len > v->whole_max)
		v->whole_max = len;
}
