#include "workers/gguf/dora.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/threads.h"
#include "workers/common/fileio.h"
#include "workers/gguf/scales.h"

struct shared {
	const struct checkpoint *from;
	struct lora *lora;
	struct origin *origins; /* of each delta: its whole matrix */
	int *fds;
	atomic_size_t next;
	atomic_int failed;
	pthread_mutex_t lock;
	struct err err; /* the first one */
};

static void fail(struct shared *s, const struct err *e)
{
	pthread_mutex_lock(&s->lock);
	if (!atomic_exchange(&s->failed, 1))
		s->err = *e;
	pthread_mutex_unlock(&s->lock);
}

/* The matrix of a delta with all that is done to it but its factors, row by row. */
static int make_origin(struct arena *a, const struct checkpoint *from, const struct lora_delta *d,
		       struct origin *o, unsigned char *used, struct err *e)
{
	const struct st_tensor *source = st_find(from->m, d->target);
	struct slice *s = arena_alloc(a, sizeof(*s));
	struct lora_delta *plain = arena_alloc(a, sizeof(*plain));

	*plain = *d;
	plain->factors = NULL;
	*s = (struct slice){ .source = source, .delta = plain };
	s->rows = s->take = s->stride = source->shape[0];
	s->packed = packed_find(from->packed, source->name);
	*o = (struct origin){ .slices = s, .n_slices = 1, .row = source->shape[1], .worked_on = 1 };
	return scales_find(a, from->m, from->quant, s, used, e);
}

static int read_magnitudes(const struct shared *s, const struct lora_delta *d, float *out,
			   struct err *e)
{
	const struct st_tensor *t = d->magnitude;
	size_t n = (size_t)t->n_elements, width = dtype_bytes(t->dtype);
	void *raw = mem_array(n + 1, width);
	int rc = file_read_at(s->fds[t->file], raw, n * width, t->offset,
			      s->from->m->files[t->file].name, e);

	if (rc == 0)
		load_of(t->dtype)(raw, out, n);
	free(raw);
	return rc;
}

struct rows { /* buffers of one row */
	void *raw;
	float *x;
};

/* Adds the squares of a stored row to the sums of its outputs: it is one of them, or, turned, a
 * part of each. */
static int one_row(struct origin_io *io, const struct origin *o, const struct lora_delta *d,
		   uint64_t row, struct rows *b, double *sums, struct err *e)
{
	const struct st_tensor *source = o->slices->source;
	size_t n = (size_t)o->row;

	if (origin_read(o, io, row * o->row, n, b->raw, e) < 0)
		return e->code;
	load_of(source->dtype)(b->raw, b->x, n);
	if (origin_finish(o, io, row * o->row, b->x, n, e) < 0)
		return e->code;
	for (size_t i = 0; i < n; i++)
		sums[d->turned ? i : row] += (double)b->x[i] * (double)b->x[i];
	return 0;
}

/* From the lengths that are wanted to factors. */
static int divide(const struct lora_delta *d, const double *sums, struct err *e)
{
	for (uint64_t i = 0; i < d->magnitude->n_elements; i++) {
		d->factors[i] = (float)((double)d->factors[i] / sqrt(sums[i]));
		if (!isfinite(d->factors[i]))
			return err_set(e, ERR_INVALID,
				       "adapter: %s %llu of %.200s has no length, or one that is "
				       "not a finite number",
				       d->turned ? "column" : "row", (unsigned long long)i,
				       d->target);
	}
	return 0;
}

static int one_delta(struct shared *s, struct origin_io *io, size_t i, struct err *e)
{
	struct lora_delta *d = &s->lora->v[i];
	const struct origin *o = &s->origins[i];
	struct rows b = { mem_array((size_t)o->row, 4), mem_array((size_t)o->row, 4) };
	double *sums = mem_array((size_t)d->magnitude->n_elements, sizeof(*sums));
	int rc = read_magnitudes(s, d, d->factors, e);

	for (uint64_t row = 0; rc == 0 && row < o->slices->rows; row++)
		rc = one_row(io, o, d, row, &b, sums, e);
	if (rc == 0)
		rc = divide(d, sums, e);
	free(sums);
	free(b.raw);
	free(b.x);
	return rc;
}

static void work(void *ctx, int i)
{
	struct shared *s = ctx;
	struct origin_io io = { .m = s->from->m, .fds = s->fds };
	struct err e = ERR_INIT;

	(void)i;
	while (!atomic_load(&s->failed)) {
		size_t k = atomic_fetch_add(&s->next, 1);

		if (k >= s->lora->n)
			break;
		if (s->lora->v[k].magnitude && one_delta(s, &io, k, &e) < 0)
			fail(s, &e);
	}
	origin_io_release(&io);
}

static int open_files(struct shared *s, struct err *e)
{
	const struct st_model *m = s->from->m;

	for (size_t i = 0; i < m->n_files; i++) {
		s->fds[i] = open(m->files[i].path, O_RDONLY | O_CLOEXEC);
		if (s->fds[i] < 0)
			return err_errno(e, "%s", m->files[i].path);
	}
	return 0;
}

int dora_prepare(struct arena *a, const struct checkpoint *from, struct lora *lora, int threads,
		 struct err *e)
{
	struct shared s = { .from = from, .lora = lora, .lock = PTHREAD_MUTEX_INITIALIZER };
	unsigned char *used = arena_alloc(a, from->m->n_tensors + 1);
	size_t wanted = 0;
	int rc = 0;

	s.origins = arena_array(a, lora->n + 1, sizeof(*s.origins));
	for (size_t i = 0; rc == 0 && i < lora->n; i++) {
		struct lora_delta *d = &lora->v[i];

		if (!d->magnitude)
			continue;
		rc = make_origin(a, from, d, &s.origins[i], used, e);
		d->factors = arena_array(a, d->magnitude->n_elements + 1, sizeof(*d->factors));
		wanted++;
	}
	if (rc < 0 || !wanted)
		return rc;
	s.fds = mem_array(from->m->n_files + 1, sizeof(*s.fds));
	for (size_t i = 0; i < from->m->n_files; i++)
		s.fds[i] = -1;
	rc = open_files(&s, e);
	if (rc == 0) {
		threads_run(threads, work, &s);
		if (atomic_load(&s.failed)) {
			*e = s.err;
			rc = e->code;
		}
	}
	for (size_t i = 0; i < from->m->n_files; i++) {
		if (s.fds[i] >= 0)
			close(s.fds[i]);
	}
	free(s.fds);
	return rc;
}
