/* core/utf8.h -- the one decoder of UTF-8 (RFC 3629): no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
#ifndef QUERN_CORE_UTF8_H
#define QUERN_CORE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decode the character at text[0..n). Returns its length, 1 to 4, with *cp set; 0 when the bytes
 * are no character (or n is 0). */
int utf8_next(const char *text, size_t n, uint32_t *cp);
/* Encode a scalar value; returns the length, 1 to 4. */
int utf8_put(uint32_t cp, char out[4]);
/* 1 when all of p[0..n) is valid. */
int utf8_valid(const char *p, size_t n);
/* C0, DEL or C1. */
int utf8_is_control(uint32_t cp);
/* Characters that reorder, break or hide the text around them (UAX 9 and the line separators): as
 * harmful as an escape sequence. */
int utf8_is_deceptive(uint32_t cp);
/* The longest prefix of s[0..n) that does not end inside a character. */
size_t utf8_cut(const char *s, size_t n);

#endif
