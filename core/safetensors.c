#include "core/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/utf8.h"

#define HEADER_MAX ((uint64_t)100000000) /* MAX_HEADER_SIZE of the reference implementation */

/* "name", made harmless and short, for a sentence. */
struct shown {
	char text[120];
};

static struct shown show(const char *name)
{
	struct shown s = { "" };

	text_visible(name, s.text, sizeof(s.text));
	return s;
}

/* ------------------------------------------------------------------- dtypes */

/* Dtype of safetensors/src/tensor.rs, with its width. */
static const struct dtype {
	const char *name;
	enum st_dtype dtype;
	unsigned bits;
} dtypes[] = {
	{ "F64", ST_F64, 64 },		{ "F32", ST_F32, 32 },
	{ "F16", ST_F16, 16 },		{ "BF16", ST_BF16, 16 },
	{ "F8_E4M3", ST_F8_E4M3, 8 },	{ "F8_E5M2", ST_F8_E5M2, 8 },
	{ "I64", ST_I64, 64 },		{ "I32", ST_I32, 32 },
	{ "I16", ST_I16, 16 },		{ "I8", ST_I8, 8 },
	{ "U64", ST_U64, 64 },		{ "U32", ST_U32, 32 },
	{ "U16", ST_U16, 16 },		{ "U8", ST_U8, 8 },
	{ "BOOL", ST_BOOL, 8 },		{ "C64", ST_OTHER, 64 },
	{ "F8_E8M0", ST_OTHER, 8 },	{ "F8_E4M3FNUZ", ST_OTHER, 8 },
	{ "F8_E5M2FNUZ", ST_OTHER, 8 }, { "F6_E2M3", ST_OTHER, 6 },
	{ "F6_E3M2", ST_OTHER, 6 },	{ "F4", ST_OTHER, 4 },
};

static const struct dtype *find_dtype(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(dtypes); i++)
		if (strcmp(dtypes[i].name, name) == 0)
			return &dtypes[i];
	return NULL;
}

/* -------------------------------------------------------------- one tensor */

static int parse_shape(const struct json *entry, struct st_tensor *t, struct err *e)
{
	const struct json *shape = json_get(entry, "shape");

	if (!shape || shape->type != JSON_ARRAY)
		return err_set(e, ERR_INVALID, "\"shape\" is missing or no array");
	if (shape->count > ST_MAX_DIMS)
		return err_set(e, ERR_INVALID, "%zu dimensions; at most %d are read", shape->count,
			       ST_MAX_DIMS);
	t->n_dims = (int)shape->count;
	t->n_elements = 1;
	for (size_t i = 0; i < shape->count; i++) {
		const struct json *d = shape->members[i].value;

		if (d->type != JSON_NUMBER || !d->is_integer || d->integer < 0)
			return err_set(e, ERR_INVALID,
				       "dimension %zu of \"shape\" is no whole number from 0 up",
				       i);
		t->shape[i] = (uint64_t)d->integer;
		if (__builtin_mul_overflow(t->n_elements, t->shape[i], &t->n_elements))
			return err_set(e, ERR_INVALID,
				       "the product of \"shape\" does not fit in 64 bits");
	}
	return 0;
}

/* offset relative to the data for now. */
static int parse_offsets(const struct json *entry, struct st_tensor *t, struct err *e)
{
	const struct json *pair = json_get(entry, "data_offsets");
	uint64_t at[2];

	if (!pair || pair->type != JSON_ARRAY || pair->count != 2)
		return err_set(e, ERR_INVALID, "\"data_offsets\" is not [begin, end]");
	for (size_t i = 0; i < 2; i++) {
		const struct json *v = pair->members[i].value;

		if (v->type != JSON_NUMBER || !v->is_integer || v->integer < 0)
			return err_set(e, ERR_INVALID,
				       "\"data_offsets\" must hold two whole numbers from 0 up");
		at[i] = (uint64_t)v->integer;
	}
	if (at[1] < at[0])
		return err_set(e, ERR_INVALID,
			       "\"data_offsets\" end (%" PRIu64 ") before they begin (%" PRIu64 ")",
			       at[1], at[0]);
	t->offset = at[0];
	t->size_bytes = at[1] - at[0];
	return 0;
}

static int check_size(const struct st_tensor *t, unsigned bits, struct err *e)
{
	uint64_t total;

	if (__builtin_mul_overflow(t->n_elements, (uint64_t)bits, &total))
		return err_set(e, ERR_INVALID, "its size in bits does not fit in 64 bits");
	if (total % 8)
		return err_set(e, ERR_INVALID, "%" PRIu64 " elements of %u bits are no whole bytes",
			       t->n_elements, bits);
	if (total / 8 != t->size_bytes)
		return err_set(e, ERR_INVALID,
			       "%s and its shape need %" PRIu64 " bytes, \"data_offsets\" give it "
			       "%" PRIu64,
			       t->dtype_name, total / 8, t->size_bytes);
	return 0;
}

static int parse_entry(const struct json *entry, struct st_tensor *t, struct err *e)
{
	const struct dtype *d;

	if (entry->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "its entry is no object");
	t->dtype_name = json_str(entry, "dtype", NULL);
	if (!t->dtype_name)
		return err_set(e, ERR_INVALID, "\"dtype\" is missing or no string");
	d = find_dtype(t->dtype_name);
	if (!d)
		return err_set(e, ERR_INVALID, "unknown dtype \"%s\"", show(t->dtype_name).text);
	t->dtype = d->dtype;
	if (parse_shape(entry, t, e) < 0 || parse_offsets(entry, t, e) < 0)
		return ERR_INVALID;
	return check_size(t, d->bits, e);
}

static int name_ok(const char *name)
{
	size_t n = strlen(name);
	uint32_t cp;

	if (n == 0)
		return 0;
	for (int len; n > 0; name += len, n -= (size_t)len) {
		len = utf8_next(name, n, &cp);
		if (len == 0 || utf8_is_control(cp))
			return 0;
	}
	return 1;
}

static int check_metadata(const struct json *m, struct err *e)
{
	if (m->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "\"__metadata__\" is no object");
	for (size_t i = 0; i < m->count; i++)
		if (m->members[i].value->type != JSON_STRING)
			return err_set(e, ERR_INVALID,
				       "\"__metadata__\": the value of \"%s\" is no string",
				       show(m->members[i].key).text);
	return 0;
}

/* ------------------------------------------------------------- the header */

static int by_place(const void *a, const void *b)
{
	const struct st_tensor *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->size_bytes != y->size_bytes)
		return x->size_bytes < y->size_bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The tensors fill the data exactly: no hole, no overlap, nothing behind the last. */
static int check_places(struct st_header *h, uint64_t file_size, struct err *e)
{
	const uint64_t data_bytes = file_size - h->data_offset;
	uint64_t end = 0;

	for (size_t i = 0; i < h->count; i++) {
		struct st_tensor *t = &h->tensors[i];

		if (t->offset != end)
			return err_set(e, ERR_INVALID,
				       "tensor \"%s\" begins at %" PRIu64
				       " of the data, but the one "
				       "before it ends at %" PRIu64 " (%s)",
				       show(t->name).text, t->offset, end,
				       t->offset < end ? "they overlap" : "a hole");
		end += t->size_bytes; /* both below 2^63 */
		if (end > data_bytes)
			return err_set(e, ERR_INVALID,
				       "the file is cut short: tensor \"%s\" ends at %" PRIu64
				       " of the data, of which there are %" PRIu64 " bytes",
				       show(t->name).text, end, data_bytes);
		t->offset += h->data_offset;
	}
	if (end < data_bytes)
		return err_set(e, ERR_INVALID,
			       "%" PRIu64 " bytes behind the last tensor belong to nothing",
			       data_bytes - end);
	return 0;
}

static int collect_tensors(struct arena *a, const struct json *root, struct st_header *h,
			   struct err *e)
{
	h->tensors = arena_array(a, root->count ? root->count : 1, sizeof(*h->tensors));
	for (size_t i = 0; i < root->count; i++) {
		const struct json_member *m = &root->members[i];
		struct st_tensor *t = &h->tensors[h->count];

		if (strcmp(m->key, "__metadata__") == 0) {
			if (check_metadata(m->value, e) < 0)
				return ERR_INVALID;
			continue;
		}
		if (!name_ok(m->key))
			return err_set(e, ERR_INVALID,
				       "tensor name \"%s\" is empty or has control characters",
				       show(m->key).text);
		t->name = m->key;
		if (parse_entry(m->value, t, e) < 0) {
			(void)err_wrap(e, "tensor \"%s\"", show(m->key).text);
			return ERR_INVALID;
		}
		h->count++;
	}
	return 0;
}

int st_parse_header(struct arena *a, const char *json, size_t json_len, uint64_t file_size,
		    struct st_header *out, struct err *e)
{
	struct st_header h = { 0 };
	struct json *root;

	if (json_len > HEADER_MAX || file_size < 8 || json_len > file_size - 8)
		return err_set(e, ERR_INVALID,
			       "the header claims %zu bytes; the limit is %" PRIu64
			       " and the file has %" PRIu64,
			       json_len, HEADER_MAX, file_size);
	if (json_len == 0 || json[0] != '{')
		return err_set(e, ERR_INVALID, "the header does not begin with '{'");
	if (json_parse(a, json, json_len, &root, e) < 0) {
		(void)err_wrap(e, "the header is no valid JSON");
		return ERR_INVALID;
	}
	h.data_offset = 8 + (uint64_t)json_len;
	if (collect_tensors(a, root, &h, e) < 0)
		return ERR_INVALID;
	if (h.count > 1)
		qsort(h.tensors, h.count, sizeof(*h.tensors), by_place);
	if (check_places(&h, file_size, e) < 0)
		return ERR_INVALID;
	*out = h;
	return 0;
}

/* Exactly n bytes: 0, ERR_IO or ERR_INVALID when the file ends before. */
static int read_exactly(int fd, void *to, size_t n, struct err *e)
{
	char *p = to;

	while (n > 0) {
		ssize_t got = read(fd, p, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(e, "cannot read");
		if (got == 0)
			return err_set(e, ERR_INVALID, "the file ends inside its header");
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

static int read_header_fd(struct arena *a, int fd, uint64_t file_size, struct st_header *out,
			  struct err *e)
{
	unsigned char le[8];
	uint64_t n = 0;
	char *json;
	int rc;

	if (file_size < sizeof(le))
		return err_set(e, ERR_INVALID,
			       "%" PRIu64 " bytes are too few for a safetensors file", file_size);
	rc = read_exactly(fd, le, sizeof(le), e);
	if (rc < 0)
		return rc;
	for (int i = 7; i >= 0; i--)
		n = n << 8 | le[i];
	if (n > HEADER_MAX || n > file_size - 8)
		return err_set(e, ERR_INVALID,
			       "the header claims %" PRIu64 " bytes; the limit is %" PRIu64
			       " and the file has %" PRIu64,
			       n, HEADER_MAX, file_size);
	json = mem_alloc((size_t)n);
	rc = read_exactly(fd, json, (size_t)n, e);
	if (rc == 0)
		rc = st_parse_header(a, json, (size_t)n, file_size, out, e);
	free(json);
	return rc;
}

int st_read_header(struct arena *a, const char *path, struct st_header *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return err_errno(e, "%s", path);
	if (fstat(fd, &st) != 0)
		rc = err_errno(e, "%s", path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, ERR_INVALID, "%s: not a regular file", path);
	else {
		rc = read_header_fd(a, fd, (uint64_t)st.st_size, out, e);
		if (rc < 0)
			(void)err_wrap(e, "%s", path);
	}
	close(fd);
	return rc;
}
