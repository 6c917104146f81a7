/* upload/card_body.c -- the text of a card and the generated section in it.
 * Everything outside the section is a person's, kept byte for byte. */
#include <stdlib.h>
#include <string.h>

#include "upload/card_private.h"

struct line {
	const char *s;
	size_t len;
};

static bool is_begin(struct line l)
{
	const size_t n = sizeof(CARD_SECTION_BEGIN_ANY) - 1;

	return l.len >= n && memcmp(l.s, CARD_SECTION_BEGIN_ANY, n) == 0;
}

static bool is_end(struct line l)
{
	return card_line_is(l.s, l.len, CARD_SECTION_END);
}

/* ---- fenced code blocks (CommonMark 0.30 section 4.5) */

#define FENCE_MIN 3
#define INDENT_MAX 3 /* one blank more and the line is an indented code block */

/* Length of the run of '`' or '~' that a line begins with, 0 when it is no fence. rest: what
 * follows the run. */
static size_t fence_run(struct line l, char *mark, struct line *rest)
{
	size_t at = 0, n = 0;

	while (at < l.len && at <= INDENT_MAX && l.s[at] == ' ')
		at++;
	if (at > INDENT_MAX || at == l.len || (l.s[at] != '`' && l.s[at] != '~'))
		return 0;
	*mark = l.s[at];
	while (at + n < l.len && l.s[at + n] == *mark)
		n++;
	*rest = (struct line){ l.s + at + n, l.len - at - n };
	return n >= FENCE_MIN ? n : 0;
}

static bool opens_fence(struct line l, char *mark, size_t *run)
{
	struct line info;

	*run = fence_run(l, mark, &info);
	return *run && !(*mark == '`' && memchr(info.s, '`', info.len));
}

static bool closes_fence(struct line l, char mark, size_t run)
{
	struct line rest;
	char m = 0;
	size_t n = fence_run(l, &m, &rest);

	return n >= run && m == mark && card_line_is(rest.s, rest.len, "");
}

struct scan {
	const char *p, *end;
	/* The shortest run of each mark that is known to have no closing line ahead: an open fence
	 * to the end of the text hides nothing from us, and is not looked for twice. */
	size_t open_backtick, open_tilde;
};

static bool next(struct scan *s, struct line *l)
{
	return card_next_line(&s->p, s->end, &l->s, &l->len);
}

/* Behind the block that this line opens; stays where it is when the line opens none. */
static void skip_fence(struct scan *s, struct line first)
{
	struct scan ahead = *s;
	struct line l;
	size_t run, *hopeless;
	char mark;

	if (!opens_fence(first, &mark, &run))
		return;
	hopeless = mark == '`' ? &s->open_backtick : &s->open_tilde;
	if (run >= *hopeless)
		return;
	while (next(&ahead, &l)) {
		if (closes_fence(l, mark, run)) {
			s->p = ahead.p;
			return;
		}
	}
	*hopeless = run;
}

struct section {
	const char *begin, *after;
	bool half_before; /* a begin mark without an end stands before it */
};

/* The next section: from the last begin mark before the first end mark that has one. When a person
 * has removed half a pair, nothing of theirs is between what is taken. Inside it fences do not
 * count: it is ours. */
static bool find_section(struct scan *s, struct section *out)
{
	struct line l;

	*out = (struct section){ NULL, NULL, false };
	while (next(s, &l)) {
		if (is_begin(l)) {
			out->half_before |= out->begin != NULL;
			out->begin = l.s;
		} else if (out->begin && is_end(l)) {
			out->after = s->p;
			return true;
		} else if (!out->begin) {
			skip_fence(s, l);
		}
	}
	return false;
}

void card_body_merge(struct buf *b, const char *body, const char *section)
{
	struct scan s = { body, body + strlen(body), SIZE_MAX, SIZE_MAX };
	const char *kept = body;
	struct section old;
	bool found = false;

	while (find_section(&s, &old)) {
		/* With it gone, the half mark before it would take what a person wrote behind. */
		if (found && old.half_before)
			continue;
		buf_add(b, kept, (size_t)(old.begin - kept));
		if (!found)
			buf_adds(b, section);
		found = true;
		kept = old.after;
	}
	buf_adds(b, kept);
	if (!found) {
		buf_adds(b, s.end[-1] == '\n' ? "\n" : "\n\n");
		buf_adds(b, section);
	}
}
