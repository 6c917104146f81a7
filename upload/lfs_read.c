#include "upload/lfs_read.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "upload/lfs_send_private.h"

void lfs_reader_init(struct lfs_reader *l, const char *folder)
{
	*l = (struct lfs_reader){ .a = arena_new() };
	hub_range_init(&l->range, folder);
}

void lfs_reader_release(struct lfs_reader *l)
{
	arena_free(l->a);
	l->a = NULL;
	hub_range_release(&l->range);
}

static bool is_known(const struct lfs_reader *l, const struct hub_file *f)
{
	return l->download.href && memcmp(l->sha256, f->sha256, SHA256_LEN) == 0;
}

static int ask_address(struct lfs_reader *l, const struct lfs_remote *r, const struct hub_file *f,
		       struct err *e)
{
	struct lfs_answer answer;
	int rc;

	l->download.href = NULL;
	arena_reset(l->a);
	rc = lfs_ask_batch(r, l->a, LFS_DOWNLOAD, f, 1, &answer, e);
	if (rc < 0)
		return rc;
	if (answer.way == LFS_REFUSED)
		return answer.error_code == 404 || answer.error_code == 410
			       ? err_set(e, ERR_NOTFOUND,
					 "%s: the server does not have its content", f->path)
			       : lfs_refusal(f, &answer, e);
	if (!answer.download.href)
		return err_set(e, ERR_IO,
			       "%s: the LFS server does not say where its content can be read",
			       f->path);
	l->download = answer.download;
	memcpy(l->sha256, f->sha256, SHA256_LEN);
	return 0;
}

static int read_there(struct lfs_reader *l, const struct lfs_remote *r, const struct hub_file *f,
		      uint64_t offset, void *data, size_t len, size_t *got,
		      struct http_fault *fault, struct err *e)
{
	struct http_header headers[LFS_HEADERS_ROOM];
	struct http_request rq = {
		.redirects = HTTP_REDIRECT_ANY,
		.headers = headers,
		.about = { .repo = r->about.repo, .page = r->about.page, .file = f->path }
	};
	char *url = lfs_address(r, l->download.href), name[SHA256_HEX];
	const struct hub_range_ask q = { r->http, &rq, name, f->size_bytes };
	int rc;

	if (!url)
		return err_set(e, ERR_IO, "%s: the LFS server gives an address that is none",
			       f->path);
	hex_encode(f->sha256, SHA256_LEN, name);
	rq.url = url;
	/* As for a PUT: a git server that keeps the object itself wants to know who asks. */
	rq.no_token =
		lfs_action_headers(&l->download, headers, &rq.n_headers) || !http_is_basic(r->http);
	rc = hub_range_read(&l->range, &q, offset, data, len, got, fault, e);
	free(url);
	return rc;
}

static bool ran_out(const struct http_fault *f)
{
	return f->class == HTTP_FAULT_EXPIRED || f->class == HTTP_FAULT_AUTH ||
	       f->class == HTTP_FAULT_NOT_FOUND;
}

int lfs_read_at(struct lfs_reader *l, const struct lfs_remote *r, const struct hub_file *f,
		uint64_t offset, void *data, size_t len, size_t *got, struct err *e)
{
	bool is_old = is_known(l, f);
	struct http_fault fault = { 0 };
	int rc = is_old ? 0 : ask_address(l, r, f, e);

	if (rc >= 0)
		rc = read_there(l, r, f, offset, data, len, got, &fault, e);
	if (rc < 0 && is_old && ran_out(&fault)) {
		rc = ask_address(l, r, f, e);
		if (rc >= 0)
			rc = read_there(l, r, f, offset, data, len, got, &fault, e);
	}
	return rc;
}
