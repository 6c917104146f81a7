/* tests/unit/http_fixture.h -- the HTTP client over a scripted server, with time that passes only
 * while the client sleeps. */
#ifndef QUERN_TESTS_HTTP_FIXTURE_H
#define QUERN_TESTS_HTTP_FIXTURE_H

#include "tests/unit/http_server.h"
#include "upload/http.h"

#define TOKEN "hf_VerySecretTokenOfTheTest"
#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: " body

struct fake_time {
	int64_t now_ms, slept_ms;
};
extern struct fake_time fake;
extern const struct http_clock fake_clock;
extern const struct http_policy three; /* attempts, 1 s apart and more */

void restart_time(void);
/* Time begins anew. */
struct http *client(const char *endpoint, const char *token);

/* One GET of /x with this much of a request; the answers are the steps. */
struct one {
	struct server *s;
	struct http *h;
	struct http_response rs;
	struct err e;
	int rc;
};
void ask(struct one *o, const struct server_step *steps, size_t n,
	 const struct http_request *given);
void done(struct one *o);

#endif
