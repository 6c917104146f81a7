/* A line's format is read here word by word rather than handed to vsnprintf(), because only so is
 * it known where a value ends: a value with a space in it has to be quoted as one, and a foreign
 * text must not be able to forge a key. */
#include "core/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/utf8.h"

#define LINE_MAX_BYTES ((size_t)16 << 10)

static enum log_level threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
	threshold = level;
}

/* -------------------------------------------------------------- visible text */

/* The visible form of the character at s, and how many bytes of s it stands for. */
static size_t visible_char(const char *s, size_t n, char out[12])
{
	uint32_t cp = 0;
	int len = utf8_next(s, n, &cp);

	if (len <= 0 || (len == 1 && utf8_is_control(cp))) {
		(void)snprintf(out, 12, "\\x%02x", (unsigned char)*s);
		return 1;
	}
	if (utf8_is_control(cp) || utf8_is_deceptive(cp)) {
		(void)snprintf(out, 12, "\\u%04x", cp & 0xffff);
	} else {
		memcpy(out, s, (size_t)len);
		out[len] = '\0';
	}
	return (size_t)len;
}

void text_visible(const char *s, char *out, unsigned size)
{
	size_t n = strlen(s), used = 0;
	char one[12];

	if (size == 0)
		return;
	while (n > 0) {
		size_t took = visible_char(s, n, one);
		size_t len = strlen(one);

		if (used + len >= size)
			break;
		memcpy(out + used, one, len);
		used += len;
		s += took;
		n -= took;
	}
	out[used] = '\0';
}

static void add_visible(struct buf *b, const char *s)
{
	size_t n = strlen(s);
	char one[12];

	while (n > 0) {
		size_t took = visible_char(s, n, one);

		(void)buf_adds(b, one);
		s += took;
		n -= took;
	}
}

/* ---------------------------------------------------------------- formatting */

static intmax_t signed_arg(va_list *ap, int longs)
{
	return longs >= 2 ? va_arg(*ap, long long) : longs ? va_arg(*ap, long) : va_arg(*ap, int);
}

static uintmax_t unsigned_arg(va_list *ap, int longs)
{
	return longs >= 2 ? va_arg(*ap, unsigned long long)
	       : longs	  ? va_arg(*ap, unsigned long)
			  : va_arg(*ap, unsigned);
}

/* f points behind a '%'. Adds the converted argument and returns what follows the conversion.
 * Flags and widths mean nothing in a log line and are not known here; neither is %n. */
static const char *add_conversion(struct buf *b, const char *f, va_list *ap)
{
	int precision = -1, longs = 0;

	if (*f == '.') {
		f++;
		if (*f == '*') {
			precision = va_arg(*ap, int);
			f++;
		} else {
			for (precision = 0; *f >= '0' && *f <= '9'; f++)
				precision = precision * 10 + (*f - '0');
		}
	}
	for (; *f == 'l' || *f == 'z' || *f == 'j' || *f == 't'; f++)
		longs++; /* size_t, intmax_t and ptrdiff_t are long on every Linux of 64 bits */
	switch (*f) {
	case 'd':
	case 'i':
		(void)buf_addf(b, "%jd", signed_arg(ap, longs));
		break;
	case 'u':
		(void)buf_addf(b, "%ju", unsigned_arg(ap, longs));
		break;
	case 'x':
		(void)buf_addf(b, "%jx", unsigned_arg(ap, longs));
		break;
	case 'f':
		(void)buf_addf(b, "%.*f", precision < 0 ? 6 : precision, va_arg(*ap, double));
		break;
	case 'g':
		(void)buf_addf(b, "%.*g", precision < 0 ? 6 : precision, va_arg(*ap, double));
		break;
	case 'c':
		(void)buf_addc(b, (char)va_arg(*ap, int));
		break;
	case 's': {
		const char *s = va_arg(*ap, const char *);

		if (!s)
			s = "-";
		(void)buf_add(b, s, strnlen(s, precision < 0 ? LINE_MAX_BYTES : (size_t)precision));
		break;
	}
	case '%':
		(void)buf_addc(b, '%');
		break;
	default:
		assert(!"a conversion that log_line() does not know");
	}
	return f + 1;
}

/* One word of the format, up to a space or the end, into b. */
static const char *format_word(struct buf *b, const char *f, va_list *ap)
{
	while (*f && *f != ' ') {
		if (*f == '%')
			f = add_conversion(b, f + 1, ap);
		else
			(void)buf_addc(b, *f++);
	}
	return f;
}

/* A value as it stands when it is one plain word, else in quotes with \" and \\. */
static void add_value(struct buf *line, const char *value)
{
	if (*value && !strpbrk(value, " \"=")) {
		add_visible(line, value);
		return;
	}
	(void)buf_addc(line, '"');
	while (*value) {
		size_t run = strcspn(value, "\"\\");
		char *part = mem_strndup(value, run);

		add_visible(line, part);
		free(part);
		value += run;
		if (*value) {
			(void)buf_addf(line, "\\%c", *value);
			value++;
		}
	}
	(void)buf_addc(line, '"');
}

static void add_words(struct buf *line, const char *fmt, va_list *ap)
{
	struct buf value;

	buf_init(&value, LINE_MAX_BYTES);
	while (*fmt) {
		const char *equals;

		fmt += strspn(fmt, " ");
		if (!*fmt)
			break;
		(void)buf_addc(line, ' ');
		equals = fmt + strcspn(fmt, "=% ");
		if (*equals == '=') {
			(void)buf_add(line, fmt, (size_t)(equals + 1 - fmt));
			fmt = equals + 1;
		}
		buf_clear(&value);
		fmt = format_word(&value, fmt, ap);
		add_value(line, buf_str(&value));
	}
	buf_release(&value);
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	struct buf line;
	char when[32];
	va_list ap;

	if (level < threshold)
		return;
	clock_format_utc(clock_wall_ms(), when, sizeof(when));
	buf_init(&line, 4 * LINE_MAX_BYTES);
	(void)buf_addf(&line, "time=%s level=%s event=%s", when, names[level], event);
	va_start(ap, fmt);
	add_words(&line, fmt, &ap);
	va_end(ap);
	(void)buf_addc(&line, '\n');
	/* One write: lines of several processes on one stderr stay whole. There is nobody left to
	 * tell when stderr itself fails. */
	if (write(STDERR_FILENO, line.data, line.len) < 0)
		buf_clear(&line);
	buf_release(&line);
}
