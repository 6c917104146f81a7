#include "core/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ONE_BLOCK_EACH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ONE_BLOCK_EACH 1
#endif
#endif
#ifndef ONE_BLOCK_EACH
#define ONE_BLOCK_EACH 0
#endif

/* Blocks double from 4 KiB, so that a small document costs little, to 1 MiB, so that a large one
 * costs few calls. */
#define BLOCK_MIN ((size_t)4096)
#define BLOCK_MAX ((size_t)1 << 20)

struct block {
	struct block *next;
	size_t size, used;
	alignas(max_align_t) unsigned char data[];
};

struct arena {
	struct block *head; /* the one being filled; full and oversized ones follow */
	size_t next_size;
	size_t used;
};

struct arena *arena_new(void)
{
	struct arena *a = mem_zalloc(sizeof(*a));

	a->next_size = BLOCK_MIN;
	return a;
}

static void free_blocks(struct block *b)
{
	while (b) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	free_blocks(a->head);
	free(a);
}

void arena_reset(struct arena *a)
{
	a->used = 0;
	if (!a->head)
		return;
	if (ONE_BLOCK_EACH) {
		free_blocks(a->head);
		a->head = NULL;
		return;
	}
	free_blocks(a->head->next);
	a->head->next = NULL;
	a->head->used = 0;
}

static struct block *block_new(size_t size)
{
	struct block *b;

	/* Callers bound what they ask for; half the address space is a bug or an attack. */
	if (size > SIZE_MAX / 2)
		(void)mem_array(size, 2);
	b = mem_alloc(sizeof(*b) + size);
	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

/* A block with room for size bytes at the front of the list, or behind it for an oversized one,
 * so that the rest of the block being filled is not lost. */
static struct block *block_for(struct arena *a, size_t size)
{
	struct block *b;

	if (ONE_BLOCK_EACH || size > a->next_size / 2) {
		b = block_new(size);
		if (a->head && !ONE_BLOCK_EACH) {
			b->next = a->head->next;
			a->head->next = b;
			return b;
		}
	} else {
		b = block_new(a->next_size);
		if (a->next_size < BLOCK_MAX)
			a->next_size *= 2;
	}
	b->next = a->head;
	a->head = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct block *b = ONE_BLOCK_EACH ? NULL : a->head;
	size_t start = 0;
	void *p;

	if (b)
		start = (b->used + align - 1) & ~(align - 1);
	if (!b || start > b->size || size > b->size - start) {
		b = block_for(a, size);
		start = 0;
	}
	p = b->data + start;
	b->used = start + size;
	a->used += size;
	memset(p, 0, size);
	return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		bytes = SIZE_MAX; /* ends the process in block_new() */
	return arena_alloc(a, bytes);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = arena_alloc(a, len + 1);

	memcpy(p, s, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
