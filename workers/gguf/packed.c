/* Which tensors of a checkpoint are parts of packed matrices, and whether they fit each other. */
#include "workers/gguf/packed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "workers/common/fileio.h"
#include "workers/gguf/type.h"

#define SIDE_MAX (1u << 20) /* rows; a vocabulary has a quarter of that */
#define COLS_MAX (1u << 18) /* five times those of the widest model */

/* ---- forms */

int packed_check_form(const struct source_quant *q, struct err *e)
{
	static const char *const forms[] = {
		"fp8",
		"gptq-2bit",
		"gptq-4bit",
		"gptq-8bit",
		"awq-4bit",
		"compressed-tensors-pack-quantized",
		"compressed-tensors-pack-quantized-2bit",
		"compressed-tensors-pack-quantized-4bit",
		"compressed-tensors-pack-quantized-8bit",
		"compressed-tensors-int-quantized",
		"compressed-tensors-float-quantized",
		"compressed-tensors-naive-quantized",
		"compressed-tensors-mixed-precision",
	};

	if (q->method == QUANT_NONE)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (strcmp(forms[i], q->form) == 0)
			return 0;
	}
	return err_set(e, ERR_INVALID,
		       "config.json: the weights are quantized (%s), which is not read; give the "
		       "model that they were made of",
		       q->form);
}

/* ---- parts of one matrix */

struct opening {
	struct arena *a;
	const struct source_quant *q;
	const struct st_model *m; /* as it is in the files */
	struct packed_set *out;
	unsigned char *taken; /* per tensor: it is a part */
	struct err *e;
};

static const struct st_tensor *part(struct opening *o, const char *module, const char *end)
{
	const struct st_tensor *t = st_find(o->m, arena_printf(o->a, "%s%s", module, end));

	if (t)
		o->taken[t - o->m->tensors] = 1;
	return t;
}

static int bad(struct opening *o, const struct packed *p, const char *what)
{
	return err_set(o->e, ERR_INVALID, "tensor %.200s: %s", p->codes->name, what);
}

static int is_matrix(const struct st_tensor *t, enum st_dtype dtype, uint64_t rows, uint64_t cols)
{
	return t->dtype == dtype && t->n_dims == 2 && t->shape[0] == rows && t->shape[1] == cols;
}

static uint64_t words(uint64_t codes, int bits)
{
	return (codes * (uint64_t)bits + 31) / 32;
}

static int check_scales(struct opening *o, const struct packed *p, uint64_t rows, uint64_t cols)
{
	const struct st_tensor *s = p->scales;
	int column = cols == 1 && s->n_dims == 1 && s->shape[0] == rows;

	if ((s->dtype == ST_F16 || s->dtype == ST_BF16 || s->dtype == ST_F32) &&
	    (column || is_matrix(s, s->dtype, rows, cols)))
		return 0;
	return bad(o, p, "its scales are not one float for each group of each row");
}

static int width_ok(int bits)
{
	return bits == 2 || bits == 4 || bits == 8;
}

/* Sides and groups, before anything is multiplied. */
static int check_sides(struct opening *o, struct packed *p)
{
	if (p->codes->n_dims != 2 || p->codes->dtype != ST_I32)
		return bad(o, p, "codes are not a matrix of I32");
	if (!width_ok(p->bits))
		return bad(o, p, "codes of 2, 4 and 8 bits are read");
	if (!p->rows || !p->cols || p->rows > SIDE_MAX || p->cols > COLS_MAX)
		return bad(o, p, "its shape makes no sense");
	if (!p->groups || p->groups > p->cols)
		return bad(o, p, "it has not one scale or more for each row");
	if (p->order &&
	    (p->order->dtype != ST_I32 || p->order->n_dims != 1 || p->order->shape[0] != p->cols))
		return bad(o, p, "the groups of its columns are not one I32 for each");
	return 0;
}

/* The columns of a group: as said, if that gives as many groups as there are. */
static int find_group(struct opening *o, struct packed *p)
{
	int64_t said = o->q->group_size;

	p->group_size = said > 0 ? (uint64_t)said : p->cols;
	if ((p->cols + p->group_size - 1) / p->group_size == p->groups)
		return 0;
	/* Modules may differ from what config.json says of most. */
	if (p->cols % p->groups == 0) {
		p->group_size = p->cols / p->groups;
		return 0;
	}
	return bad(o, p, "its scales fit no size of groups");
}

static int open_gptq(struct opening *o, struct packed *p, const char *module)
{
	p->layout = PACKED_GPTQ;
	p->zero_add = !o->q->zero_is_stored;
	p->bits = o->q->bits;
	p->scales = part(o, module, ".scales");
	p->zeros = part(o, module, ".qzeros");
	p->order = part(o, module, ".g_idx");
	if (!p->scales || !p->zeros || p->scales->n_dims != 2 || p->codes->n_dims != 2)
		return bad(o, p, "its scales or zero points are missing");
	p->rows = p->codes->shape[1];
	if (width_ok(p->bits) && p->codes->shape[0] <= SIDE_MAX)
		p->cols = p->codes->shape[0] * 32 / (uint64_t)p->bits;
	p->groups = p->scales->shape[0];
	if (check_sides(o, p) < 0 || find_group(o, p) < 0)
		return o->e->code;
	if (!is_matrix(p->zeros, ST_I32, p->groups, words(p->rows, p->bits)))
		return bad(o, p, "its zero points do not fit its scales");
	return check_scales(o, p, p->groups, p->rows);
}

static int open_awq(struct opening *o, struct packed *p, const char *module)
{
	p->layout = PACKED_AWQ;
	p->bits = o->q->bits;
	p->scales = part(o, module, ".scales");
	p->zeros = part(o, module, ".qzeros");
	if (!p->scales || !p->zeros || p->scales->n_dims != 2 || p->codes->n_dims != 2)
		return bad(o, p, "its scales or zero points are missing");
	p->rows = p->codes->shape[1] <= SIDE_MAX ? p->codes->shape[1] * 8 : 0;
	p->cols = p->codes->shape[0];
	p->groups = p->scales->shape[0];
	if (check_sides(o, p) < 0 || find_group(o, p) < 0)
		return o->e->code;
	if (!is_matrix(p->zeros, ST_I32, p->groups, p->rows / 8))
		return bad(o, p, "its zero points do not fit its scales");
	return check_scales(o, p, p->groups, p->rows);
}

/* The shape of a matrix is a tensor's content here: the last word of a row may be half empty. */
static int read_shape(struct opening *o, struct packed *p, const struct st_tensor *t)
{
	const struct st_file *file = &o->m->files[t->file];
	int64_t shape[2] = { 0, 0 };
	int fd, rc;

	if (t->dtype != ST_I64 || t->n_dims != 1 || t->shape[0] != 2)
		return bad(o, p, "its weight_shape is not two I64");
	fd = open(file->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(o->e, "%s", file->path);
	rc = file_read_at(fd, shape, sizeof(shape), t->offset, file->name, o->e);
	close(fd);
	if (rc < 0)
		return rc;
	if (shape[0] < 1 || shape[1] < 1 || shape[0] > SIDE_MAX || shape[1] > COLS_MAX)
		return bad(o, p, "its weight_shape makes no sense");
	p->rows = (uint64_t)shape[0];
	p->cols = (uint64_t)shape[1];
	return 0;
}

/* The width that fills the words of a row, where config.json has several. */
static int width_of(const struct packed *p)
{
	for (int bits = 2; bits <= 8; bits *= 2) {
		if (p->codes->n_dims == 2 && words(p->cols, bits) == p->codes->shape[1])
			return bits;
	}
	return 0;
}

static int open_rows(struct opening *o, struct packed *p, const char *module)
{
	const struct st_tensor *shape = part(o, module, ".weight_shape");

	p->layout = PACKED_ROWS;
	p->scales = part(o, module, ".weight_scale");
	p->zeros = part(o, module, ".weight_zero_point");
	p->order = part(o, module, ".weight_g_idx");
	if (!shape || !p->scales || !p->scales->n_dims)
		return bad(o, p, "its weight_shape or weight_scale is missing");
	if (read_shape(o, p, shape) < 0)
		return o->e->code;
	p->bits = o->q->bits ? o->q->bits : width_of(p);
	p->groups = p->scales->n_dims == 2 ? p->scales->shape[1] : 1;
	if (check_sides(o, p) < 0 || find_group(o, p) < 0)
		return o->e->code;
	if (!is_matrix(p->codes, ST_I32, p->rows, words(p->cols, p->bits)))
		return bad(o, p, "its codes do not fill its weight_shape");
	if (p->zeros && !is_matrix(p->zeros, ST_I32, words(p->rows, p->bits), p->groups))
		return bad(o, p, "its zero points do not fit its scales");
	return check_scales(o, p, p->rows, p->groups);
}

/* ---- the table */

static const char *module_of(struct opening *o, const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0 ? arena_strndup(o->a, name, n - m) : NULL;
}

static int open_one(struct opening *o, const struct st_tensor *t)
{
	struct packed *p = &o->out->v[o->out->n];
	const char *module =
		module_of(o, t->name,
			  o->q->method == QUANT_COMPRESSED_TENSORS ? ".weight_packed" : ".qweight");
	int rc;

	if (!module)
		return 0;
	*p = (struct packed){ .codes = t, .name = arena_printf(o->a, "%s.weight", module) };
	o->taken[t - o->m->tensors] = 1;
	rc = o->q->method == QUANT_GPTQ	 ? open_gptq(o, p, module)
	     : o->q->method == QUANT_AWQ ? open_awq(o, p, module)
					 : open_rows(o, p, module);
	if (rc < 0)
		return rc;
	if (st_find(o->m, p->name))
		return bad(o, p, "the same weights are there as floats too");
	o->out->n++;
	return 0;
}

static int by_tensor(const void *x, const void *y)
{
	return strcmp(((const struct st_tensor *)x)->name, ((const struct st_tensor *)y)->name);
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct packed *)x)->name, ((const struct packed *)y)->name);
}

static struct st_tensor as_floats(const struct packed *p)
{
	return (struct st_tensor){ .name = p->name,
				   .dtype = ST_F32,
				   .dtype_name = "F32",
				   .n_dims = 2,
				   .shape = { p->rows, p->cols },
				   .n_elements = p->rows * p->cols,
				   .file = p->codes->file };
}

int packed_open(struct arena *a, const struct source_quant *q, struct st_model *m,
		struct packed_set *out, struct err *e)
{
	struct opening o = { .a = a, .q = q, .m = m, .out = out, .e = e };
	struct st_tensor *all;
	size_t n = 0;

	memset(out, 0, sizeof(*out));
	if (q->method != QUANT_GPTQ && q->method != QUANT_AWQ &&
	    q->method != QUANT_COMPRESSED_TENSORS)
		return 0;
	out->v = arena_array(a, m->n_tensors + 1, sizeof(*out->v));
	o.taken = arena_alloc(a, m->n_tensors + 1);
	for (size_t i = 0; i < m->n_tensors; i++) {
		if (open_one(&o, &m->tensors[i]) < 0)
			return e->code;
	}
	all = arena_array(a, m->n_tensors + 1, sizeof(*all));
	for (size_t i = 0; i < m->n_tensors; i++) {
		if (!o.taken[i])
			all[n++] = m->tensors[i];
	}
	for (size_t i = 0; i < out->n; i++)
		all[n++] = as_floats(&out->v[i]);
	if (n)
		qsort(all, n, sizeof(*all), by_tensor);
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	m->tensors = all;
	m->n_tensors = n;
	return 0;
}

const struct packed *packed_find(const struct packed_set *s, const char *name)
{
	struct packed key = { .name = name };

	return s->n ? bsearch(&key, s->v, s->n, sizeof(*s->v), by_name) : NULL;
}
