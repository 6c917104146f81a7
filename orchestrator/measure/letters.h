/* orchestrator/measure/letters.h -- as much of Unicode as telling languages apart takes: scripts of
 * letters by their blocks, lower case, words, and the commonest words of some languages. Pure. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_LETTERS_H
#define QUERN_ORCHESTRATOR_MEASURE_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum script {
	SCRIPT_NONE = 0, /* no letter */
	SCRIPT_LATIN = 1,
	SCRIPT_CYRILLIC = 2,
	SCRIPT_GREEK = 4,
	SCRIPT_HAN = 8,
	SCRIPT_KANA = 16,
	SCRIPT_HANGUL = 32,
	SCRIPT_ARABIC = 64,
	SCRIPT_HEBREW = 128,
	SCRIPT_DEVANAGARI = 256,
	SCRIPT_THAI = 512,
	SCRIPT_OTHER = 1024,
};

enum script letter_script(uint32_t cp);
uint32_t letter_lower(uint32_t cp);

/* A word: letters and digits with apostrophes inside; where a script has no blanks between words,
 * one character. */
struct word {
	const char *at;
	size_t len;   /* bytes */
	size_t chars; /* characters */
	enum script script;
};
/* Words of valid UTF-8, at most max of them. */
size_t words_of(const char *text, size_t len, struct word *out, size_t max);
/* The same but for case. */
bool word_same(const struct word *a, const struct word *b);
/* One is a form of the other, as far as its beginning says: "river" and "rivers", "boil" and
 * "boiling". */
bool word_related(const struct word *a, const struct word *b);

struct language {
	const char *code;
	unsigned scripts;	   /* bits of enum script: what its texts are written in */
	const char *const *common; /* its commonest words in lower case, NULL-ended; or NULL */
};
extern const struct language languages[]; /* sorted by code */
extern const size_t n_languages;
const struct language *language_find(const char *code); /* NULL: not known */
bool language_is_common(const struct language *l, const struct word *w);

#endif
