/* orchestrator/measure/garbage.h -- is an answer language, or what a broken model says: bytes that
 * are no UTF-8, one phrase for ever, another script or language than was asked for, words that have
 * nothing to do with the question? Pure. It is a smoke test, made to be wrong on the side of
 * silence: docs/measuring.md has every threshold and what it was tried with. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_GARBAGE_H
#define QUERN_ORCHESTRATOR_MEASURE_GARBAGE_H

#include <stdbool.h>
#include <stddef.h>

enum garbage {
	GARBAGE_NONE,
	GARBAGE_EMPTY,	  /* no letter and no digit */
	GARBAGE_UTF8,	  /* invalid bytes, or U+FFFD where a server replaced them */
	GARBAGE_SYMBOLS,  /* hardly any letters, or a word without an end */
	GARBAGE_REPEATS,  /* the same again and again */
	GARBAGE_SCRIPT,	  /* other letters than the language has */
	GARBAGE_LANGUAGE, /* another language, or words in no order of any */
	GARBAGE_TOPIC,	  /* no word of the topic */
	GARBAGE_COUNT
};
const char *garbage_name(enum garbage g); /* "none", "empty", "utf8" ... */

struct garbage_question {
	const char *prompt;
	const char *language;	  /* of garbage_languages(); NULL: neither script nor language is
				     looked at */
	const char *const *topic; /* n 0: the words of the prompt that carry meaning */
	size_t n_topic;
	bool cut; /* the answer was ended at a number of tokens: a half character at its end is no
		     fault */
};

#define GARBAGE_WHY_MAX 160

/* The first that is wrong, with one phrase in why: "repeats \"the king\" 31 times". Of a long
 * answer the first 64 KiB are looked at. */
enum garbage garbage_look(const struct garbage_question *q, const char *text, size_t len,
			  char why[GARBAGE_WHY_MAX]);

/* Codes of the languages that are known, sorted. */
size_t garbage_languages(const char *const **out);

#endif
