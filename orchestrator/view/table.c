#include "orchestrator/view/table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/utf8.h"

#define GAP 2 /* cells between columns */
#define ELLIPSIS "\xe2\x80\xa6"

struct cell {
	char *text; /* visible already */
	size_t width;
	enum style style;
};

struct table {
	const struct column *columns;
	size_t n_columns;
	struct cell *cells; /* row after row */
	size_t n, cap;
};

/* ---- widths */

struct range {
	uint32_t first, last;
};

static bool in_ranges(uint32_t cp, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (cp >= r[i].first && cp <= r[i].last)
			return true;
	}
	return false;
}

/* The blocks that matter, of Unicode 15: EastAsianWidth.txt (W and F), general categories Mn, Me,
 * Cf. */
static size_t cells_of(uint32_t cp)
{
	static const struct range none[] = {
		{ 0x0300, 0x036f }, { 0x0483, 0x0489 },	  { 0x0591, 0x05bd }, { 0x0610, 0x061a },
		{ 0x064b, 0x065f }, { 0x0900, 0x0902 },	  { 0x0e34, 0x0e3a }, { 0x0e47, 0x0e4e },
		{ 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff },	  { 0x200b, 0x200f }, { 0x202a, 0x202e },
		{ 0x2060, 0x2064 }, { 0x20d0, 0x20f0 },	  { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f },
		{ 0xfeff, 0xfeff }, { 0xe0100, 0xe01ef },
	};
	static const struct range wide[] = {
		{ 0x1100, 0x115f },   { 0x2e80, 0x303e },   { 0x3041, 0x33ff },
		{ 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },   { 0xa000, 0xa4cf },
		{ 0xa960, 0xa97f },   { 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },
		{ 0xfe30, 0xfe6f },   { 0xff01, 0xff60 },   { 0xffe0, 0xffe6 },
		{ 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff },
		{ 0x20000, 0x3fffd },
	};

	if (cp < 0x300)
		return 1;
	if (in_ranges(cp, none, ARRAY_LEN(none)))
		return 0;
	return in_ranges(cp, wide, ARRAY_LEN(wide)) ? 2 : 1;
}

/* Length of the escape at s (ESC [ digits and semicolons m), or 0. */
static size_t escape_length(const char *s)
{
	size_t n;

	if (s[0] != '\033' || s[1] != '[')
		return 0;
	n = 2 + strspn(s + 2, "0123456789;");
	return s[n] == 'm' ? n + 1 : 0;
}

/* The next piece of s[0..n): its length in bytes, and the cells it takes. */
static size_t next_piece(const char *s, size_t n, size_t *cells)
{
	size_t escape = escape_length(s);
	uint32_t cp;
	int len;

	*cells = 0;
	if (escape)
		return escape;
	len = utf8_next(s, n, &cp);
	*cells = len ? cells_of(cp) : 1;
	return len ? (size_t)len : 1;
}

size_t text_width(const char *s)
{
	size_t n = strlen(s), total = 0, cells;

	while (n) {
		size_t len = next_piece(s, n, &cells);

		total += cells;
		s += len;
		n -= len;
	}
	return total;
}

size_t text_fitting(const char *s, size_t cells)
{
	size_t n = strlen(s), at = 0, used = 0, one;

	while (at < n) {
		size_t len = next_piece(s + at, n - at, &one);

		if (at && used + one > cells)
			break;
		used += one;
		at += len;
	}
	return at;
}

void text_print_cut(FILE *f, const char *s, size_t width)
{
	size_t n = strlen(s), used = 0, cells;
	bool cut = text_width(s) > width, full = width == 0;
	size_t room = cut && width ? width - 1 : width;

	while (n) {
		size_t len = next_piece(s, n, &cells);
		bool escape = escape_length(s) != 0;

		if (!escape && !full && used + cells > room) {
			full = true;
			fputs(ELLIPSIS, f);
		}
		if (escape || !full) /* escapes go on: the one at the end takes the colour away */
			fwrite(s, 1, len, f);
		used += cells;
		s += len;
		n -= len;
	}
}

size_t table_width_limit(void)
{
	return cli_is_terminal(stdout) ? (size_t)cli_width(stdout) : 0;
}

/* ---- tables */

struct table *table_new(const struct column *columns, size_t n)
{
	struct table *t = mem_zalloc(sizeof(*t));

	t->columns = columns;
	t->n_columns = n;
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

static char *visible(const char *s)
{
	size_t size = 4 * strlen(s) + 1; /* a byte becomes \xNN at most */
	char *out;

	if (size > UINT32_MAX)
		return mem_strdup("(too long)");
	out = mem_alloc(size);
	text_visible(s, out, (unsigned)size);
	return out;
}

void table_add(struct table *t, const char *const *cells)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		struct cell c = { .text = visible(cells[i] ? cells[i] : "") };

		c.width = text_width(c.text);
		MEM_GROW(t->cells, t->n, t->cap);
		t->cells[t->n++] = c;
	}
}

void table_style(struct table *t, size_t column, enum style s)
{
	if (t->n >= t->n_columns)
		t->cells[t->n - t->n_columns + column].style = s;
}

/* Take from the widest column that may shrink until the line fits, or nothing may shrink any more.
 */
static void shrink(const struct table *t, size_t *widths, size_t limit)
{
	size_t total = GAP * (t->n_columns - 1);

	for (size_t i = 0; i < t->n_columns; i++)
		total += widths[i];
	while (total > limit) {
		size_t widest = t->n_columns;

		for (size_t i = 0; i < t->n_columns; i++) {
			if (t->columns[i].least && widths[i] > t->columns[i].least &&
			    (widest == t->n_columns || widths[i] > widths[widest]))
				widest = i;
		}
		if (widest == t->n_columns)
			return;
		widths[widest]--;
		total--;
	}
}

static void pad(FILE *f, size_t n)
{
	fprintf(f, "%*s", (int)n, "");
}

static void print_cell(FILE *f, const struct column *col, const struct cell *c, size_t width,
		       bool last)
{
	size_t shown = c->width < width ? c->width : width;

	if (col->align == ALIGN_RIGHT)
		pad(f, width - shown);
	if (c->style != STYLE_PLAIN)
		fputs(cli_style(stdout, c->style), f);
	text_print_cut(f, c->text, width);
	if (c->style != STYLE_PLAIN)
		fputs(cli_style(stdout, STYLE_PLAIN), f);
	if (last)
		fputc('\n', f);
	else
		pad(f, (col->align == ALIGN_LEFT ? width - shown : 0) + GAP);
}

/* Without spaces at its end: what is pasted somewhere should not carry them. */
static void print_row(const struct table *t, FILE *f, const struct cell *row, const size_t *widths)
{
	size_t n = t->n_columns;

	while (n > 1 && row[n - 1].width == 0)
		n--;
	for (size_t i = 0; i < n; i++)
		print_cell(f, &t->columns[i], &row[i], widths[i], i + 1 == n);
}

static void print_titles(const struct table *t, FILE *f, const size_t *widths)
{
	struct cell *row = mem_array(t->n_columns, sizeof(*row));

	for (size_t i = 0; i < t->n_columns; i++) {
		row[i] = (struct cell){ (char *)t->columns[i].title,
					text_width(t->columns[i].title), STYLE_DIM };
	}
	print_row(t, f, row, widths);
	free(row);
}

void table_print(const struct table *t, FILE *f, size_t width)
{
	size_t *widths = mem_array(t->n_columns, sizeof(*widths));
	bool titled = t->columns[0].title != NULL;

	assert(t->n_columns > 0);
	for (size_t i = 0; i < t->n_columns; i++)
		widths[i] = titled ? text_width(t->columns[i].title) : 0;
	for (size_t i = 0; i < t->n; i++) {
		if (t->cells[i].width > widths[i % t->n_columns])
			widths[i % t->n_columns] = t->cells[i].width;
	}
	if (width)
		shrink(t, widths, width);
	if (titled)
		print_titles(t, f, widths);
	for (size_t i = 0; i < t->n; i += t->n_columns)
		print_row(t, f, &t->cells[i], widths);
	free(widths);
}
