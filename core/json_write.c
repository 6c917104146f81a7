/* The canonical form follows RFC 8785 (JSON Canonicalization Scheme) but for two things: keys are
 * sorted by their UTF-8 bytes, not UTF-16 units, and integers beyond 2^53 keep all their digits. */
#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/utf8.h"

/* ------------------------------------------------------------------ numbers */

/* The fewest significant digits, at most 17, that read back as v; *exponent of the first one. */
static int shortest_digits(double v, char digits[18], int *exponent)
{
	char text[40];
	int n = 0;

	/* A decimal of up to DBL_DIG digits comes back unchanged from a normal double, with zeros
	 * behind: no need to try fewer digits. Numbers below DBL_MIN hold less. */
	for (int precision = v < DBL_MIN ? 0 : DBL_DIG - 1; precision <= 16; precision++) {
		(void)snprintf(text, sizeof(text), "%.*e", precision, v);
		if (strtod(text, NULL) == v)
			break;
	}
	*exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	for (const char *p = text; *p != 'e'; p++)
		if (*p != '.')
			digits[n++] = *p;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	digits[n] = '\0';
	return n;
}

#define SHORT_DECIMALS 6
#define SHORT_LIMIT 1000000000000000 /* 10^15: numbers of 15 digits all read back as they were */

/* Nearly every number here is short, such as 0.25, and this finds its text a hundred times faster
 * than the search above. n and 10^decimals are exact and their quotient is rounded once, as a
 * reader of the text rounds: when it is v, the text reads back as v. Decimals are tried from the
 * fewest, so no shorter text does. Returns 0 when v is not such a number. */
static int format_short(double v, char out[32])
{
	static const double scales[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };
	char text[24], *p = text + sizeof(text);
	int decimals = 0;
	int64_t n = 0;

	if (!(v >= 0 && v < SHORT_LIMIT))
		return 0;
	for (; decimals <= SHORT_DECIMALS && v * scales[decimals] < SHORT_LIMIT; decimals++) {
		n = (int64_t)(v * scales[decimals] + 0.5);
		if ((double)n / scales[decimals] == v)
			break;
	}
	if (decimals > SHORT_DECIMALS || (double)n / scales[decimals] != v)
		return 0;
	*--p = '\0';
	for (int i = 0; i < decimals; i++, n /= 10)
		*--p = (char)('0' + n % 10);
	if (decimals)
		*--p = '.';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	memcpy(out, p, (size_t)(text + sizeof(text) - p));
	return 1;
}

/* ECMAScript's Number::toString, which RFC 8785 section 3.2.2.3 prescribes: plain between
 * 1e-6 and 1e21, else with an exponent. */
void json_format_number(double v, char out[32])
{
	static const char zeros[] = "00000000000000000000";
	const char *sign = v < 0 ? "-" : "";
	char digits[18], text[64];
	int n, exponent;

	if (!isfinite(v)) {
		memcpy(out, "null", 5);
		return;
	}
	if (v == 0) { /* -0 as well */
		memcpy(out, "0", 2);
		return;
	}
	if (format_short(v, out))
		return;
	n = shortest_digits(fabs(v), digits, &exponent);
	if (exponent >= 21 || exponent < -6)
		(void)snprintf(text, sizeof(text), "%s%c%s%se%+d", sign, digits[0],
			       n > 1 ? "." : "", digits + 1, exponent);
	else if (exponent < 0)
		(void)snprintf(text, sizeof(text), "%s0.%.*s%s", sign, -exponent - 1, zeros,
			       digits);
	else if (n <= exponent + 1)
		(void)snprintf(text, sizeof(text), "%s%s%.*s", sign, digits, exponent + 1 - n,
			       zeros);
	else
		(void)snprintf(text, sizeof(text), "%s%.*s.%s", sign, exponent + 1, digits,
			       digits + exponent + 1);
	assert(strlen(text) < 32); /* the longest: sign, "0.00000", 17 digits */
	memcpy(out, text, strlen(text) + 1);
}

/* ------------------------------------------------------------------ strings */

static void add_escape(struct buf *b, unsigned char c)
{
	static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *found = c ? strchr(named, c) : NULL;

	if (found)
		(void)buf_addf(b, "\\%c", letters[found - named]);
	else
		(void)buf_addf(b, "\\u%04x", c);
}

/* Runs that need no escape are added in one piece. */
static void add_string(struct buf *b, const char *s, size_t n)
{
	size_t run = 0, i = 0;

	(void)buf_addc(b, '"');
	while (i < n) {
		unsigned char c = (unsigned char)s[i];
		uint32_t cp;
		int len = c < 0x80 ? 1 : utf8_next(s + i, n - i, &cp);

		if (len > 0 && c >= 0x20 && c != '"' && c != '\\') {
			i += (size_t)len;
			continue;
		}
		(void)buf_add(b, s + run, i - run);
		if (len == 0)
			(void)buf_adds(b, "\xef\xbf\xbd"); /* U+FFFD */
		else
			add_escape(b, c);
		run = ++i;
	}
	(void)buf_add(b, s + run, n - run);
	(void)buf_addc(b, '"');
}

/* ---------------------------------------------------------------- canonical */

static int by_key(const void *a, const void *b)
{
	const struct json_member *const *x = a;
	const struct json_member *const *y = b;

	return strcmp((*x)->key, (*y)->key); /* as unsigned char */
}

static void add_canonical(struct buf *b, const struct json *v);

static void add_object(struct buf *b, const struct json *v)
{
	const struct json_member *few[16];
	const struct json_member **order = few;

	if (v->count > ARRAY_LEN(few))
		order = mem_array(v->count, sizeof(const struct json_member *));
	for (size_t i = 0; i < v->count; i++)
		order[i] = &v->members[i];
	if (v->count > 1)
		qsort(order, v->count, sizeof(const struct json_member *), by_key);
	(void)buf_addc(b, '{');
	for (size_t i = 0; i < v->count; i++) {
		if (i)
			(void)buf_addc(b, ',');
		add_string(b, order[i]->key, strlen(order[i]->key));
		(void)buf_addc(b, ':');
		add_canonical(b, order[i]->value);
	}
	(void)buf_addc(b, '}');
	if (order != few)
		free(order);
}

static void add_array(struct buf *b, const struct json *v)
{
	(void)buf_addc(b, '[');
	for (size_t i = 0; i < v->count; i++) {
		if (i)
			(void)buf_addc(b, ',');
		add_canonical(b, v->members[i].value);
	}
	(void)buf_addc(b, ']');
}

static void add_number(struct buf *b, double v)
{
	char text[32];

	json_format_number(v, text);
	(void)buf_adds(b, text);
}

static void add_canonical(struct buf *b, const struct json *v)
{
	switch (v->type) {
	case JSON_NULL:
		(void)buf_adds(b, "null");
		break;
	case JSON_BOOL:
		(void)buf_adds(b, v->boolean ? "true" : "false");
		break;
	case JSON_NUMBER:
		if (v->is_integer)
			(void)buf_addf(b, "%" PRId64, v->integer);
		else
			add_number(b, v->number);
		break;
	case JSON_STRING:
		add_string(b, v->str, v->len);
		break;
	case JSON_ARRAY:
		add_array(b, v);
		break;
	case JSON_OBJECT:
		add_object(b, v);
		break;
	}
}

int json_write_canonical(struct buf *b, const struct json *v)
{
	add_canonical(b, v);
	return b->overflow ? ERR_NOSPACE : 0;
}

/* ---------------------------------------------------------------- streaming */

void jw_init(struct json_out *w, struct buf *b, int indent)
{
	memset(w, 0, sizeof(*w));
	w->b = b;
	w->indent = indent;
	w->first[0] = 1;
}

static void new_line(struct json_out *w)
{
	if (w->indent)
		(void)buf_addf(w->b, "\n%*s", w->indent * w->depth, "");
}

/* What comes between the text so far and the next value or key. */
static void separate(struct json_out *w)
{
	if (w->after_key) {
		w->after_key = 0;
		return;
	}
	if (!w->first[w->depth])
		(void)buf_addc(w->b, ',');
	w->first[w->depth] = 0;
	if (w->depth > 0)
		new_line(w);
}

static void open_level(struct json_out *w, char bracket)
{
	assert(w->depth + 1 < (int)sizeof(w->first));
	separate(w);
	(void)buf_addc(w->b, bracket);
	w->first[++w->depth] = 1;
}

static void close_level(struct json_out *w, char bracket)
{
	int empty = w->first[w->depth];

	assert(w->depth > 0 && !w->after_key);
	w->depth--;
	if (!empty)
		new_line(w);
	(void)buf_addc(w->b, bracket);
}

void jw_object(struct json_out *w)
{
	open_level(w, '{');
}

void jw_array(struct json_out *w)
{
	open_level(w, '[');
}

void jw_end_object(struct json_out *w)
{
	close_level(w, '}');
}

void jw_end_array(struct json_out *w)
{
	close_level(w, ']');
}

void jw_key(struct json_out *w, const char *key)
{
	assert(!w->after_key);
	separate(w);
	add_string(w->b, key, strlen(key));
	(void)buf_adds(w->b, w->indent ? ": " : ":");
	w->after_key = 1;
}

void jw_str(struct json_out *w, const char *s)
{
	if (s)
		jw_strn(w, s, strlen(s));
	else
		jw_null(w);
}

void jw_strn(struct json_out *w, const char *s, size_t n)
{
	separate(w);
	add_string(w->b, s, n);
}

void jw_int(struct json_out *w, int64_t v)
{
	separate(w);
	(void)buf_addf(w->b, "%" PRId64, v);
}

void jw_uint(struct json_out *w, uint64_t v)
{
	separate(w);
	(void)buf_addf(w->b, "%" PRIu64, v);
}

void jw_num(struct json_out *w, double v)
{
	separate(w);
	add_number(w->b, v);
}

void jw_bool(struct json_out *w, int v)
{
	separate(w);
	(void)buf_adds(w->b, v ? "true" : "false");
}

void jw_null(struct json_out *w)
{
	separate(w);
	(void)buf_adds(w->b, "null");
}

void jw_value(struct json_out *w, const struct json *v)
{
	separate(w);
	add_canonical(w->b, v);
}

void jw_kstr(struct json_out *w, const char *key, const char *s)
{
	jw_key(w, key);
	jw_str(w, s);
}

void jw_karray(struct json_out *w, const char *key)
{
	jw_key(w, key);
	jw_array(w);
}

void jw_kobject(struct json_out *w, const char *key)
{
	jw_key(w, key);
	jw_object(w);
}

void jw_kint(struct json_out *w, const char *key, int64_t v)
{
	jw_key(w, key);
	jw_int(w, v);
}

void jw_knum(struct json_out *w, const char *key, double v)
{
	jw_key(w, key);
	jw_num(w, v);
}

void jw_kbool(struct json_out *w, const char *key, int v)
{
	jw_key(w, key);
	jw_bool(w, v);
}
