/* upload/fetch_part.c -- one blob on its way: a file of its final size under a
 * name of our own in blobs/, and beside it a journal with one letter for each
 * range that has arrived. It is hashed in order while the rest is on its way,
 * by another thread: fetch_settle.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crash.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "upload/fetch_private.h"

#define HASH_BUFFER ((size_t)256 << 10) /* a part of the cache of a core */

/* ---- hashing */

static void hash_begin(struct fetch_part *p)
{
	char head[40];
	int n;

	sha256_free(p->sha256);
	sha1_free(p->sha1);
	p->sha256 = NULL;
	p->sha1 = NULL;
	p->hashed_chunks = 0;
	if (strlen(p->file->etag) == 64) {
		p->sha256 = sha256_new();
		return;
	}
	p->sha1 = sha1_new();
	n = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)p->file->size_bytes);
	sha1_update(p->sha1, head, (size_t)n + 1); /* with the NUL, as git has it */
}

static uint64_t chunk_bytes(const struct fetch_part *p, uint64_t chunk)
{
	uint64_t left = p->file->size_bytes - chunk * FETCH_CHUNK;

	return left < FETCH_CHUNK ? left : FETCH_CHUNK;
}

static int hash_chunk(struct fetch_part *p, uint64_t chunk, struct err *e)
{
	uint64_t at = chunk * FETCH_CHUNK, end = at + chunk_bytes(p, chunk);
	char *block = mem_alloc(HASH_BUFFER);
	int rc = 0;

	while (at < end) {
		size_t want = end - at < HASH_BUFFER ? (size_t)(end - at) : HASH_BUFFER;
		ssize_t n = pread(p->fd, block, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n < 0 ? err_errno(e, "%s", p->path)
				   : err_set(e, ERR_IO, "%s became shorter", p->path);
			break;
		}
		if (p->sha256)
			sha256_update(p->sha256, block, (size_t)n);
		else
			sha1_update(p->sha1, block, (size_t)n);
		at += (uint64_t)n;
	}
	free(block);
	return rc;
}

int fetch_part_hash(struct fetch_part *p, struct err *e)
{
	uint64_t chunk = p->hashed_chunks++;

	/* On its way to the disk while the rest comes, so that the sync of the whole has little
	 * left to wait for. A hint: file systems that cannot say so, and the sync tells. */
	(void)sync_file_range(p->fd, (off_t)(chunk * FETCH_CHUNK), (off_t)chunk_bytes(p, chunk),
			      SYNC_FILE_RANGE_WRITE);
	return hash_chunk(p, chunk, e);
}

static bool hash_is_right(struct fetch_part *p)
{
	uint8_t sum[SHA256_LEN];
	char hex[SHA256_HEX];

	if (p->sha256)
		sha256_final(p->sha256, sum);
	else
		sha1_final(p->sha1, sum);
	hex_encode(sum, p->sha256 ? SHA256_LEN : SHA1_LEN, hex);
	return strcmp(hex, p->file->etag) == 0;
}

/* ---- the journal: "quern-part SIZE CHUNK\n", then '.' or '#' for each chunk */

static size_t journal_head(const struct fetch_part *p, char head[80])
{
	return (size_t)snprintf(head, 80, "quern-part %llu %llu\n",
				(unsigned long long)p->file->size_bytes,
				(unsigned long long)FETCH_CHUNK);
}

/* Take over what it says, when it speaks of this file of this size. */
static bool journal_read(struct fetch_part *p)
{
	struct err ignored = ERR_INIT;
	char head[80];
	size_t n = journal_head(p, head);
	struct stat st;
	struct buf b;
	bool good;

	buf_init(&b, n + p->n_chunks);
	good = path_read(p->journal, n + p->n_chunks, &b, &ignored) >= 0 &&
	       b.len == n + p->n_chunks && memcmp(b.data, head, n) == 0 && fstat(p->fd, &st) == 0 &&
	       (uint64_t)st.st_size == p->file->size_bytes;
	for (uint64_t i = 0; good && i < p->n_chunks; i++) {
		p->chunks[i] = b.data[n + i] == '#' ? CHUNK_DONE : CHUNK_TODO;
		p->n_done += p->chunks[i] == CHUNK_DONE;
	}
	buf_release(&b);
	return good;
}

/* Written in place: half a journal is none, and nothing else stays behind. */
static int journal_begin(struct fetch_part *p, struct err *e)
{
	int fd = open(p->journal, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), rc = 0;
	char head[80];
	struct buf b;

	if (fd < 0)
		return err_errno(e, "%s", p->journal);

	buf_init(&b, sizeof(head) + p->n_chunks);
	buf_add(&b, head, journal_head(p, head));
	for (uint64_t i = 0; i < p->n_chunks; i++)
		buf_addc(&b, '.');
	errno = ENOSPC; /* what a short write means */
	if (write(fd, b.data, b.len) != (ssize_t)b.len)
		rc = err_errno(e, "%s", p->journal);
	CRASH_POINT("fetch:journal");
	close(fd);
	buf_release(&b);
	return rc;
}

static int journal_open(struct fetch_part *p, struct err *e)
{
	if (p->n_chunks <= 1)
		return 0; /* a single range: nothing to go on with in the middle */
	p->journal_fd = open(p->journal, O_WRONLY | O_CLOEXEC);
	return p->journal_fd < 0 ? err_errno(e, "%s", p->journal) : 0;
}

static int journal_mark(struct fetch_part *p, uint64_t chunk, struct err *e)
{
	char head[80];
	size_t n = journal_head(p, head);

	if (p->journal_fd < 0)
		return 0;
	if (pwrite(p->journal_fd, "#", 1, (off_t)(n + chunk)) != 1)
		return err_errno(e, "%s", p->journal);
	return 0;
}

/* ---- room */

static int no_room(const struct fetch_part *p, struct err *e)
{
	char need[24], have[24] = "nothing";
	struct err ignored = ERR_INIT;
	uint64_t free_bytes;

	units_format_size(p->file->size_bytes, need, sizeof(need));
	if (path_free_space(p->cache->blobs, &free_bytes, &ignored) >= 0)
		units_format_size(free_bytes, have, sizeof(have));
	return err_set(
		e, ERR_NOSPACE,
		"%s needs %s in %s, where %s is free; make room or set HF_HUB_CACHE, and run "
		"again: what came stays",
		p->file->name, need, p->cache->root, have);
}

/* The final size now: a full disk is said before anything is sent, and writes in any order do not
 * scatter the file. */
static int take_room(struct fetch_part *p, struct err *e)
{
	off_t size = (off_t)p->file->size_bytes;
	struct err ignored = ERR_INIT;
	uint64_t free_bytes;

	/* Asked first: a file system may hand out all it has before it says that it is not enough.
	 */
	if (path_free_space(p->cache->blobs, &free_bytes, &ignored) >= 0 &&
	    free_bytes < p->file->size_bytes)
		return no_room(p, e);
	if (size == 0 || fallocate(p->fd, 0, 0, size) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT)
		return no_room(p, e);
	if (ftruncate(p->fd, size) != 0)
		return err_errno(e, "%s", p->path);
	return 0;
}

/* ---- life */

static int begin_anew(struct fetch_part *p, struct err *e)
{
	int rc = 0;

	if (p->journal_fd >= 0)
		close(p->journal_fd);
	p->journal_fd = -1;
	p->n_done = p->n_ready = 0;
	memset(p->chunks, CHUNK_TODO, p->n_chunks + 1);
	hash_begin(p);
	(void)unlink(p->journal); /* before what it speaks of */
	if (ftruncate(p->fd, 0) != 0)
		return err_errno(e, "%s", p->path);
	rc = take_room(p, e);
	if (rc >= 0 && p->n_chunks > 1)
		rc = journal_begin(p, e);
	return rc;
}

int fetch_part_open(struct fetch_part *p, const struct fetch_cache *c, const struct fetch_file *f,
		    int lock_fd, struct err *e)
{
	int rc = 0;

	memset(p, 0, sizeof(*p));
	p->cache = c;
	p->file = f;
	p->journal_fd = -1;
	p->lock_fd = lock_fd;
	p->path = mem_printf("%s/%s.quern-part", c->blobs, f->etag);
	p->journal = mem_printf("%s.done", p->path);
	p->n_chunks = f->size_bytes / FETCH_CHUNK + (f->size_bytes % FETCH_CHUNK != 0);
	p->chunks = mem_zalloc(p->n_chunks + 1);
	p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (p->fd < 0)
		rc = err_errno(e, "%s", p->path);
	else if (p->n_chunks > 1 && journal_read(p))
		hash_begin(p);
	else
		rc = begin_anew(p, e);
	if (rc >= 0)
		rc = journal_open(p, e);
	if (rc == ERR_NOSPACE && p->n_done == 0)
		fetch_part_forget(c, f->etag);
	if (rc < 0)
		fetch_part_close(p);
	return rc;
}

void fetch_part_close(struct fetch_part *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->journal_fd >= 0)
		close(p->journal_fd);
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	sha256_free(p->sha256);
	sha1_free(p->sha1);
	free(p->chunks);
	free(p->path);
	free(p->journal);
	memset(p, 0, sizeof(*p));
	p->fd = p->journal_fd = p->lock_fd = -1;
}

void fetch_part_forget(const struct fetch_cache *c, const char *etag)
{
	char *path = mem_printf("%s/%s.quern-part", c->blobs, etag);
	char *journal = mem_printf("%s.done", path);

	(void)unlink(journal);
	(void)unlink(path);
	free(journal);
	free(path);
}

uint64_t fetch_part_done_bytes(const struct fetch_part *p)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < p->n_chunks; i++)
		sum += p->chunks[i] == CHUNK_DONE ? chunk_bytes(p, i) : 0;
	return sum;
}

int fetch_part_next(struct fetch_part *p, uint64_t *chunk, uint64_t *first, uint64_t *bytes)
{
	for (uint64_t i = 0; i < p->n_chunks; i++) {
		if (p->chunks[i] != CHUNK_TODO)
			continue;
		p->chunks[i] = CHUNK_ASKED;
		*chunk = i;
		*first = i * FETCH_CHUNK;
		*bytes = chunk_bytes(p, i);
		return 1;
	}
	return 0;
}

int fetch_part_write(struct fetch_part *p, uint64_t offset, const void *data, size_t n,
		     struct err *e)
{
	const char *from = data;

	if (offset > p->file->size_bytes || n > p->file->size_bytes - offset)
		return err_set(e, ERR_IO, "%s: the server sends more than the %llu bytes it told",
			       p->file->name, (unsigned long long)p->file->size_bytes);
	while (n) {
		ssize_t written = pwrite(p->fd, from, n, (off_t)offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && (errno == ENOSPC || errno == EDQUOT))
			return no_room(p, e);
		if (written < 0)
			return err_errno(e, "%s", p->path);
		from += written;
		offset += (uint64_t)written;
		n -= (size_t)written;
	}
	return 0;
}

int fetch_part_chunk_done(struct fetch_part *p, uint64_t chunk, struct err *e)
{
	int rc = journal_mark(p, chunk, e);

	CRASH_POINT("fetch:chunk");
	if (rc < 0)
		return rc;
	p->chunks[chunk] = CHUNK_DONE;
	p->n_done++;
	return 0;
}

uint64_t fetch_part_ready(struct fetch_part *p)
{
	while (p->n_ready < p->n_chunks && p->chunks[p->n_ready] == CHUNK_DONE)
		p->n_ready++;
	return p->n_ready;
}

int fetch_part_finish(struct fetch_part *p, struct err *e)
{
	struct stat st;
	char *blob;
	int rc = 0;

	while (rc >= 0 && p->hashed_chunks < p->n_chunks)
		rc = fetch_part_hash(p, e);
	if (rc < 0)
		return rc;
	if (!hash_is_right(p)) {
		rc = begin_anew(p, e);
		if (rc >= 0)
			rc = journal_open(p, e);
		return rc < 0 ? rc : 0;
	}
	CRASH_POINT("fetch:hashed");
	if (fsync(p->fd) != 0 || fstat(p->fd, &st) != 0)
		return err_errno(e, "%s", p->path);
	fetch_owned_add_blob(p->cache, p->file->etag, &st);
	CRASH_POINT("fetch:owned");
	blob = path_join(p->cache->blobs, p->file->etag);
	if (rename(p->path, blob) != 0)
		rc = err_errno(e, "%s", blob);
	free(blob);
	CRASH_POINT("fetch:renamed");
	if (rc == 0) {
		(void)unlink(p->journal);
		rc = fetch_cache_link(p->cache, p->file, e);
	}
	CRASH_POINT("fetch:linked");
	return rc < 0 ? rc : 1;
}
