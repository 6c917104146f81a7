#include "core/hash.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

/* Large enough that the calls do not show beside 1 GB/s of hashing. */
#define FILE_CHUNK ((size_t)1 << 20)

struct sha256 {
	EVP_MD_CTX *ctx;
};

/* EVP_sha256() would look the algorithm up again at each init, which costs more than hashing a
 * job key; so it is fetched once, and each thread keeps one context for sha256_bytes(). */
static EVP_MD *algorithm;
static pthread_key_t thread_ctx;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Nothing here fails but for want of memory, or in a libcrypto that has no SHA-256. */
static void must(int ok)
{
	if (ok)
		return;
	(void)fputs("quern: libcrypto cannot compute SHA-256 or SHA-1\n", stderr);
	_exit(4);
}

static void ctx_free(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void setup(void)
{
	algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(algorithm != NULL);
	must(pthread_key_create(&thread_ctx, ctx_free) == 0);
}

static EVP_MD_CTX *ctx_new(void)
{
	EVP_MD_CTX *ctx;

	must(pthread_once(&once, setup) == 0);
	ctx = EVP_MD_CTX_new();
	must(ctx != NULL);
	must(EVP_DigestInit_ex2(ctx, algorithm, NULL));
	return ctx;
}

struct sha256 *sha256_new(void)
{
	struct sha256 *s = mem_alloc(sizeof(*s));

	s->ctx = ctx_new();
	return s;
}

void sha256_free(struct sha256 *s)
{
	if (!s)
		return;
	EVP_MD_CTX_free(s->ctx);
	free(s);
}

void sha256_update(struct sha256 *s, const void *p, size_t n)
{
	must(EVP_DigestUpdate(s->ctx, p, n));
}

void sha256_final(struct sha256 *s, uint8_t out[SHA256_LEN])
{
	must(EVP_DigestFinal_ex(s->ctx, out, NULL));
	must(EVP_DigestInit_ex2(s->ctx, NULL, NULL));
}

struct sha1 {
	EVP_MD_CTX *ctx;
};

struct sha1 *sha1_new(void)
{
	struct sha1 *s = mem_alloc(sizeof(*s));

	s->ctx = EVP_MD_CTX_new();
	must(s->ctx != NULL);
	must(EVP_DigestInit_ex2(s->ctx, EVP_sha1(), NULL));
	return s;
}

void sha1_free(struct sha1 *s)
{
	if (!s)
		return;
	EVP_MD_CTX_free(s->ctx);
	free(s);
}

void sha1_update(struct sha1 *s, const void *p, size_t n)
{
	must(EVP_DigestUpdate(s->ctx, p, n));
}

void sha1_final(struct sha1 *s, uint8_t out[SHA1_LEN])
{
	must(EVP_DigestFinal_ex(s->ctx, out, NULL));
}

void sha256_bytes(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	EVP_MD_CTX *ctx;

	must(pthread_once(&once, setup) == 0);
	ctx = pthread_getspecific(thread_ctx);
	if (!ctx) {
		ctx = ctx_new();
		must(pthread_setspecific(thread_ctx, ctx) == 0);
	}
	must(EVP_DigestInit_ex2(ctx, NULL, NULL));
	must(EVP_DigestUpdate(ctx, p, n));
	must(EVP_DigestFinal_ex(ctx, out, NULL));
}

static int hash_fd(int fd, const char *path, int (*go_on)(void *ctx), void *ctx, struct sha256 *s,
		   uint64_t *size, struct err *e)
{
	unsigned char *chunk = mem_alloc(FILE_CHUNK);
	uint64_t total = 0;
	ssize_t n;
	int rc = 0;

	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	do {
		n = read(fd, chunk, FILE_CHUNK);
		if (n < 0)
			rc = err_errno(e, "%s", path);
		else if (go_on && !go_on(ctx))
			rc = err_set(e, ERR_CANCELLED, "%s: hashing was given up", path);
		if (rc == 0) {
			sha256_update(s, chunk, (size_t)n);
			total += (uint64_t)n;
		}
	} while (rc == 0 && n > 0);
	*size = total;
	free(chunk);
	return rc;
}

int sha256_fd_while(int fd, const char *path, int (*go_on)(void *ctx), void *ctx,
		    uint8_t out[SHA256_LEN], uint64_t *size_bytes, struct err *e)
{
	struct sha256 *s;
	struct stat st;
	uint64_t size = 0;
	int rc;

	if (fstat(fd, &st) != 0)
		return err_errno(e, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "%s: not a regular file", path);
	s = sha256_new();
	rc = hash_fd(fd, path, go_on, ctx, s, &size, e);
	if (rc == 0) {
		sha256_final(s, out);
		if (size_bytes)
			*size_bytes = size;
	}
	sha256_free(s);
	return rc;
}

int sha256_fd(int fd, const char *path, uint8_t out[SHA256_LEN], uint64_t *size_bytes,
	      struct err *e)
{
	return sha256_fd_while(fd, path, NULL, NULL, out, size_bytes, e);
}

int sha256_file(const char *path, uint8_t out[SHA256_LEN], uint64_t *size_bytes, struct err *e)
{
	/* O_NONBLOCK: a named pipe must be refused, not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int rc;

	if (fd < 0)
		return err_errno(e, "%s", path);
	rc = sha256_fd(fd, path, out, size_bytes, e);
	close(fd);
	return rc;
}

void hex_encode(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *s, uint8_t *out, size_t n)
{
	size_t digits = 0;

	/* Look before writing: out stays untouched on failure. */
	while (digits < 2 * n && hex_digit(s[digits]) >= 0)
		digits++;
	if (digits != 2 * n || s[digits] != '\0')
		return ERR_INVALID;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(hex_digit(s[2 * i]) * 16 + hex_digit(s[2 * i + 1]));
	return 0;
}
