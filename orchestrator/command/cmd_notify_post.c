/* orchestrator/command/cmd_notify_post.c -- post a notification: a child of quern run. Standard
 * input has the address in its first line, then the body. It holds no token. The
 * address may be a secret: what is said names its host only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "upload/http.h"

#define INPUT_MAX (2u << 20)

static int read_input(struct buf *b, struct err *e)
{
	char chunk[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
		buf_add(b, chunk, (size_t)n);
	if (n < 0)
		return err_errno(e, "standard input");
	return b->overflow ? err_set(e, ERR_NOSPACE, "standard input is too large") : 0;
}

static int post(const char *url, const char *body, size_t len, struct err *e)
{
	static const struct http_header headers[] = { { "Content-Type", "application/json" } };
	static const struct http_policy once = { .attempts = 1, .first_ms = 1, .max_ms = 1 };
	size_t origin = strstr(url, "://") ? (size_t)(strstr(url, "://") + 3 - url) : 0;
	struct http_options o = { .policy = &once };
	struct http_request rq = { .method = HTTP_POST,
				   .url = url,
				   .headers = headers,
				   .n_headers = ARRAY_LEN(headers),
				   .body = body,
				   .body_bytes = len,
				   .no_token = true,
				   .redirects = HTTP_REDIRECT_NONE };
	struct err own = ERR_INIT; /* it names the whole address */
	struct http_response rs;
	struct http *h = NULL;
	char *where;
	int rc;

	origin += strcspn(url + origin, "/?#");
	where = mem_strndup(url, origin);
	o.endpoint = where;
	rc = http_open(&o, &h, &own);
	if (rc >= 0) {
		rc = http_call(h, &rq, &rs, &own);
		if (rc >= 0 && rs.status >= 300)
			rc = err_set(e, ERR_IO, "%s: answers %d, which is elsewhere", where,
				     rs.status);
		else if (rc < 0 && rs.status)
			rc = err_set(e, ERR_IO, "%s: refused (%d)", where, rs.status);
		else if (rc < 0)
			rc = err_set(e, ERR_IO, "%s: no answer; look at the network and the proxy",
				     where);
		http_response_release(&rs);
	} else {
		rc = err_set(e, ERR_INVALID, "the address is none of http or https");
	}
	http_close(h);
	free(where);
	return rc;
}

int cmd_notify_post(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct buf b;
	char *end;
	bool help;
	int rc = cli_parse("notify-post", NULL, 0, argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	buf_init(&b, INPUT_MAX);
	if (rc >= 0)
		rc = read_input(&b, &e);
	if (rc >= 0) {
		end = b.len ? memchr(b.data, '\n', b.len) : NULL;
		if (end) {
			*end = '\0';
			rc = post(b.data, end + 1, b.len - (size_t)(end + 1 - b.data), &e);
		} else {
			rc = err_set(&e, ERR_INVALID, "standard input has no address");
		}
	}
	buf_release(&b);
	return rc < 0 ? cli_fail(&e) : EXIT_GOOD;
}
