/* core/buf.h -- a growing byte buffer with a ceiling set at birth. data is
 * always terminated by a NUL that len does not count. */
#ifndef QUERN_CORE_BUF_H
#define QUERN_CORE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
	char *data;
	size_t len, cap, max;
	int overflow; /* an addition went over max and was dropped; sticky */
};

void buf_init(struct buf *b, size_t max); /* max bytes of content at most */
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* len 0, overflow 0, memory kept */

/* Return 0, or ERR_NOSPACE when the content would exceed max: nothing is added then. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_addv(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_drop(struct buf *b, size_t n);	  /* remove the first n bytes */
const char *buf_str(const struct buf *b); /* "" when empty */
char *buf_detach(struct buf *b);	  /* the heap string is the caller's; b is empty */

#endif
