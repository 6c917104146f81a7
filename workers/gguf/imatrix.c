#include "workers/gguf/imatrix.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "workers/common/fileio.h"
#include "workers/gguf/type.h"

#define ENTRIES_MAX 65536
#define NAME_LEN_MAX 1024
#define VALUES_MAX (64u << 20) /* of all entries; a large mixture of experts has 40 million */
/* A column that was never used is worth a little: without that, its weights would be anything. */
#define LEAST 1e-6

/* ---- entries */

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct importance *)x)->name, ((const struct importance *)y)->name);
}

const struct importance *imatrix_find(const struct imatrix *m, const char *tensor)
{
	struct importance key = { .name = tensor };

	return m->n ? bsearch(&key, m->v, m->n, sizeof(*m->v), by_name) : NULL;
}

/* Mean 1, and all above 0. */
static int normalize(const char *name, float *v, uint64_t n, struct err *e)
{
	double sum = 0;

	for (uint64_t i = 0; i < n; i++) {
		if (!isfinite(v[i]) || v[i] < 0)
			return err_set(
				e, ERR_INVALID,
				"%s: importance %llu is no finite number of at least 0; measure "
				"it again",
				name, (unsigned long long)i);
		sum += (double)v[i];
	}
	for (uint64_t i = 0; i < n; i++) {
		double share = sum > 0 ? (double)v[i] * (double)n / sum : 1;

		v[i] = (float)(share > LEAST ? share : LEAST);
	}
	return 0;
}

static int finish(struct imatrix *m, struct err *e)
{
	if (!m->n)
		return err_set(e, ERR_INVALID, "there are no importances in the file");
	qsort(m->v, m->n, sizeof(*m->v), by_name);
	for (size_t i = 1; i < m->n; i++) {
		if (strcmp(m->v[i - 1].name, m->v[i].name) == 0)
			return err_set(e, ERR_INVALID, "%s is there twice", m->v[i].name);
	}
	return 0;
}

/* ---- the older format
 *
 * i32 entries; each: i32 length, name, i32 calls, i32 n, f32[n]: sums of means, to be divided by
 * calls; then perhaps i32 chunks, i32 length, data set. Source: tools/imatrix/imatrix.cpp,
 * save_imatrix_legacy(). */

struct cursor {
	const struct gguf_source *src;
	struct arena *a;
	uint64_t at, values;
	struct err *e;
};

static int take(struct cursor *c, void *out, uint64_t n)
{
	if (n > c->src->size_bytes - c->at)
		return err_set(c->e, ERR_INVALID, "the file ends in the middle of an entry");
	if (n && c->src->read(c->src->ctx, out, (size_t)n, c->at, c->e) < 0)
		return c->e->code;
	c->at += n;
	return 0;
}

static int take_count(struct cursor *c, const char *what, uint32_t max, uint32_t *out)
{
	int32_t v = 0;

	if (take(c, &v, 4) < 0)
		return c->e->code;
	if (v < 0 || (uint32_t)v > max)
		return err_set(c->e, ERR_INVALID, "%s is %d; from 0 to %u is possible", what,
			       (int)v, max);
	*out = (uint32_t)v;
	return 0;
}

static int take_text(struct cursor *c, const char *what, const char **out)
{
	uint32_t n = 0;
	char *text;

	if (take_count(c, what, NAME_LEN_MAX, &n) < 0)
		return c->e->code;
	text = arena_alloc(c->a, n + 1);
	if (take(c, text, n) < 0)
		return c->e->code;
	text[n] = '\0';
	if (strlen(text) != n)
		return err_set(c->e, ERR_INVALID, "%s has a NUL in it", what);
	*out = text;
	return 0;
}

static int count_values(struct cursor *c, const char *name, uint64_t n)
{
	if (n == 0 || n > VALUES_MAX - c->values)
		return err_set(c->e, ERR_INVALID,
			       "%s has %llu importances; from 1 to %u in all are possible", name,
			       (unsigned long long)n, VALUES_MAX);
	c->values += n;
	return 0;
}

static int take_entry(struct cursor *c, struct importance *out)
{
	uint32_t calls = 0, n = 0;

	if (take_text(c, "the length of a name", &out->name) < 0 ||
	    take_count(c, "the number of calls", INT32_MAX, &calls) < 0 ||
	    take_count(c, "the number of importances", VALUES_MAX, &n) < 0 ||
	    count_values(c, out->name, n) < 0)
		return c->e->code;
	if ((uint64_t)n * 4 > c->src->size_bytes - c->at)
		return err_set(c->e, ERR_INVALID, "the file ends inside the importances of %s",
			       out->name);
	out->v = arena_array(c->a, n, sizeof(*out->v));
	out->n = n;
	/* The mean of all is made 1 afterwards: dividing by calls changes nothing. */
	return take(c, out->v, (uint64_t)n * 4);
}

static int read_legacy(struct cursor *c, struct imatrix *out)
{
	uint32_t entries = 0;

	if (take_count(c, "the number of entries", ENTRIES_MAX, &entries) < 0)
		return c->e->code;
	/* An entry has at least 13 bytes. */
	if (entries > c->src->size_bytes / 13)
		return err_set(c->e, ERR_INVALID, "the file is too short for %u entries", entries);
	out->v = arena_array(c->a, entries + 1, sizeof(*out->v));
	for (uint32_t i = 0; i < entries; i++) {
		struct importance *one = &out->v[out->n];

		/* Experts follow one another; how many, only the tensor knows: see imatrix_split().
		 */
		if (take_entry(c, one) < 0 || normalize(one->name, one->v, one->n, c->e) < 0)
			return c->e->code;
		out->n++;
	}
	if (c->at == c->src->size_bytes)
		return 0;
	if (take_count(c, "the number of chunks", INT32_MAX, &out->chunks) < 0)
		return c->e->code;
	return take_text(c, "the name of the data set", &out->dataset);
}

/* ---- the GGUF format
 *
 * Two F32 tensors for each weight: NAME.in_sum2, columns x matrices, and NAME.counts, 1 x matrices.
 */

#define SUMS ".in_sum2"
#define COUNTS ".counts"

static const struct gguf_tensor_info *find_tensor(const struct gguf_file *f, const char *name)
{
	for (size_t i = 0; i < f->n_tensors; i++) {
		if (strcmp(f->tensors[i].name, name) == 0)
			return &f->tensors[i];
	}
	return NULL;
}

static int read_floats(struct cursor *c, const struct gguf_tensor_info *t, float **out)
{
	*out = arena_array(c->a, (size_t)t->n + 1, sizeof(**out));
	return c->src->read(c->src->ctx, *out, (size_t)t->n * 4, t->offset, c->e);
}

static int add_sums(struct cursor *c, const struct gguf_file *f, const struct gguf_tensor_info *t,
		    struct importance *out)
{
	size_t len = strlen(t->name) - strlen(SUMS);
	const struct gguf_tensor_info *counts;
	uint64_t columns = t->ne[0], matrices = columns ? t->n / columns : 0;
	float *count;

	out->name = arena_printf(c->a, "%.*s", (int)len, t->name);
	counts = find_tensor(f, arena_printf(c->a, "%s" COUNTS, out->name));
	if (!counts || t->type->id != TYPE_F32 || counts->type->id != TYPE_F32 ||
	    counts->n != matrices)
		return err_set(c->e, ERR_INVALID,
			       "%s: sums and counts are not two F32 tensors of one size",
			       out->name);
	if (count_values(c, out->name, t->n) < 0 || read_floats(c, t, &out->v) < 0 ||
	    read_floats(c, counts, &count) < 0)
		return c->e->code;
	out->n = t->n;
	for (uint64_t k = 0; k < matrices; k++) {
		float *v = out->v + k * columns;

		if (count[k] == 0) /* an expert that was never asked */
			memset(v, 0, columns * sizeof(*v));
		if (normalize(out->name, v, columns, c->e) < 0)
			return c->e->code;
	}
	return 0;
}

static int read_gguf(struct cursor *c, struct imatrix *out)
{
	const struct gguf_kv *type, *chunks;
	struct gguf_file f;

	if (gguf_read(c->a, c->src, &f, c->e) < 0)
		return c->e->code;
	type = gguf_find(&f, "general.type");
	chunks = gguf_find(&f, "imatrix.chunk_count");
	if (!type || type->type != GGUF_STRING || strcmp(type->str, "imatrix") != 0)
		return err_set(
			c->e, ERR_INVALID,
			"its general.type is not imatrix; name a file that llama-imatrix wrote");
	if (!chunks || chunks->type != GGUF_U32 || !gguf_find(&f, "imatrix.datasets") ||
	    !gguf_find(&f, "imatrix.chunk_size"))
		return err_set(
			c->e, ERR_INVALID,
			"imatrix.datasets, imatrix.chunk_count or imatrix.chunk_size is missing");
	out->chunks = (uint32_t)chunks->u;
	out->v = arena_array(c->a, f.n_tensors + 1, sizeof(*out->v));
	for (size_t i = 0; i < f.n_tensors; i++) {
		size_t len = strlen(f.tensors[i].name);

		if (len <= strlen(SUMS) ||
		    strcmp(f.tensors[i].name + len - strlen(SUMS), SUMS) != 0)
			continue;
		if (add_sums(c, &f, &f.tensors[i], &out->v[out->n]) < 0)
			return c->e->code;
		out->n++;
	}
	return 0;
}

/* ---- both */

int imatrix_read(struct arena *a, const struct gguf_source *src, struct imatrix *out, struct err *e)
{
	struct cursor c = { .src = src, .a = a, .e = e };
	char magic[4];
	int rc;

	memset(out, 0, sizeof(*out));
	out->dataset = "";
	if (take(&c, magic, sizeof(magic)) < 0)
		return e->code;
	c.at = 0;
	rc = memcmp(magic, "GGUF", 4) == 0 ? read_gguf(&c, out) : read_legacy(&c, out);
	return rc < 0 ? rc : finish(out, e);
}

static int read_fd(void *ctx, void *out, size_t n, uint64_t at, struct err *e)
{
	return file_read_at(*(int *)ctx, out, n, at, "the importance matrix", e);
}

int imatrix_read_file(struct arena *a, const char *path, struct imatrix *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct gguf_source src = { .read = read_fd, .ctx = &fd };
	struct stat st;

	if (fd < 0)
		return err_errno(e, "%s", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		rc = err_set(e, ERR_INVALID, "%s is no file", path);
	} else {
		src.size_bytes = (uint64_t)st.st_size;
		rc = imatrix_read(a, &src, out, e);
		if (rc < 0)
			rc = err_wrap(e, "%s", path);
	}
	close(fd);
	return rc;
}
