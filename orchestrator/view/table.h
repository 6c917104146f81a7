/* orchestrator/view/table.h -- aligned text for people: columns as wide as their widest cell, cut
 * to the terminal's width, never cut anywhere else. Widths are counted in terminal cells: combining
 * characters take none, East Asian wide ones and emoji take two. Cells may be foreign text. */
#ifndef QUERN_ORCHESTRATOR_TABLE_H
#define QUERN_ORCHESTRATOR_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "orchestrator/cli.h"

enum align { ALIGN_LEFT, ALIGN_RIGHT };

struct column {
	const char *title; /* NULL in the first column: no line of titles */
	enum align align;
	size_t least; /* may be cut down to so many cells on a narrow terminal; 0: never cut */
};

struct table;

/* columns must outlive the table. */
struct table *table_new(const struct column *columns, size_t n);
void table_free(struct table *t); /* NULL is fine */

/* Append a row of n copied cells; NULL is an empty one. Control characters are made visible. */
void table_add(struct table *t, const char *const *cells);
/* Style of one cell of the last row. */
void table_style(struct table *t, size_t column, enum style s);

/* Print to f, at most width cells a line (0: no limit), with the styles that stdout may have. */
void table_print(const struct table *t, FILE *f, size_t width);
/* The limit for output to stdout: the terminal's width; none for a file or a pipe. */
size_t table_width_limit(void);

/* Cells that s takes. Colour escapes (ESC [ ... m) take none; bytes that are no UTF-8 take one
 * each. */
size_t text_width(const char *s);
/* Bytes of the beginning of s that takes so many cells at most; at least one character. */
size_t text_fitting(const char *s, size_t cells);
/* Print s, cut to width cells with an ellipsis at the end when it is longer. Escapes pass. */
void text_print_cut(FILE *f, const char *s, size_t width);

#endif
