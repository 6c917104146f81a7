#include "orchestrator/config/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/utf8.h"

/* Is it there already? A value that an alias repeats is read, and found wrong, several times. */
static int told(const struct faults *f, struct mark at, const char *text)
{
	for (size_t i = 0; at.line && i < f->n; i++) {
		if (f->v[i].at.line == at.line && f->v[i].at.column == at.column &&
		    strcmp(f->v[i].text, text) == 0)
			return 1;
	}
	return 0;
}

void faults_add(struct faults *f, struct mark at, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text[utf8_cut(text, strlen(text))] = '\0';
	if (told(f, at, text))
		return;
	if (f->n == FAULTS_KEPT_MAX) {
		f->more++;
		return;
	}
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 8;
		struct fault *v = arena_array(f->a, cap, sizeof(*v));

		if (f->n)
			memcpy(v, f->v, f->n * sizeof(*v));
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n] = (struct fault){ at, f->n, arena_strdup(f->a, text) };
	f->n++;
}

static int by_place(const void *x, const void *y)
{
	const struct fault *a = x, *b = y;

	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	if (a->at.column != b->at.column)
		return a->at.column < b->at.column ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

void faults_sort(const struct faults *f)
{
	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), by_place);
}

/* Foreign text on one line: a fault may show what was written, escapes and line ends included. */
static void add_visible(struct buf *b, const char *s)
{
	char line[4 * ERR_MSG_MAX];

	text_visible(s, line, sizeof(line));
	buf_adds(b, line);
}

void faults_print(const struct faults *f, struct buf *b)
{
	faults_sort(f);
	for (size_t i = 0; i < f->n; i++) {
		const struct fault *v = &f->v[i];

		if (v->at.line)
			buf_addf(b, "%s:%d:%d: ", f->file, v->at.line, v->at.column);
		add_visible(b, v->text);
		buf_addc(b, '\n');
	}
	if (f->more)
		buf_addf(b, "%s: and %zu more; correct these first\n", f->file, f->more);
}
