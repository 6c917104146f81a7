#include "upload/lfs_batch.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "upload/http.h"

#define PARTS_MAX 100000 /* a server that wants more does not mean it: S3 takes 10,000 */
#define HEADERS_MAX 64

/* ---- writing */

static void write_oid(struct json_out *w, const struct hub_file *f)
{
	char hex[SHA256_HEX];

	hex_encode(f->sha256, SHA256_LEN, hex);
	jw_kstr(w, "oid", hex);
}

static void write_object(struct json_out *w, const struct hub_file *f)
{
	jw_object(w);
	write_oid(w, f);
	jw_key(w, "size");
	jw_uint(w, f->size_bytes);
	jw_end_object(w);
}

void lfs_batch_write(struct buf *b, enum lfs_operation op, const struct hub_file *files, size_t n)
{
	struct json_out w;

	jw_init(&w, b, 0);
	jw_object(&w);
	jw_kstr(&w, "operation", op == LFS_UPLOAD ? "upload" : "download");
	jw_karray(&w, "transfers");
	jw_str(&w, "basic");
	if (op == LFS_UPLOAD)
		jw_str(&w, "multipart");
	jw_end_array(&w);
	jw_kobject(&w, "ref");
	jw_kstr(&w, "name", "refs/heads/main");
	jw_end_object(&w);
	jw_karray(&w, "objects");
	for (size_t i = 0; i < n; i++)
		write_object(&w, &files[i]);
	jw_end_array(&w);
	jw_kstr(&w, "hash_algo", "sha256");
	jw_end_object(&w);
}

void lfs_complete_write(struct buf *b, const struct hub_file *f, const char *const *etags, size_t n)
{
	struct json_out w;

	jw_init(&w, b, 0);
	jw_object(&w);
	write_oid(&w, f);
	jw_karray(&w, "parts");
	for (size_t i = 0; i < n; i++) {
		jw_object(&w);
		jw_kint(&w, "partNumber", (int64_t)i + 1);
		jw_kstr(&w, "etag", etags[i]);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
}

void lfs_verify_write(struct buf *b, const struct hub_file *f)
{
	struct json_out w;

	jw_init(&w, b, 0);
	write_object(&w, f);
}

/* ---- reading */

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_IO, "the LFS server's answer cannot be used: %s", what);
}

static bool is_token(const char *s)
{
	static const char chars[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return *s && s[strspn(s, chars)] == '\0';
}

/* What may stand in a header: RFC 9110 section 5.5, without the bytes above ASCII. */
static bool is_field_value(const struct json *v)
{
	if (v->type != JSON_STRING || strlen(v->str) != v->len)
		return false;
	for (const char *p = v->str; *p; p++)
		if ((*p < ' ' && *p != '\t') || *p == 0x7f)
			return false;
	return true;
}

/* An href is a plain string; whether it is a URL is seen when it is used. */
static const char *href_of(const struct json *action)
{
	const struct json *href = json_get(action, "href");

	return href && is_field_value(href) && href->len ? href->str : NULL;
}

static int read_headers(struct arena *a, const struct json *map, struct lfs_action *out,
			struct err *e)
{
	if (!map || map->type == JSON_NULL)
		return 0;
	if (map->type != JSON_OBJECT || map->count > HEADERS_MAX)
		return bad(e, "headers that are none");
	out->headers = arena_array(a, map->count, sizeof(*out->headers));
	for (size_t i = 0; i < map->count; i++) {
		const struct json_member *m = &map->members[i];

		if (!is_token(m->key) || !is_field_value(m->value))
			return bad(e, "headers that are none");
		out->headers[out->n_headers++] =
			(struct http_header){ .name = arena_strdup(a, m->key),
					      .value = arena_strdup(a, m->value->str) };
	}
	return 0;
}

static int read_action(struct arena *a, const struct json *action, struct lfs_action *out,
		       struct err *e)
{
	const char *href;

	if (!action || action->type == JSON_NULL)
		return 0;
	href = href_of(action);
	if (!href)
		return bad(e, "an action without an address");
	out->href = arena_strdup(a, href);
	return read_headers(a, json_get(action, "header"), out, e);
}

/* A decimal number of at most 18 digits, or 0. */
static uint64_t number_of(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n <= 18 && s[n] == '\0' ? strtoull(s, NULL, 10) : 0;
}

static uint64_t chunk_size_of(const struct json *header)
{
	const struct json *v = header ? json_get(header, "chunk_size") : NULL;

	if (v && v->type == JSON_STRING)
		return number_of(v->str);
	return v && v->type == JSON_NUMBER && v->is_integer && v->integer > 0 ? (uint64_t)v->integer
									      : 0;
}

static int read_part(struct arena *a, const struct json_member *m, struct lfs_answer *out,
		     struct err *e)
{
	uint64_t number = number_of(m->key);

	if (number == 0) /* chunk_size, and whatever else may come */
		return 0;
	if (number > out->n_parts || out->parts[number - 1] || !is_field_value(m->value) ||
	    !m->value->len)
		return bad(e, "parts that do not fit the size of the file");
	out->parts[number - 1] = arena_strdup(a, m->value->str);
	return 0;
}

/* header: {"chunk_size": "20000000", "00001": URL, "00002": URL, ...} */
static int read_multipart(struct arena *a, const struct json *action, const struct hub_file *f,
			  struct lfs_answer *out, struct err *e)
{
	const struct json *header = json_get(action, "header");
	const char *href = href_of(action);
	uint64_t n;
	int rc = 0;

	out->chunk_bytes = chunk_size_of(header);
	if (!href || !out->chunk_bytes)
		return bad(e, "a multipart upload without its chunk size or address");
	n = f->size_bytes / out->chunk_bytes + (f->size_bytes % out->chunk_bytes != 0);
	if (n == 0 || n > PARTS_MAX || n > header->count)
		return bad(e, "parts that do not fit the size of the file");
	out->way = LFS_MULTIPART;
	out->upload.href = arena_strdup(a, href);
	out->n_parts = (size_t)n;
	out->parts = arena_array(a, out->n_parts, sizeof(const char *));
	for (size_t i = 0; rc >= 0 && i < header->count; i++)
		rc = read_part(a, &header->members[i], out, e);
	for (size_t i = 0; rc >= 0 && i < out->n_parts; i++)
		if (!out->parts[i])
			rc = bad(e, "parts that do not fit the size of the file");
	return rc;
}

static int read_upload(struct arena *a, const struct json *actions, const struct hub_file *f,
		       struct lfs_answer *out, struct err *e)
{
	const struct json *upload = actions ? json_get(actions, "upload") : NULL;
	int rc;

	out->way = LFS_STORED;
	if (!upload || upload->type == JSON_NULL)
		return 0;
	if (json_get(upload, "header") && json_get(json_get(upload, "header"), "chunk_size")) {
		rc = read_multipart(a, upload, f, out, e);
	} else {
		out->way = LFS_BASIC;
		rc = read_action(a, upload, &out->upload, e);
	}
	if (rc >= 0)
		rc = read_action(a, json_get(actions, "verify"), &out->verify, e);
	return rc;
}

static int read_object(struct arena *a, enum lfs_operation op, const struct json *o,
		       const struct hub_file *f, struct lfs_answer *out, struct err *e)
{
	const struct json *error = json_get(o, "error");
	const struct json *size = json_get(o, "size");

	if (size && (size->type != JSON_NUMBER || !size->is_integer ||
		     (uint64_t)size->integer != f->size_bytes))
		return bad(e, "a size that is not the file's");
	if (error && error->type != JSON_NULL) {
		out->way = LFS_REFUSED;
		out->error_code = (int)json_int(error, "code", 0);
		out->error = arena_strdup(a, json_str(error, "message", "it gives no reason"));
		return 0;
	}
	if (op == LFS_UPLOAD)
		return read_upload(a, json_get(o, "actions"), f, out, e);
	out->way = LFS_STORED;
	return read_action(a, json_get(json_get(o, "actions"), "download"), &out->download, e);
}

/* ---- which file an object of the answer is */

struct asked {
	const struct hub_file *files;
	size_t *order; /* by hash */
	size_t n;
};

static int by_hash(const void *x, const void *y, void *ctx)
{
	const struct hub_file *files = ctx;

	return memcmp(files[*(const size_t *)x].sha256, files[*(const size_t *)y].sha256,
		      SHA256_LEN);
}

/* Index of the file with this hash, or n. */
static size_t find(const struct asked *q, const uint8_t sha256[SHA256_LEN])
{
	size_t low = 0, high = q->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int cmp = memcmp(sha256, q->files[q->order[mid]].sha256, SHA256_LEN);

		if (cmp == 0)
			return q->order[mid];
		if (cmp < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return q->n;
}

static int read_objects(struct arena *a, enum lfs_operation op, const struct json *objects,
			const struct asked *q, bool *seen, struct lfs_answer *out, struct err *e)
{
	uint8_t sha256[SHA256_LEN];

	for (size_t i = 0; i < objects->count; i++) {
		const struct json *o = objects->members[i].value;
		size_t at = q->n;
		int rc;

		if (hex_decode(json_str(o, "oid", ""), sha256, SHA256_LEN) == 0)
			at = find(q, sha256);
		if (at == q->n || seen[at])
			return bad(e, "an object that was not asked for");
		seen[at] = true;
		rc = read_object(a, op, o, &q->files[at], &out[at], e);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < q->n; i++)
		if (!seen[i])
			return bad(e, "it leaves out an object");
	return 0;
}

int lfs_batch_parse(struct arena *a, enum lfs_operation op, const char *text, size_t len,
		    const struct hub_file *files, size_t n, struct lfs_answer *out, struct err *e)
{
	struct asked q = { files, arena_array(a, n, sizeof(size_t)), n };
	bool *seen = arena_array(a, n, sizeof(*seen));
	const struct json *objects;
	struct json *v;

	if (json_parse(a, text, len, &v, NULL) < 0)
		return bad(e, "it is no JSON");
	objects = json_get(v, "objects");
	if (!objects || objects->type != JSON_ARRAY)
		return bad(e, "it has no objects");
	memset(out, 0, n * sizeof(*out));
	for (size_t i = 0; i < n; i++)
		q.order[i] = i;
	qsort_r(q.order, n, sizeof(*q.order), by_hash, (void *)files);
	return read_objects(a, op, objects, &q, seen, out, e);
}
