#include "orchestrator/run/evidence.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"

/* The end of the log, with a NUL behind it; heap, NULL if there is none. */
static char *read_tail(const char *dir, size_t *n)
{
	char *path = path_join(dir, "log"), *text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	off_t len = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	ssize_t got = -1;

	free(path);
	if (len > 0) {
		text = mem_alloc(EVIDENCE_LOG_BYTES + 1);
		got = pread(fd, text, EVIDENCE_LOG_BYTES,
			    len > EVIDENCE_LOG_BYTES ? len - EVIDENCE_LOG_BYTES : 0);
	}
	if (fd >= 0)
		close(fd);
	if (got <= 0) {
		free(text);
		return NULL;
	}
	text[got] = '\0';
	*n = (size_t)got;
	return text;
}

static bool matches(const struct engine_cause *c, const char *line)
{
	for (size_t i = 0; i < c->match.n; i++) {
		if (glob_match(c->match.v[i], line))
			return true;
	}
	return false;
}

/* A row before the known one, or the same again further down. */
static void look(const struct engine *en, const char *line, struct evidence *out)
{
	const struct engine_cause *end = out->known ? out->known + 1 : en->causes + en->n_causes;

	for (const struct engine_cause *c = en->causes; c < end; c++) {
		if (matches(c, line)) {
			out->known = c;
			text_visible(line, out->line, sizeof(out->line));
			return;
		}
	}
}

static void one_line(const struct engine *en, const char *s, size_t len, struct evidence *out)
{
	char line[EVIDENCE_LINE_MAX + 1];

	while (len && strchr("\r \t", s[len - 1]))
		len--;
	while (len && (*s == ' ' || *s == '\t'))
		s++, len--;
	if (!len)
		return;
	if (len > EVIDENCE_LINE_MAX)
		len = EVIDENCE_LINE_MAX;
	memcpy(line, s, len);
	line[len] = '\0';
	text_visible(line, out->last, sizeof(out->last));
	if (en && en->n_causes)
		look(en, line, out);
}

void evidence_read(const char *dir, const struct engine *en, struct evidence *out)
{
	size_t n = 0;
	char *text = read_tail(dir, &n);

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; text && i < n; i++)
		text[i] = text[i] ? text[i] : '?'; /* a NUL would hide what follows it */
	for (char *p = text, *end; p && p < text + n; p = end + 1) {
		end = p + strcspn(p, "\n\r"); /* a progress bar repeats its line with CR */
		one_line(en, p, (size_t)(end - p), out);
	}
	free(text);
}
