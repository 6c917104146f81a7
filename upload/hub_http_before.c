/* upload/hub_http_before.c -- what the Hub is asked before anything is sent: how it
 * will take each file, and whether it takes the card. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "upload/hub_api.h"
#include "upload/hub_http_private.h"

static int read_sample(const struct hub_file *f, struct hub_api_sample *out, struct err *e)
{
	ssize_t n;
	int fd;

	if (!f->local) {
		out->n =
			f->size_bytes < HUB_SAMPLE_BYTES ? (size_t)f->size_bytes : HUB_SAMPLE_BYTES;
		memcpy(out->bytes, f->data, out->n);
		return 0;
	}
	fd = open(f->local, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "%s", f->local); /* the hub has it */
	n = pread(fd, out->bytes, HUB_SAMPLE_BYTES, 0);
	(void)close(fd);
	if (n < 0)
		return err_errno(e, "%s", f->local);
	out->n = (size_t)n;
	return 0;
}

static int preupload(struct hub_http *h, const char *repo, struct hub_file *files, size_t n,
		     bool *ignored, struct err *e)
{
	struct hub_api_sample *samples = mem_array(n, sizeof(*samples));
	char *path = hub_http_branch_path(h, repo, "preupload");
	struct arena *a = arena_new();
	struct http_response rs = { 0 };
	struct buf body;
	int rc = 0;

	buf_init(&body, (size_t)16 << 20);
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = read_sample(&files[i], &samples[i], e);
	if (rc >= 0) {
		hub_api_preupload_write(&body, files, samples, n);
		rc = hub_http_post(h, path, &body, repo, &rs, e);
	}
	if (rc >= 0)
		rc = hub_api_preupload(a, buf_str(&rs.body), rs.body.len, files, n, ignored, e);
	http_response_release(&rs);
	buf_release(&body);
	arena_free(a);
	free(path);
	free(samples);
	return rc;
}

int hub_http_prepare(struct hub *base, const char *repo, struct hub_file *files, size_t n,
		     struct arena *a, const char **refused, struct err *e)
{
	bool ignored[HUB_PREUPLOAD_MAX];
	int rc = hub_repo_check(repo, e);

	for (size_t at = 0; rc >= 0 && at < n; at += HUB_PREUPLOAD_MAX) {
		size_t count = n - at < HUB_PREUPLOAD_MAX ? n - at : HUB_PREUPLOAD_MAX;

		rc = preupload(hub_http_of(base), repo, files + at, count, ignored, e);
		for (size_t i = 0; rc >= 0 && i < count; i++)
			if (ignored[i])
				refused[at + i] = arena_printf(
					a,
					"the .gitignore of %s keeps %s out; change it there, or "
					"leave the file out here with upload.exclude",
					repo, files[at + i].path);
	}
	return rc;
}

/* What an answer to the card says. A 400 carries the same body as a 200. */
static int judge_card(const struct http_response *rs, int rc, struct err *e)
{
	struct err said = ERR_INIT;

	if (rs->status == 404 || rs->status == 413)
		return 0; /* a hub that cannot say it in advance says it at the commit */
	if (rc < 0 && rs->status != 400)
		return rc;
	if (hub_api_card(buf_str(&rs->body), rs->body.len, &said) != ERR_INVALID)
		return rc;
	*e = said;
	return ERR_INVALID;
}

int hub_http_check_card(struct hub *base, const char *text, size_t len, struct err *e)
{
	struct http_response rs;
	struct buf body;
	int rc;

	buf_init(&body, (size_t)32 << 20);
	hub_api_card_write(&body, text, len);
	rc = hub_http_post(hub_http_of(base), "/api/validate-yaml", &body, NULL, &rs, e);
	rc = judge_card(&rs, rc, e);
	http_response_release(&rs);
	buf_release(&body);
	return rc;
}
