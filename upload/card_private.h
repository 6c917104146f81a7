/* upload/card_private.h -- what the card's files share: escaped text, templates,
 * and the variants in the order in which they are shown. */
#ifndef QUERN_UPLOAD_CARD_PRIVATE_H
#define QUERN_UPLOAD_CARD_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/json.h"
#include "upload/card.h"

/* Everything of one card, in one arena. */
struct card {
	struct arena *a;
	const char *repo;
	const struct card_variant **v; /* sorted: model, engine, platform, size, label, key */
	const struct json **facts;     /* of v[i]'s first file; an object */
	size_t n;
};

/* ERR_CORRUPT, ERR_INVALID: facts of an artifact are no JSON object. */
int card_begin(struct card *c, const char *repo, const struct card_variant *v, size_t n,
	       struct err *e);
void card_end(struct card *c);

/* The given string values, without duplicates and NULL, sorted by bytes. */
struct card_set {
	const char **v;
	size_t n, cap;
};
void card_set_add(struct card_set *s, const char *value);
bool card_set_has(const struct card_set *s, const char *value);
void card_set_release(struct card_set *s);

/* ---- card_text.c: foreign text made harmless */

/* As Markdown text on one line: markup, HTML and pipes are escaped, control characters are blanks.
 */
void md_text(struct buf *b, const char *s);
/* As a code span; in_table: pipes are escaped as tables want it. */
void md_code(struct buf *b, const char *s, bool in_table);
/* As one word of a POSIX shell. */
void sh_word(struct buf *b, const char *s);
/* As a YAML scalar: plain when that cannot be read as anything but this text, else quoted. */
void yaml_scalar(struct buf *b, const char *s);

/* ---- card_template.c */

struct card_var {
	const char *name;
	const char *value; /* inserted as it is */
};
/* The text of cards/NAME.md, or NULL. */
const char *card_template(const char *name);
/* Append text with each {{name}} replaced. ERR_INVALID: unknown variable, or "{{" without an end.
 */
int card_fill(struct buf *b, const char *text, const struct card_var *vars, size_t n,
	      struct err *e);

/* ---- card_front.c: front matter */

/* The front matter of an old card. begin..end is between the fences; body is what comes after them.
 * Without front matter begin == end and body is the whole text. */
struct card_front {
	const char *begin, *end, *body;
};
void card_front_split(const char *text, struct card_front *out);
/* Append front matter with its fences: the generated keys, and what a person wrote in old's. */
void card_front_write(struct buf *b, const struct card *c, const struct card_front *old);

/* ---- card_section.c: the generated section, without its markers */
int card_section_write(struct buf *b, const struct card *c, struct err *e);

/* One line of text, without its end. Moves *p behind it; false at the end. */
bool card_next_line(const char **p, const char *end, const char **line, size_t *len);
bool card_line_is(const char *line, size_t len,
		  const char *text); /* blanks at the end do not count */

#endif
