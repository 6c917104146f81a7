#include "upload/lfs_hasher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"

#define PIECE ((size_t)1 << 20)
#define AHEAD_MAX ((uint64_t)1 << 30) /* bytes hashed and not yet sent */

struct lfs_hasher {
	const struct hub_file *const *files;
	size_t n;
	void (*on_hash)(void *ctx);
	void *ctx;
	struct lfs_hash *results;
	pthread_t thread;
	atomic_bool stop;
	/* guarded: */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t done;
	uint64_t ahead_bytes;
	bool *released;
};

/* 1 when all was read, 0 when told to stop. */
static int hash_fd(struct lfs_hasher *h, int fd, struct sha256 *sha, char *piece, const char *name,
		   struct err *e)
{
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(fd, piece, PIECE, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "%s", name);
		if (n == 0)
			return 1;
		if (atomic_load(&h->stop))
			return 0;
		sha256_update(sha, piece, (size_t)n);
		at += n;
	}
}

static int hash_file(struct lfs_hasher *h, const struct hub_file *f, struct sha256 *sha,
		     char *piece, struct lfs_hash *out)
{
	int fd, rc;

	if (!f->local) {
		sha256_update(sha, f->data, (size_t)f->size_bytes);
		return 1;
	}
	fd = open(f->local, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_errno(&out->err, "%s", f->local);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	rc = fstat(fd, &out->st) < 0 ? err_errno(&out->err, "%s", f->local)
				     : hash_fd(h, fd, sha, piece, f->local, &out->err);
	(void)close(fd);
	return rc;
}

/* Waits until what is ahead leaves room. */
static void wait_for_room(struct lfs_hasher *h)
{
	pthread_mutex_lock(&h->lock);
	while (h->ahead_bytes > AHEAD_MAX && !atomic_load(&h->stop))
		pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

static void publish(struct lfs_hasher *h, size_t i)
{
	pthread_mutex_lock(&h->lock);
	h->done = i + 1;
	if (!h->released[i])
		h->ahead_bytes += h->files[i]->size_bytes;
	pthread_mutex_unlock(&h->lock);
	h->on_hash(h->ctx);
}

static void *work(void *arg)
{
	struct lfs_hasher *h = arg;
	struct sha256 *sha = sha256_new();
	char *piece = mem_alloc(PIECE);

	for (size_t i = 0; i < h->n; i++) {
		struct lfs_hash *out = &h->results[i];
		int rc;

		wait_for_room(h);
		rc = atomic_load(&h->stop) ? 0 : hash_file(h, h->files[i], sha, piece, out);
		if (rc == 0)
			break;
		out->code = rc < 0 ? rc : 0;
		sha256_final(sha, out->sha256);
		publish(h, i);
	}
	free(piece);
	sha256_free(sha);
	return NULL;
}

static void free_all(struct lfs_hasher *h)
{
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h->released);
	free(h->results);
	free(h);
}

int lfs_hasher_new(const struct hub_file *const *files, size_t n, void (*on_hash)(void *ctx),
		   void *ctx, struct lfs_hasher **out, struct err *e)
{
	struct lfs_hasher *h = mem_zalloc(sizeof(*h));

	h->files = files;
	h->n = n;
	h->on_hash = on_hash;
	h->ctx = ctx;
	h->results = mem_array(n, sizeof(*h->results));
	h->released = mem_array(n, sizeof(*h->released));
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	if (pthread_create(&h->thread, NULL, work, h) != 0) {
		free_all(h);
		return err_set(e, ERR_ENV, "no thread to hash files with; is a limit reached?");
	}
	*out = h;
	return 0;
}

void lfs_hasher_free(struct lfs_hasher *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	atomic_store(&h->stop, true);
	pthread_cond_signal(&h->changed);
	pthread_mutex_unlock(&h->lock);
	(void)pthread_join(h->thread, NULL);
	free_all(h);
}

size_t lfs_hasher_done(struct lfs_hasher *h)
{
	size_t done;

	pthread_mutex_lock(&h->lock);
	done = h->done;
	pthread_mutex_unlock(&h->lock);
	return done;
}

const struct lfs_hash *lfs_hasher_result(const struct lfs_hasher *h, size_t i)
{
	return &h->results[i];
}

void lfs_hasher_release(struct lfs_hasher *h, size_t i)
{
	pthread_mutex_lock(&h->lock);
	if (!h->released[i]) {
		h->released[i] = true;
		if (i < h->done)
			h->ahead_bytes -= h->files[i]->size_bytes;
	}
	pthread_cond_signal(&h->changed);
	pthread_mutex_unlock(&h->lock);
}
