/* core/mem.h -- allocation that does not return NULL. Sizes that come from
 * foreign bytes are bounded by the caller first; what is left failing is a
 * machine out of memory, and quern is built to be killed at any instant, so
 * these end the process with one line and exit code 4 (docs/adr/0003). */
#ifndef QUERN_CORE_MEM_H
#define QUERN_CORE_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *mem_alloc(size_t size);			  /* uninitialised; free() it */
void *mem_zalloc(size_t size);			  /* zeroed */
void *mem_array(size_t n, size_t size);		  /* zeroed n*size, overflow checked */
void *mem_resize(void *p, size_t n, size_t size); /* realloc to n*size, overflow checked */
char *mem_strdup(const char *s);		  /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n);	  /* at most n bytes, terminated */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Make room for one more element in a growing array: p, its count and capacity. */
#define MEM_GROW(p, n, cap)                                                                        \
	do {                                                                                       \
		if ((n) == (cap)) {                                                                \
			(cap) = (cap) ? (cap)*2 : 8;                                               \
			(p) = mem_resize((p), (cap), sizeof(*(p)));                                \
		}                                                                                  \
	} while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
