#include "orchestrator/tokens/token_count.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/utf8.h"
#include "orchestrator/tokens/vocabulary.h"

#define NONE UINT32_MAX

struct token_counter {
	struct vocabulary v;
};

/* What is merged: slices of one text, each with its neighbours. */
struct symbol {
	uint32_t at, len, left, right; /* len 0: merged into its left neighbour */
	int64_t id;		       /* -1: no token */
};

struct pair {			   /* two neighbours that may be merged */
	double rank;		   /* the lower the sooner */
	uint32_t left, right, len; /* len: of both; another one later means that it is over */
};

struct counting {
	const struct vocabulary *v;
	struct symbol *symbols;
	size_t n, cap;
	struct pair *heap;
	size_t n_heap, heap_cap;
	char *text; /* of a piece, as tokens are written */
	size_t len, text_cap;
	uint32_t *chars; /* of what is split */
	size_t n_chars, chars_cap;
	int64_t total;
};

/* ---- pairs: the best first, the leftmost of equals */

static bool sooner(const struct pair *a, const struct pair *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static void push(struct counting *c, struct pair p)
{
	size_t i = c->n_heap;

	MEM_GROW(c->heap, c->n_heap, c->heap_cap);
	c->n_heap++;
	for (; i > 0 && sooner(&p, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
		c->heap[i] = c->heap[(i - 1) / 2];
	c->heap[i] = p;
}

static struct pair pop(struct counting *c)
{
	struct pair top = c->heap[0], last = c->heap[--c->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < c->n_heap) {
		if (child + 1 < c->n_heap && sooner(&c->heap[child + 1], &c->heap[child]))
			child++;
		if (!sooner(&c->heap[child], &last))
			break;
		c->heap[i] = c->heap[child];
		i = child;
	}
	if (c->n_heap)
		c->heap[i] = last;
	return top;
}

static void consider(struct counting *c, uint32_t left, uint32_t right)
{
	const struct symbol *l, *r;
	struct pair p = { .left = left, .right = right };
	int64_t id;

	if (left == NONE || right == NONE)
		return;
	l = &c->symbols[left];
	r = &c->symbols[right];
	p.len = l->len + r->len;
	if (c->v->scores) {
		id = text_map_get(&c->v->tokens, c->text + l->at, p.len);
		if (id < 0)
			return;
		p.rank = -(double)c->v->scores[id];
	} else {
		int64_t rank = l->id < 0 || r->id < 0 ? -1
						      : vocabulary_merge_rank(c->v, (uint32_t)l->id,
									      (uint32_t)r->id);

		if (rank < 0)
			return;
		p.rank = (double)rank;
	}
	push(c, p);
}

static void merge_all(struct counting *c)
{
	while (c->n_heap) {
		struct pair p = pop(c);
		struct symbol *l = &c->symbols[p.left], *r = &c->symbols[p.right];

		if (l->len == 0 || r->len == 0 || l->right != p.right || l->len + r->len != p.len)
			continue;
		l->len = p.len;
		l->right = r->right;
		r->len = 0;
		if (l->right != NONE)
			c->symbols[l->right].left = p.left;
		l->id = text_map_get(&c->v->tokens, c->text + l->at, l->len);
		consider(c, l->left, p.left);
		consider(c, p.left, l->right);
	}
}

/* ---- one piece */

static void add_char(struct counting *c, uint32_t cp)
{
	char out[4];
	int n = utf8_put(cp, out);

	while (c->text_cap < c->len + sizeof(out)) {
		c->text_cap = c->text_cap ? 2 * c->text_cap : 256;
		c->text = mem_resize(c->text, c->text_cap, 1);
	}
	memcpy(c->text + c->len, out, (size_t)n);
	MEM_GROW(c->symbols, c->n, c->cap);
	c->symbols[c->n] = (struct symbol){ .at = (uint32_t)c->len,
					    .len = (uint32_t)n,
					    .left = c->n ? (uint32_t)c->n - 1 : NONE,
					    .right = (uint32_t)c->n + 1 };
	c->n++;
	c->len += (size_t)n;
}

static void write_piece(struct counting *c, const uint32_t *piece, size_t n)
{
	c->len = c->n = 0;
	for (size_t i = 0; i < n; i++)
		add_char(c, !c->v->bytes && piece[i] == ' ' ? SPLIT_MARK : piece[i]);
	c->symbols[c->n - 1].right = NONE;
}

static int64_t symbols_left(const struct counting *c)
{
	bool before = false;
	int64_t total = 0;

	for (uint32_t i = 0; i != NONE; i = c->symbols[i].right) {
		const struct symbol *s = &c->symbols[i];

		if (s->id >= 0 || c->v->bytes)
			total++;
		else if (c->v->spells)
			total += s->len;
		else
			total += !(before && c->v->joins_unknown);
		before = s->id < 0;
	}
	return total;
}

static int count_piece(void *ctx, const uint32_t *piece, size_t n, struct err *e)
{
	struct counting *c = ctx;

	(void)e;
	write_piece(c, piece, n);
	if (c->v->keep_words && text_map_get(&c->v->tokens, c->text, c->len) >= 0) {
		c->total++;
		return 0;
	}
	for (size_t i = 0; i < c->n; i++)
		c->symbols[i].id =
			text_map_get(&c->v->tokens, c->text + c->symbols[i].at, c->symbols[i].len);
	for (size_t i = 0; i + 1 < c->n; i++)
		consider(c, (uint32_t)i, (uint32_t)i + 1);
	merge_all(c);
	c->total += symbols_left(c);
	return 0;
}

/* ---- the whole */

static void add_to_split(struct counting *c, uint32_t cp)
{
	MEM_GROW(c->chars, c->n_chars, c->chars_cap);
	c->chars[c->n_chars++] = cp;
}

static bool begins_with_space(const char *text, size_t len)
{
	uint32_t cp;

	return utf8_next(text, len, &cp) && (cp == ' ' || cp == SPLIT_MARK);
}

/* What is between tokens that are matched whole. */
static int count_between(struct counting *c, const char *text, size_t len, struct err *e)
{
	c->n_chars = 0;
	if (len == 0)
		return 0;
	if (c->v->space == SPACE_FRONT ||
	    (c->v->space == SPACE_UNLESS_THERE && !begins_with_space(text, len)))
		add_to_split(c, ' ');
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		int n = utf8_next(text + i, len - i, &cp);

		add_to_split(c, n ? cp : 0xFFFD);
		i += n ? (size_t)n : 1;
	}
	return split_text(&c->v->split, c->chars, c->n_chars, count_piece, c, e);
}

static int count_all(struct counting *c, const char *text, size_t len, struct err *e)
{
	size_t done = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < len;) {
		size_t n =
			c->v->whole_first[(unsigned char)text[i]]
				? text_map_longest(&c->v->whole, text + i, len - i, c->v->whole_max)
				: 0;

		if (n == 0) {
			i++;
			continue;
		}
		rc = count_between(c, text + done, i - done, e);
		c->total++;
		done = i += n;
	}
	return rc == 0 ? count_between(c, text + done, len - done, e) : rc;
}

int64_t token_count(const struct token_counter *tc, const char *text, size_t len, struct err *e)
{
	struct counting c = { .v = &tc->v };
	int rc;

	if (len > TOKEN_COUNT_TEXT_MAX)
		return err_set(e, ERR_INVALID, "the text is longer than %zu KiB",
			       TOKEN_COUNT_TEXT_MAX >> 10);
	rc = count_all(&c, text, len, e);
	free(c.symbols);
	free(c.heap);
	free(c.text);
	free(c.chars);
	return rc < 0 ? rc : c.total;
}

static int read_vocabulary(struct vocabulary *v, const char *path, struct err *e)
{
	size_t len = strlen(path), end = strlen(".gguf");
	struct stat st;
	char *json;
	int rc;

	if (stat(path, &st) != 0)
		return err_errno(e, "it");
	if (S_ISREG(st.st_mode) && len > end && strcmp(path + len - end, ".gguf") == 0)
		return vocabulary_from_gguf(v, path, e);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_NOTFOUND, "it has no tokenizer");
	json = path_join(path, "tokenizer.json");
	rc = vocabulary_from_json(v, json, e);
	free(json);
	return rc;
}

int token_counter_open(const char *path, struct token_counter **out, struct err *e)
{
	struct token_counter *c = mem_zalloc(sizeof(*c));
	int rc;

	c->v.a = arena_new();
	rc = read_vocabulary(&c->v, path, e);
	if (rc < 0) {
		token_counter_close(c);
		return err_wrap(e, "%s", path_basename(path));
	}
	*out = c;
	return 0;
}

void token_counter_close(struct token_counter *c)
{
	if (!c)
		return;
	split_free(&c->v.split);
	arena_free(c->v.a);
	free(c);
}
