/* workers/launch/text.h -- text without stdio, whose functions are not
 * async-signal-safe. Each returns the place behind what it wrote; the caller
 * has made room. */
#ifndef QUERN_WORKERS_LAUNCH_TEXT_H
#define QUERN_WORKERS_LAUNCH_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TEXT_NUMBER_MAX 20 /* digits of 2^64 - 1 */

static inline char *text_add(char *out, const char *s, size_t n)
{
	memcpy(out, s, n);
	return out + n;
}

static inline char *text_number(char *out, uint64_t v)
{
	char digits[TEXT_NUMBER_MAX];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return text_add(out, digits + n, sizeof(digits) - n);
}

#endif
