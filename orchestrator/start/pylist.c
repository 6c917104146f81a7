#include "orchestrator/start/pylist.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/utf8.h"

#define DEPTH_MAX 16	   /* of brackets in brackets that are looked into */
#define ITEMS_MAX 10000	   /* of one list */
#define ASSIGNS_MAX 100000 /* of a script */
#define NUMBER_MAX 64	   /* characters */
#define NAME_MAX_BYTES 200

struct reader {
	struct arena *a;
	const char *p, *end; /* *end is NUL */
	int line;
	struct err *e;
	struct py_assign *v;
	size_t n, cap;
};

static int fail(const struct reader *r, int line, const char *what)
{
	return err_set(r->e, ERR_INVALID, "line %d: %s", line, what);
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* ---- text */

static bool triple(const char *p, char quote)
{
	return p[0] == quote && p[1] == quote && p[2] == quote;
}

/* Behind the text that begins at p, at its quote: from and n are what is between the quotes, as it
 * stands. */
static int skip_text(struct reader *r, const char **from, size_t *n)
{
	char quote = *r->p;
	bool three = triple(r->p, quote);
	int line = r->line;

	r->p += three ? 3 : 1;
	*from = r->p;
	for (; r->p < r->end; r->p++) {
		if (*r->p == '\n' && !three)
			break;
		r->line += *r->p == '\n';
		if (*r->p == '\\' && r->p + 1 < r->end) {
			r->p++;
			r->line += *r->p == '\n';
		} else if (*r->p == quote && (!three || triple(r->p, quote))) {
			*n = (size_t)(r->p - *from);
			r->p += three ? 3 : 1;
			return 0;
		}
	}
	return fail(r, line, "a text that begins here does not end");
}

/* Escapes that stand in names of models: quotes and backslashes. Of the others, which no name has,
 * none is read. */
static bool unescape(struct buf *b, const char *s, size_t n, bool raw)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\0')
			return false;
		if (s[i] != '\\' || raw) {
			buf_addc(b, s[i]);
			continue;
		}
		i++; /* skip_text() lets no text end in a backslash */
		if (s[i] == '\n')
			continue;
		if (!strchr("\\'\"", s[i]))
			return false;
		buf_addc(b, s[i]);
	}
	return true;
}

/* ---- what is not looked into */

/* White space, comments and continued lines; in brackets line ends as well. */
static void skip_space(struct reader *r, bool in_brackets)
{
	for (; r->p < r->end; r->p++) {
		if (*r->p == '#') {
			while (r->p + 1 < r->end && r->p[1] != '\n')
				r->p++;
		} else if (*r->p == '\n' && in_brackets) {
			r->line++;
		} else if (*r->p == '\\' && r->p[1] == '\n') {
			r->p++;
			r->line++;
		} else if (!strchr(" \t\r\f", *r->p) || !*r->p) {
			return;
		}
	}
}

/* To the end of the statement, which is a line end outside of brackets. */
static int skip_statement(struct reader *r)
{
	int depth = 0, rc = 0;
	const char *from;
	size_t n;

	while (rc >= 0 && r->p < r->end) {
		skip_space(r, depth > 0);
		if (r->p >= r->end)
			break;
		if (*r->p == '\n') {
			r->p++;
			r->line++;
			return 0;
		}
		if (*r->p == '"' || *r->p == '\'') {
			rc = skip_text(r, &from, &n);
			continue;
		}
		depth += strchr("([{", *r->p) && *r->p ? 1 : 0;
		depth -= strchr(")]}", *r->p) && *r->p && depth ? 1 : 0;
		r->p++;
	}
	return rc;
}

/* ---- literals: 1 read, 0 not a literal (the place does not matter then), negative */

static int read_value(struct reader *r, int depth, struct py_value *v);

/* A text with its prefix; the next one beside it belongs to it ("a" "b"). */
static int read_one_text(struct reader *r, struct buf *b)
{
	bool raw = *r->p == 'r' || *r->p == 'R';
	const char *from;
	size_t n = 0;
	int rc;

	if (strchr("rRuU", *r->p))
		r->p++;
	if (*r->p != '"' && *r->p != '\'')
		return 0; /* a name, or a prefix that is not for plain text */
	rc = skip_text(r, &from, &n);
	return rc < 0 ? rc : unescape(b, from, n, raw);
}

static int read_text(struct reader *r, int depth, struct py_value *v)
{
	struct buf b;
	int rc = strchr("\"'rRuU", *r->p) != NULL; /* the caller has seen that it is no NUL */

	buf_init(&b, PYLIST_TEXT_MAX);
	while (rc == 1 && r->p < r->end && strchr("\"'rRuU", *r->p)) {
		rc = read_one_text(r, &b);
		skip_space(r, depth > 0);
	}
	v->type = PY_TEXT;
	if (rc == 1)
		v->text = arena_strdup(r->a, buf_str(&b));
	buf_release(&b);
	return rc;
}

static int read_number(struct reader *r, struct py_value *v)
{
	char text[NUMBER_MAX], *end;
	size_t n = 0;

	while (r->p < r->end && (is_word(*r->p) || strchr("+-.", *r->p)) && n + 1 < sizeof(text)) {
		/* A sign is the number's at its start and behind its exponent. */
		if (n && strchr("+-", *r->p) && !strchr("eE", text[n - 1]))
			break;
		if (*r->p != '_')
			text[n++] = *r->p;
		r->p++;
	}
	text[n] = '\0';
	errno = 0;
	v->type = PY_NUMBER;
	v->number = strtod(text, &end);
	v->text = arena_strdup(r->a, text);
	/* strtod() reads hexadecimal and "inf" as well. */
	return n && !*end && !errno && isfinite(v->number) && !strpbrk(text, "xXpPnN");
}

static int read_word(struct reader *r, int depth, struct py_value *v)
{
	static const struct {
		const char *word;
		enum py_type type;
		double number;
	} words[] = {
		{ "None", PY_NONE, 0 },
		{ "True", PY_BOOL, 1 },
		{ "False", PY_BOOL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i].word);

		if ((size_t)(r->end - r->p) >= n && memcmp(r->p, words[i].word, n) == 0 &&
		    !is_word(r->p[n])) {
			r->p += n;
			v->type = words[i].type;
			v->number = words[i].number;
			return 1;
		}
	}
	return read_text(r, depth, v);
}

static char closing(char open)
{
	return open == '[' ? ']' : open == '(' ? ')' : '}';
}

/* Behind the opening bracket. A pair of parentheses around one value without a comma is no tuple,
 * and a dictionary no list. */
static int read_items(struct reader *r, int depth, char open, struct py_value *v)
{
	struct py_value *items = NULL;
	size_t cap = 0;
	bool comma = false;
	int rc = 1;

	v->type = PY_LIST;
	for (;;) {
		skip_space(r, true);
		if (r->p < r->end && *r->p == closing(open))
			break;
		if (v->n && !comma) {
			rc = 0;
			break;
		}
		if (v->n == ITEMS_MAX) {
			rc = fail(r, r->line, "a list of more than 10000 values");
			break;
		}
		MEM_GROW(items, v->n, cap);
		rc = read_value(r, depth + 1, &items[v->n]);
		if (rc != 1)
			break;
		v->n++;
		skip_space(r, true);
		comma = r->p < r->end && *r->p == ',';
		r->p += comma;
	}
	if (rc == 1) {
		r->p++;
		v->items = arena_array(r->a, v->n + 1, sizeof(*items));
		if (v->n)
			memcpy(v->items, items, v->n * sizeof(*items));
		if (open == '(' && v->n == 1 && !comma)
			*v = v->items[0];
	}
	free(items);
	return rc;
}

static int read_value(struct reader *r, int depth, struct py_value *v)
{
	char c = r->p < r->end ? *r->p : '\0';

	*v = (struct py_value){ .line = r->line };
	if (depth >= DEPTH_MAX)
		return 0;
	if (c && strchr("[({", c)) {
		r->p++;
		return read_items(r, depth, c, v);
	}
	if (isdigit((unsigned char)c) || (c && strchr("+-.", c)))
		return read_number(r, v);
	if (c == '"' || c == '\'' || is_word(c))
		return read_word(r, depth, v);
	return 0;
}

/* ---- statements */

static int add(struct reader *r, const struct py_assign *v)
{
	if (r->n == ASSIGNS_MAX)
		return fail(r, v->line, "more than 100000 assignments");
	MEM_GROW(r->v, r->n, r->cap);
	r->v[r->n++] = *v;
	return 0;
}

/* "NAME", then perhaps ": TYPE", up to what follows. NULL: this statement does not begin so. */
static const char *read_name(struct reader *r)
{
	const char *from = r->p;
	size_t n;

	while (r->p < r->end && is_word(*r->p))
		r->p++;
	n = (size_t)(r->p - from);
	if (n == 0 || n > NAME_MAX_BYTES || isdigit((unsigned char)*from))
		return NULL;
	skip_space(r, false);
	if (*r->p == ':' && r->p[1] != '=') {
		const char *eq = memchr(r->p, '=', (size_t)(r->end - r->p)),
			   *stop = r->p + strcspn(r->p, "\n#\"'({");

		if (!eq || eq > stop)
			return NULL;
		r->p = eq;
	}
	return arena_strndup(r->a, from, n);
}

/* The value, which the statement has to end behind. */
static int read_assigned(struct reader *r, struct py_assign *v)
{
	struct reader ahead = *r;
	int rc;

	skip_space(&ahead, false);
	rc = read_value(&ahead, 0, &v->value);
	if (rc == 1) {
		skip_space(&ahead, false);
		rc = ahead.p >= ahead.end || *ahead.p == '\n' || *ahead.p == ';';
	}
	if (rc == 0)
		v->why = "its value is not a literal";
	if (rc == 1) {
		r->p = ahead.p;
		r->line = ahead.line;
	}
	return rc < 0 ? rc : add(r, v);
}

/* "NAME += ", "NAME.append(", "NAME[0] = ": what NAME is then is not to be read from here. */
static bool changes(const char *p)
{
	static const char *const ways[] = { ".append(", ".extend(", ".insert(", ".remove(",
					    ".add(",	".update(", ".pop(",	"+=",
					    "-=",	"|=",	    "*=" };

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		if (strncmp(p, ways[i], strlen(ways[i])) == 0)
			return true;
	}
	return *p == '[' && memchr(p, '=', strcspn(p, "\n")) != NULL;
}

static int read_statement(struct reader *r)
{
	struct py_assign v = { .line = r->line };
	int rc = 0;

	v.name = read_name(r);
	if (v.name && *r->p == '=' && r->p[1] != '=') {
		r->p++;
		rc = read_assigned(r, &v);
	} else if (v.name && changes(r->p)) {
		v.why = "it is changed here by code";
		rc = add(r, &v);
	}
	return rc < 0 ? rc : skip_statement(r);
}

int pylist_read(struct arena *a, const char *text, size_t len, struct py_script *out, struct err *e)
{
	struct reader r = { .a = a, .line = 1, .e = e };
	int rc = 0;

	if (len > PYLIST_TEXT_MAX)
		return err_set(e, ERR_INVALID, "more than %u bytes", PYLIST_TEXT_MAX);
	if (!utf8_valid(text, len) || memchr(text, '\0', len))
		return err_set(e, ERR_INVALID, "it is no text in UTF-8");
	r.p = arena_strndup(a, text, len);
	r.end = r.p + len;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
		r.p += 3;
	while (rc >= 0 && r.p < r.end) {
		skip_space(&r, false);
		rc = read_statement(&r);
	}
	if (rc >= 0) {
		out->n = r.n;
		out->v = arena_array(a, r.n + 1, sizeof(*r.v));
		if (r.n)
			memcpy(out->v, r.v, r.n * sizeof(*r.v));
	}
	free(r.v);
	return rc < 0 ? rc : 0;
}
