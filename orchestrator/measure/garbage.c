#include "orchestrator/measure/garbage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "orchestrator/measure/letters.h"

/* Thresholds. docs/measuring.md repeats them, with what they were tried on. */
#define TEXT_LOOKED_AT ((size_t)64 << 10)
#define WORDS_MAX 16384
#define FFFD_SHARE 0.01	    /* replaced characters; two at least */
#define LETTERS_FROM 40	    /* characters from which the share of letters counts */
#define LETTERS_SHARE 0.3   /* of what is no blank */
#define WORD_CHARS_MAX 60   /* of one word */
#define RUN_MAX 40	    /* equal characters in a row */
#define RULER_MAX 200	    /* the same of what lines are drawn with */
#define UNIT_MAX 16	    /* words of a phrase that may come again */
#define UNIT_TIMES 4	    /* times in a row ... */
#define UNIT_WORDS 12	    /* ... and words together */
#define TRIGRAMS_FROM 60    /* words from which the share of different trigrams counts */
#define TRIGRAMS_SHARE 0.4  /* prose has more than 0.9 */
#define SCRIPT_FROM 12	    /* letters */
#define SCRIPT_SHARE 0.6    /* of the language's script */
#define LANGUAGE_FROM 20    /* words */
#define LANGUAGE_SHARE 0.12 /* fewer common words than this, and ... */
#define LANGUAGE_OTHER 0.15 /* ... another language has so many, and ... */
#define LANGUAGE_TIMES 2.5  /* ... so many times those */
#define SALAD_FROM 40	    /* words from which some common ones must be there */
#define SALAD_SHARE 0.05    /* prose has 0.3 and more */
#define TOPIC_FROM 12	    /* words of the answer */
#define TOPIC_WORD_CHARS 4  /* of a word of the prompt that carries meaning */
#define TOPIC_WORDS_MAX 256

const char *garbage_name(enum garbage g)
{
	static const char *const names[GARBAGE_COUNT] = { "none",     "empty",	 "utf8",
							  "symbols",  "repeats", "script",
							  "language", "topic" };

	return names[g];
}

size_t garbage_languages(const char *const **out)
{
	static const char *codes[64];

	for (size_t i = 0; i < n_languages; i++)
		codes[i] = languages[i].code;
	*out = codes;
	return n_languages;
}

/* What is counted of an answer in one pass. */
struct counts {
	size_t chars, solid; /* solid: no blank */
	size_t letters, digits;
	size_t replaced;     /* U+FFFD */
	size_t run, run_max; /* equal characters */
	uint32_t run_of;
	bool ruler;	      /* of run_max */
	size_t bad_at;	      /* first byte that is no UTF-8; len when there is none */
	size_t by_script[11]; /* by the bit's number */
};

static int bit_number(enum script s)
{
	int n = 0;

	while (s > 1) {
		s >>= 1;
		n++;
	}
	return n;
}

static bool draws_lines(uint32_t cp)
{
	return (cp < 0x80 && strchr("-=_*#~.+|", (int)cp)) || (cp >= 0x2500 && cp <= 0x257F);
}

static void count_run(struct counts *c, uint32_t cp)
{
	size_t limit = draws_lines(cp) ? RULER_MAX : RUN_MAX;

	c->run = cp == c->run_of ? c->run + 1 : 1;
	c->run_of = cp;
	if (c->run >= limit && c->run > c->run_max)
		c->run_max = c->run;
}

static void count(const char *text, size_t len, struct counts *c)
{
	memset(c, 0, sizeof(*c));
	c->bad_at = len;
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		int step = utf8_next(text + i, len - i, &cp);
		enum script s;

		if (!step) {
			c->bad_at = i;
			return;
		}
		i += (size_t)step;
		c->chars++;
		if (cp <= ' ' || cp == 0xA0 || cp == 0x3000) {
			c->run_of = 0; /* columns of a table are no run */
			continue;
		}
		c->solid++;
		c->replaced += cp == 0xFFFD;
		c->digits += cp >= '0' && cp <= '9';
		count_run(c, cp);
		s = letter_script(cp);
		if (s != SCRIPT_NONE) {
			c->letters++;
			c->by_script[bit_number(s)]++;
		}
	}
}

/* ---- bytes */

static enum garbage look_bytes(const struct garbage_question *q, const char *text, size_t len,
			       const struct counts *c, char *why)
{
	if (c->bad_at < len && !(q->cut && utf8_cut(text, len) <= c->bad_at)) {
		snprintf(why, GARBAGE_WHY_MAX, "byte %zu is no UTF-8 (0x%02X)", c->bad_at + 1,
			 (unsigned char)text[c->bad_at]);
		return GARBAGE_UTF8;
	}
	if (c->replaced >= 2 && (double)c->replaced > FFFD_SHARE * (double)c->chars) {
		snprintf(why, GARBAGE_WHY_MAX,
			 "%zu of %zu characters are U+FFFD, which stands for "
			 "bytes that are no UTF-8",
			 c->replaced, c->chars);
		return GARBAGE_UTF8;
	}
	if (c->letters + c->digits == 0) {
		snprintf(why, GARBAGE_WHY_MAX,
			 len ? "it has no letter and no digit" : "it is empty");
		return GARBAGE_EMPTY;
	}
	return GARBAGE_NONE;
}

static enum garbage look_symbols(const struct counts *c, const struct word *w, size_t n, char *why)
{
	if (c->solid >= LETTERS_FROM &&
	    (double)(c->letters + c->digits) < LETTERS_SHARE * (double)c->solid) {
		snprintf(why, GARBAGE_WHY_MAX,
			 "%zu of %zu characters are neither letters nor digits",
			 c->solid - c->letters - c->digits, c->solid);
		return GARBAGE_SYMBOLS;
	}
	for (size_t i = 0; i < n; i++) {
		if (w[i].chars > WORD_CHARS_MAX) {
			snprintf(why, GARBAGE_WHY_MAX, "it has a word of %zu letters", w[i].chars);
			return GARBAGE_SYMBOLS;
		}
	}
	return GARBAGE_NONE;
}

/* ---- repetition */

/* How often the phrase of k words at w[at] comes in a row. */
static size_t times_in_a_row(const struct word *w, size_t n, size_t at, size_t k)
{
	size_t times = 1;

	while (at + (times + 1) * k <= n) {
		for (size_t i = 0; i < k; i++)
			if (!word_same(&w[at + i], &w[at + times * k + i]))
				return times;
		times++;
	}
	return times;
}

static void say_phrase(const struct word *first, const struct word *last, size_t times, char *why)
{
	char raw[64], shown[96];
	size_t len = (size_t)(last->at - first->at) + last->len;

	len = utf8_cut(first->at, len < sizeof(raw) ? len : sizeof(raw) - 1);
	memcpy(raw, first->at, len);
	raw[len] = '\0';
	text_visible(raw, shown, sizeof(shown));
	snprintf(why, GARBAGE_WHY_MAX, "it says \"%s\" %zu times in a row", shown, times);
}

static int by_value(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

static uint64_t hash_word(uint64_t h, const struct word *w)
{
	for (size_t i = 0; i < w->len;) {
		uint32_t cp;
		int step = utf8_next(w->at + i, w->len - i, &cp);

		if (!step)
			break;
		h = (h ^ letter_lower(cp)) * 0x100000001B3u; /* FNV-1a */
		i += (size_t)step;
	}
	return (h ^ ' ') * 0x100000001B3u;
}

static double different_trigrams(const struct word *w, size_t n)
{
	uint64_t *h = mem_array(n, sizeof(*h));
	size_t count = n - 2, different = 1;

	for (size_t i = 0; i < count; i++) {
		h[i] = 0xCBF29CE484222325u;
		for (size_t k = 0; k < 3; k++)
			h[i] = hash_word(h[i], &w[i + k]);
	}
	qsort(h, count, sizeof(*h), by_value);
	for (size_t i = 1; i < count; i++)
		different += h[i] != h[i - 1];
	free(h);
	return (double)different / (double)count;
}

static enum garbage look_repeats(const struct counts *c, const struct word *w, size_t n, char *why)
{
	if (c->run_max) {
		snprintf(why, GARBAGE_WHY_MAX, "it has the same character %zu times in a row",
			 c->run_max);
		return GARBAGE_REPEATS;
	}
	for (size_t at = 0; at + UNIT_WORDS <= n; at++) {
		for (size_t k = 1; k <= UNIT_MAX; k++) {
			size_t times = times_in_a_row(w, n, at, k);

			if (times >= UNIT_TIMES && times * k >= UNIT_WORDS) {
				say_phrase(&w[at], &w[at + k - 1], times, why);
				return GARBAGE_REPEATS;
			}
		}
	}
	if (n >= TRIGRAMS_FROM) {
		double share = different_trigrams(w, n);

		if (share < TRIGRAMS_SHARE) {
			snprintf(why, GARBAGE_WHY_MAX,
				 "of its phrases of three words only %.0f %% are different",
				 share * 100);
			return GARBAGE_REPEATS;
		}
	}
	return GARBAGE_NONE;
}

/* ---- language */

static enum garbage look_script(const struct counts *c, const struct language *l, char *why)
{
	size_t own = 0;

	for (size_t i = 0; i < ARRAY_LEN(c->by_script); i++)
		own += l->scripts & (1u << i) ? c->by_script[i] : 0;
	if (c->letters < SCRIPT_FROM || (double)own >= SCRIPT_SHARE * (double)c->letters)
		return GARBAGE_NONE;
	snprintf(why, GARBAGE_WHY_MAX, "%zu of %zu letters are none that \"%s\" is written with",
		 c->letters - own, c->letters, l->code);
	return GARBAGE_SCRIPT;
}

static double share_common(const struct language *l, const struct word *w, size_t n)
{
	size_t hits = 0;

	for (size_t i = 0; i < n; i++)
		hits += language_is_common(l, &w[i]);
	return (double)hits / (double)n;
}

static enum garbage look_language(const struct word *w, size_t n, const struct language *l,
				  char *why)
{
	double own;

	if (!l->common || n < LANGUAGE_FROM)
		return GARBAGE_NONE;
	own = share_common(l, w, n);
	for (size_t i = 0; own < LANGUAGE_SHARE && i < n_languages; i++) {
		const struct language *other = &languages[i];
		double share;

		if (other == l || !other->common)
			continue;
		share = share_common(other, w, n);
		if (share >= LANGUAGE_OTHER && share >= LANGUAGE_TIMES * own) {
			snprintf(why, GARBAGE_WHY_MAX,
				 "its words are rather \"%s\" than \"%s\" (%.0f %% against %.0f %% "
				 "of the commonest)",
				 other->code, l->code, share * 100, own * 100);
			return GARBAGE_LANGUAGE;
		}
	}
	if (n >= SALAD_FROM && own < SALAD_SHARE) {
		snprintf(why, GARBAGE_WHY_MAX,
			 "only %.0f %% of its words are of those that every text in \"%s\" has",
			 own * 100, l->code);
		return GARBAGE_LANGUAGE;
	}
	return GARBAGE_NONE;
}

/* ---- topic */

static bool mentions(const struct word *w, size_t n, const struct word *topic, size_t k)
{
	for (size_t at = 0; at + k <= n; at++) {
		size_t i = 0;

		while (i < k && (k == 1 ? word_related(&w[at], &topic[0])
					: word_same(&w[at + i], &topic[i])))
			i++;
		if (i == k)
			return true;
	}
	return false;
}

/* Words of the prompt that carry meaning; of scripts without blanks, pairs of characters. */
static bool mentions_prompt(const struct garbage_question *q, const struct language *l,
			    const struct word *w, size_t n, bool *any)
{
	struct word *t = mem_array(TOPIC_WORDS_MAX, sizeof(*t));
	size_t k = words_of(q->prompt, strlen(q->prompt), t, TOPIC_WORDS_MAX);
	bool found = false;

	*any = false;
	for (size_t i = 0; i < k && !found; i++) {
		bool pair = t[i].script & (SCRIPT_HAN | SCRIPT_KANA | SCRIPT_THAI);

		if (pair ? i + 1 == k || t[i + 1].at != t[i].at + t[i].len
			 : t[i].chars < TOPIC_WORD_CHARS || (l && language_is_common(l, &t[i])))
			continue;
		*any = true;
		found = mentions(w, n, &t[i], pair ? 2 : 1);
	}
	free(t);
	return found;
}

static enum garbage look_topic(const struct garbage_question *q, const struct language *l,
			       const struct word *w, size_t n, char *why)
{
	struct word topic[16];
	bool any = true, found = false;

	if (n < TOPIC_FROM)
		return GARBAGE_NONE;
	for (size_t i = 0; i < q->n_topic && !found; i++) {
		size_t k = words_of(q->topic[i], strlen(q->topic[i]), topic, ARRAY_LEN(topic));

		found = k > 0 && mentions(w, n, topic, k);
	}
	if (!q->n_topic)
		found = mentions_prompt(q, l, w, n, &any);
	if (found || !any)
		return GARBAGE_NONE;
	snprintf(why, GARBAGE_WHY_MAX, "none of its %zu words is of the topic", n);
	return GARBAGE_TOPIC;
}

/* ---- the whole */

enum garbage garbage_look(const struct garbage_question *q, const char *text, size_t len,
			  char why[GARBAGE_WHY_MAX])
{
	const struct language *l = language_find(q->language);
	struct garbage_question as = *q;
	struct counts c;
	struct word *w;
	enum garbage g;
	size_t n;

	why[0] = '\0';
	if (len > TEXT_LOOKED_AT) {
		len = TEXT_LOOKED_AT;
		as.cut = true;
	}
	count(text, len, &c);
	g = look_bytes(&as, text, len, &c, why);
	if (g != GARBAGE_NONE)
		return g;
	w = mem_array(WORDS_MAX, sizeof(*w));
	n = words_of(text, len, w, WORDS_MAX);
	g = look_symbols(&c, w, n, why);
	if (g == GARBAGE_NONE)
		g = look_repeats(&c, w, n, why);
	if (g == GARBAGE_NONE && l)
		g = look_script(&c, l, why);
	if (g == GARBAGE_NONE && l)
		g = look_language(w, n, l, why);
	if (g == GARBAGE_NONE)
		g = look_topic(&as, l, w, n, why);
	free(w);
	return g;
}
