/* core/units.h -- sizes, durations and globs as people write them. */
#ifndef QUERN_CORE_UNITS_H
#define QUERN_CORE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* "16GiB", "1.5 GB", "4096", "100k": B k kB K KB(=1000) KiB M MB MiB G GB GiB T TB TiB; returns 0
 * or ERR_INVALID (nothing read, unknown unit, above 2^62). A bare K/M/G/T letter is decimal. */
int units_parse_size(const char *s, uint64_t *bytes);
/* "90s", "10min" or "10m", "6h", "1h30m", "2d", "250ms", a bare number is seconds. 0 or
 * ERR_INVALID. */
int units_parse_duration(const char *s, int64_t *ms);
/* "1.4 GiB", "512 B"; at most 15 characters. */
void units_format_size(uint64_t bytes, char *out, size_t size);
/* "2h 05m", "42s", "850ms". */
void units_format_duration(int64_t ms, char *out, size_t size);

/* Shell glob over the whole text: * ? [a-z] [!a-z] \x; '*' also matches '/'. */
int glob_match(const char *pattern, const char *text);

/* Edit distance (optimal string alignment), capped: for did-you-mean. */
int edit_distance(const char *a, const char *b);
/* The nearest of names[n] within a third of its length, or NULL. */
const char *nearest_name(const char *word, const char *const *names, size_t n);

#endif
