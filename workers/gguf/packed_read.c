/* From words to weights. A tile holds some rows of a matrix whole: GPTQ and AWQ store columns of
 * the matrix as rows, so that reading one row alone would touch the whole of it. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "workers/common/fileio.h"
#include "workers/gguf/packed.h"
#include "workers/gguf/type.h"

/* Rows of a tile: as many as a piece of the pass has, in whole words of the narrowest codes' zero
 * points (16 codes of 2 bits) and AWQ's eights. */
#define TILE_CODES (256u * 1024)
#define TILE_ROWS 32
/* Words of a stored row up to which it is quicker to read on than to ask for the few that are
 * wanted of each: a call costs as much as copying some 4 KiB. */
#define READ_THROUGH 1024

struct tiling {
	struct packed_cache *c;
	const struct packed *p;
	struct packed_tile *t;
	const struct st_model *m;
	const int *fds;
	struct err *e;
};

static uint64_t tile_rows(const struct packed *p)
{
	uint64_t rows = TILE_CODES / p->cols / TILE_ROWS * TILE_ROWS;

	return rows ? rows : TILE_ROWS;
}

/* n numbers of a part from number `at` on, which lies inside it: packed_open() has seen to that. */
static int read_part(const struct tiling *k, const struct st_tensor *s, size_t width, uint64_t at,
		     uint64_t n, void *out)
{
	return file_read_at(k->fds[s->file], out, (size_t)n * width, s->offset + at * width,
			    k->m->files[s->file].name, k->e);
}

/* Code number i of a stream of words. */
static unsigned code_at(const uint32_t *words, uint64_t i, int bits)
{
	uint64_t bit = i * (uint64_t)bits;

	return words[bit / 32] >> (bit % 32) & ((1u << bits) - 1);
}

/* Nibble k of a word is output {0,2,4,6,1,3,5,7}[k] of its eight. */
static unsigned awq_at(const uint32_t *words, uint64_t i)
{
	static const unsigned nibble[8] = { 0, 4, 1, 5, 2, 6, 3, 7 };

	return words[i / 8] >> (4 * nibble[i % 8]) & 15;
}

/* ---- codes */

static int codes_gptq(const struct tiling *k, uint32_t *words)
{
	const struct packed *p = k->p;
	struct packed_tile *t = k->t;
	unsigned each = 32 / (unsigned)p->bits, mask = (1u << p->bits) - 1;

	for (uint64_t w = 0; w < p->codes->shape[0]; w++) {
		if (read_part(k, p->codes, 4, w * p->rows + t->first, t->rows, words) < 0)
			return k->e->code;
		for (uint64_t r = 0; r < t->rows; r++) {
			uint8_t *to = t->codes + r * p->cols + w * each;

			for (unsigned i = 0; i < each; i++)
				to[i] = (uint8_t)(words[r] >> (i * (unsigned)p->bits) & mask);
		}
	}
	return 0;
}

static int codes_awq(const struct tiling *k, uint32_t *words)
{
	const struct packed *p = k->p;
	struct packed_tile *t = k->t;
	uint64_t across = p->rows / 8, skip = t->first / 8, at_once = 1;

	if (across <= READ_THROUGH)
		at_once = TILE_CODES / across;
	for (uint64_t col = 0; col < p->cols; col += at_once) {
		uint64_t n = p->cols - col < at_once ? p->cols - col : at_once;
		int rc = at_once > 1 ? read_part(k, p->codes, 4, col * across, n * across, words)
				     : read_part(k, p->codes, 4, col * across + skip, t->rows / 8,
						 words);

		if (rc < 0)
			return rc;
		for (uint64_t i = 0; i < n; i++) {
			const uint32_t *from = at_once > 1 ? words + i * across + skip : words;

			for (uint64_t r = 0; r < t->rows; r++)
				t->codes[r * p->cols + col + i] = (uint8_t)awq_at(from, r);
		}
	}
	return 0;
}

static int codes_rows(const struct tiling *k, uint32_t *words)
{
	const struct packed *p = k->p;
	struct packed_tile *t = k->t;
	uint64_t across = p->codes->shape[1];

	for (uint64_t r = 0; r < t->rows; r++) {
		if (read_part(k, p->codes, 4, (t->first + r) * across, across, words) < 0)
			return k->e->code;
		for (uint64_t i = 0; i < p->cols; i++)
			t->codes[r * p->cols + i] = (uint8_t)code_at(words, i, p->bits);
	}
	return 0;
}

/* ---- scales and zero points */

static int scales(const struct tiling *k, unsigned char *raw, float *floats)
{
	const struct packed *p = k->p;
	struct packed_tile *t = k->t;
	const struct st_tensor *s = p->scales;
	size_t width = dtype_bytes(s->dtype);

	if (p->layout == PACKED_ROWS) {
		uint64_t n = t->rows * p->groups;

		if (read_part(k, s, width, t->first * p->groups, n, raw) < 0)
			return k->e->code;
		load_of(s->dtype)(raw, t->scales, (size_t)n);
		return 0;
	}
	for (uint64_t g = 0; g < p->groups; g++) {
		if (read_part(k, s, width, g * p->rows + t->first, t->rows, raw) < 0)
			return k->e->code;
		load_of(s->dtype)(raw, floats, (size_t)t->rows);
		for (uint64_t r = 0; r < t->rows; r++)
			t->scales[r * p->groups + g] = floats[r];
	}
	return 0;
}

/* Packed along the groups' columns of one word row each. */
static int zeros_rows(const struct tiling *k, uint32_t *words)
{
	const struct packed *p = k->p;
	struct packed_tile *t = k->t;
	uint64_t first = t->first * (uint64_t)p->bits / 32;

	for (uint64_t r = 0; r < t->rows; r++) {
		uint64_t bit = (t->first + r) * (uint64_t)p->bits, row = bit / 32 - first;

		if (bit % 32 == 0 &&
		    read_part(k, p->zeros, 4, (first + row) * p->groups, p->groups, words) < 0)
			return k->e->code;
		for (uint64_t g = 0; g < p->groups; g++)
			t->zeros[r * p->groups + g] =
				(float)(words[g] >> (bit % 32) & ((1u << p->bits) - 1));
	}
	return 0;
}

static int zeros(const struct tiling *k, uint32_t *words)
{
	const struct packed *p = k->p;
	struct packed_tile *t = k->t;
	uint64_t across = (p->rows * (uint64_t)p->bits + 31) / 32;
	uint64_t first = t->first * (uint64_t)p->bits / 32;
	uint64_t n = (t->rows * (uint64_t)p->bits + 31) / 32;

	if (!p->zeros) {
		for (uint64_t i = 0; i < t->rows * p->groups; i++)
			t->zeros[i] = (float)(1u << (p->bits - 1));
		return 0;
	}
	if (p->layout == PACKED_ROWS)
		return zeros_rows(k, words);
	for (uint64_t g = 0; g < p->groups; g++) {
		if (read_part(k, p->zeros, 4, g * across + first, n, words) < 0)
			return k->e->code;
		for (uint64_t r = 0; r < t->rows; r++) {
			unsigned z = p->layout == PACKED_AWQ ? awq_at(words, r)
							     : code_at(words, r, p->bits);

			t->zeros[r * p->groups + g] = (float)(z + (unsigned)p->zero_add);
		}
	}
	return 0;
}

/* ---- tiles */

static int fill(const struct tiling *k)
{
	const struct packed *p = k->p;
	uint64_t longest = p->cols > p->groups * tile_rows(p) ? p->cols : p->groups * tile_rows(p);
	void *room = mem_array((size_t)longest + TILE_CODES, 4);
	float *floats = mem_array((size_t)tile_rows(p), sizeof(*floats));
	int rc = p->layout == PACKED_GPTQ  ? codes_gptq(k, room)
		 : p->layout == PACKED_AWQ ? codes_awq(k, room)
					   : codes_rows(k, room);

	if (rc == 0)
		rc = scales(k, room, floats);
	if (rc == 0)
		rc = zeros(k, room);
	free(floats);
	free(room);
	return rc;
}

/* The tile that has this row; the one that was not used for longer is filled anew. */
static int tile_for(struct tiling *k, uint64_t row)
{
	const struct packed *p = k->p;
	uint64_t size = tile_rows(p), first = row / size * size;
	struct packed_tile *t = k->c->tiles;

	for (size_t i = 0; i < ARRAY_LEN(k->c->tiles); i++) {
		struct packed_tile *one = &k->c->tiles[i];

		if (one->of == p && one->first == first) {
			one->used = ++k->c->clock;
			k->t = one;
			return 0;
		}
		if (one->used < t->used)
			t = one;
	}
	free(t->codes);
	free(t->scales);
	free(t->zeros);
	*t = (struct packed_tile){ .first = first, .used = ++k->c->clock };
	t->rows = p->rows - first < size ? p->rows - first : size;
	t->codes = mem_array((size_t)t->rows, (size_t)p->cols);
	t->scales = mem_array((size_t)(t->rows * p->groups), sizeof(*t->scales));
	t->zeros = mem_array((size_t)(t->rows * p->groups), sizeof(*t->zeros));
	k->t = t;
	if (fill(k) < 0)
		return k->e->code;
	t->of = p;
	return 0;
}

/* The group of each column, checked. All -1: one after the other. */
static int order(const struct tiling *k)
{
	const struct packed *p = k->p;
	struct packed_cache *c = k->c;
	int unset = 1;

	if (!p->order || c->order_of == p)
		return 0;
	free(c->order);
	c->order_of = NULL;
	c->order = mem_array((size_t)p->cols, sizeof(*c->order));
	if (read_part(k, p->order, 4, 0, p->cols, c->order) < 0)
		return k->e->code;
	for (uint64_t i = 0; i < p->cols; i++)
		unset &= c->order[i] == -1;
	for (uint64_t i = 0; i < p->cols; i++) {
		if (unset)
			c->order[i] = (int32_t)(i / p->group_size);
		if (c->order[i] < 0 || (uint64_t)c->order[i] >= p->groups)
			return err_set(k->e, ERR_INVALID,
				       "tensor %.200s: column %llu is of group %d; there are %llu",
				       p->order->name, (unsigned long long)i, (int)c->order[i],
				       (unsigned long long)p->groups);
	}
	c->order_of = p;
	return 0;
}

/* n weights of a row from column col on. */
static void decode(const struct tiling *k, uint64_t row, uint64_t col, size_t n, float *out)
{
	const struct packed *p = k->p;
	uint64_t r = row - k->t->first;
	const uint8_t *codes = k->t->codes + r * p->cols;
	const float *s = k->t->scales + r * p->groups, *z = k->t->zeros + r * p->groups;

	if (p->order) {
		for (size_t i = 0; i < n; i++) {
			int32_t g = k->c->order[col + i];

			out[i] = ((float)codes[col + i] - z[g]) * s[g];
		}
		return;
	}
	while (n) {
		uint64_t g = col / p->group_size, left = (g + 1) * p->group_size - col;
		size_t m = left < n ? (size_t)left : n;

		for (size_t i = 0; i < m; i++)
			out[i] = ((float)codes[col + i] - z[g]) * s[g];
		out += m;
		col += m;
		n -= m;
	}
}

int packed_read(struct packed_cache *c, const struct packed *p, const struct st_model *m,
		const int *fds, uint64_t at, size_t n, float *out, struct err *e)
{
	struct tiling k = { .c = c, .p = p, .m = m, .fds = fds, .e = e };

	if (order(&k) < 0)
		return e->code;
	while (n) {
		uint64_t row = at / p->cols, col = at % p->cols;
		size_t part = p->cols - col < n ? (size_t)(p->cols - col) : n;

		if (tile_for(&k, row) < 0)
			return e->code;
		decode(&k, row, col, part, out);
		at += part;
		out += part;
		n -= part;
	}
	return 0;
}

void packed_cache_release(struct packed_cache *c)
{
	for (size_t i = 0; i < ARRAY_LEN(c->tiles); i++) {
		free(c->tiles[i].codes);
		free(c->tiles[i].scales);
		free(c->tiles[i].zeros);
	}
	free(c->order);
	memset(c, 0, sizeof(*c));
}
