#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/utf8.h"

/* Format into a local first: an argument may well be the text that is being replaced. */
static void format_cut(char out[ERR_MSG_MAX], const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void format_cut(char out[ERR_MSG_MAX], const char *fmt, va_list ap)
{
	int n = vsnprintf(out, ERR_MSG_MAX, fmt, ap);

	if (n < 0)
		out[0] = '\0';
	else if (n >= ERR_MSG_MAX)
		out[utf8_cut(out, ERR_MSG_MAX - 1)] = '\0';
}

/* Append s to the text in out, cut to what fits. */
static void append_cut(char out[ERR_MSG_MAX], const char *s)
{
	size_t have = strlen(out);
	size_t n = strlen(s);

	if (n > ERR_MSG_MAX - 1 - have)
		n = utf8_cut(s, ERR_MSG_MAX - 1 - have);
	memcpy(out + have, s, n);
	out[have + n] = '\0';
}

int err_setv(struct err *e, int code, const char *fmt, va_list ap)
{
	char text[ERR_MSG_MAX];

	if (!e)
		return code;
	format_cut(text, fmt, ap);
	e->code = code;
	memcpy(e->msg, text, sizeof(text));
	return code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(e, code, fmt, ap);
	va_end(ap);
	return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	if (!e)
		return ERR_IO; /* the code is not known here, but it was a failure */
	va_start(ap, fmt);
	format_cut(text, fmt, ap);
	va_end(ap);
	append_cut(text, ": ");
	append_cut(text, e->msg);
	memcpy(e->msg, text, sizeof(text));
	return e->code;
}

int err_errno(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	int code = ERR_IO;
	char text[ERR_MSG_MAX];
	char reason[128];
	va_list ap;

	if (saved == ENOSPC || saved == EDQUOT)
		code = ERR_NOSPACE;
	else if (saved == ENOENT)
		code = ERR_NOTFOUND;
	if (!e)
		return code;
	va_start(ap, fmt);
	format_cut(text, fmt, ap);
	va_end(ap);
	append_cut(text, ": ");
	append_cut(text, strerror_r(saved, reason, sizeof(reason)));
	e->code = code;
	memcpy(e->msg, text, sizeof(text));
	return code;
}

const char *err_name(int code)
{
	switch (code) {
	case ERR_INVALID:
		return "invalid";
	case ERR_NOTFOUND:
		return "notfound";
	case ERR_BUSY:
		return "busy";
	case ERR_IO:
		return "io";
	case ERR_CORRUPT:
		return "corrupt";
	case ERR_NOSPACE:
		return "nospace";
	case ERR_ENV:
		return "env";
	case ERR_CONFLICT:
		return "conflict";
	case ERR_CANCELLED:
		return "cancelled";
	default:
		return code >= 0 ? "ok" : "unknown";
	}
}
