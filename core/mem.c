#include "core/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_NO_MEMORY 4

/* _exit(), not exit(): no handler may run that needs memory. */
static void __attribute__((noreturn)) out_of_memory(size_t n, size_t size)
{
	char line[96];
	int len = snprintf(line, sizeof(line), "quern: out of memory (%zu x %zu bytes)\n", n, size);

	if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
		_exit(EXIT_NO_MEMORY);
	_exit(EXIT_NO_MEMORY);
}

/* malloc(0) may be NULL without anything being wrong. */
static size_t at_least_one(size_t size)
{
	return size ? size : 1;
}

void *mem_alloc(size_t size)
{
	void *p = malloc(at_least_one(size));

	if (!p)
		out_of_memory(1, size);
	return p;
}

void *mem_zalloc(size_t size)
{
	return mem_array(1, size);
}

void *mem_array(size_t n, size_t size)
{
	void *p = calloc(at_least_one(n), at_least_one(size));

	if (!p)
		out_of_memory(n, size);
	return p;
}

void *mem_resize(void *p, size_t n, size_t size)
{
	size_t bytes;
	void *q;

	if (__builtin_mul_overflow(n, size, &bytes))
		out_of_memory(n, size);
	q = realloc(p, at_least_one(bytes));
	if (!q)
		out_of_memory(n, size);
	return q;
}

char *mem_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = mem_alloc(len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *mem_strdup(const char *s)
{
	return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(1, strlen(fmt));
	return p;
}
