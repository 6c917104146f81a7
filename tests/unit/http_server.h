/* tests/unit/http_server.h -- a web server for one test: it answers the n-th
 * request with the n-th step, on threads of its own, and remembers what it was
 * asked. */
#ifndef QUERN_TESTS_HTTP_SERVER_H
#define QUERN_TESTS_HTTP_SERVER_H

#include <stddef.h>

enum server_after {
	SERVER_KEEP,  /* the connection waits for the next request */
	SERVER_CLOSE, /* an orderly end */
	SERVER_RESET, /* an end by RST */
	SERVER_STALL, /* nothing more until the server stops or the client is gone */
	SERVER_DRIP,  /* then a byte every 100 ms until the client is gone */
};

struct server_step {
	const char *reply; /* the raw answer; NULL: none */
	enum server_after after;
};

struct server;

/* On 127.0.0.1; the last step answers all further requests. steps are borrowed. */
struct server *server_start(const struct server_step *steps, size_t n);
void server_stop(struct server *s);
int server_port(const struct server *s);
/* "http://127.0.0.1:PORT"; belongs to s. */
const char *server_url(const struct server *s);
size_t server_count(struct server *s); /* requests read so far */
/* Head and body of the i-th request; valid until the stop. */
const char *server_request(struct server *s, size_t i);

#endif
