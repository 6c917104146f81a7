/* upload/card_text.c -- foreign text in Markdown, YAML and shell. Rules:
 * CommonMark 0.30 sections 2.4 (backslash escapes), 6.1 (code spans), GFM
 * tables; YAML 1.2 chapter 7.3; POSIX shell 2.2.2. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "core/utf8.h"
#include "upload/card_private.h"

/* The next character, valid or not, as bytes to show: control characters and broken bytes become
 * one blank. Returns how many bytes were taken. */
static size_t take_char(const char *s, size_t n, const char **shown, size_t *shown_len)
{
	uint32_t cp;
	int len = utf8_next(s, n, &cp);

	if (len == 0 || utf8_is_control(cp)) {
		*shown = " ";
		*shown_len = 1;
		return len ? (size_t)len : 1;
	}
	*shown = s;
	*shown_len = (size_t)len;
	return (size_t)len;
}

void md_text(struct buf *b, const char *s)
{
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
		else if (strchr("\\`*_{}[]()#+!|~$:@", *shown) && len == 1)
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

void sh_word(struct buf *b, const char *s)
{
	if (*s && s[strspn(s, plain)] == '\0' && *s != '-') {
		buf_adds(b, s);
		return;
	}
	buf_addc(b, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *s);
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

void yaml_scalar(struct buf *b, const char *s)
{
	size_t n = strlen(s);

	if (yaml_is_plain(s)) {
		buf_adds(b, s);
		return;
	}
	buf_addc(b, '"');
	while (n > 0) {
		const char *shown;
		size_t len, taken = take_char(s, n, &shown, &len);

		if (*shown == '"' || *shown == '\\')
			buf_addc(b, '\\');
		/* YAML has no place for these two non-characters and the byte order mark. */
		if (len == 3 && (memcmp(shown, "\xef\xbf\xbe", 3) == 0 ||
				 memcmp(shown, "\xef\xbf\xbf", 3) == 0 ||
				 memcmp(shown, "\xef\xbb\xbf", 3) == 0))
			buf_addc(b, ' ');
		else
			buf_add(b, shown, len);
		s += taken;
		n -= taken;
	}
	buf_addc(b, '"');
}
