#include "upload/fetch_settle.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/mem.h"

/* Small files wait for the disk, and it takes as many syncs as it gets: 3.5 ms for one after the
 * other, 0.5 ms for each of eight at once (ext4). */
#define THREADS 8

struct fetch_settler {
	void (*on_end)(void *ctx);
	void *ctx;
	pthread_t threads[THREADS];
	size_t n_threads;
	/* guarded: */
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool stop;
	struct fetch_settling *queue, **tail, *ended;
};

static void put_in(struct fetch_settler *s, struct fetch_settling *t)
{
	t->queued = true;
	t->next = NULL;
	*s->tail = t;
	s->tail = &t->next;
	pthread_cond_signal(&s->more);
}

/* NULL: told to stop. */
static struct fetch_settling *take_out(struct fetch_settler *s)
{
	struct fetch_settling *t;

	while (!s->queue && !s->stop)
		pthread_cond_wait(&s->more, &s->lock);
	if (s->stop)
		return NULL;
	t = s->queue;
	s->queue = t->next;
	if (!s->queue)
		s->tail = &s->queue;
	t->queued = false;
	t->at_work = true;
	return t;
}

/* One chunk, or the ending: 1 when there may be more to do. */
static int step(struct fetch_settling *t, uint64_t ready, bool all)
{
	struct fetch_part *p = t->part;

	if (p->hashed_chunks < ready)
		return fetch_part_hash(p, &t->err) < 0 ? t->err.code : 1;
	return all ? fetch_part_finish(p, &t->err) : 0;
}

/* With the lock held, which is not while it works. */
static void work_on(struct fetch_settler *s, struct fetch_settling *t)
{
	bool all = false, over = false;

	while (!over && !s->stop) {
		uint64_t ready = t->ready;
		int rc;

		all = t->all;
		pthread_mutex_unlock(&s->lock);
		over = all && t->part->hashed_chunks == ready;
		rc = step(t, ready, all);
		pthread_mutex_lock(&s->lock);
		t->rc = rc;
		if (rc < 0)
			over = true;
		else if (rc == 0 && t->ready == ready && t->all == all)
			break;
	}
	t->at_work = false;
	if (!over)
		return;
	t->next = s->ended;
	s->ended = t;
	s->on_end(s->ctx);
}

static void *work(void *arg)
{
	struct fetch_settler *s = arg;
	struct fetch_settling *t;

	pthread_mutex_lock(&s->lock);
	while ((t = take_out(s)))
		work_on(s, t);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int fetch_settler_new(void (*on_end)(void *ctx), void *ctx, struct fetch_settler **out,
		      struct err *e)
{
	struct fetch_settler *s = mem_zalloc(sizeof(*s));

	s->on_end = on_end;
	s->ctx = ctx;
	s->tail = &s->queue;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	while (s->n_threads < THREADS &&
	       pthread_create(&s->threads[s->n_threads], NULL, work, s) == 0)
		s->n_threads++;
	if (s->n_threads == 0) {
		fetch_settler_free(s);
		return err_set(e, ERR_ENV, "no thread to hash files with; is a limit reached?");
	}
	*out = s;
	return 0;
}

void fetch_settler_free(struct fetch_settler *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->more);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < s->n_threads; i++)
		(void)pthread_join(s->threads[i], NULL);
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void fetch_settle(struct fetch_settler *s, struct fetch_settling *t, uint64_t ready, bool all)
{
	pthread_mutex_lock(&s->lock);
	t->ready = ready;
	t->all = all;
	if (!t->queued && !t->at_work && t->rc >= 0)
		put_in(s, t);
	pthread_mutex_unlock(&s->lock);
}

struct fetch_settling *fetch_settled(struct fetch_settler *s)
{
	struct fetch_settling *t;

	pthread_mutex_lock(&s->lock);
	t = s->ended;
	if (t)
		s->ended = t->next;
	pthread_mutex_unlock(&s->lock);
	return t;
}
