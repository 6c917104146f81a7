#include "orchestrator/tokens/split.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"
#include "orchestrator/tokens/unicode.h"

/* A pattern takes some ten steps for a character; hostile ones take squares of the text. */
#define STEPS_MAX 200000000

/* tokenizers, src/pre_tokenizers/byte_level.rs */
static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
			   "\\s+(?!\\S)|\\s+";

struct splitting {
	const struct splitter *s;
	split_fn fn;
	void *ctx;
	int64_t steps; /* that are left */
	struct err *e;
};

static int add_step(struct arena *a, struct splitter *s, enum split_kind kind, const char *pattern,
		    struct err *e)
{
	if (s->n == SPLIT_STEPS_MAX)
		return err_set(e, ERR_INVALID, "the pre-tokenizer has too many steps");
	s->step[s->n].kind = kind;
	s->n++;
	return kind == SPLIT_PATTERN ? pattern_compile(a, pattern, &s->step[s->n - 1].pattern, e)
				     : 0;
}

int split_init(struct arena *a, struct splitter *s, const char *const *steps, size_t n,
	       struct err *e)
{
	static const struct {
		const char *name;
		enum split_kind kind;
	} known[] = { { "@bytes", SPLIT_BYTES },
		      { "@digits", SPLIT_DIGITS },
		      { "@numbers", SPLIT_NUMBERS },
		      { "@punctuation", SPLIT_PUNCTUATION },
		      { "@spaces", SPLIT_SPACES } };
	int rc = 0;

	s->n = 0;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		enum split_kind kind = SPLIT_PATTERN;
		bool both = strcmp(steps[i], "@bytes+regex") == 0;
		const char *pattern = both ? gpt2 : steps[i];
		size_t len = strlen(pattern), mark = strlen(PRETOKENIZER_MORE);

		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			if (strcmp(known[k].name, steps[i]) == 0)
				kind = known[k].kind;
		if (len > mark && strcmp(pattern + len - mark, PRETOKENIZER_MORE) == 0)
			return err_set(e, ERR_INVALID,
				       "a step of the pre-tokenizer is known in part only");
		rc = add_step(a, s, kind, pattern, e);
		if (rc == 0 && both)
			rc = add_step(a, s, SPLIT_BYTES, NULL, e);
	}
	return rc;
}

/* ---- splitting */

static int split_from(struct splitting *w, size_t step, const uint32_t *text, size_t n);

static int by_pattern(struct splitting *w, size_t step, const uint32_t *text, size_t n)
{
	size_t done = 0, from = 0, start = 0, end = 0;
	int rc = 1;

	while (from < n) {
		rc = pattern_find(w->s->step[step].pattern, text, n, from, &start, &end, &w->steps,
				  w->e);
		if (rc <= 0)
			break;
		from = end > start ? end : end + 1;
		if (end == start)
			continue;
		rc = split_from(w, step + 1, text + done, start - done);
		if (rc >= 0)
			rc = split_from(w, step + 1, text + start, end - start);
		if (rc < 0)
			return rc;
		done = end;
	}
	return rc < 0 ? rc : split_from(w, step + 1, text + done, n - done);
}

static bool is_punctuation(uint32_t cp)
{
	return unicode_class(cp) & UC_PUNCTUATION || (cp < 0x80 && unicode_class(cp) & UC_SYMBOL);
}

/* Does a piece begin at text[i], i > 0? */
static bool begins(enum split_kind kind, const uint32_t *text, size_t i)
{
	bool digit = unicode_class(text[i]) & UC_NUMERIC;
	bool before = unicode_class(text[i - 1]) & UC_NUMERIC;

	switch (kind) {
	case SPLIT_DIGITS:
		return digit || before;
	case SPLIT_NUMBERS:
		return digit != before;
	case SPLIT_PUNCTUATION:
		return is_punctuation(text[i]) != is_punctuation(text[i - 1]);
	default:
		return text[i] == ' ' || text[i] == SPLIT_MARK;
	}
}

static int by_class(struct splitting *w, size_t step, const uint32_t *text, size_t n)
{
	size_t start = 0;
	int rc = 0;

	for (size_t i = 1; rc >= 0 && i <= n; i++) {
		if (i < n && !begins(w->s->step[step].kind, text, i))
			continue;
		rc = split_from(w, step + 1, text + start, i - start);
		start = i;
	}
	return rc;
}

/* GPT-2's bytes_to_unicode(): printable bytes of Latin-1 stand for themselves, the others, in their
 * order, for the characters from U+0100 on. */
static uint32_t byte_char(unsigned char b)
{
	if ((b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD))
		return b;
	return b <= ' ' ? 0x100u + b : b <= 0xA0 ? 0x100u + 33 + (b - 0x7Fu) : 0x143;
}

/* Later steps see these characters: some bytes stand for digits then, and are split as such. */
static int into_bytes(struct splitting *w, size_t step, const uint32_t *text, size_t n)
{
	uint32_t *as_bytes = mem_array(n, 4 * sizeof(*as_bytes));
	size_t len = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		char out[4];
		int bytes = utf8_put(text[i], out);

		for (int k = 0; k < bytes; k++)
			as_bytes[len++] = byte_char((unsigned char)out[k]);
	}
	rc = split_from(w, step + 1, as_bytes, len);
	free(as_bytes);
	return rc;
}

static int split_from(struct splitting *w, size_t step, const uint32_t *text, size_t n)
{
	if (n == 0)
		return 0;
	if (step == w->s->n)
		return w->fn(w->ctx, text, n, w->e);
	switch (w->s->step[step].kind) {
	case SPLIT_PATTERN:
		return by_pattern(w, step, text, n);
	case SPLIT_BYTES:
		return into_bytes(w, step, text, n);
	default:
		return by_class(w, step, text, n);
	}
}

int split_text(const struct splitter *s, const uint32_t *text, size_t n, split_fn fn, void *ctx,
	       struct err *e)
{
	struct splitting w = { s, fn, ctx, STEPS_MAX, e };

	return split_from(&w, 0, text, n);
}
