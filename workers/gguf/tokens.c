#include "workers/gguf/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "workers/common/protocol.h"

/* What llama.cpp's converter gives to added tokens and to free places. Neither is ever merged to.
 */
#define SCORE_ADDED (-1000.0f)
#define SCORE_FREE (-10000.0f)

#define SPACE_SIGN "\xe2\x96\x81" /* U+2581 */

void tokens_init(struct arena *a, uint64_t rows, const char *file, struct token_list *l)
{
	*l = (struct token_list){ .file = file,
				  .v = arena_array(a, rows + 1, sizeof(*l->v)),
				  .rows = rows };
}

int tokens_place(struct token_list *l, int64_t id, const struct token *t, struct err *e)
{
	if (id < 0 || (uint64_t)id >= l->rows)
		return err_set(
			e, ERR_INVALID,
			"%s: token %lld is beyond the embedding's %llu rows; the tokenizer is "
			"not this model's",
			l->file, (long long)id, (unsigned long long)l->rows);
	l->v[id] = *t;
	if ((uint64_t)id >= l->n)
		l->n = (uint64_t)id + 1;
	return 0;
}

/* Some models mark as ordinary what ought to be special: written as special tokens are. Source:
 * llama.cpp conversion/base.py, does_token_look_special(). */
static int looks_special(const char *s, size_t n)
{
	static const char *const whole[] = { "<pad>", "<mask>", "<2mass>", "[@BOS@]" };
	static const struct {
		const char *begin, *end;
	} marks[] = { { "<|", "|>" }, { "<\xef\xbd\x9c", "\xef\xbd\x9c>" }, { "<unused", ">" } };

	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		if (strcmp(s, whole[i]) == 0)
			return 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		size_t b = strlen(marks[i].begin), k = strlen(marks[i].end);

		if (n >= b + k && memcmp(s, marks[i].begin, b) == 0 &&
		    memcmp(s + n - k, marks[i].end, k) == 0)
			return 1;
	}
	return 0;
}

/* A token that is looked for in the text itself has spaces where the text has them. */
static const char *with_spaces(struct arena *a, const char *s)
{
	const char *at = strstr(s, SPACE_SIGN);
	struct buf b;

	if (!at)
		return s;
	buf_init(&b, strlen(s));
	for (; at; s = at + strlen(SPACE_SIGN), at = strstr(s, SPACE_SIGN)) {
		buf_add(&b, s, (size_t)(at - s));
		buf_addc(&b, ' ');
	}
	buf_adds(&b, s);
	s = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return s;
}

int tokens_place_added(struct arena *a, struct token_list *l, int64_t id, const char *text,
		       size_t len, int special, struct err *e)
{
	struct token t = { text, len, TOKEN_CONTROL, SCORE_ADDED };

	if (memchr(text, '\0', len))
		return err_set(e, ERR_INVALID, "%s: added token %lld has a NUL in its text",
			       l->file, (long long)id);
	if (id >= 0 && (uint64_t)id >= l->rows) {
		worker_warn("token %lld, \"%.60s\", is beyond the embedding's %llu rows: left out",
			    (long long)id, text, (unsigned long long)l->rows);
		return 0;
	}
	if (!special && !looks_special(text, len)) {
		t.type = TOKEN_USER;
		t.text = with_spaces(a, text);
		t.len = strlen(t.text);
	}
	/* What a model calls unknown stays so. */
	if (id >= 0 && l->v[id].text && l->v[id].type == TOKEN_UNKNOWN)
		t.type = TOKEN_UNKNOWN;
	return tokens_place(l, id, &t, e);
}

static int add_object(struct arena *a, struct token_list *l, int64_t id, const struct json *v,
		      struct err *e)
{
	const struct json *text = json_get(v, "content");

	if (!text || text->type != JSON_STRING)
		return err_set(e, ERR_INVALID,
			       "tokenizer.json, tokenizer_config.json: an added token has no text");
	return tokens_place_added(a, l, id, text->str, text->len, json_bool(v, "special", 0), e);
}

int tokens_add_list(struct arena *a, struct token_list *l, const struct json *v, struct err *e)
{
	for (size_t i = 0; v && v->type == JSON_ARRAY && i < v->count; i++) {
		const struct json *x = v->members[i].value;

		if (add_object(a, l, json_int(x, "id", -1), x, e) < 0)
			return e->code;
	}
	return 0;
}

/* A number from 0 on; -1 when it is none. */
static int64_t id_of(const char *text)
{
	size_t n = strlen(text);

	return n && n < 10 && strspn(text, "0123456789") == n ? strtoll(text, NULL, 10) : -1;
}

int tokens_add_decoder(struct arena *a, struct token_list *l, const struct json *v, struct err *e)
{
	for (size_t i = 0; v && v->type == JSON_OBJECT && i < v->count; i++) {
		if (add_object(a, l, id_of(v->members[i].key), v->members[i].value, e) < 0)
			return e->code;
	}
	return 0;
}

int tokens_add_names(struct arena *a, struct token_list *l, const struct json *v, struct err *e)
{
	for (size_t i = 0; v && v->type == JSON_OBJECT && i < v->count; i++) {
		const char *text = v->members[i].key;
		const struct json *id = v->members[i].value;

		if (id->type != JSON_NUMBER || !id->is_integer)
			return err_set(e, ERR_INVALID,
				       "added_tokens.json: the id of \"%.60s\" is no whole number",
				       text);
		if (tokens_place_added(a, l, id->integer, text, strlen(text), 0, e) < 0)
			return e->code;
	}
	return 0;
}

int64_t tokens_id(const struct token_list *l, const char *text)
{
	size_t len = strlen(text);

	for (uint64_t i = 0; i < l->n; i++) {
		if (l->v[i].text && l->v[i].len == len && memcmp(l->v[i].text, text, len) == 0)
			return (int64_t)i;
	}
	return -1;
}

/* ---- into the file */

static int by_text(const void *x, const void *y)
{
	const struct token *a = *(const struct token *const *)x,
			   *b = *(const struct token *const *)y;
	int c = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);

	return c ? c : a->len < b->len ? -1 : a->len > b->len;
}

/* llama.cpp aborts on two tokens of one text. */
static int check_distinct(const struct token_list *l, uint64_t n, struct err *e)
{
	const struct token *v = l->v;
	const struct token **sorted = mem_array(n + 1, sizeof(*sorted));
	int rc = 0;

	for (uint64_t i = 0; i < n; i++)
		sorted[i] = &v[i];
	qsort(sorted, n, sizeof(*sorted), by_text);
	for (uint64_t i = 1; rc == 0 && i < n; i++) {
		if (by_text(&sorted[i - 1], &sorted[i]) == 0)
			rc = err_set(e, ERR_INVALID,
				     "%s: \"%.60s\" is the text of two tokens, %td and %td",
				     l->file, sorted[i]->text, sorted[i - 1] - v, sorted[i] - v);
	}
	free(sorted);
	return rc;
}

static void fill_up(struct arena *a, struct token_list *l, uint64_t rows)
{
	for (uint64_t i = 0; i < rows; i++) {
		if (l->v[i].text)
			continue;
		l->v[i].text = arena_printf(a, "[PAD%llu]", (unsigned long long)i);
		l->v[i].len = strlen(l->v[i].text);
		l->v[i].type = TOKEN_UNUSED;
		l->v[i].score = SCORE_FREE;
	}
}

int tokens_write(struct arena *a, struct token_list *l, uint64_t rows, int with_scores,
		 struct gguf_writer *w, struct err *e)
{
	fill_up(a, l, rows);
	if (check_distinct(l, rows, e) < 0)
		return e->code;
	gguf_array(w, "tokenizer.ggml.tokens", GGUF_STRING, rows);
	for (uint64_t i = 0; i < rows; i++)
		gguf_put_str(w, l->v[i].text, l->v[i].len);
	if (with_scores) {
		gguf_array(w, "tokenizer.ggml.scores", GGUF_F32, rows);
		for (uint64_t i = 0; i < rows; i++)
			gguf_put_f32(w, l->v[i].score);
	}
	gguf_array(w, "tokenizer.ggml.token_type", GGUF_I32, rows);
	for (uint64_t i = 0; i < rows; i++)
		gguf_put_i32(w, (int32_t)l->v[i].type);
	return 0;
}
