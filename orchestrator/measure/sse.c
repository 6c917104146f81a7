#include "orchestrator/measure/sse.h"

#include <string.h>

void sse_init(struct sse *s, size_t event_max)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->line, event_max);
	buf_init(&s->data, event_max);
	s->event_max = event_max;
}

void sse_release(struct sse *s)
{
	buf_release(&s->line);
	buf_release(&s->data);
}

static int too_long(const struct sse *s, struct err *e)
{
	return err_set(e, ERR_INVALID, "an event of the stream is longer than %zu KiB",
		       s->event_max >> 10);
}

/* An empty line: the event is complete. */
static int dispatch(struct sse *s, sse_fn fn, void *ctx, struct err *e)
{
	int rc = 0;

	if (s->any_data) {
		s->events++;
		rc = fn(ctx, buf_str(&s->data), s->data.len, e);
	}
	s->any_data = false;
	buf_clear(&s->data);
	return rc;
}

/* "data: text", "data:text", "data"; of several, the lines of one text. */
static int take_field(struct sse *s, struct err *e)
{
	const char *line = buf_str(&s->line), *colon = memchr(line, ':', s->line.len);
	size_t name = colon ? (size_t)(colon - line) : s->line.len;
	const char *value = colon ? colon + 1 : line + name;
	size_t n = s->line.len - (size_t)(value - line);

	if (name != 4 || memcmp(line, "data", 4) != 0)
		return 0; /* event, id, retry, a comment, or what the future brings */
	if (n && *value == ' ') {
		value++;
		n--;
	}
	if (s->any_data && buf_addc(&s->data, '\n') < 0)
		return too_long(s, e);
	s->any_data = true;
	return buf_add(&s->data, value, n) < 0 ? too_long(s, e) : 0;
}

static int end_line(struct sse *s, sse_fn fn, void *ctx, struct err *e)
{
	static const char mark[] = "\xEF\xBB\xBF";
	int rc;

	if (!s->begun && s->line.len >= 3 && memcmp(s->line.data, mark, 3) == 0)
		buf_drop(&s->line, 3);
	s->begun = true;
	rc = s->line.len ? take_field(s, e) : dispatch(s, fn, ctx, e);
	buf_clear(&s->line);
	return rc;
}

/* Bytes up to the next end of a line. */
static size_t plain(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] != '\n' && p[i] != '\r')
		i++;
	return i;
}

int sse_feed(struct sse *s, const char *p, size_t n, sse_fn fn, void *ctx, struct err *e)
{
	while (n) {
		size_t part;
		int rc;

		if (s->after_cr && *p == '\n') {
			s->after_cr = false;
			p++;
			n--;
			continue;
		}
		s->after_cr = false;
		part = plain(p, n);
		if (part && buf_add(&s->line, p, part) < 0)
			return too_long(s, e);
		if (part == n)
			return 0;
		s->after_cr = p[part] == '\r';
		rc = end_line(s, fn, ctx, e);
		if (rc < 0)
			return rc;
		p += part + 1;
		n -= part + 1;
	}
	return 0;
}
