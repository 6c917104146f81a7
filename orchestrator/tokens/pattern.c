/* orchestrator/tokens/pattern.c -- from a pattern to a program, by recursive descent: each part
 * appends its instructions, and what stands behind a part (a quantifier, '|') is built around them.
 * Syntax: Oniguruma's doc/RE. */
#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"
#include "orchestrator/tokens/pattern_private.h"
#include "orchestrator/tokens/unicode.h"

#define PATTERN_MAX 65536 /* bytes; the longest published one has 5 KB */
#define CODE_MAX 16384
#define ITEMS_MAX 65536 /* of all sets */
#define DEPTH_MAX 200
#define REPEAT_MAX 1000

struct parser {
	struct arena *a;
	const char *text, *p;
	struct instruction *code;
	size_t n, n_items;
	int depth;
	bool fold;
	struct err *e;
};

static int fault(struct parser *ps, const char *what)
{
	return err_set(ps->e, ERR_INVALID, "the pattern that splits text: %s at character %zu",
		       what, (size_t)(ps->p - ps->text) + 1);
}

/* ---- the program */

static int emit(struct parser *ps, struct instruction in)
{
	if (ps->n == CODE_MAX)
		return fault(ps, "it is too large");
	ps->code[ps->n++] = in;
	return 0;
}

static int insert(struct parser *ps, size_t at, struct instruction in)
{
	int rc = emit(ps, in);

	if (rc < 0)
		return rc;
	memmove(&ps->code[at + 1], &ps->code[at], (ps->n - 1 - at) * sizeof(*ps->code));
	ps->code[at] = in;
	return 0;
}

static int copy(struct parser *ps, const struct instruction *part, size_t len)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < len; i++)
		rc = emit(ps, part[i]);
	return rc;
}

/* ---- sets of characters */

static struct char_set *set_new(struct parser *ps)
{
	struct char_set *s = arena_alloc(ps->a, sizeof(*s));

	*s = (struct char_set){ .fold = ps->fold };
	return s;
}

static int set_add(struct parser *ps, struct char_set *s, struct set_item item)
{
	if (ps->n_items++ == ITEMS_MAX)
		return fault(ps, "its sets of characters are too large");
	if (s->n == s->cap) {
		struct set_item *more = arena_array(ps->a, s->cap * 2 + 4, sizeof(*more));

		if (s->n)
			memcpy(more, s->items, s->n * sizeof(*more));
		s->items = more;
		s->cap = s->cap * 2 + 4;
	}
	s->items[s->n++] = item;
	return 0;
}

static int take_char(struct parser *ps, uint32_t *cp)
{
	int len = utf8_next(ps->p, strlen(ps->p), cp);

	if (len == 0)
		return fault(ps, "no character stands");
	ps->p += len;
	return 0;
}

/* \p{..}, behind its 'p' or 'P'. */
static int take_property(struct parser *ps, bool negated, struct set_item *out)
{
	static const struct {
		const char *name;
		unsigned bits;
	} known[] = {
		{ "L", UC_LETTER },	 { "Lu", UC_LU },     { "Ll", UC_LL },
		{ "Lt", UC_LT },	 { "Lm", UC_LM },     { "Lo", UC_LO },
		{ "M", UC_MARK },	 { "N", UC_NUMERIC }, { "Nd", UC_DIGIT },
		{ "P", UC_PUNCTUATION }, { "S", UC_SYMBOL },
	};
	const char *end = ps->p[0] == '{' ? strchr(ps->p, '}') : NULL;
	bool inside = end && ps->p[1] == '^';
	const char *name = ps->p + 1 + inside;

	for (size_t i = 0; end && i < ARRAY_LEN(known); i++) {
		if (strlen(known[i].name) != (size_t)(end - name) ||
		    strncmp(known[i].name, name, strlen(known[i].name)) != 0)
			continue;
		ps->p = end + 1;
		*out = (struct set_item){ .kind = ITEM_CLASS,
					  .negated = negated != inside,
					  .first = known[i].bits };
		return 0;
	}
	return fault(ps, "a property that is not known stands");
}

static int hex_value(const char *p, int n, uint32_t *out)
{
	static const char digits[] = "0123456789abcdef";

	*out = 0;
	for (int i = 0; i < n; i++) {
		const char *d = p[i] ? strchr(digits, p[i] | 0x20) : NULL;

		if (!d)
			return -1;
		*out = *out * 16 + (uint32_t)(d - digits);
	}
	return 0;
}

/* What stands behind a backslash: one character as a range, or many. */
static int take_escape(struct parser *ps, struct set_item *out)
{
	static const char plain[] = "nrtfv", means[] = "\n\r\t\f\v";
	char c = *ps->p;
	const char *at = c ? strchr(plain, c) : NULL;
	uint32_t cp = 0;
	int rc = 0;

	if (c == 'p' || c == 'P') {
		ps->p++;
		return take_property(ps, c == 'P', out);
	}
	if (c == 's' || c == 'S' || c == 'd' || c == 'D') {
		ps->p++;
		*out = (struct set_item){ .kind = (c | 0x20) == 's' ? ITEM_SPACE : ITEM_CLASS,
					  .negated = c == 'S' || c == 'D',
					  .first = UC_DIGIT };
		return 0;
	}
	if (at) {
		cp = (uint32_t)means[at - plain];
		ps->p++;
	} else if ((c == 'u' && hex_value(ps->p + 1, 4, &cp) == 0) ||
		   (c == 'x' && hex_value(ps->p + 1, 2, &cp) == 0)) {
		ps->p += c == 'u' ? 5 : 3;
	} else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
		return fault(ps, "an escape that is not known stands");
	} else {
		rc = take_char(ps, &cp);
	}
	*out = (struct set_item){ .kind = ITEM_RANGE, .first = cp, .last = cp };
	return rc;
}

static int take_set(struct parser *ps, struct char_set **out);

/* One character of a set, or a class. */
static int take_member(struct parser *ps, struct set_item *out)
{
	uint32_t cp;
	int rc;

	if (ps->p[0] == '\\') {
		ps->p++;
		return take_escape(ps, out);
	}
	if (ps->p[0] == '&' && ps->p[1] == '&')
		return fault(ps, "an intersection of sets stands, which is not known,");
	rc = take_char(ps, &cp);
	*out = (struct set_item){ .kind = ITEM_RANGE, .first = cp, .last = cp };
	return rc;
}

static int take_range(struct parser *ps, struct char_set *s)
{
	struct set_item item = { .kind = ITEM_SPACE }, last = item;
	int rc = take_member(ps, &item);

	if (rc == 0 && item.kind == ITEM_RANGE && ps->p[0] == '-' && ps->p[1] != ']') {
		ps->p++;
		rc = take_member(ps, &last);
		if (rc == 0 && (last.kind != ITEM_RANGE || last.first < item.first))
			rc = fault(ps, "a range that is none stands");
		if (rc == 0)
			item.last = last.first;
	}
	return rc == 0 ? set_add(ps, s, item) : rc;
}

/* Behind '['. */
static int take_members(struct parser *ps, struct char_set *s)
{
	int rc = 0;

	if (*ps->p == '^') {
		s->negated = true;
		ps->p++;
	}
	do {
		if (!*ps->p)
			return fault(ps, "a set does not end");
		if (*ps->p == '[') {
			struct char_set *inner;

			ps->p++;
			rc = take_set(ps, &inner);
			if (rc == 0)
				rc = set_add(ps, s,
					     (struct set_item){ .kind = ITEM_SET, .set = inner });
		} else {
			rc = take_range(ps, s);
		}
	} while (rc == 0 && *ps->p != ']');
	ps->p += rc == 0;
	return rc;
}

static int take_set(struct parser *ps, struct char_set **out)
{
	int rc;

	*out = set_new(ps);
	if (++ps->depth > DEPTH_MAX)
		return fault(ps, "it is nested too deeply");
	rc = take_members(ps, *out);
	ps->depth--;
	return rc;
}

/* ---- groups, quantifiers, alternatives */

static int take_alternatives(struct parser *ps);

/* Behind "(?" and its letter: the inside as a program of its own, which ends with OP_MATCH. */
static int take_apart(struct parser *ps, enum op op, bool negated)
{
	size_t start = ps->n;
	int rc = emit(ps, (struct instruction){ .op = op, .negated = negated });

	if (rc == 0)
		rc = take_alternatives(ps);
	if (rc == 0)
		rc = emit(ps, (struct instruction){ .op = OP_MATCH });
	if (rc == 0)
		ps->code[start].x = (int)(ps->n - start);
	return rc;
}

static int take_group_inside(struct parser *ps)
{
	bool fold = ps->fold;
	int rc;

	if (ps->p[0] != '?')
		return take_alternatives(ps); /* what it would remember is of no use here */
	if (ps->p[1] == '=' || ps->p[1] == '!' || ps->p[1] == '>') {
		char kind = ps->p[1];

		ps->p += 2;
		return take_apart(ps, kind == '>' ? OP_ATOM : OP_LOOK, kind == '!');
	}
	if (strncmp(ps->p, "?i:", 3) == 0) {
		ps->fold = true;
		ps->p += 3;
	} else if (strncmp(ps->p, "?:", 2) == 0) {
		ps->p += 2;
	} else {
		return fault(ps, "a group of a kind that is not known stands");
	}
	rc = take_alternatives(ps);
	ps->fold = fold;
	return rc;
}

/* Behind '('. */
static int take_group(struct parser *ps)
{
	int rc;

	if (++ps->depth > DEPTH_MAX)
		return fault(ps, "it is nested too deeply");
	rc = take_group_inside(ps);
	ps->depth--;
	if (rc == 0 && *ps->p != ')')
		rc = fault(ps, "a group does not end");
	ps->p += rc == 0;
	return rc;
}

static int emit_item(struct parser *ps, struct set_item item, bool negated)
{
	struct char_set *s = set_new(ps);
	int rc = set_add(ps, s, item);

	s->negated = negated;
	return rc == 0 ? emit(ps, (struct instruction){ .op = OP_SET, .set = s }) : rc;
}

static int take_atom(struct parser *ps)
{
	struct set_item item = { .kind = ITEM_RANGE, .first = '\n', .last = '\n' };
	struct char_set *s;
	uint32_t cp;
	int rc;

	switch (*ps->p) {
	case '(':
		ps->p++;
		return take_group(ps);
	case '[':
		ps->p++;
		rc = take_set(ps, &s);
		return rc == 0 ? emit(ps, (struct instruction){ .op = OP_SET, .set = s }) : rc;
	case '.':
		ps->p++;
		return emit_item(ps, item, true);
	case '$':
		ps->p++;
		return emit(ps, (struct instruction){ .op = OP_EOL });
	case '\\':
		ps->p++;
		rc = take_escape(ps, &item);
		return rc == 0 ? emit_item(ps, item, false) : rc;
	case '^':
	case '*':
	case '+':
	case '?':
		return fault(ps, "what is not known stands");
	default:
		rc = take_char(ps, &cp);
		item.first = item.last = cp;
		return rc == 0 ? emit_item(ps, item, false) : rc;
	}
}

struct repeat {
	long least, most; /* most -1: any number */
	bool lazy, atomic;
};

static bool take_number(const char **p, long *out)
{
	const char *from = *p;

	for (*out = 0; **p >= '0' && **p <= '9' && *out <= REPEAT_MAX; ++*p)
		*out = *out * 10 + (**p - '0');
	return *p > from && *out <= REPEAT_MAX;
}

/* {n}, {n,}, {,m}, {n,m}. */
static int take_braces(struct parser *ps, struct repeat *r)
{
	const char *p = ps->p + 1;
	bool least = take_number(&p, &r->least), comma = *p == ',', most;

	p += comma;
	most = comma && take_number(&p, &r->most);
	if (!most)
		r->most = comma ? -1 : r->least;
	if (*p != '}' || (!least && !most) || (r->most >= 0 && r->most < r->least))
		return fault(ps, "a number of repetitions that is none stands");
	ps->p = p + 1;
	return 0;
}

/* 1: there is one. */
static int take_quantifier(struct parser *ps, struct repeat *r)
{
	bool braces = *ps->p == '{';
	int rc = 0;

	*r = (struct repeat){ .least = *ps->p == '+', .most = *ps->p == '?' ? 1 : -1 };
	if (braces)
		rc = take_braces(ps, r);
	else if (*ps->p && strchr("?*+", *ps->p))
		ps->p++;
	else
		return 0;
	if (rc < 0)
		return rc;
	r->lazy = *ps->p == '?';
	r->atomic = *ps->p == '+' && !braces; /* {n}+ is {n}, repeated, in this syntax */
	ps->p += r->lazy || r->atomic;
	return 1;
}

static struct instruction split(const struct repeat *r, int go, int leave)
{
	return (struct instruction){ .op = OP_SPLIT,
				     .x = r->lazy ? leave : go,
				     .y = r->lazy ? go : leave };
}

/* Any number of times what was copied to `part`. */
static int emit_loop(struct parser *ps, const struct repeat *r, const struct instruction *part,
		     size_t len)
{
	int rc = emit(ps, split(r, 1, (int)len + 2));

	if (rc == 0)
		rc = copy(ps, part, len);
	if (rc == 0)
		rc = emit(ps, (struct instruction){ .op = OP_JUMP, .x = -(int)len - 1 });
	return rc;
}

/* The code from `start` on, repeated. */
static int repeat(struct parser *ps, size_t start, const struct repeat *r)
{
	size_t len = ps->n - start;
	struct instruction *part = arena_array(ps->a, len + 1, sizeof(*part));
	int rc = 0;

	memcpy(part, &ps->code[start], len * sizeof(*part));
	ps->n = start;
	if (r->atomic)
		rc = emit(ps, (struct instruction){ .op = OP_ATOM });
	for (long i = 0; rc == 0 && i < r->least; i++)
		rc = copy(ps, part, len);
	if (rc == 0 && r->most < 0)
		rc = emit_loop(ps, r, part, len);
	for (long i = r->least; rc == 0 && i < r->most; i++) {
		rc = emit(ps, split(r, 1, (int)((size_t)(r->most - i) * (len + 1))));
		if (rc == 0)
			rc = copy(ps, part, len);
	}
	if (rc == 0 && r->atomic) {
		rc = emit(ps, (struct instruction){ .op = OP_MATCH });
		ps->code[start].x = (int)(ps->n - start);
	}
	return rc;
}

static int take_branch(struct parser *ps)
{
	int rc = 0;

	while (rc == 0 && *ps->p && *ps->p != '|' && *ps->p != ')') {
		size_t start = ps->n;
		struct repeat r;
		int more = 1;

		rc = take_atom(ps);
		while (rc == 0 && more > 0) {
			more = take_quantifier(ps, &r);
			rc = more > 0 ? repeat(ps, start, &r) : more;
		}
	}
	return rc;
}

static int take_alternatives(struct parser *ps)
{
	size_t start = ps->n, jump;
	int rc = take_branch(ps);

	if (rc < 0 || *ps->p != '|')
		return rc;
	if (++ps->depth > DEPTH_MAX)
		return fault(ps, "it has too many alternatives");
	ps->p++;
	rc = insert(ps, start,
		    (struct instruction){ .op = OP_SPLIT, .x = 1, .y = (int)(ps->n - start) + 2 });
	jump = ps->n;
	if (rc == 0)
		rc = emit(ps, (struct instruction){ .op = OP_JUMP });
	if (rc == 0)
		rc = take_alternatives(ps);
	if (rc == 0)
		ps->code[jump].x = (int)(ps->n - jump);
	ps->depth--;
	return rc;
}

int pattern_compile(struct arena *a, const char *text, struct pattern_program **out, struct err *e)
{
	struct parser ps = { .a = a, .text = text, .p = text, .e = e };
	struct pattern_program *p = arena_alloc(a, sizeof(*p));
	int rc;

	if (strlen(text) > PATTERN_MAX)
		return fault(&ps, "it is too long");
	ps.code = arena_array(a, CODE_MAX, sizeof(*ps.code));
	rc = take_alternatives(&ps);
	if (rc == 0 && *ps.p)
		rc = fault(&ps, "a ')' without its '(' stands");
	if (rc == 0)
		rc = emit(&ps, (struct instruction){ .op = OP_MATCH });
	if (rc < 0)
		return rc;
	*p = (struct pattern_program){ ps.code, ps.n };
	*out = p;
	return 0;
}
