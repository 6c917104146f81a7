/* core/arena.h -- memory that dies together: one parsed file, one report.
 * Alignment is that of max_align_t. With AddressSanitizer each allocation is
 * its own malloc, so that overruns are seen. */
#ifndef QUERN_CORE_ARENA_H
#define QUERN_CORE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);  /* NULL is fine */
void arena_reset(struct arena *a); /* forget all, keep one block for reuse */

void *arena_alloc(struct arena *a, size_t size);	   /* zeroed */
void *arena_array(struct arena *a, size_t n, size_t size); /* zeroed; overflow checked */
char *arena_strdup(struct arena *a, const char *s);	   /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used(const struct arena *a); /* bytes handed out */

#endif
