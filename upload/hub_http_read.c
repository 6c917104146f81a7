/* upload/hub_http_read.c -- what a repository of the Hub holds: its listing, a
 * small file, a range of a large one; always of the head that was listed last. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "upload/hub_api.h"
#include "upload/hub_http_private.h"

#define PAGE_MAX ((size_t)16 << 20)

/* ---- listing */

static int by_path(const void *x, const void *y)
{
	const struct hub_file *a = x, *b = y;

	return strcmp(a->path, b->path);
}

/* All pages from url on, which is freed. */
static int get_pages(struct hub_http *h, const char *repo, char *url, struct arena *a,
		     struct hub_api_files *files, struct err *e)
{
	int rc = 0;

	while (rc >= 0 && url) {
		struct http_request rq = { .url = url,
					   .about = { .repo = repo },
					   .want_json = true,
					   .body_max = PAGE_MAX };
		struct http_response rs;
		char *next = NULL;
		size_t before = files->n;

		rc = hub_http_call(h, &rq, &rs, e);
		if (rc >= 0)
			rc = hub_api_tree(a, buf_str(&rs.body), rs.body.len, files, e);
		if (rc >= 0)
			next = http_next_page(h->http, &rs);
		if (next && (files->n == before || strcmp(next, url) == 0))
			rc = err_set(e, ERR_IO, "%s: the hub's listing does not end", repo);
		http_response_release(&rs);
		free(url);
		url = next;
	}
	free(url);
	return rc;
}

static int get_tree(struct hub_http *h, const char *repo, const char *head, struct arena *a,
		    struct hub_file **out, size_t *n, struct err *e)
{
	struct hub_api_files files = { 0 };
	char *path = hub_http_path(repo, "tree", head);
	int rc = get_pages(h, repo, mem_printf("%s?recursive=true&expand=false", path), a, &files,
			   e);

	free(path);
	if (rc >= 0) {
		if (files.n)
			qsort(files.v, files.n, sizeof(*files.v), by_path);
		*out = arena_array(a, files.n, sizeof(**out));
		if (files.n)
			memcpy(*out, files.v, files.n * sizeof(**out));
		*n = files.n;
	}
	free(files.v);
	return rc;
}

int hub_http_list(struct hub *base, const char *repo, struct arena *a, struct hub_file **files,
		  size_t *n, const char **head, struct err *e)
{
	struct hub_http *h = hub_http_of(base);
	char id[HUB_BLOB_ID];
	bool is_private;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	hub_http_turn_to(h, repo);
	rc = hub_http_head(h, repo, id, &is_private, e);
	if (rc < 0)
		return rc;
	if (*id) {
		rc = get_tree(h, repo, id, a, files, n, e);
	} else {
		*files = NULL;
		*n = 0;
	}
	if (rc < 0)
		return rc;
	free(h->head);
	h->head = mem_strdup(id);
	*head = arena_strdup(a, id);
	return 0;
}

/* ---- reading */

struct reading {
	struct buf b;
	size_t max;
	const char *path;
};

static int on_data(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct reading *r = ctx;

	if (offset == 0)
		buf_clear(&r->b);
	if (offset > r->b.len || n > r->max - r->b.len)
		return err_set(e, ERR_NOSPACE, "%s has more than the %zu bytes that are read here",
			       r->path, r->max);
	return buf_add(&r->b, p, n);
}

/* Fill rq with a download of path at the head that was listed; url holds its URL. */
static void ask_for_file(struct hub_http *h, const char *repo, const char *path, struct buf *url,
			 struct http_request *rq)
{
	hub_http_turn_to(h, repo);
	buf_addf(url, "/%s/resolve/", repo);
	http_quote(url, h->head && *h->head ? h->head : hub_http_branch(h, repo), false);
	buf_addc(url, '/');
	http_quote(url, path, true);
	*rq = (struct http_request){ .url = buf_str(url),
				     .redirects = HTTP_REDIRECT_ANY,
				     .about = { .repo = repo, .file = path } };
}

int hub_http_read(struct hub *base, const char *repo, const char *path, size_t max, struct arena *a,
		  const char **data, size_t *len, struct err *e)
{
	struct reading r = { .max = max, .path = path };
	struct http_request rq;
	struct http_response rs;
	struct buf url;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	buf_init(&url, (size_t)64 << 10);
	buf_init(&r.b, max);
	ask_for_file(hub_http_of(base), repo, path, &url, &rq);
	rq.on_data = on_data;
	rq.ctx = &r;
	rc = hub_http_call(hub_http_of(base), &rq, &rs, e);
	if (rc >= 0) {
		*data = arena_strndup(a, buf_str(&r.b), r.b.len);
		*len = r.b.len;
	}
	http_response_release(&rs);
	buf_release(&r.b);
	buf_release(&url);
	return rc;
}

int hub_http_read_at(struct hub *base, const char *repo, const struct hub_file *f, uint64_t offset,
		     void *data, size_t len, size_t *got, struct err *e)
{
	struct hub_http *h = hub_http_of(base);
	struct http_response rs = { 0 };
	struct http_request rq;
	struct buf url;
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	buf_init(&url, (size_t)64 << 10);
	ask_for_file(h, repo, f->path, &url, &rq);
	rc = hub_range_read(&h->range,
			    &(struct hub_range_ask){ h->http, &rq, buf_str(&url), f->size_bytes },
			    offset, data, len, got, &rs.fault, e);
	if (rc < 0)
		hub_http_note(h, &rs);
	buf_release(&url);
	return rc;
}
