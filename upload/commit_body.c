#include "upload/commit_body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/scratch.h"
#include "upload/base64.h"
#include "upload/lfs.h"

#define PIECE ((size_t)48 << 10) /* of content; a multiple of 3, so that the texts join */
#define ROOM ((size_t)1 << 20)	 /* of a line without its content, and of a piece */

struct writer {
	int fd;
	uint64_t at;
	struct buf out;
	struct sha256 *sha;
};

static int flush(struct writer *w, struct err *e)
{
	int rc;

	if (w->out.overflow)
		return err_set(e, ERR_NOSPACE, "a line of the commit is too long");
	rc = scratch_write(w->fd, buf_str(&w->out), w->out.len, w->at, e);
	w->at += w->out.len;
	buf_clear(&w->out);
	return rc;
}

static void begin_line(struct json_out *j, struct buf *b, const char *key)
{
	jw_init(j, b, 0);
	jw_object(j);
	jw_kstr(j, "key", key);
	jw_kobject(j, "value");
}

static int end_line(struct writer *w, struct json_out *j, struct err *e)
{
	jw_end_object(j);
	jw_end_object(j);
	buf_addc(&w->out, '\n');
	return flush(w, e);
}

static int write_header(struct writer *w, const struct hub_commit *c, struct err *e)
{
	size_t line = strcspn(c->message, "\n");
	const char *rest = c->message + line;
	size_t len;
	struct json_out j;

	rest += strspn(rest, "\n");
	len = strlen(rest);
	while (len > 0 && rest[len - 1] == '\n')
		len--;
	begin_line(&j, &w->out, "header");
	jw_key(&j, "summary");
	jw_strn(&j, c->message, line);
	jw_key(&j, "description");
	jw_strn(&j, rest, len);
	if (*c->parent)
		jw_kstr(&j, "parentCommit", c->parent);
	return end_line(w, &j, e);
}

static int write_lfs(struct writer *w, const struct hub_file *f, struct err *e)
{
	char hex[SHA256_HEX];
	struct json_out j;

	hex_encode(f->sha256, SHA256_LEN, hex);
	begin_line(&j, &w->out, "lfsFile");
	jw_kstr(&j, "path", f->path);
	jw_kstr(&j, "algo", "sha256");
	jw_kstr(&j, "oid", hex);
	jw_key(&j, "size");
	jw_uint(&j, f->size_bytes);
	return end_line(w, &j, e);
}

static int write_piece(struct writer *w, const void *p, size_t n, struct err *e)
{
	sha256_update(w->sha, p, n);
	(void)base64_add(&w->out, p, n); /* what does not fit is seen in flush() */
	return flush(w, e);
}

static int write_data(struct writer *w, const struct hub_file *f, struct err *e)
{
	int rc = 0;

	for (uint64_t at = 0; rc >= 0 && at < f->size_bytes; at += PIECE) {
		uint64_t left = f->size_bytes - at;

		rc = write_piece(w, f->data + at, left < PIECE ? (size_t)left : PIECE, e);
	}
	return rc;
}

/* 0 when n bytes are in p: a short file is told by its hash. */
static int read_full(int fd, char *p, size_t n, uint64_t at, const char *name, struct err *e)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, p + got, n - got, (off_t)(at + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_errno(e, "%s", name);
		if (r == 0)
			return err_set(e, ERR_CORRUPT, "%s is shorter than it was", name);
		got += (size_t)r;
	}
	return 0;
}

static int write_local(struct writer *w, const struct hub_file *f, struct err *e)
{
	int fd = open(f->local, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	char *piece;

	if (fd < 0)
		return err_errno(e, "%s", f->local);
	piece = mem_alloc(PIECE);
	for (uint64_t at = 0; rc >= 0 && at < f->size_bytes; at += PIECE) {
		uint64_t left = f->size_bytes - at;
		size_t n = left < PIECE ? (size_t)left : PIECE;

		rc = read_full(fd, piece, n, at, f->path, e);
		if (rc >= 0)
			rc = write_piece(w, piece, n, e);
	}
	free(piece);
	(void)close(fd);
	return rc;
}

static int write_plain(struct writer *w, const struct hub_file *f, struct err *e)
{
	uint8_t sha256[SHA256_LEN];
	struct json_out j;
	int rc;

	if (f->size_bytes > LFS_MIN_BYTES)
		return err_set(e, ERR_INVALID, "%s: too large for git without LFS", f->path);
	begin_line(&j, &w->out, "file");
	jw_kstr(&j, "path", f->path);
	jw_kstr(&j, "encoding", "base64");
	jw_key(&j, "content");
	buf_addc(&w->out, '"'); /* base64 has nothing to escape */
	rc = f->local ? write_local(w, f, e) : write_data(w, f, e);
	if (rc < 0)
		return rc;
	sha256_final(w->sha, sha256);
	if (memcmp(sha256, f->sha256, SHA256_LEN) != 0)
		return err_set(e, ERR_CORRUPT,
			       "%s: the content does not have the hash it is sent under", f->path);
	buf_adds(&w->out, "\"}}\n");
	return flush(w, e);
}

static int write_gone(struct writer *w, const char *path, struct err *e)
{
	struct json_out j;

	begin_line(&j, &w->out, "deletedFile");
	jw_kstr(&j, "path", path);
	return end_line(w, &j, e);
}

static int check_path(const char *path, struct err *e)
{
	if (hub_path_ok(path))
		return 0;
	return err_set(e, ERR_INVALID, "\"%.200s\" cannot be the name of a file here", path);
}

static int write_lines(struct writer *w, const struct hub_commit *c, struct err *e)
{
	int rc = write_header(w, c, e);

	for (size_t i = 0; rc >= 0 && i < c->n_gone; i++) {
		rc = check_path(c->gone[i], e);
		if (rc >= 0)
			rc = write_gone(w, c->gone[i], e);
	}
	for (size_t i = 0; rc >= 0 && i < c->n; i++) {
		rc = check_path(c->files[i].path, e);
		if (rc >= 0)
			rc = c->files[i].lfs ? write_lfs(w, &c->files[i], e)
					     : write_plain(w, &c->files[i], e);
	}
	return rc;
}

int commit_body_write(int fd, const struct hub_commit *c, uint64_t *size_bytes, struct err *e)
{
	struct writer w = { .fd = fd, .sha = sha256_new() };
	int rc;

	buf_init(&w.out, ROOM);
	rc = write_lines(&w, c, e);
	buf_release(&w.out);
	sha256_free(w.sha);
	if (rc >= 0)
		*size_bytes = w.at;
	return rc;
}
