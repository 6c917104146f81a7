#include "upload/gitrepo_transport.h"

#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <git2/sys/transport.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/scratch.h"

#define THINKING_S 120 /* a server unpacks and runs its hooks before it answers */

/* One question and its answer, both in files: a pack has any size. */
struct stream {
	git_smart_subtransport_stream base;
	struct gitrepo_talk *talk;
	const char *service; /* "git-upload-pack" */
	bool is_listing;
	bool asked;
	int question, answer; /* descriptors */
	uint64_t question_bytes, answer_bytes, read_bytes;
};

struct subtransport {
	git_smart_subtransport base;
	struct gitrepo_talk *talk;
};

static int on_data(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct stream *s = ctx;
	int rc = scratch_write(s->answer, p, n, offset, e);

	s->answer_bytes = offset + n;
	return rc;
}

static int ask(struct stream *s)
{
	static const struct http_policy once = { .attempts = 1, .first_ms = 1000, .max_ms = 30000 };
	const struct gitrepo_remote *r = s->talk->remote;
	bool is_push = !s->is_listing && strcmp(s->service, "git-receive-pack") == 0;
	char *url = s->is_listing ? mem_printf("%s/info/refs?service=%s", r->path, s->service)
				  : mem_printf("%s/%s", r->path, s->service);
	struct http_header header = { "Content-Type", NULL };
	struct http_response rs;
	char type[64];
	struct http_request rq = { .method = s->is_listing ? HTTP_GET : HTTP_POST,
				   .url = url,
				   .headers = &header,
				   .n_headers = s->is_listing ? 0 : 1,
				   .about = r->about,
				   .body_fd = s->question,
				   .body_bytes = s->question_bytes,
				   .on_data = on_data,
				   .ctx = s,
				   .floor_s = THINKING_S,
				   .policy = is_push ? &once : NULL };
	int rc;

	(void)snprintf(type, sizeof(type), "application/x-%s-request", s->service);
	header.value = type;
	s->asked = true;
	s->answer_bytes = 0;
	s->talk->pushing = is_push;
	rc = http_call(r->http, &rq, &rs, &s->talk->err);
	s->talk->fault = rs.fault;
	http_response_release(&rs);
	free(url);
	return rc < 0 ? -1 : 0;
}

static int on_read(git_smart_subtransport_stream *base, char *buffer, size_t size, size_t *n)
{
	struct stream *s = (struct stream *)base;
	uint64_t left;
	ssize_t got;

	*n = 0;
	if (!s->asked && ask(s) < 0)
		return -1;
	left = s->answer_bytes - s->read_bytes;
	if (size > left)
		size = (size_t)left;
	do {
		got = pread(s->answer, buffer, size, (off_t)s->read_bytes);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	s->read_bytes += (uint64_t)got;
	*n = (size_t)got;
	return 0;
}

static int on_write(git_smart_subtransport_stream *base, const char *p, size_t n)
{
	struct stream *s = (struct stream *)base;

	if (scratch_write(s->question, p, n, s->question_bytes, &s->talk->err) < 0)
		return -1;
	s->question_bytes += n;
	return 0;
}

static void on_free(git_smart_subtransport_stream *base)
{
	struct stream *s = (struct stream *)base;

	if (s->question >= 0)
		(void)close(s->question);
	if (s->answer >= 0)
		(void)close(s->answer);
	free(s);
}

static int on_action(git_smart_subtransport_stream **out, git_smart_subtransport *base,
		     const char *url, git_smart_service_t service)
{
	struct subtransport *t = (struct subtransport *)base;
	struct stream *s = mem_zalloc(sizeof(*s));

	(void)url; /* libgit2's name for it; ours is in the talk */
	s->base = (git_smart_subtransport_stream){
		.subtransport = base, .read = on_read, .write = on_write, .free = on_free
	};
	s->talk = t->talk;
	s->is_listing =
		service == GIT_SERVICE_UPLOADPACK_LS || service == GIT_SERVICE_RECEIVEPACK_LS;
	s->service = service == GIT_SERVICE_UPLOADPACK_LS || service == GIT_SERVICE_UPLOADPACK
			     ? "git-upload-pack"
			     : "git-receive-pack";
	s->question = scratch_open(t->talk->remote->scratch, &t->talk->err);
	s->answer = s->question < 0 ? -1 : scratch_open(t->talk->remote->scratch, &t->talk->err);
	if (s->answer < 0) {
		on_free(&s->base);
		return -1;
	}
	*out = &s->base;
	return 0;
}

static int on_close(git_smart_subtransport *base)
{
	(void)base;
	return 0;
}

static void on_free_transport(git_smart_subtransport *base)
{
	free(base);
}

static int make_subtransport(git_smart_subtransport **out, git_transport *owner, void *param)
{
	struct subtransport *t = mem_zalloc(sizeof(*t));

	(void)owner;
	t->base = (git_smart_subtransport){ .action = on_action,
					    .close = on_close,
					    .free = on_free_transport };
	t->talk = param;
	*out = &t->base;
	return 0;
}

int gitrepo_transport(struct git_transport **out, struct git_remote *owner, void *payload)
{
	git_smart_subtransport_definition definition = { make_subtransport, 1, payload };

	return git_transport_smart(out, owner, &definition);
}
