/* upload/card_text.c -- foreign text in Markdown, YAML and shell. Rules:
 * CommonMark 0.30 sections 2.4 (backslash escapes), 6.1 (code spans), GFM
 * tables; YAML 1.2 chapter 7.3; POSIX shell 2.2.2. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "core/utf8.h"
#include "upload/card_private.h"

/* The next character, valid or not, as bytes to show: control characters, deceptive ones and broken
 * bytes become one blank. Returns how many bytes were taken. */
static size_t take_char(const char *s, size_t n, const char **shown, size_t *shown_len)
{
	uint32_t cp;
	int len = utf8_next(s, n, &cp);

	if (len == 0 || utf8_is_control(cp) || utf8_is_deceptive(cp)) {
		*shown = " ";
		*shown_len = 1;
		return len ? (size_t)len : 1;
	}
	*shown = s;
	*shown_len = (size_t)len;
	return (size_t)len;
}

/* GFM makes a link of what begins with it, without a scheme that could be escaped. */
static bool ends_www(const char *begin, const char *s)
{
	return s - begin >= 3 && strncasecmp(s - 3, "www", 3) == 0;
}

void md_text(struct buf *b, const char *s)
{
	const char *begin = s;
	size_t n = strlen(s);

	while (n > 0) {
		const char *shown;
		size_t len, taken = take_char(s, n, &shown, &len);

		if (*shown == '<')
			buf_adds(b, "&lt;");
		else if (*shown == '>')
			buf_adds(b, "&gt;");
		else if (*shown == '&')
			buf_adds(b, "&amp;");
		else if ((strchr("\\`*_{}[]()#+!|~$:@", *shown) && len == 1) ||
			 (*shown == '.' && ends_www(begin, s)))
			buf_addf(b, "\\%c", *shown);
		else
			buf_add(b, shown, len);
		s += taken;
		n -= taken;
	}
}

static size_t longest_backtick_run(const char *s)
{
	size_t best = 0, run = 0;

	for (; *s; s++) {
		run = *s == '`' ? run + 1 : 0;
		if (run > best)
			best = run;
	}
	return best;
}

void md_code(struct buf *b, const char *s, bool in_table)
{
	size_t fence = longest_backtick_run(s) + 1, n = strlen(s);
	/* A blank at both ends is taken away again; it parts the fence from text like its own. */
	bool padded = fence > 1 || n == 0 || *s == ' ' || s[n - 1] == ' ';

	/* Readers differ in where a cell ends at two backslashes and a pipe, and a span that is cut
	 * in two is none. */
	if (in_table && strstr(s, "\\|")) {
		md_text(b, s);
		return;
	}
	for (size_t i = 0; i < fence; i++)
		buf_addc(b, '`');
	if (padded)
		buf_addc(b, ' ');
	while (n > 0) {
		const char *shown;
		size_t len, taken = take_char(s, n, &shown, &len);

		if (*shown == '|' && in_table)
			buf_addc(b, '\\');
		buf_add(b, shown, len);
		s += taken;
		n -= taken;
	}
	if (padded)
		buf_addc(b, ' ');
	for (size_t i = 0; i < fence; i++)
		buf_addc(b, '`');
}

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-";

/* What cannot be shown is matched by a glob of one character. */
void sh_word(struct buf *b, const char *s)
{
	size_t n = strlen(s);
	uint32_t cp = 0;

	if (*s && s[strspn(s, plain)] == '\0' && *s != '-') {
		buf_adds(b, s);
		return;
	}
	buf_addc(b, '\'');
	while (n > 0) {
		int len = utf8_next(s, n, &cp);
		size_t taken = len ? (size_t)len : 1;

		if (*s == '\'')
			buf_adds(b, "'\\''");
		else if (len == 0 || utf8_is_control(cp) || utf8_is_deceptive(cp))
			buf_adds(b, "'?'");
		else
			buf_add(b, s, taken);
		s += taken;
		n -= taken;
	}
	buf_addc(b, '\'');
}

bool yaml_is_word(const char *s)
{
	static const char *const words[] = { "y",   "n",    "yes",   "no",  "on",
					     "off", "true", "false", "null" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(words[i], s) == 0)
			return true;
	return false;
}

static bool yaml_is_plain(const char *s)
{
	bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z');

	/* Beginning with a letter, it is no number and no date. */
	return letter && s[strspn(s, plain)] == '\0' && !yaml_is_word(s);
}

/* Control characters and others that YAML has no place for, or takes for the end of a line, are
 * written as escapes: a reader gets the same value. Bytes that are no character become blanks. */
void yaml_scalar(struct buf *b, const char *s)
{
	size_t n = strlen(s);
	uint32_t cp = 0;

	if (yaml_is_plain(s)) {
		buf_adds(b, s);
		return;
	}
	buf_addc(b, '"');
	while (n > 0) {
		int len = utf8_next(s, n, &cp);

		if (len == 0)
			buf_addc(b, ' ');
		else if (*s == '"' || *s == '\\')
			buf_addf(b, "\\%c", *s);
		else if (utf8_is_control(cp) || utf8_is_deceptive(cp) || cp == 0xfffe ||
			 cp == 0xffff)
			buf_addf(b, "\\u%04x", cp);
		else
			buf_add(b, s, (size_t)len);
		s += len ? len : 1;
		n -= len ? (size_t)len : 1;
	}
	buf_addc(b, '"');
}
