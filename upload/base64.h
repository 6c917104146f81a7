/* upload/base64.h -- base64 (RFC 4648 section 4), writing only. Pure. */
#ifndef QUERN_UPLOAD_BASE64_H
#define QUERN_UPLOAD_BASE64_H

#include <stddef.h>

#include "core/buf.h"

/* Append the text of p[0..n). Pieces of a multiple of 3 bytes join to one text. As buf_add(). */
int base64_add(struct buf *b, const void *p, size_t n);

#endif
