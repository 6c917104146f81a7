#include "workers/gguf/pass.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/threads.h"
#include "workers/common/fileio.h"
#include "workers/common/protocol.h"

/* Elements that are read and written together; a multiple of every block. What is read (512 KiB of
 * BF16) and what is written then stay in the second-level cache; four times as much is slower by a
 * fifth. */
#define PIECE (256u * 1024)
/* Elements that are floats at one time: 16 KiB, in the first-level cache with their code. */
#define RUN 4096u

/* Quality is measured on every run of a small tensor, and on every sixteenth of a large one:
 * reading back what was written takes longer than writing it. */
#define SAMPLE_ALL (4u << 20) /* elements */
#define SAMPLE_EVERY 16
#define LOOK_PIECES 4

/* Pieces are numbered through all tensors; first[i] is the first piece of tensor i. */
struct shared {
	struct pass *p;
	int *fds;	 /* of the model's files */
	sem_t slots;	 /* free, of the threads that may compute */
	uint64_t *first; /* per tensor: its first piece */
	atomic_uint_fast64_t next, done_bytes, zeroed;
	uint64_t total_bytes;
	atomic_int failed;
	pthread_mutex_t lock;
	struct err err;		 /* the first one */
	struct quality *quality; /* of each piece */
};

struct worker {
	struct shared *s;
	unsigned char *in, *out;
	size_t cap; /* elements */
	struct origin_io io;
	float x[RUN], back[RUN], weights[RUN];
};

/* One tensor's share of a piece. */
struct share {
	const struct out_tensor *t;
	uint64_t at; /* element of the tensor */
	size_t n;
	decode_fn *load;
	encode_fn *encode;
	size_t width; /* bytes of an element of the source */
	struct quality *quality;
};

static void fail(struct shared *s, const struct err *e)
{
	pthread_mutex_lock(&s->lock);
	if (!atomic_exchange(&s->failed, 1))
		s->err = *e;
	pthread_mutex_unlock(&s->lock);
}

static void reserve(struct worker *w, size_t elements)
{
	if (elements <= w->cap)
		return;
	free(w->in);
	free(w->out);
	w->cap = elements;
	/* No type of ours, read or written, needs more than four bytes an element. */
	w->in = mem_array(elements, 4);
	w->out = mem_array(elements, 4);
}

/* ---- one run: source bytes to floats to blocks */

/* Zeroes what is not finite, or says where it is. at: element of the tensor. */
static int check_values(struct shared *s, const struct out_tensor *t, float *x, uint64_t at,
			size_t n, struct err *e)
{
	int64_t bad = find_nonfinite(x, n);
	uint64_t zeroed = 0;

	if (bad < 0)
		return 0;
	if (!s->p->zero_nonfinite)
		return err_set(
			e, ERR_INVALID,
			"tensor %s: element %llu is not a finite number; repair the checkpoint, or "
			"choose `with: {nonfinite: zero}`",
			t->source->name, (unsigned long long)(at + (uint64_t)bad));
	for (size_t i = (size_t)bad; i < n; i++) {
		if (find_nonfinite(x + i, 1) == 0) {
			x[i] = 0;
			zeroed++;
		}
	}
	atomic_fetch_add(&s->zeroed, zeroed);
	return 0;
}

/* The importances of n elements from element `at` of the tensor, or NULL. */
static const float *weights_at(struct worker *w, const struct out_tensor *t, uint64_t at, size_t n)
{
	uint64_t row = t->ne[0], expert = t->n_dims > 1 ? row * t->ne[1] : row;

	if (!t->importance)
		return NULL;
	for (size_t i = 0; i < n;) {
		uint64_t column = (at + i) % row, part = row - column;
		const float *from = t->importance + (at + i) / expert * row + column;

		part = part < n - i ? part : n - i;
		memcpy(w->weights + i, from, (size_t)part * sizeof(*from));
		i += (size_t)part;
	}
	return w->weights;
}

static void measure(struct worker *w, const struct share *h, const void *out, uint64_t run,
		    size_t n)
{
	if (h->t->n_dims < 2 || (h->t->n > SAMPLE_ALL && run % SAMPLE_EVERY != 0))
		return;
	h->t->type->decode(out, w->back, n);
	quality_add(h->quality, w->x, w->back, n);
}

/* n elements, `from` counted from the beginning of the piece. */
static int convert_run(struct worker *w, const struct share *h, size_t from, size_t n,
		       struct err *e)
{
	const struct type *type = h->t->type;
	unsigned char *out = w->out + type_bytes(type, from);
	int64_t bad;

	h->load(w->in + from * h->width, w->x, n);
	if (origin_finish(&h->t->origin, &w->io, h->at + from, w->x, n, e) < 0 ||
	    check_values(w->s, h->t, w->x, h->at + from, n, e) < 0)
		return e->code;
	h->encode(w->x, weights_at(w, h->t, h->at + from, n), out, n, w->s->p->opt);
	bad = type_check(type, out, n);
	if (bad < 0) {
		measure(w, h, out, (h->at + from) / RUN, n);
		return 0;
	}
	return err_set(e, ERR_INVALID,
		       "tensor %s: weights near element %llu are too large for %s; choose BF16 or "
		       "F32",
		       h->t->source->name,
		       (unsigned long long)(h->at + from + (uint64_t)bad * type->block),
		       type->name);
}

/* In runs: RUN is a multiple of every block. */
static int convert_span(struct worker *w, const struct share *h, struct err *e)
{
	for (size_t i = 0; i < h->n; i += RUN) {
		if (convert_run(w, h, i, h->n - i < RUN ? h->n - i : RUN, e) < 0)
			return e->code;
	}
	return 0;
}

/* at: byte of the tensor. Behind its last one come zeros up to where the next tensor begins. */
static int write_to(const struct pass *p, const struct out_tensor *t, const void *data, size_t n,
		    uint64_t at, struct err *e)
{
	static const char zeros[GGUF_ALIGNMENT];
	const struct pass_file *f = &p->files[t->shard];
	uint64_t where = f->data_at + t->offset + at, whole = type_bytes(t->type, t->n);

	if (out_write(f->out, data, n, where, e) < 0)
		return e->code;
	if (at + n < whole)
		return 0;
	return out_write(f->out, zeros, (size_t)(gguf_padded(whole) - whole), where + n, e);
}

/* Its share of the processor, from the reading of a piece to its writing. */
static void begin_computing(struct shared *s)
{
	while (sem_wait(&s->slots) != 0) /* a signal */
		;
}

static void end_computing(struct shared *s)
{
	(void)sem_post(&s->slots);
}

static int read_and_convert(struct worker *w, const struct share *h, struct err *e)
{
	reserve(w, h->n);
	if (origin_read(&h->t->origin, &w->io, h->at, h->n, w->in, e) < 0)
		return e->code;
	return convert_span(w, h, e);
}

static int convert_piece(struct worker *w, const struct share *h, struct err *e)
{
	const struct pass *p = w->s->p;
	int rc;

	begin_computing(w->s);
	rc = read_and_convert(w, h, e);
	end_computing(w->s);
	if (rc < 0)
		return rc;
	atomic_fetch_add(&w->s->done_bytes, h->n * h->width);
	if (p->mode == PASS_LOOK)
		return 0;
	return write_to(p, h->t, w->out, (size_t)type_bytes(h->t->type, h->n),
			type_bytes(h->t->type, h->at), e);
}

static int read_and_check(struct worker *w, const struct share *h, size_t bytes, struct err *e)
{
	const struct type *type = h->t->type;
	const struct st_tensor *source = h->t->source;
	int64_t bad;

	reserve(w, bytes / 4 + 1);
	if (file_read_at(w->io.fds[source->file], w->out, bytes,
			 source->offset + type_bytes(type, h->at),
			 w->io.m->files[source->file].name, e) < 0)
		return e->code;
	bad = type_check(type, w->out, h->n);
	if (bad < 0)
		return 0;
	return err_set(e, ERR_INVALID,
		       "tensor %s: the block at element %llu has a scale that is not finite",
		       source->name, (unsigned long long)(h->at + (uint64_t)bad * type->block));
}

/* Blocks that need no change; only their scales are looked at. */
static int copy_piece(struct worker *w, const struct share *h, struct err *e)
{
	const struct type *type = h->t->type;
	size_t bytes = (size_t)type_bytes(type, h->n);
	int rc;

	begin_computing(w->s);
	rc = read_and_check(w, h, bytes, e);
	end_computing(w->s);
	if (rc < 0)
		return rc;
	atomic_fetch_add(&w->s->done_bytes, h->n * h->width);
	return write_to(w->s->p, h->t, w->out, bytes, type_bytes(type, h->at), e);
}

/* ---- the queue of pieces */

static int looked_at(const struct shared *s, size_t tensor, uint64_t number)
{
	uint64_t n = s->first[tensor + 1] - s->first[tensor];

	return s->p->layout->v[tensor].type->block > 1 &&
	       !layout_copies(&s->p->layout->v[tensor]) &&
	       number % ((n + LOOK_PIECES - 1) / LOOK_PIECES) == 0;
}

static int one_piece(struct worker *w, size_t tensor, uint64_t number, struct err *e)
{
	const struct out_tensor *t = &w->s->p->layout->v[tensor];
	uint64_t at = number * PIECE;
	struct share h = { .t = t, .at = at };

	if (w->s->p->mode == PASS_LOOK && !looked_at(w->s, tensor, number))
		return 0;
	if (!t->source)
		return write_to(w->s->p, t, t->data, (size_t)t->n * sizeof(float), 0, e);
	h.n = (size_t)(t->n - at < PIECE ? t->n - at : PIECE);
	h.width = dtype_bytes(t->source->dtype);
	if (layout_copies(t))
		return copy_piece(w, &h, e);
	h.load = load_of(t->source->dtype);
	h.encode = type_encoder(t->type);
	h.quality = &w->s->quality[w->s->first[tensor] + number];
	return convert_piece(w, &h, e);
}

static size_t tensor_of(const struct shared *s, uint64_t number)
{
	size_t lo = 0, hi = s->p->layout->n;

	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (s->first[mid] <= number)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void work(void *ctx, int i)
{
	struct shared *s = ctx;
	struct worker *w = mem_zalloc(sizeof(*w));
	struct err e = ERR_INIT;

	(void)i;
	w->s = s;
	w->io.m = s->p->model;
	w->io.fds = s->fds;
	while (!atomic_load(&s->failed)) {
		uint64_t number = atomic_fetch_add(&s->next, 1);
		size_t tensor;

		if (number >= s->first[s->p->layout->n])
			break;
		tensor = tensor_of(s, number);
		if (one_piece(w, tensor, number - s->first[tensor], &e) < 0)
			fail(s, &e);
		worker_progress(s->p->mode == PASS_LOOK ? "measure" : "quantize",
				atomic_load(&s->done_bytes), s->total_bytes, "bytes");
	}
	origin_io_release(&w->io);
	free(w->in);
	free(w->out);
	free(w);
}

static void divide(struct shared *s)
{
	const struct layout *l = s->p->layout;
	uint64_t number = 0;

	s->first = mem_array(l->n + 1, sizeof(*s->first));
	for (size_t i = 0; i < l->n; i++) {
		s->first[i] = number;
		number += l->v[i].source ? (l->v[i].n + PIECE - 1) / PIECE : 1;
		if (l->v[i].source)
			s->total_bytes += l->v[i].n * dtype_bytes(l->v[i].source->dtype);
	}
	s->first[l->n] = number;
	s->quality = mem_zalloc((size_t)(number + 1) * sizeof(*s->quality));
}

/* ---- the pass */

static void join_quality(struct shared *s)
{
	const struct layout *l = s->p->layout;

	for (size_t i = 0; i < l->n; i++) {
		memset(&s->p->quality[i], 0, sizeof(*s->p->quality));
		for (uint64_t k = s->first[i]; k < s->first[i + 1]; k++)
			quality_join(&s->p->quality[i], &s->quality[k]);
	}
}

static int open_files(struct shared *s, struct err *e)
{
	const struct st_model *m = s->p->model;

	s->fds = mem_array(m->n_files + 1, sizeof(*s->fds));
	for (size_t i = 0; i <= m->n_files; i++)
		s->fds[i] = -1;
	for (size_t i = 0; i < m->n_files; i++) {
		s->fds[i] = open(m->files[i].path, O_RDONLY | O_CLOEXEC);
		if (s->fds[i] < 0)
			return err_errno(e, "%s", m->files[i].path);
		(void)posix_fadvise(s->fds[i], 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	return 0;
}

int pass_run(struct pass *p, struct err *e)
{
	struct shared s = { .p = p, .lock = PTHREAD_MUTEX_INITIALIZER };
	int rc;

	divide(&s);
	sem_init(&s.slots, 0, (unsigned)p->threads);
	rc = open_files(&s, e);
	if (rc == 0) {
		/* What only looks does not wait for a disk that it writes to. */
		threads_run(p->mode == PASS_LOOK ? p->threads : 2 * p->threads, work, &s);
		p->n_zeroed = atomic_load(&s.zeroed);
		join_quality(&s);
		if (atomic_load(&s.failed)) {
			*e = s.err;
			rc = e->code;
		}
	}
	for (size_t i = 0; s.fds && i < p->model->n_files; i++) {
		if (s.fds[i] >= 0)
			close(s.fds[i]);
	}
	sem_destroy(&s.slots);
	free(s.fds);
	free(s.first);
	free(s.quality);
	return rc;
}
