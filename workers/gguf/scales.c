#include "workers/gguf/scales.h"

#include <string.h>

#include "workers/gguf/type.h"

struct finding {
	const struct st_model *m;
	const struct source_quant *q;
	struct slice *s;
	struct err *e;
};

static uint64_t blocks(uint64_t n, uint64_t block)
{
	return (n + block - 1) / block;
}

static int is_shape(const struct st_tensor *t, uint64_t rows, uint64_t cols)
{
	if (t->n_dims == 1)
		return cols == 1 && t->shape[0] == rows;
	return t->n_dims == 2 && t->shape[0] == rows && t->shape[1] == cols;
}

/* As config.json has them, if it does; else what the shapes say. */
static int find_blocks(struct finding *f, const struct st_tensor *scale)
{
	struct slice *s = f->s;
	uint64_t rows = s->source->shape[0], cols = s->source->shape[1];

	if (f->q->block_rows &&
	    is_shape(scale, blocks(rows, f->q->block_rows), blocks(cols, f->q->block_cols))) {
		s->block_rows = f->q->block_rows;
		s->block_cols = f->q->block_cols;
		return 1;
	}
	if (f->q->method == QUANT_FP8 && f->q->block_rows && scale->n_elements != 1)
		return 0;
	s->block_rows = 1;
	if (scale->n_elements == 1)
		s->block_rows = rows;
	if (scale->n_elements == 1 || is_shape(scale, rows, 1)) {
		s->block_cols = cols;
		return 1;
	}
	if (scale->n_dims != 2 || scale->shape[0] != rows || !scale->shape[1] ||
	    cols % scale->shape[1] != 0)
		return 0;
	s->block_cols = cols / scale->shape[1];
	return 1;
}

static int check(struct finding *f, const struct st_tensor *scale, const struct st_tensor *zero)
{
	const struct st_tensor *source = f->s->source;

	if (!load_of(scale->dtype) || source->n_dims != 2 || !source->shape[0] ||
	    !source->shape[1] || !find_blocks(f, scale))
		return err_set(
			f->e, ERR_INVALID,
			"tensor %.200s is not one number for the tensor, for each row, group "
			"or block of it; does config.json have their size?",
			scale->name);
	if (zero &&
	    (zero->dtype != ST_I8 || zero->n_dims != scale->n_dims ||
	     memcmp(zero->shape, scale->shape, (size_t)zero->n_dims * sizeof(*zero->shape)) != 0))
		return err_set(f->e, ERR_INVALID,
			       "tensor %.200s is not one I8 for each scale of its weights",
			       zero->name);
	return 0;
}

static const struct st_tensor *beside(struct arena *a, struct finding *f, const char *end,
				      unsigned char *used)
{
	const struct st_tensor *t = st_find(f->m, arena_printf(a, "%s%s", f->s->source->name, end));

	if (t)
		used[t - f->m->tensors] = 1;
	return t;
}

int scales_find(struct arena *a, const struct st_model *m, const struct source_quant *q,
		struct slice *s, unsigned char *used, struct err *e)
{
	struct finding f = { .m = m, .q = q, .s = s, .e = e };
	enum st_dtype dtype = s->source->dtype;
	const struct st_tensor *scale, *zero = NULL;

	/* A float that has factors beside it was not divided by them. */
	if (dtype != ST_I8 && dtype != ST_F8_E4M3 && dtype != ST_F8_E5M2)
		return 0;
	scale = beside(a, &f, "_scale_inv", used); /* DeepSeek's name; it multiplies all the same */
	if (!scale)
		scale = beside(a, &f, "_scale", used);
	if (dtype == ST_I8)
		zero = beside(a, &f, "_zero_point", used);
	if (!scale && dtype == ST_I8)
		return err_set(e, ERR_INVALID,
			       "tensor %.200s holds integers, and there is no %.200s_scale",
			       s->source->name, s->source->name);
	if (!scale)
		return 0;
	if (check(&f, scale, zero) < 0)
		return e->code;
	s->scale = scale;
	s->zero = zero;
	return 0;
}
