#include "workers/board/rklog.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"

#define LINE_MAX_BYTES 1024 /* what is behind is not read */

void rklog_next(struct rklog *l)
{
	l->prefill_ms = l->generate_ms = l->memory_bytes = -1;
	l->prefill_tokens = l->generate_tokens = -1;
	l->memory_unit = 0;
}

void rklog_init(struct rklog *l)
{
	memset(l, 0, sizeof(*l));
	l->max_context = l->cores = -1;
	l->init_ms = -1;
	rklog_next(l);
}

/* The value of "name: value", up to a comma or the end; plain characters only. */
static bool word(const char *line, const char *name, char out[RKLOG_WORD])
{
	const char *at = strstr(line, name);
	size_t n;

	if (!at || (at != line && at[-1] != ' '))
		return false;
	at += strlen(name);
	if (at[0] != ':')
		return false;
	at += 1 + strspn(at + 1, " ");
	n = strcspn(at, ", \t");
	if (n == 0 || n >= RKLOG_WORD)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)at[i]) && !strchr("._-+", at[i]))
			return false;
	}
	memcpy(out, at, n);
	out[n] = '\0';
	return true;
}

static void integer(const char *line, const char *name, int64_t *out)
{
	char text[RKLOG_WORD], *end;
	long long v;

	if (!word(line, name, text) || !isdigit((unsigned char)text[0]))
		return;
	v = strtoll(text, &end, 10);
	if (!*end && v <= INT32_MAX)
		*out = v;
}

/* A decimal number, not negative and not absurd. */
static bool number(const char **s, double *out)
{
	const char *at = *s + strspn(*s, " ");
	char *end;
	double v;

	if (!isdigit((unsigned char)*at))
		return false;
	v = strtod(at, &end);
	if (!(v >= 0 && v < 1e12))
		return false;
	*s = end;
	*out = v;
	return true;
}

/* "Prefill   196.36   4   49.09   20.37" */
static bool stage(const char *s, const char *name, double *ms, int64_t *tokens)
{
	double t, n;

	if (strncmp(s, name, strlen(name)) != 0)
		return false;
	s += strlen(name);
	if (*s != ' ' || !number(&s, &t) || !number(&s, &n))
		return false;
	*ms = t;
	*tokens = (int64_t)n;
	return true;
}

static void table(struct rklog *l, const char *s)
{
	double v;

	s += strspn(s, " ");
	if (l->memory_unit > 0) { /* the line behind the heading */
		if (number(&s, &v))
			l->memory_bytes = v * l->memory_unit;
		l->memory_unit = 0;
		return;
	}
	if (stage(s, "Prefill", &l->prefill_ms, &l->prefill_tokens) ||
	    stage(s, "Generate", &l->generate_ms, &l->generate_tokens))
		return;
	if (strstr(s, "Memory Usage (GB)"))
		l->memory_unit = 1024.0 * 1024 * 1024;
	else if (strstr(s, "Memory Usage (MB)"))
		l->memory_unit = 1024.0 * 1024;
	else if (strncmp(s, "Model init time (ms)", 20) == 0 && (s += 20, number(&s, &v)))
		l->init_ms = v;
	else if (strncmp(s, "Init ", 5) == 0 && (s += 5, number(&s, &v))) /* 1.1.x */
		l->init_ms = v;
}

/* Without colours, carriage returns and other controls. */
static void clean(const char *p, size_t n, char out[LINE_MAX_BYTES])
{
	size_t len = 0;

	for (size_t i = 0; i < n && len + 1 < LINE_MAX_BYTES; i++) {
		if (p[i] == '\033' && i + 1 < n && p[i + 1] == '[') {
			i += 2;
			while (i < n && !isalpha((unsigned char)p[i]))
				i++;
		} else if ((unsigned char)p[i] >= ' ' && p[i] != 0x7f) {
			out[len++] = p[i];
		}
	}
	out[len] = '\0';
}

void rklog_line(struct rklog *l, const char *line, size_t n)
{
	char text[LINE_MAX_BYTES];
	const char *s;

	clean(line, n, text);
	/* "I rkllm: ..."; what the model says may stand before it, without a line's end. */
	s = strstr(text, "rkllm: ");
	if (!s || s < text + 2 || s[-1] != ' ' || !strchr("DIWE", s[-2]))
		return;
	if (s[-2] == 'E')
		snprintf(l->error, sizeof(l->error), "%.*s",
			 (int)utf8_cut(s + 7, strnlen(s + 7, sizeof(l->error) - 1)), s + 7);
	s += 7;
	if (word(s, "rkllm-runtime version", l->runtime)) {
		word(s, "rknpu driver version", l->driver);
		word(s, "platform", l->platform);
	} else if (word(s, "rkllm-toolkit version", l->toolkit)) {
		integer(s, "max_context_limit", &l->max_context);
		integer(s, "npu_core_num", &l->cores);
		word(s, "target_platform", l->target);
		word(s, "model_dtype", l->dtype);
	} else {
		table(l, s);
	}
}
