#include "orchestrator/tokens/split.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/utf8.h"

#define TIME_MAX_MS 10000 /* of a text; hostile patterns take squares of it */

static const struct {
	const char *name, *pattern; /* NULL: into bytes */
} known[] = {
	{ "@bytes", NULL },
	/* tokenizers, src/pre_tokenizers/byte_level.rs */
	{ "@bytes+regex", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
			  "\\s+(?!\\S)|\\s+" },
	{ "@digits", "\\p{N}" },
	{ "@numbers", "\\p{N}+" },
	{ "@punctuation", "[\\p{P}!-/:-@\\[-`{-~]+" },
	{ "@spaces", "[ " SPLIT_MARK_UTF8 "][^ " SPLIT_MARK_UTF8 "]*" },
};

struct splitting {
	const struct splitter *s;
	split_fn fn;
	void *ctx;
	int64_t until_ms;
	struct err *e;
};

static int add_step(struct splitter *s, const char *pattern, struct err *e)
{
	if (s->n == SPLIT_STEPS_MAX)
		return err_set(e, ERR_INVALID, "the pre-tokenizer has too many steps");
	s->n++;
	return pattern ? pattern_compile(pattern, &s->step[s->n - 1], e) : 0;
}

int split_init(struct splitter *s, const char *const *steps, size_t n, struct err *e)
{
	size_t mark = strlen(PRETOKENIZER_MORE);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const char *pattern = steps[i];
		size_t len = strlen(steps[i]);

		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			if (strcmp(known[k].name, steps[i]) == 0)
				pattern = known[k].pattern;
		if (len > mark && strcmp(steps[i] + len - mark, PRETOKENIZER_MORE) == 0)
			return err_set(e, ERR_INVALID,
				       "a step of the pre-tokenizer is known in part only");
		rc = add_step(s, pattern, e);
		if (rc == 0 && strcmp(steps[i], "@bytes+regex") == 0)
			rc = add_step(s, NULL, e);
	}
	return rc;
}

void split_free(struct splitter *s)
{
	for (size_t i = 0; i < s->n; i++)
		pattern_free(s->step[i]);
	s->n = 0;
}

/* ---- splitting */

static int split_from(struct splitting *w, size_t step, const uint32_t *text, size_t n);

static int by_pattern(struct splitting *w, size_t step, const uint32_t *text, size_t n)
{
	size_t done = 0, from = 0, start = 0, end = 0;
	int rc = 1;

	while (from < n) {
		if (clock_mono_ms() > w->until_ms)
			return err_set(w->e, ERR_INVALID, "splitting the text takes too long");
		rc = pattern_find(w->s->step[step], text, n, from, &start, &end, w->e);
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
	return w->s->step[step] ? by_pattern(w, step, text, n) : into_bytes(w, step, text, n);
}

int split_text(const struct splitter *s, const uint32_t *text, size_t n, split_fn fn, void *ctx,
	       struct err *e)
{
	struct splitting w = { s, fn, ctx, clock_mono_ms() + TIME_MAX_MS, e };

	return split_from(&w, 0, text, n);
}
