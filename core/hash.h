/* core/hash.h -- SHA-256 (FIPS 180-4), by libcrypto, which uses the processor's
 * SHA instructions where there are any; and SHA-1 for the names git gives to
 * contents, on which no security rests here. */
#ifndef QUERN_CORE_HASH_H
#define QUERN_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define SHA256_LEN 32
#define SHA256_HEX 65 /* 64 digits and the NUL */

struct sha256; /* heap; one digest at a time */

struct sha256 *sha256_new(void);
void sha256_free(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *p, size_t n);
/* Writes the digest and makes s ready for the next one. */
void sha256_final(struct sha256 *s, uint8_t out[SHA256_LEN]);

/* One call. Not slower than 1 us for 500 bytes: job keys are made a million at a time. */
void sha256_bytes(const void *p, size_t n, uint8_t out[SHA256_LEN]);
/* Hash a regular file by reading it; size_bytes may be NULL. */
int sha256_file(const char *path, uint8_t out[SHA256_LEN], uint64_t *size_bytes, struct err *e);
/* The same from an open file, from where it stands; path is for the sentence. */
int sha256_fd(int fd, const char *path, uint8_t out[SHA256_LEN], uint64_t *size_bytes,
	      struct err *e);

/* The same as long as go_on(ctx), asked behind each MiB that was read, is not 0; then
 * ERR_CANCELLED. */
int sha256_fd_while(int fd, const char *path, int (*go_on)(void *ctx), void *ctx,
		    uint8_t out[SHA256_LEN], uint64_t *size_bytes, struct err *e);

#define SHA1_LEN 20

struct sha1; /* heap; one digest */

struct sha1 *sha1_new(void);
void sha1_free(struct sha1 *s);
void sha1_update(struct sha1 *s, const void *p, size_t n);
void sha1_final(struct sha1 *s, uint8_t out[SHA1_LEN]);

void hex_encode(const uint8_t *p, size_t n, char *out); /* lower case, 2n+1 bytes */
/* Returns 0, or ERR_INVALID if s is not exactly 2n hex digits. */
int hex_decode(const char *s, uint8_t *out, size_t n);

#endif
