/* upload/fetch_facts.c -- a model described without its weights: the small files
 * and the head of each safetensors file are put into a folder in which the rest
 * of every file is a hole, and that is read as any model's folder is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/gguf.h"
#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_private.h"

#define HEAD_FIRST ((uint64_t)128 << 10)	   /* most headers are shorter */
#define HEAD_MAX ((uint64_t)100 * 1000 * 1000 + 8) /* safetensors/src/tensor.rs MAX_HEADER_SIZE */
#define GGUF_FIRST ((uint64_t)1 << 20)		   /* heads with a vocabulary have some MiB */
#define GGUF_MAX ((uint64_t)512 << 20)		   /* what is written at most: GGUF_HEAD_MAX */
#define SMALL_MAX ((uint64_t)64 << 20)		   /* of config, card and index */

struct look {
	const struct fetch_options *o;
	const struct fetch_model *m;
	struct http_pool *pool;
	struct shape *shapes;
	char *dir;
	struct err err;
};

struct shape { /* of one file in the folder */
	struct shape *next;
	struct look *l;
	const struct fetch_file *file;
	int fd; /* open while its bytes come: a model may have a thousand parts */
	bool is_head, is_gguf, again;
	char *url;
	struct http_request rq;
};

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n > m && strcmp(s + n - m, tail) == 0;
}

static bool wants_whole(const char *name)
{
	return strcmp(name, "config.json") == 0 || strcmp(name, "README.md") == 0 ||
	       strcmp(name, "model.safetensors.index.json") == 0;
}

static int shape_open(struct shape *s, int flags, struct err *e)
{
	char *path = path_join(s->l->dir, s->file->name);
	int rc = 0;

	if (s->fd < 0)
		s->fd = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
	if (s->fd < 0)
		rc = err_errno(e, "%s", path);
	free(path);
	return rc;
}

static void shape_close(struct shape *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void free_shapes(struct look *l)
{
	while (l->shapes) {
		struct shape *s = l->shapes;

		l->shapes = s->next;
		shape_close(s);
		free(s->url);
		free(s);
	}
}

/* ---- bytes that come */

static int on_data(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct shape *s = ctx;

	if (offset + n > s->file->size_bytes)
		return err_set(e, ERR_IO, "%s: the server sends more than it told", s->file->name);
	if (shape_open(s, 0, e) < 0)
		return e->code;
	if (pwrite(s->fd, p, n, (off_t)offset) != (ssize_t)n)
		return err_errno(e, "%s", s->l->dir);
	return 0;
}

/* Length of the whole head of a safetensors file, 8 bytes included. */
static uint64_t head_bytes(const struct shape *s)
{
	unsigned char raw[8];
	uint64_t n = 0;

	if (pread(s->fd, raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return 0;
	for (int i = 7; i >= 0; i--)
		n = n << 8 | raw[i];
	return n > HEAD_MAX - 8 ? 0 : n + 8; /* 0: the reader will say what is wrong */
}

static int read_fd(void *ctx, void *out, size_t n, uint64_t at, struct err *e)
{
	if (pread(*(int *)ctx, out, n, (off_t)at) != (ssize_t)n)
		return err_errno(e, "the head of a GGUF file");
	return 0;
}

/* How far a GGUF file has to be known: nothing says where its head ends but the head itself. Twice
 * as much as came, until it can be read; what is wrong with it the reader will say. */
static uint64_t gguf_bytes(struct shape *s, uint64_t came)
{
	struct gguf_source src = { .read = read_fd, .ctx = &s->fd, .size_bytes = came };
	struct arena *a = arena_new();
	struct err ignored = ERR_INIT;
	struct gguf_file f;
	uint64_t more = came;

	if (gguf_read_head(a, &src, &f, &ignored) < 0 && came < GGUF_MAX)
		more = 2 * came < s->file->size_bytes ? 2 * came : s->file->size_bytes;
	arena_free(a);
	return more;
}

static void on_done(void *ctx, const struct http_request *rq, struct http_response *rs,
		    const struct err *e)
{
	struct shape *s = ctx;
	uint64_t whole, came;

	(void)rs;
	if (e->code < 0) {
		if (!s->l->err.code)
			s->l->err = *e;
		http_pool_stop(s->l->pool);
		return;
	}
	came = rq->range_first + rq->range_bytes;
	if (s->is_gguf)
		whole = gguf_bytes(s, came);
	else
		whole = s->is_head && !s->again ? head_bytes(s) : 0;
	if (whole <= came || whole > s->file->size_bytes) {
		shape_close(s);
		return;
	}
	s->again = true;
	s->rq.range_first = came;
	s->rq.range_bytes = whole - came;
	http_pool_add(s->l->pool, &s->rq);
}

/* ---- the folder */

static int ask(struct look *l, struct shape *s, struct err *e)
{
	uint64_t size = s->file->size_bytes, first;

	/* Importances end in .gguf too, but are no part of the facts. */
	s->is_gguf = ends_with(s->file->name, ".gguf") &&
		     strncmp(s->file->name, "imatrix", strlen("imatrix")) != 0;
	s->is_head = s->is_gguf || ends_with(s->file->name, ".safetensors");
	first = s->is_gguf ? GGUF_FIRST : HEAD_FIRST;
	if (!size || (!s->is_head && !wants_whole(s->file->name)))
		return 0;
	if (!s->is_head && size > SMALL_MAX)
		return err_set(e, ERR_INVALID, "%s: %s is larger than any such file", l->o->repo,
			       s->file->name);
	s->url = fetch_resolve_path(l->o->repo, l->m->commit, s->file->name);
	s->rq = (struct http_request){
		.url = s->url,
		.about = { .repo = l->o->repo, .revision = l->o->revision, .file = s->file->name },
		.range_bytes = s->is_head && size > first ? first : size,
		.redirects = HTTP_REDIRECT_ANY,
		.on_data = on_data,
		.on_done = on_done,
		.ctx = s,
	};
	http_pool_add(l->pool, &s->rq);
	return 0;
}

/* Every file with its size: a hole, for now. */
static int make_file(struct look *l, const struct fetch_file *f, struct err *e)
{
	struct shape *s = mem_zalloc(sizeof(*s));
	int rc;

	s->l = l;
	s->file = f;
	s->fd = -1;
	s->next = l->shapes;
	l->shapes = s;
	rc = shape_open(s, O_CREAT | O_EXCL, e);
	if (rc >= 0 && ftruncate(s->fd, (off_t)f->size_bytes) != 0)
		rc = err_errno(e, "%s/%s", l->dir, f->name);
	shape_close(s);
	return rc < 0 ? rc : ask(l, s, e);
}

static char *make_folder(const struct fetch_options *o, struct err *e)
{
	const char *temp = getenv("TMPDIR");
	char *dir = o->memory ? mem_printf("%s/.look-XXXXXX", o->memory)
			      : mem_printf("%s/quern-look-XXXXXX", temp && *temp ? temp : "/tmp");

	if ((o->memory && path_mkdirs(o->memory, 0755, e) < 0) || !mkdtemp(dir)) {
		err_errno(e, "%s", dir);
		free(dir);
		return NULL;
	}
	return dir;
}

/* The folder's name means nothing to a person: say the repository's. */
static void name_the_repository(const struct look *l, struct err *e)
{
	const char *at = strstr(e->msg, l->dir);
	char *text;

	if (!at)
		return;
	text = mem_printf("%.*s%s%s", (int)(at - e->msg), e->msg, l->o->repo, at + strlen(l->dir));
	err_set(e, e->code, "%s", text);
	free(text);
}

int fetch_facts(const struct fetch_options *o, struct arena *a, struct fetch_model *m,
		struct err *e)
{
	struct look l = { .o = o, .m = m, .err = ERR_INIT };
	struct err ignored = ERR_INIT;
	int rc = 0;

	l.dir = make_folder(o, e);
	if (!l.dir)
		return e ? e->code : ERR_IO;
	l.pool = http_pool_new(o->http, FETCH_CONNECTIONS);
	for (size_t i = 0; rc >= 0 && i < m->n_files; i++)
		rc = make_file(&l, &m->files[i], e);
	if (rc >= 0)
		rc = http_pool_run(l.pool, e);
	if (l.err.code < 0) {
		rc = l.err.code;
		*e = l.err;
	}
	if (rc >= 0) {
		rc = source_read_file_facts(a, l.dir, o->file, &m->facts, e);
		if (rc < 0)
			name_the_repository(&l, e);
	}
	http_pool_free(l.pool);
	free_shapes(&l);
	(void)path_remove_tree(l.dir, &ignored);
	free(l.dir);
	return rc;
}
