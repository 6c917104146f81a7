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
#include "db/facts.h"
#include "upload/card.h"

/* Everything of one card, in one arena. */
struct card {
	struct arena *a;
	const struct card_settings *set;
	const struct card_variant **v; /* sorted: model, engine, platform, size, label, key */
	struct facts *facts;	       /* of v[i]'s first file */
	unsigned *confirmed;	       /* parameters of v[i], as bits of enum job_param */
	size_t n;
};

/* ERR_CORRUPT: facts of an artifact are none. */
int card_begin(struct card *c, const struct card_settings *set, const struct card_variant *v,
	       size_t n, struct err *e);
void card_end(struct card *c);
/* A text fact of the source that every variant has in common, or NULL. */
const char *card_common(const struct card *c, const char *name);

/* The given string values, without duplicates and NULL, sorted by bytes. */
struct card_set {
	const char **v;
	size_t n, cap;
};
void card_set_add(struct card_set *s, const char *value);
bool card_set_has(const struct card_set *s, const char *value);
void card_set_release(struct card_set *s);

/* ---- card_text.c: foreign text made harmless */

/* As Markdown text on one line: markup, HTML and pipes are escaped; control characters and those
 * that deceive are blanks. */
void md_text(struct buf *b, const char *s);
/* As a code span; in_table: pipes are escaped as tables want it. */
void md_code(struct buf *b, const char *s, bool in_table);
/* As one word of a POSIX shell. */
void sh_word(struct buf *b, const char *s);
/* Does a YAML 1.1 or 1.2 reader take this word for a truth value or null? */
bool yaml_is_word(const char *s);
/* As a YAML scalar: plain when that cannot be read as anything but this text, else quoted. */
void yaml_scalar(struct buf *b, const char *s);

/* ---- card_template.c */

struct card_var {
	const char *name;
	const char *value; /* inserted as it is */
};
#define CARD_SECTION_BEGIN "<!-- quern:begin (generated; text outside this part is kept) -->"
#define CARD_SECTION_BEGIN_ANY "<!-- quern:begin"
#define CARD_SECTION_END "<!-- quern:end -->"

/* The text of cards/NAME.md, or NULL. */
const char *card_template(const char *name);
/* Append text with each {{name}} replaced. ERR_INVALID: unknown variable, or "{{" without an end.
 */
int card_fill(struct buf *b, const char *text, const struct card_var *vars, size_t n,
	      struct err *e);

/* ---- card_manifest.c writes it, card_manifest_read.c reads it */
#define CARD_MANIFEST_FORMAT 2

/* ---- card_body.c: what stands below the front matter */

/* Append body with its generated section replaced by section, which has its marks. Without one it
 * is added at the end; of several the first is replaced and the others, which are old ones, go.
 * Marks in a fenced code block are a person's words about marks. */
void card_body_merge(struct buf *b, const char *body, const char *section);

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

/* ---- card_measured.c: tables of what was measured, with their heading; nothing when nothing was
 */
void card_measured_write(struct buf *b, const struct card *c);

/* One line of text, without its end. Moves *p behind it; false at the end. */
bool card_next_line(const char **p, const char *end, const char **line, size_t *len);
bool card_line_is(const char *line, size_t len,
		  const char *text); /* blanks at the end do not count */

#endif
