#include "workers/gguf/origin.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "workers/common/fileio.h"

#define STRIP 4096 /* elements of a column that are read at once */

/* ---- from a rule to slices */

/* One slice: groups of take rows. */
static struct slice groups(const struct st_tensor *source, uint64_t rows, uint64_t first,
			   uint64_t take, uint64_t stride)
{
	return (struct slice){
		.source = source, .rows = rows, .first = first, .take = take, .stride = stride
	};
}

static struct slice turned(struct slice s)
{
	s.halves = 1;
	return s;
}

static struct slice *one(struct arena *a, struct origin *o, struct slice s)
{
	struct slice *v = arena_alloc(a, sizeof(*v));

	*v = s;
	o->slices = v;
	o->n_slices = 1;
	return v;
}

/* The query heads of each group of InternLM2's wqkv: [groups, heads of a group + 2, head size]. */
static void grouped_q(struct arena *a, const struct hparams *h, const struct st_tensor *source,
		      struct origin *o)
{
	uint64_t q = h->heads / h->kv_heads * h->head_dim, group = q + 2 * h->head_dim;
	struct slice *v = arena_array(a, h->kv_heads, sizeof(*v));

	for (uint64_t i = 0; i < h->kv_heads; i++)
		v[i] = turned(groups(source, q, i * group, h->head_dim, h->head_dim));
	o->slices = v;
	o->n_slices = h->kv_heads;
}

/* The same groups as all queries, all keys, all values. */
static void grouped_qkv(struct arena *a, const struct hparams *h, const struct st_tensor *source,
			struct origin *o)
{
	uint64_t d = h->head_dim, q = h->heads / h->kv_heads * d, group = q + 2 * d;
	struct slice *v = arena_array(a, 3, sizeof(*v));

	v[0] = groups(source, h->heads * d, 0, q, group);
	v[1] = groups(source, h->kv_heads * d, q, d, group);
	v[2] = groups(source, h->kv_heads * d, q + d, d, group);
	o->slices = v;
	o->n_slices = 3;
}

/* One matrix for each head, with the latent as its rows: DeepSeek's kv_b is [heads, key part +
 * value, latent]. */
static void latent_k(struct arena *a, const struct hparams *h, const struct st_tensor *source,
		     struct origin *o, struct shape *shape)
{
	struct slice *v = arena_array(a, h->heads, sizeof(*v));

	for (uint64_t i = 0; i < h->heads; i++)
		v[i] = (struct slice){ .source = source,
				       .rows = h->kv_rank,
				       .first = i * (h->nope_dim + h->v_dim),
				       .transposed = 1 };
	o->slices = v;
	o->n_slices = h->heads;
	o->row = h->nope_dim;
	*shape = (struct shape){ { h->nope_dim, h->kv_rank, h->heads }, 3 };
}

static void stacked(struct arena *a, uint64_t rows, const struct st_tensor *const *sources,
		    size_t n, struct origin *o)
{
	struct slice *v = arena_array(a, n, sizeof(*v));

	for (size_t i = 0; i < n; i++)
		v[i] = groups(sources[i], rows, 0, rows, rows);
	o->slices = v;
	o->n_slices = n;
}

static struct shape matrix(uint64_t row, uint64_t rows)
{
	/* llama.cpp's converter counts a matrix of one row as a vector. */
	return (struct shape){ { row, rows, 1 }, rows > 1 ? 2 : 1 };
}

void origin_make(struct arena *a, const struct tensor_rule *r, const struct hparams *h,
		 const struct st_tensor *const *sources, size_t n_sources, struct origin *o,
		 struct shape *shape)
{
	uint64_t d = h->head_dim, q = h->heads / h->kv_heads * d;
	uint64_t rows = dim_value(h, r->rows), cols = dim_value(h, r->cols);
	const struct st_tensor *s = sources[0];
	int vector = r->rows == DIM_NONE;

	if (vector)
		rows = cols;
	*o = (struct origin){ .row = vector ? 1 : cols };
	*shape = vector ? matrix(cols, 1) : matrix(cols, rows);
	switch (r->how) {
	case AS_IS:
		one(a, o, groups(s, rows, 0, rows, rows));
		break;
	case PLUS_ONE:
		one(a, o, groups(s, rows, 0, rows, rows));
		o->add = 1;
		break;
	case CUT_TO_TOKENS:
		one(a, o, groups(s, h->tokens, 0, h->tokens, h->tokens));
		*shape = matrix(cols, h->tokens);
		break;
	case HALVES:
		one(a, o, turned(groups(s, rows, 0, d, d)));
		break;
	case TRANSPOSED:
		one(a, o, groups(s, cols, 0, 0, 0))->transposed = 1;
		o->row = rows;
		*shape = matrix(rows, cols);
		break;
	case EXPERTS:
		stacked(a, rows, sources, n_sources, o);
		*shape = (struct shape){ { cols, rows, n_sources }, 3 };
		break;
	case FUSED_EXPERTS:
		one(a, o, groups(s, h->experts * rows, 0, rows, rows));
		*shape = (struct shape){ { cols, rows, h->experts }, 3 };
		break;
	case FUSED_GATE:
	case FUSED_UP:
		one(a, o,
		    groups(s, h->experts * (rows / 2), r->how == FUSED_UP ? rows / 2 : 0, rows / 2,
			   rows));
		*shape = (struct shape){ { cols, rows / 2, h->experts }, 3 };
		break;
	case HEAD_NORMS:
		stacked(a, 1, sources, n_sources, o);
		*shape = matrix(cols, n_sources);
		break;
	case GROUPED_Q:
		grouped_q(a, h, s, o);
		*shape = matrix(cols, h->heads * d);
		break;
	case GROUPED_K:
		one(a, o, turned(groups(s, h->kv_heads * d, q, d, q + 2 * d)));
		*shape = matrix(cols, h->kv_heads * d);
		break;
	case GROUPED_V:
		one(a, o, groups(s, h->kv_heads * d, q + d, d, q + 2 * d));
		*shape = matrix(cols, h->kv_heads * d);
		break;
	case GROUPED_QKV:
		grouped_qkv(a, h, s, o);
		break;
	case PAIRED_K:
		one(a, o, turned(groups(s, h->kv_heads * d, 0, d, 2 * d)));
		*shape = matrix(cols, h->kv_heads * d);
		break;
	case PAIRED_V:
		one(a, o, groups(s, h->kv_heads * d, d, d, 2 * d));
		*shape = matrix(cols, h->kv_heads * d);
		break;
	case LATENT_K:
		latent_k(a, h, s, o, shape);
		break;
	case LATENT_V:
		one(a, o,
		    groups(s, h->heads * h->v_dim, h->nope_dim, h->v_dim, h->nope_dim + h->v_dim));
		*shape = (struct shape){ { cols, h->v_dim, h->heads }, 3 };
		break;
	}
}

/* ---- reading */

struct reading {
	struct origin_io *io;
	struct err *e;
};

void origin_io_release(struct origin_io *io)
{
	lora_cache_release(&io->lora);
	packed_cache_release(&io->packed);
	free(io->raw);
}

/* n numbers of a source tensor from number `at` on. */
static int read_numbers(const struct reading *r, const struct st_tensor *s, uint64_t at, size_t n,
			void *out)
{
	size_t width = dtype_bytes(s->dtype);

	return file_read_at(r->io->fds[s->file], out, n * width, s->offset + at * width,
			    r->io->m->files[s->file].name, r->e);
}

static int read_blocks(const struct reading *r, const struct slice *s, uint64_t at, size_t n,
		       float *out)
{
	const struct type *type = s->blocks;
	size_t bytes = (size_t)type_bytes(type, n);
	struct origin_io *io = r->io;

	assert(at % type->block == 0 && n % type->block == 0);
	if (bytes > io->raw_bytes) {
		free(io->raw);
		io->raw = mem_alloc(bytes);
		io->raw_bytes = bytes;
	}
	if (file_read_at(io->fds[s->source->file], io->raw, bytes,
			 s->source->offset + type_bytes(type, at),
			 io->m->files[s->source->file].name, r->e) < 0)
		return r->e->code;
	type->decode(io->raw, out, n);
	return 0;
}

/* n elements of a slice's source from element `at` on. */
static int read_source(const struct reading *r, const struct slice *s, uint64_t at, size_t n,
		       void *out)
{
	if (s->packed)
		return packed_read(&r->io->packed, s->packed, r->io->m, r->io->fds, at, n, out,
				   r->e);
	return s->blocks ? read_blocks(r, s, at, n, out) : read_numbers(r, s->source, at, n, out);
}

/* The row of the source that row r of the slice is, and how many more follow it there. */
static uint64_t source_row(const struct slice *s, uint64_t r, uint64_t *run)
{
	uint64_t begin = s->first + r / s->take * s->stride, in_group = r % s->take;

	if (s->halves) {
		*run = 1;
		return begin + in_group % 2 * (s->take / 2) + in_group / 2;
	}
	*run = s->take - in_group;
	return begin + in_group;
}

/* n elements of a slice from element `at` of it on. */
static int read_rows(const struct reading *r, const struct slice *s, uint64_t row, uint64_t at,
		     size_t n, char *out)
{
	size_t width = dtype_bytes(s->source->dtype);

	while (n) {
		uint64_t run, from = source_row(s, at / row, &run), in_row = at % row;
		uint64_t there = run * row - in_row;
		size_t k = there < n ? (size_t)there : n;

		if (read_source(r, s, from * row + in_row, k, out) < 0)
			return r->e->code;
		at += k;
		n -= k;
		out += k * width;
	}
	return 0;
}

/* Column by column of the file's rows, each of which lies in one piece in the source. */
static int read_transposed(const struct reading *r, const struct slice *s, uint64_t row,
			   uint64_t at, size_t n, char *out)
{
	const struct st_tensor *t = s->source;
	uint64_t source_row_len = t->shape[t->n_dims - 1];
	size_t width = dtype_bytes(t->dtype);
	char strip[STRIP * 4];

	for (uint64_t c = 0; c < row; c++) {
		/* Elements i * row + c of the slice that are wanted: i from `from` to `to`. */
		uint64_t from = at > c ? (at - c + row - 1) / row : 0;
		uint64_t to = at + n > c ? (at + n - c + row - 1) / row : 0;

		for (uint64_t i = from; i < to; i += STRIP) {
			size_t k = to - i < STRIP ? (size_t)(to - i) : STRIP;

			if (read_source(r, s, (s->first + c) * source_row_len + i, k, strip) < 0)
				return r->e->code;
			for (size_t j = 0; j < k; j++)
				memcpy(out + ((i + j) * row + c - at) * width, strip + j * width,
				       width);
		}
	}
	return 0;
}

int origin_read(const struct origin *o, struct origin_io *io, uint64_t at, size_t n, void *out,
		struct err *e)
{
	struct reading r = { io, e };
	char *to = out;

	for (size_t i = 0; i < o->n_slices && n; i++) {
		const struct slice *s = &o->slices[i];
		uint64_t elements = s->rows * o->row;
		size_t k;

		if (at >= elements) {
			at -= elements;
			continue;
		}
		k = elements - at < n ? (size_t)(elements - at) : n;
		if ((s->transposed ? read_transposed : read_rows)(&r, s, o->row, at, k, to) < 0)
			return e->code;
		to += k * dtype_bytes(s->source->dtype);
		n -= k;
		at = 0;
	}
	return 0;
}

/* ---- what else happens to weights */

/* Weights that lie one behind the other in a row of the source, or, down, in a column of it. */
struct run {
	const struct slice *slice;
	uint64_t row, col; /* of the first */
	int down;
	size_t n;
};

/* The run that begins at element `at` of the file's tensor, of at most max weights. */
static struct run run_at(const struct origin *o, uint64_t at, size_t max)
{
	const struct slice *s = o->slices;
	struct run r = { .n = max };
	uint64_t left, in_row, more = 1;

	for (; at >= s->rows * o->row; s++)
		at -= s->rows * o->row;
	in_row = at % o->row;
	r.slice = s;
	if (s->transposed) {
		r.row = s->first + in_row;
		r.col = at / o->row;
		r.down = 1;
	} else {
		r.row = source_row(s, at / o->row, &more);
		r.col = in_row;
	}
	left = o->row - in_row;
	if (left < r.n)
		r.n = (size_t)left;
	return r;
}

static uint64_t blocks_of(uint64_t n, uint64_t block)
{
	return (n + block - 1) / block;
}

/* One block after the other, each with its factor. */
static int scale_run(const struct reading *io, const struct run *r, float *x)
{
	const struct slice *s = r->slice;
	uint64_t across = blocks_of(s->source->shape[1], s->block_cols);

	for (size_t i = 0; i < r->n;) {
		uint64_t row = r->row + (r->down ? i : 0), col = r->col + (r->down ? 0 : i);
		uint64_t left = r->down ? s->block_rows - row % s->block_rows
					: s->block_cols - col % s->block_cols;
		uint64_t block = row / s->block_rows * across + col / s->block_cols;
		unsigned char raw[4];
		float factor, zero = 0;

		if (read_numbers(io, s->scale, block, 1, raw) < 0)
			return io->e->code;
		load_of(s->scale->dtype)(raw, &factor, 1);
		if (s->zero) {
			if (read_numbers(io, s->zero, block, 1, raw) < 0)
				return io->e->code;
			load_of(s->zero->dtype)(raw, &zero, 1);
		}
		for (; left && i < r->n; left--, i++)
			x[i] = (x[i] - zero) * factor;
	}
	return 0;
}

static int add_run(struct origin_io *io, const struct run *r, float *x, struct err *e)
{
	const float *factors = r->slice->delta->factors;

	if (lora_cache_get(&io->lora, r->slice->delta, io->m, io->fds, e) < 0)
		return e->code;
	if (!r->down)
		lora_add(&io->lora, r->row, r->col, x, r->n);
	for (size_t i = 0; r->down && i < r->n; i++)
		lora_add(&io->lora, r->row + i, r->col, x + i, 1);
	for (size_t i = 0; factors && i < r->n; i++) {
		uint64_t row = r->row + (r->down ? i : 0), col = r->col + (r->down ? 0 : i);

		x[i] *= factors[r->slice->delta->turned ? col : row];
	}
	return 0;
}

int origin_finish(const struct origin *o, struct origin_io *io, uint64_t at, float *x, size_t n,
		  struct err *e)
{
	struct reading reading = { io, e };

	for (size_t i = 0; o->worked_on && i < n;) {
		struct run r = run_at(o, at + i, n - i);

		if (r.slice->scale && scale_run(&reading, &r, x + i) < 0)
			return e->code;
		if (r.slice->delta && add_run(io, &r, x + i, e) < 0)
			return e->code;
		i += r.n;
	}
	for (size_t i = 0; o->add != 0 && i < n; i++)
		x[i] += o->add;
	return 0;
}
