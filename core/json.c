/* The parser goes down at most JSON_DEPTH_MAX levels, so plain recursion is safe. Members of an
 * open array or object wait on one stack that all levels share; at the closing bracket their number
 * is known and they move into the arena in two allocations, whatever their number. */
#include "core/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"

#define JSON_DEPTH_MAX 64
#define NUMBER_LEN_MAX                                                                             \
	512	       /* bytes; the exact decimal of any double's neighbourhood is longer,        \
			  but nobody writes it */
#define INDEX_ABOVE 16 /* members; below, comparing is as fast as hashing */

struct pending {
	const char *key;
	struct json value;
};

struct parser {
	struct arena *arena;
	const char *start, *p, *end;
	struct pending *stack;
	size_t n, cap;
	int depth;
	struct err *e;
};

static int parse_value(struct parser *ps, struct json *out);

static int fail_at(struct parser *ps, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail_at(struct parser *ps, const char *where, const char *fmt, ...)
{
	size_t line = 1, column;
	const char *line_start = ps->start;
	char what[256];
	va_list ap;

	for (const char *q = ps->start; q < where; q++) {
		if (*q == '\n') {
			line++;
			line_start = q + 1;
		}
	}
	column = (size_t)(where - line_start) + 1;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(ps->e, ERR_INVALID, "%zu:%zu: %s", line, column, what);
}

/* "the text ends" and "'}'" read better than a byte that may be no character. */
static int fail_unexpected(struct parser *ps, const char *wanted)
{
	unsigned char c;

	if (ps->p == ps->end)
		return fail_at(ps, ps->p, "the text ends where %s should be", wanted);
	c = (unsigned char)*ps->p;
	if (c > 0x20 && c < 0x7f)
		return fail_at(ps, ps->p, "'%c' where %s should be", c, wanted);
	return fail_at(ps, ps->p, "byte 0x%02x where %s should be", c, wanted);
}

static void skip_space(struct parser *ps)
{
	while (ps->p < ps->end &&
	       (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\t' || *ps->p == '\r'))
		ps->p++;
}

static int at(const struct parser *ps, char c)
{
	return ps->p < ps->end && *ps->p == c;
}

/* ------------------------------------------------------------------ strings */

/* Four hex digits at q; -1 if they are not there. */
static long hex4(const struct parser *ps, const char *q)
{
	long v = 0;

	if (ps->end - q < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int c = (unsigned char)q[i];

		if (c >= '0' && c <= '9')
			c -= '0';
		else if (c >= 'a' && c <= 'f')
			c -= 'a' - 10;
		else if (c >= 'A' && c <= 'F')
			c -= 'A' - 10;
		else
			return -1;
		v = v << 4 | c;
	}
	return v;
}

/* After "\u": one scalar value, from one escape or a pair of surrogates. */
static int parse_unicode_escape(struct parser *ps, uint32_t *cp)
{
	long high = hex4(ps, ps->p);
	long low;

	if (high < 0)
		return fail_at(ps, ps->p, "\\u is not followed by four hex digits");
	if (high >= 0xdc00 && high <= 0xdfff)
		return fail_at(ps, ps->p, "a low surrogate without a high one before it");
	ps->p += 4;
	if (high < 0xd800 || high > 0xdbff) {
		*cp = (uint32_t)high;
		return 0;
	}
	low = ps->end - ps->p >= 6 && ps->p[0] == '\\' && ps->p[1] == 'u' ? hex4(ps, ps->p + 2)
									  : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return fail_at(ps, ps->p, "a high surrogate without a low one after it");
	ps->p += 6;
	*cp = 0x10000 + (((uint32_t)high & 0x3ff) << 10 | ((uint32_t)low & 0x3ff));
	return 0;
}

/* After the backslash: writes the character at *w. */
static int parse_escape(struct parser *ps, char **w)
{
	static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t cp = 0;

	if (ps->p == ps->end)
		return fail_unexpected(ps, "an escape");
	found = *ps->p ? strchr(names, *ps->p) : NULL;
	if (found) {
		*(*w)++ = meanings[found - names];
		ps->p++;
		return 0;
	}
	if (*ps->p != 'u')
		return fail_unexpected(ps, "one of \"\\/bfnrtu (an escape)");
	ps->p++;
	if (parse_unicode_escape(ps, &cp) < 0)
		return ERR_INVALID;
	*w += utf8_put(cp, *w);
	return 0;
}

/* Move past plain characters, checking them. Stops at '"' or '\\'. */
static int scan_plain(struct parser *ps)
{
	while (ps->p < ps->end) {
		unsigned char c = (unsigned char)*ps->p;
		uint32_t cp;
		int len = 1;

		if (c == '"' || c == '\\')
			return 0;
		if (c < 0x20)
			return fail_at(ps, ps->p, "control character 0x%02x in a string; escape it",
				       c);
		if (c >= 0x80) {
			len = utf8_next(ps->p, (size_t)(ps->end - ps->p), &cp);
			if (len == 0)
				return fail_at(ps, ps->p, "byte 0x%02x is not valid UTF-8 here", c);
		}
		ps->p += len;
	}
	return fail_at(ps, ps->p, "the text ends inside a string");
}

/* A string with escapes: no escape is shorter than what it stands for, so the length as written
 * is room enough. */
static int parse_escaped(struct parser *ps, const char *begin, const char **str, size_t *len)
{
	const char *close = ps->p;
	char *text, *w;

	while (close < ps->end && *close != '"')
		close += *close == '\\' && ps->end - close > 1 ? 2 : 1;
	w = text = arena_alloc(ps->arena, (size_t)(close - begin) + 1);
	for (;;) {
		memcpy(w, begin, (size_t)(ps->p - begin));
		w += ps->p - begin;
		if (at(ps, '"'))
			break;
		ps->p++;
		if (parse_escape(ps, &w) < 0)
			return ERR_INVALID;
		begin = ps->p;
		if (scan_plain(ps) < 0)
			return ERR_INVALID;
	}
	*str = text;
	*len = (size_t)(w - text);
	return 0;
}

/* At '"'. */
static int parse_string(struct parser *ps, const char **str, size_t *len)
{
	const char *begin = ++ps->p;

	if (scan_plain(ps) < 0)
		return ERR_INVALID;
	if (at(ps, '\\')) {
		if (parse_escaped(ps, begin, str, len) < 0)
			return ERR_INVALID;
	} else {
		char *copy = arena_alloc(ps->arena, (size_t)(ps->p - begin) + 1);

		*len = (size_t)(ps->p - begin);
		memcpy(copy, begin, *len);
		*str = copy;
	}
	ps->p++;
	return 0;
}

/* ------------------------------------------------------------------ numbers */

static int skip_digits(struct parser *ps)
{
	const char *begin = ps->p;

	while (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9')
		ps->p++;
	return ps->p > begin ? 0 : fail_unexpected(ps, "a digit");
}

/* Move past the grammar of a number; *integral when it has neither fraction nor exponent. */
static int scan_number(struct parser *ps, int *integral)
{
	*integral = 1;
	if (at(ps, '-'))
		ps->p++;
	if (at(ps, '0')) {
		ps->p++;
		if (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9')
			return fail_at(ps, ps->p, "a number must not begin with 0");
	} else if (skip_digits(ps) < 0) {
		return ERR_INVALID;
	}
	if (at(ps, '.')) {
		*integral = 0;
		ps->p++;
		if (skip_digits(ps) < 0)
			return ERR_INVALID;
	}
	if (at(ps, 'e') || at(ps, 'E')) {
		*integral = 0;
		ps->p++;
		if (at(ps, '+') || at(ps, '-'))
			ps->p++;
		return skip_digits(ps);
	}
	return 0;
}

/* Returns 1 with *v set when the digits fit. Counts downwards: the negative range is larger. */
static int to_int64(const char *s, size_t len, int64_t *v)
{
	int negative = *s == '-';
	int64_t sum = 0;

	for (size_t i = negative ? 1 : 0; i < len; i++) {
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_sub_overflow(sum, s[i] - '0', &sum))
			return 0;
	}
	if (!negative && __builtin_sub_overflow((int64_t)0, sum, &sum))
		return 0;
	*v = sum;
	return 1;
}

static int parse_number(struct parser *ps, struct json *out)
{
	const char *begin = ps->p;
	char text[NUMBER_LEN_MAX + 1];
	int integral;
	size_t len;

	if (scan_number(ps, &integral) < 0)
		return ERR_INVALID;
	len = (size_t)(ps->p - begin);
	if (len > NUMBER_LEN_MAX)
		return fail_at(ps, begin, "a number of %zu characters; at most %d are read", len,
			       NUMBER_LEN_MAX);
	out->type = JSON_NUMBER;
	out->is_integer = integral && to_int64(begin, len, &out->integer);
	memcpy(text, begin, len);
	text[len] = '\0';
	out->number = strtod(text, NULL);
	if (!isfinite(out->number))
		return fail_at(ps, begin, "a number larger than a double can be (1.8e308)");
	return 0;
}

/* ------------------------------------------------------- arrays and objects */

static uint32_t key_hash(const char *key)
{
	/* FNV-1a, 64 bits folded: its low bits alone mix poorly. */
	uint64_t h = 0xcbf29ce484222325u;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 29);
}

/* The table behind an indexed object: the smallest power of two that is at most half full.
 * A slot holds a member's number plus one. */
static size_t index_slots(size_t count)
{
	size_t slots = 32;

	while (slots < count * 2)
		slots *= 2;
	return slots;
}

/* The slot of key, or the empty one where it would go. */
static size_t index_find(const uint32_t *index, const struct json_member *m, size_t count,
			 const char *key)
{
	size_t mask = index_slots(count) - 1;
	size_t i = key_hash(key) & mask;

	while (index[i] && strcmp(m[index[i] - 1].key, key) != 0)
		i = (i + 1) & mask;
	return i;
}

/* Returns the number of the first member whose key came before, or count. */
static size_t find_duplicate_small(const struct json *v)
{
	for (size_t i = 1; i < v->count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(v->members[i].key, v->members[j].key) == 0)
				return i;
	return v->count;
}

/* The same, and leaves the index in v. */
static size_t build_index(struct arena *a, struct json *v)
{
	uint32_t *index = arena_array(a, index_slots(v->count), sizeof(*index));

	for (size_t i = 0; i < v->count; i++) {
		size_t slot = index_find(index, v->members, v->count, v->members[i].key);

		if (index[slot])
			return i;
		index[slot] = (uint32_t)(i + 1);
	}
	v->index = index;
	return v->count;
}

/* Make the pending members above base those of out. */
static int close_container(struct parser *ps, size_t base, struct json *out)
{
	size_t count = ps->n - base, dup;
	struct json *values;

	if (count > UINT32_MAX / 4)
		return fail_at(ps, ps->p, "%zu members; at most %u are read", count,
			       UINT32_MAX / 4);
	out->count = count;
	out->index = NULL;
	out->members = NULL;
	ps->n = base;
	if (count == 0)
		return 0;
	values = arena_array(ps->arena, count, sizeof(*values));
	out->members = arena_array(ps->arena, count, sizeof(*out->members));
	for (size_t i = 0; i < count; i++) {
		values[i] = ps->stack[base + i].value;
		out->members[i].key = ps->stack[base + i].key;
		out->members[i].value = &values[i];
	}
	if (out->type == JSON_ARRAY)
		return 0;
	dup = count > INDEX_ABOVE ? build_index(ps->arena, out) : find_duplicate_small(out);
	if (dup < count)
		return fail_at(ps, ps->p, "the object that ends here has the key \"%.80s\" twice",
			       out->members[dup].key);
	return 0;
}

static int parse_key(struct parser *ps, const char **key)
{
	const char *begin = ps->p;
	size_t len;

	if (!at(ps, '"'))
		return fail_unexpected(ps, "a key in double quotes");
	if (parse_string(ps, key, &len) < 0)
		return ERR_INVALID;
	if (strlen(*key) != len)
		return fail_at(ps, begin, "a key with an embedded NUL");
	skip_space(ps);
	if (!at(ps, ':'))
		return fail_unexpected(ps, "':'");
	ps->p++;
	skip_space(ps);
	return 0;
}

/* One member, onto the stack. */
static int parse_member(struct parser *ps, int keyed)
{
	struct pending m = { NULL, { .type = JSON_NULL } };

	if (keyed && parse_key(ps, &m.key) < 0)
		return ERR_INVALID;
	if (parse_value(ps, &m.value) < 0)
		return ERR_INVALID;
	MEM_GROW(ps->stack, ps->n, ps->cap);
	ps->stack[ps->n++] = m;
	skip_space(ps);
	return 0;
}

/* At '[' or '{'. */
static int parse_container(struct parser *ps, struct json *out)
{
	int keyed = *ps->p == '{';
	char close = keyed ? '}' : ']';
	size_t base = ps->n;

	if (ps->depth == JSON_DEPTH_MAX)
		return fail_at(ps, ps->p, "nested more than %d deep", JSON_DEPTH_MAX);
	ps->depth++;
	ps->p++;
	out->type = keyed ? JSON_OBJECT : JSON_ARRAY;
	skip_space(ps);
	if (!at(ps, close)) {
		for (;;) {
			if (parse_member(ps, keyed) < 0)
				return ERR_INVALID;
			if (at(ps, close))
				break;
			if (!at(ps, ','))
				return fail_unexpected(ps, keyed ? "',' or '}'" : "',' or ']'");
			ps->p++;
			skip_space(ps);
		}
	}
	if (close_container(ps, base, out) < 0)
		return ERR_INVALID;
	ps->p++;
	ps->depth--;
	return 0;
}

static int parse_word(struct parser *ps, struct json *out)
{
	static const struct {
		const char *word;
		enum json_type type;
		int boolean;
	} words[] = {
		{ "true", JSON_BOOL, 1 },
		{ "false", JSON_BOOL, 0 },
		{ "null", JSON_NULL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t len = strlen(words[i].word);

		if ((size_t)(ps->end - ps->p) >= len && memcmp(ps->p, words[i].word, len) == 0) {
			ps->p += len;
			out->type = words[i].type;
			out->boolean = words[i].boolean;
			return 0;
		}
	}
	return fail_unexpected(ps, "a value");
}

static int parse_value(struct parser *ps, struct json *out)
{
	if (ps->p == ps->end)
		return fail_unexpected(ps, "a value");
	switch (*ps->p) {
	case '{':
	case '[':
		return parse_container(ps, out);
	case '"':
		out->type = JSON_STRING;
		return parse_string(ps, &out->str, &out->len);
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		return parse_number(ps, out);
	default:
		return parse_word(ps, out);
	}
}

int json_parse(struct arena *a, const char *text, size_t len, struct json **out, struct err *e)
{
	struct parser ps = { .arena = a, .start = text, .p = text, .end = text + len, .e = e };
	struct json *root = arena_alloc(a, sizeof(*root));
	int rc;

	skip_space(&ps);
	rc = parse_value(&ps, root);
	if (rc == 0) {
		skip_space(&ps);
		if (ps.p < ps.end)
			rc = fail_unexpected(&ps, "the end of the text");
	}
	free(ps.stack);
	if (rc == 0)
		*out = root;
	return rc;
}

/* ----------------------------------------------------------------- look-ups */

const struct json *json_get(const struct json *v, const char *key)
{
	if (!v || v->type != JSON_OBJECT)
		return NULL;
	if (v->index) {
		uint32_t found = v->index[index_find(v->index, v->members, v->count, key)];

		return found ? v->members[found - 1].value : NULL;
	}
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->members[i].key, key) == 0)
			return v->members[i].value;
	return NULL;
}

const char *json_str(const struct json *v, const char *key, const char *dflt)
{
	const struct json *m = json_get(v, key);

	return m && m->type == JSON_STRING ? m->str : dflt;
}

int64_t json_int(const struct json *v, const char *key, int64_t dflt)
{
	const struct json *m = json_get(v, key);

	return m && m->type == JSON_NUMBER && m->is_integer ? m->integer : dflt;
}

double json_num(const struct json *v, const char *key, double dflt)
{
	const struct json *m = json_get(v, key);

	return m && m->type == JSON_NUMBER ? m->number : dflt;
}

int json_bool(const struct json *v, const char *key, int dflt)
{
	const struct json *m = json_get(v, key);

	return m && m->type == JSON_BOOL ? m->boolean : dflt;
}
