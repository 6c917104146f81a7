#include "workers/gguf/check_file.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/threads.h"
#include "workers/common/fileio.h"
#include "workers/common/protocol.h"
#include "workers/gguf/type.h"

#define PIECE (256u * 1024) /* elements looked at together; a multiple of every block */

/* A piece: elements of one tensor. */
struct piece {
	const struct gguf_tensor_info *t;
	uint64_t at;
	size_t n;
	uint64_t number; /* in the order of the file */
};

struct reading {
	int fd;
	const struct gguf_file *f;
	const char *stage;
	uint64_t total_bytes;
	pthread_mutex_t lock;
	size_t tensor; /* these: of the next piece */
	uint64_t at, number, done_bytes;
	uint64_t bad;	/* the first piece that is not good; none: UINT64_MAX */
	struct err err; /* what it has */
};

/* Pieces are handed out in order, and none behind a bad one: all before it are looked at. */
static int next_piece(struct reading *r, struct piece *p)
{
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while (r->tensor < r->f->n_tensors && r->at >= r->f->tensors[r->tensor].n) {
		r->tensor++;
		r->at = 0;
	}
	if (r->tensor < r->f->n_tensors && r->bad == UINT64_MAX) {
		p->t = &r->f->tensors[r->tensor];
		p->at = r->at;
		p->n = p->t->n - p->at < PIECE ? (size_t)(p->t->n - p->at) : PIECE;
		p->number = r->number++;
		r->at += p->n;
		r->done_bytes += gguf_type_bytes(p->t->type, p->n);
		if (r->stage)
			worker_progress(r->stage, r->done_bytes, r->total_bytes, "bytes");
		rc = 1;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

static void note_bad(struct reading *r, uint64_t number, const struct err *e)
{
	pthread_mutex_lock(&r->lock);
	if (number < r->bad) {
		r->bad = number;
		r->err = *e;
	}
	pthread_mutex_unlock(&r->lock);
}

static int check_piece(const struct reading *r, const struct piece *p, void *data, struct err *e)
{
	const struct gguf_block_type *type = p->t->type;
	int64_t bad;

	if (file_read_at(r->fd, data, (size_t)gguf_type_bytes(type, p->n),
			 p->t->offset + gguf_type_bytes(type, p->at), p->t->name, e) < 0)
		return e->code;
	bad = type_check(type_by_id(type->id), data, p->n);
	if (bad < 0)
		return 0;
	return err_set(e, ERR_INVALID,
		       "tensor %s: the block at element %llu has a scale that is not finite",
		       p->t->name,
		       (unsigned long long)p->at + (unsigned long long)bad * type->block);
}

static size_t largest_piece(const struct gguf_file *f)
{
	uint64_t most = 1;

	for (size_t i = 0; i < f->n_tensors; i++) {
		uint64_t bytes = gguf_type_bytes(f->tensors[i].type, PIECE);

		most = bytes > most ? bytes : most;
	}
	return (size_t)most;
}

static void work(void *ctx, int i)
{
	struct reading *r = ctx;
	void *data = mem_alloc(largest_piece(r->f));
	struct err e = ERR_INIT;
	struct piece p;

	(void)i;
	while (next_piece(r, &p)) {
		if (check_piece(r, &p, data, &e) < 0)
			note_bad(r, p.number, &e);
	}
	free(data);
}

int check_file(int fd, const struct gguf_file *f, int threads, const char *stage, struct err *e)
{
	struct reading r = { .fd = fd,
			     .f = f,
			     .stage = stage,
			     .lock = PTHREAD_MUTEX_INITIALIZER,
			     .bad = UINT64_MAX };

	for (size_t i = 0; i < f->n_tensors; i++)
		r.total_bytes += gguf_type_bytes(f->tensors[i].type, f->tensors[i].n);
	threads_run(threads, work, &r);
	if (r.bad == UINT64_MAX)
		return 0;
	*e = r.err;
	return e->code;
}
