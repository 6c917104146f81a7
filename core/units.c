#include "core/units.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/utf8.h"

#define VALUE_MAX ((unsigned __int128)1 << 62)

/* --------------------------------------------------------------- quantities */

/* A decimal number in exact form: whole + part/scale. */
struct decimal {
	uint64_t whole, part, scale;
};

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Read "12" or "1.5" at *s and move past it; -1 if there is none or it has too many digits. */
static int read_decimal(const char **s, struct decimal *d)
{
	const char *p = *s;

	*d = (struct decimal){ .scale = 1 };
	if (!is_digit(*p))
		return -1;
	for (; is_digit(*p); p++) {
		d->whole = d->whole * 10 + (uint64_t)(*p - '0');
		if (d->whole > VALUE_MAX)
			return -1;
	}
	if (*p == '.') {
		if (!is_digit(*++p))
			return -1;
		for (; is_digit(*p); p++) {
			if (d->scale > UINT64_MAX / 100)
				return -1;
			d->part = d->part * 10 + (uint64_t)(*p - '0');
			d->scale *= 10;
		}
	}
	*s = p;
	return 0;
}

/* d times unit, rounded down; -1 above VALUE_MAX, or for a part of what cannot be divided. */
static int scale_decimal(const struct decimal *d, uint64_t unit, uint64_t *out)
{
	unsigned __int128 v =
		(unsigned __int128)d->whole * unit + (unsigned __int128)d->part * unit / d->scale;

	if (v > VALUE_MAX || (unit == 1 && d->part))
		return -1;
	*out = (uint64_t)v;
	return 0;
}

int units_parse_size(const char *s, uint64_t *bytes)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "k", 1000 },
		{ "kB", 1000 },
		{ "K", 1000 },
		{ "KB", 1000 },
		{ "KiB", (uint64_t)1 << 10 },
		{ "M", 1000000 },
		{ "MB", 1000000 },
		{ "MiB", (uint64_t)1 << 20 },
		{ "G", 1000000000 },
		{ "GB", 1000000000 },
		{ "GiB", (uint64_t)1 << 30 },
		{ "T", 1000000000000 },
		{ "TB", 1000000000000 },
		{ "TiB", (uint64_t)1 << 40 },
	};
	struct decimal d;

	if (read_decimal(&s, &d) < 0)
		return ERR_INVALID;
	s += strspn(s, " ");
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(s, units[i].name) == 0)
			return scale_decimal(&d, units[i].bytes, bytes) < 0 ? ERR_INVALID : 0;
	return ERR_INVALID;
}

/* The unit at *s in ms, and past it; 0 if unknown. Longer names stand before their beginnings. */
static uint64_t read_time_unit(const char **s)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "min", 60000 }, { "ms", 1 },	    { "s", 1000 },
		{ "m", 60000 },	  { "h", 3600000 }, { "d", 86400000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t n = strlen(units[i].name);

		if (strncmp(*s, units[i].name, n) == 0) {
			*s += n;
			return units[i].ms;
		}
	}
	return 0;
}

int units_parse_duration(const char *s, int64_t *ms)
{
	unsigned __int128 total = 0;
	uint64_t last = UINT64_MAX;

	do {
		struct decimal d;
		uint64_t unit, part;

		if (read_decimal(&s, &d) < 0)
			return ERR_INVALID;
		unit = !*s && last == UINT64_MAX ? 1000 : read_time_unit(&s);
		/* From large to small, each once: "30m1h" is more likely a slip than a wish. */
		if (unit == 0 || unit >= last || scale_decimal(&d, unit, &part) < 0)
			return ERR_INVALID;
		last = unit;
		total += part;
		if (total > VALUE_MAX)
			return ERR_INVALID;
	} while (*s);
	*ms = (int64_t)total;
	return 0;
}

void units_format_size(uint64_t bytes, char *out, size_t size)
{
	static const char *const names[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		(void)snprintf(out, size, "%u B", (unsigned)bytes);
		return;
	}
	/* 1023.95 would be written as "1024.0". */
	for (; v >= 1023.95 && i + 1 < ARRAY_LEN(names); i++)
		v /= 1024;
	(void)snprintf(out, size, "%.1f %s", v, names[i]);
}

void units_format_duration(int64_t ms, char *out, size_t size)
{
	const char *sign = ms < 0 ? "-" : "";
	uint64_t v = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	uint64_t s = v / 1000;

	if (v < 1000)
		(void)snprintf(out, size, "%s%ums", sign, (unsigned)v);
	else if (s < 60)
		(void)snprintf(out, size, "%s%us", sign, (unsigned)s);
	else if (s < 3600)
		(void)snprintf(out, size, "%s%um %02us", sign, (unsigned)(s / 60),
			       (unsigned)(s % 60));
	else if (s < 86400)
		(void)snprintf(out, size, "%s%uh %02um", sign, (unsigned)(s / 3600),
			       (unsigned)(s / 60 % 60));
	else
		(void)snprintf(out, size, "%s%llud %02uh", sign, (unsigned long long)(s / 86400),
			       (unsigned)(s / 3600 % 24));
}

/* --------------------------------------------------------------------- globs */

/* The character at *s and past it; a byte that is no UTF-8 counts as itself. */
static uint32_t next_char(const char **s)
{
	uint32_t cp = 0;
	int len = utf8_next(*s, strnlen(*s, 4), &cp);

	if (len == 0) {
		cp = 0x110000 + (unsigned char)**s;
		len = 1;
	}
	*s += len;
	return cp;
}

/* *p points behind '['. Moves past ']' and returns whether c is in the set; -1 without ']'. */
static int match_set(const char **p, uint32_t c)
{
	const char *q = *p;
	int negated = *q == '!', found = 0, first = 1;

	if (negated)
		q++;
	for (; first || *q != ']'; first = 0) { /* "[]a]": a bracket in front is a member */
		uint32_t low, high;

		if (*q == '\\' && q[1])
			q++;
		if (!*q)
			return -1;
		low = high = next_char(&q);
		if (*q == '-' && q[1] && q[1] != ']') {
			q++;
			if (*q == '\\' && q[1])
				q++;
			high = next_char(&q);
		}
		found |= c >= low && c <= high;
	}
	*p = q + 1;
	return found != negated;
}

/* One pattern element that is not '*' against one character; moves past it when they match. */
static int match_one(const char **p, uint32_t c)
{
	const char *q = *p;

	if (*q == '?') {
		*p = q + 1;
		return 1;
	}
	if (*q == '[') {
		int in;

		q++;
		in = match_set(&q, c);
		if (in >= 0) {
			*p = q;
			return in;
		}
		q = *p; /* no ']': an ordinary character */
	}
	if (*q == '\\' && q[1])
		q++;
	if (!*q || next_char(&q) != c)
		return 0;
	*p = q;
	return 1;
}

/* Only the last '*' needs to be gone back to, so the time is at most pattern times text. */
int glob_match(const char *pattern, const char *text)
{
	const char *star = NULL, *star_text = NULL;

	while (*text) {
		const char *p = pattern, *t = text;

		if (*p == '*') {
			star = ++pattern;
			star_text = text;
			continue;
		}
		if (match_one(&p, next_char(&t))) {
			pattern = p;
			text = t;
		} else if (star) {
			(void)next_char(&star_text);
			pattern = star;
			text = star_text;
		} else {
			return 0;
		}
	}
	pattern += strspn(pattern, "*");
	return *pattern == '\0';
}

/* ------------------------------------------------------------- did you mean */

#define WORD_MAX 64 /* keys and option names; longer words are not compared */

static int min3(int a, int b, int c)
{
	int m = a < b ? a : b;

	return m < c ? m : c;
}

int edit_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	int rows[3][WORD_MAX + 1]; /* of the table: the one before last, the last, this one */
	int *before = rows[0], *last = rows[1], *now = rows[2];

	if (n > WORD_MAX || m > WORD_MAX)
		return strcmp(a, b) == 0 ? 0 : WORD_MAX + 1;
	for (size_t j = 0; j <= m; j++) {
		before[j] = 0;
		last[j] = (int)j;
	}
	for (size_t i = 1; i <= n; i++) {
		int *spare = before;

		now[0] = (int)i;
		for (size_t j = 1; j <= m; j++) {
			int differ = a[i - 1] != b[j - 1];

			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + differ);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[m];
}

const char *nearest_name(const char *word, const char *const *names, size_t n)
{
	const char *best = NULL;
	int best_distance = (int)(strnlen(word, WORD_MAX) / 3) + 1;

	for (size_t i = 0; i < n; i++) {
		int d = strcasecmp(word, names[i]) == 0 ? 0 : edit_distance(word, names[i]);

		if (d < best_distance) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}
