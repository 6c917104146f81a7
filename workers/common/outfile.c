#include "workers/common/outfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"

#define CHUNK (1u << 20)
#define CHUNK_OF_MANY (128u << 10)
#define ALIGNMENT 4096 /* of memory and of places, for O_DIRECT; no disk has larger blocks */

struct chunk {
	struct chunk *next;
	uint64_t number;     /* which one of the file */
	size_t filled;	     /* bytes that are in data */
	unsigned char *data; /* aligned, in raw */
	void *raw;
};

struct out_file {
	int fd;
	char *path;
	uint64_t size;
	size_t chunk;
	pthread_mutex_t lock;
	struct chunk *open, *spare; /* both under lock */
};

/* ---- chunks */

static void chunks_free(struct chunk *c)
{
	while (c) {
		struct chunk *next = c->next;

		free(c->raw);
		free(c);
		c = next;
	}
}

static struct chunk *chunk_new(size_t bytes)
{
	struct chunk *c = mem_zalloc(sizeof(*c));
	size_t over;

	c->raw = mem_alloc(bytes + ALIGNMENT);
	over = (uintptr_t)c->raw % ALIGNMENT;
	c->data = (unsigned char *)c->raw + (ALIGNMENT - over);
	return c;
}

/* The open chunk of this number, a spare one, or a new one; the lock is held. */
static struct chunk *chunk_get(struct out_file *f, uint64_t number)
{
	struct chunk *c;

	for (c = f->open; c; c = c->next) {
		if (c->number == number)
			return c;
	}
	c = f->spare;
	if (c)
		f->spare = c->next;
	else
		c = chunk_new(f->chunk);
	c->number = number;
	c->filled = 0;
	c->next = f->open;
	f->open = c;
	return c;
}

static void chunk_drop(struct out_file *f, struct chunk *c)
{
	struct chunk **at = &f->open;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

/* ---- to the disk */

static uint64_t rounded(uint64_t n)
{
	return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int put(struct out_file *f, const unsigned char *p, size_t n, uint64_t at, struct err *e)
{
	while (n) {
		ssize_t done = pwrite(f->fd, p, n, (off_t)at);
		int flags;

		if (done < 0 && errno == EINTR)
			continue;
		/* The file system took the flag, but not the write. */
		if (done < 0 && errno == EINVAL && (flags = fcntl(f->fd, F_GETFL)) >= 0 &&
		    (flags & O_DIRECT) && fcntl(f->fd, F_SETFL, flags & ~O_DIRECT) == 0)
			continue;
		if (done <= 0)
			return err_errno(e, "the output");
		p += done;
		n -= (size_t)done;
		at += (uint64_t)done;
	}
	return 0;
}

/* Whole blocks: what the last one has too much is cut off at the end. */
static int chunk_write(struct out_file *f, struct chunk *c, struct err *e)
{
	size_t n = (size_t)rounded(c->filled);
	uint64_t at = c->number * f->chunk;
	int rc;

	memset(c->data + c->filled, 0, n - c->filled);
	rc = put(f, c->data, n, at, e);
	/* Where it went to the cache after all: the disk may begin. */
	if (rc == 0)
		(void)sync_file_range(f->fd, (off_t)at, (off_t)n, SYNC_FILE_RANGE_WRITE);
	return rc;
}

static size_t chunk_size(const struct out_file *f, uint64_t number)
{
	uint64_t left = f->size - number * f->chunk;

	return left < f->chunk ? (size_t)left : f->chunk;
}

/* n bytes within one chunk. */
static int add(struct out_file *f, uint64_t number, size_t from, const void *data, size_t n,
	       struct err *e)
{
	struct chunk *c;
	int full, rc;

	pthread_mutex_lock(&f->lock);
	c = chunk_get(f, number);
	pthread_mutex_unlock(&f->lock);
	memcpy(c->data + from, data, n); /* it stays open until all of it is counted */
	pthread_mutex_lock(&f->lock);
	c->filled += n;
	assert(c->filled <= chunk_size(f, number));
	full = c->filled == chunk_size(f, number);
	if (full)
		chunk_drop(f, c);
	pthread_mutex_unlock(&f->lock);
	if (!full)
		return 0;
	rc = chunk_write(f, c, e);
	pthread_mutex_lock(&f->lock);
	c->next = f->spare;
	f->spare = c;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

/* ---- the file */

static int open_any(const char *path)
{
	int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(path, flags | O_DIRECT, 0644);

	return fd < 0 && errno == EINVAL ? open(path, flags, 0644) : fd;
}

int out_open(const char *path, uint64_t size_bytes, int many, struct out_file **out, struct err *e)
{
	int fd = open_any(path), rc;
	struct out_file *f;

	if (fd < 0)
		return err_errno(e, "%s", path);
	rc = posix_fallocate(fd, 0, (off_t)rounded(size_bytes));
	if (rc != 0) {
		errno = rc;
		rc = err_errno(e, "the output of %llu bytes", (unsigned long long)size_bytes);
		close(fd);
		(void)unlink(path);
		return rc;
	}
	f = mem_zalloc(sizeof(*f));
	f->fd = fd;
	f->path = mem_strdup(path);
	f->size = size_bytes;
	f->chunk = many ? CHUNK_OF_MANY : CHUNK;
	pthread_mutex_init(&f->lock, NULL);
	*out = f;
	return 0;
}

int out_write(struct out_file *f, const void *data, size_t n, uint64_t at, struct err *e)
{
	const unsigned char *p = data;

	assert(at <= f->size && n <= f->size - at);
	while (n) {
		size_t from = (size_t)(at % f->chunk), k = f->chunk - from;

		k = k < n ? k : n;
		if (add(f, at / f->chunk, from, p, k, e) < 0)
			return e->code;
		p += k;
		at += k;
		n -= k;
	}
	return 0;
}

int out_close(struct out_file *f, int rc, struct err *e)
{
	if (!f)
		return rc;
	assert(rc < 0 || !f->open);
	if (rc == 0 && (ftruncate(f->fd, (off_t)f->size) != 0 || fsync(f->fd) != 0))
		rc = err_errno(e, "%s", f->path);
	if (close(f->fd) != 0 && rc == 0)
		rc = err_errno(e, "%s", f->path);
	if (rc < 0)
		(void)unlink(f->path);
	chunks_free(f->open);
	chunks_free(f->spare);
	pthread_mutex_destroy(&f->lock);
	free(f->path);
	free(f);
	return rc;
}
